//! The `OpenAPI` 3.1 document: paths from the declared routes, and what the product says of them.

use http::Method;
use serde_json::{Map, Value, json};

use super::{Profile, RocketChat};
use crate::core::scope::Scope;
use crate::http::{Declared, Need};
use crate::wire::openapi::{
    Description, JSON, Words, object, parameter, reference, response, text,
};

/// The document, as JSON.
pub(super) fn document<S: Scope>(face: &RocketChat<S>) -> String {
    let header = |name: &str| json!({"type": "apiKey", "in": "header", "name": name});
    let description = Description {
        title: "Personal access tokens, as Rocket.Chat serves them",
        schemes: json!({"token": header("X-Auth-Token"), "user": header("X-User-Id")}),
        schemas: schemas(face.profile),
        words: &words(face.profile),
        parameters,
        in_path: |_| text(),
        bodies: &[JSON, "application/x-www-form-urlencoded"],
        everywhere: &["429"],
        failure: |status| {
            let schema = match status {
                "400" => "Error",
                "401" => "NotSignedIn",
                _ => "Refusal",
            };
            response("What was wrong.", JSON, schema)
        },
    };
    // They are declared as public, since what they need is in headers of their own.
    let needing = face.declared().into_iter().map(|route| {
        let needed = if route.method == Method::GET { &face.reading } else { &face.managing };
        Declared { need: Need::Scope(needed.clone()), ..route }
    });
    description.document(&needing.collect::<Vec<_>>())
}

/// Whatever changes something is asked for a second factor.
fn parameters(method: &Method, _path: &str) -> Vec<Value> {
    if *method == Method::GET {
        return Vec::new();
    }
    let methods = json!({"enum": ["totp", "email", "password"]});
    vec![parameter("x-2fa-code", "header", text()), parameter("x-2fa-method", "header", methods)]
}

fn schemas(profile: Profile) -> Map<String, Value> {
    let (success, no_success) = (json!({"const": true}), json!({"const": false}));
    let at = json!({"type": "string", "format": "date-time"});
    let flag = json!({"type": "boolean"});
    let token = json!({
        "name": text(), "createdAt": at, "lastTokenPart": text(), "bypassTwoFactor": flag,
    });
    let tokens = json!({"type": "array", "items": reference("Token")});
    let question = json!({
        "method": {"enum": ["totp", "email", "password"]},
        "emailOrUsername": text(),
        "codeGenerated": flag,
        "codeExpires": at,
        "availableMethods": {"type": "array", "items": {"enum": ["totp", "email"]}},
    });
    let place = json!({"pattern": "^personalAccessTokens:", "type": "string"});
    let details = json!([reference("Question"), reference("Place")]);
    let error = json!({
        "success": no_success, "error": text(), "errorType": text(), "details": {"oneOf": details},
    });
    let not_signed_in = json!({
        "success": no_success, "error": text(), "status": {"const": "error"}, "message": text(),
    });
    let name = || json!({"tokenName": text()});
    let new = json!({"tokenName": text(), "bypassTwoFactor": {"type": ["boolean", "null"]}});
    let schemas = [
        ("Token", object(token, &[])),
        ("TokenList", object(json!({"tokens": tokens, "success": success}), &[])),
        ("Secret", object(json!({"token": text(), "success": success}), &[])),
        ("Success", object(json!({"success": success}), &[])),
        ("Error", object(error, &["errorType", "details"])),
        ("Question", object(question, &["emailOrUsername", "codeExpires"])),
        ("Place", object(json!({"method": place}), &[])),
        ("NotSignedIn", object(not_signed_in, &[])),
        ("Refusal", object(json!({"success": no_success, "error": text()}), &[])),
        ("New", body(new, profile)),
        ("Named", body(name(), profile)),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// Servers before 8.x ignore keys that they do not know.
fn body(properties: Value, profile: Profile) -> Value {
    let mut body = object(properties, &["bypassTwoFactor"]);
    if let (Profile::Legacy, Some(body)) = (profile, body.as_object_mut()) {
        body.remove("additionalProperties");
    }
    body
}

fn words(profile: Profile) -> [Words; 4] {
    // Whoever may have no tokens is told so by 403, and before 8.x by 400.
    let unlisted: &[&str] = match profile {
        Profile::Eight => &["401", "403", "503"],
        Profile::Legacy => &["400", "401", "403", "503"],
    };
    let changed: &[&str] = &["400", "401", "403", "413", "503"];
    [
        Words::new(
            "POST /api/v1/users.generatePersonalAccessToken",
            "generate",
            "Issues a token, and shows its secret.",
            changed,
        )
        .takes("New", true)
        .answers("200", "Secret"),
        Words::new(
            "POST /api/v1/users.regeneratePersonalAccessToken",
            "regenerate",
            "Gives a token a new secret, and shows it.",
            changed,
        )
        .takes("Named", true)
        .answers("200", "Secret"),
        Words::new(
            "GET /api/v1/users.getPersonalAccessTokens",
            "list",
            "Lists the caller's tokens.",
            unlisted,
        )
        .answers("200", "TokenList"),
        Words::new(
            "POST /api/v1/users.removePersonalAccessToken",
            "remove",
            "Revokes a token.",
            changed,
        )
        .takes("Named", true)
        .answers("200", "Success"),
    ]
}
