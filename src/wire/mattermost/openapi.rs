//! The `OpenAPI` 3.1 document: paths from the declared routes, and what the product says of them.

use http::Method;
use serde_json::{Map, Value, json};

use super::Mattermost;
use super::codec::{DEFAULT_LIMIT, LARGEST_LIMIT};
use crate::core::scope::Scope;
use crate::wire::openapi::{
    Description, JSON, Words, object, parameter, reference, response, text,
};

/// The document, as JSON.
pub(super) fn document<S: Scope>(face: &Mattermost<S>) -> String {
    let description = Description {
        title: "Personal access tokens, as Mattermost serves them",
        schemes: json!({"bearer": {"type": "http", "scheme": "bearer"}}),
        schemas: schemas(),
        words: &OPERATIONS,
        parameters,
        in_path: |name| match name {
            "user_id" => json!({"type": "string", "pattern": "^([A-Za-z0-9]{26}|me)$"}),
            _ => json!({"type": "string", "pattern": "^[A-Za-z0-9]{26}$"}),
        },
        bodies: &[JSON],
        everywhere: &["429"],
        failure: |status| match status {
            "429" => json!({
                "description": "Too many requests.",
                "content": {"text/plain": {"schema": text()}},
            }),
            _ => response("An error, told apart by its id.", JSON, "Error"),
        },
    };
    description.document(&face.declared())
}

fn parameters(method: &Method, path: &str) -> Vec<Value> {
    let is_list = path.ends_with("/tokens") && *method == Method::GET;
    if !is_list {
        return Vec::new();
    }
    let page = json!({"type": "integer", "minimum": 0, "default": 0});
    let limit = json!({
        "type": "integer", "minimum": 0, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT,
    });
    vec![parameter("page", "query", page), parameter("per_page", "query", limit)]
}

fn schemas() -> Map<String, Value> {
    let id = || json!({"type": "string", "pattern": "^[a-z0-9]{26}$"});
    let milliseconds = || {
        let meaning = "Milliseconds since 1970; 0 for never.";
        json!({"type": "integer", "format": "int64", "minimum": 0, "description": meaning})
    };
    // Not every host's accounts have ids of the product's length.
    let token = json!({
        "id": id(), "user_id": text(), "description": text(), "is_active": {"type": "boolean"},
        "expires_at": milliseconds(),
    });
    let mut shown = token.clone();
    if let Some(shown) = shown.as_object_mut() {
        let meaning = "The secret, shown this once.";
        shown.insert("token".into(), json!({"type": "string", "description": meaning}));
    }
    let error = json!({
        "id": text(), "message": text(), "detailed_error": text(), "request_id": text(),
        "status_code": {"type": "integer", "minimum": 400, "maximum": 599},
    });
    let description = json!({"type": "string", "minLength": 1, "maxLength": 255});
    // Of bodies, keys that are not read are ignored.
    let body = |required: &str, properties: Value| json!({"type": "object", "required": [required], "properties": properties});
    let schemas = [
        ("Token", object(token, &[])),
        ("ShownToken", object(shown, &[])),
        ("TokenList", json!({"type": "array", "items": reference("Token")})),
        ("Status", object(json!({"status": {"const": "OK"}}), &[])),
        ("Count", object(json!({"count": {"type": "integer", "minimum": 0}}), &[])),
        ("Error", object(error, &[])),
        (
            "Creation",
            body("description", json!({"description": description, "expires_at": milliseconds()})),
        ),
        ("Search", body("term", json!({"term": {"type": "string", "minLength": 1}}))),
        ("Named", body("token_id", json!({"token_id": id()}))),
        ("Rotation", body("token_id", json!({"token_id": id(), "expires_at": milliseconds()}))),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// A path that the product's router has for an id that is none.
const fn no_token(route: &'static str, id: &'static str) -> Words {
    let failures = &["401", "403", "503"];
    Words::new(route, id, "Is no token: refused.", failures).answers("400", "Error")
}

const OPERATIONS: [Words; 16] = [
    Words::new(
        "POST /api/v4/users/{user_id}/tokens",
        "create",
        "Creates a token, and shows its secret.",
        &["400", "401", "403", "404", "413", "501", "503"],
    )
    .takes("Creation", true)
    .answers("200", "ShownToken"),
    Words::new(
        "GET /api/v4/users/{user_id}/tokens",
        "list",
        "Lists an account's tokens.",
        &["400", "401", "403", "404", "503"],
    )
    .answers("200", "TokenList"),
    Words::new(
        "GET /api/v4/users/tokens",
        "listAll",
        "Lists everybody's tokens.",
        &["401", "403", "503"],
    )
    .answers("200", "TokenList"),
    Words::new(
        "GET /api/v4/users/tokens/{token_id}",
        "show",
        "Shows a token.",
        &["400", "401", "403", "404", "503"],
    )
    .answers("200", "Token"),
    Words::new(
        "POST /api/v4/users/tokens/search",
        "search",
        "Finds tokens by their id, their account's, or its user name.",
        &["400", "401", "403", "413", "503"],
    )
    .takes("Search", true)
    .answers("200", "TokenList"),
    Words::new("POST /api/v4/users/tokens/revoke", "revoke", "Revokes a token.", CHANGE)
        .takes("Named", true)
        .answers("200", "Status"),
    Words::new("POST /api/v4/users/tokens/disable", "disable", "Blocks a token.", CHANGE)
        .takes("Named", true)
        .answers("200", "Status"),
    Words::new("POST /api/v4/users/tokens/enable", "enable", "Lets a token work again.", CHANGE)
        .takes("Named", true)
        .answers("200", "Status"),
    Words::new(
        "POST /api/v4/users/tokens/rotate",
        "rotate",
        "Gives a token a new secret, and shows it.",
        &["400", "401", "403", "404", "413", "501", "503"],
    )
    .takes("Rotation", true)
    .answers("200", "ShownToken"),
    Words::new(
        "GET /api/v4/users/tokens/non_compliant/count",
        "countNonCompliant",
        "Counts the tokens that live longer than is allowed.",
        &["401", "403", "503"],
    )
    .answers("200", "Count"),
    Words::new(
        "POST /api/v4/users/tokens/non_compliant/revoke",
        "revokeNonCompliant",
        "Revokes the tokens that live longer than is allowed.",
        &["400", "401", "403", "503"],
    )
    .answers("200", "Count"),
    no_token("GET /api/v4/users/tokens/search", "showSearch"),
    no_token("GET /api/v4/users/tokens/revoke", "showRevoke"),
    no_token("GET /api/v4/users/tokens/disable", "showDisable"),
    no_token("GET /api/v4/users/tokens/enable", "showEnable"),
    no_token("GET /api/v4/users/tokens/rotate", "showRotate"),
];

/// How a change fails that a body names a token for: what names none is not found.
const CHANGE: &[&str] = &["401", "403", "404", "413", "503"];
