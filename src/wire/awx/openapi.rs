//! The `OpenAPI` 3.1 document: paths from the declared routes, and what the product says of them.

use http::Method;
use serde_json::{Map, Value, json};

use super::Awx;
use super::object::{MASK, TYPE};
use super::page::{DEFAULT_SIZE, LARGEST_SIZE};
use crate::core::scope::Scope;
use crate::wire::openapi::{
    Description, JSON, Words, object, parameter, reference, response, text,
};

/// The document, as JSON.
pub(super) fn document<S: Scope>(face: &Awx<S>) -> String {
    let description = Description {
        title: "Personal access tokens, as AWX serves them",
        schemes: json!({
            "basic": {"type": "http", "scheme": "basic"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }),
        schemas: schemas(),
        words: &OPERATIONS,
        parameters,
        in_path: |name| match name {
            "user_id" => json!({"type": "string", "minLength": 1}),
            _ => json!({"type": "string", "pattern": "^[0-9]+$"}),
        },
        bodies: &[JSON],
        // Whoever asks may do it by a password, and has guessed too often.
        everywhere: &["429"],
        failure: |status| match status {
            "400" => response("The query or the body is wrong.", "application/json", "Invalid"),
            _ => response("Why not, in words.", "application/json", "Detail"),
        },
    };
    description.document(&face.declared())
}

fn parameters(method: &Method, path: &str) -> Vec<Value> {
    if *method != Method::GET || path.ends_with("{token_id}/") {
        return Vec::new();
    }
    let page = json!({"type": "integer", "minimum": 1, "default": 1});
    let size = json!({
        "type": "integer", "minimum": 1, "maximum": LARGEST_SIZE, "default": DEFAULT_SIZE,
    });
    vec![
        parameter("page", "query", page),
        parameter("page_size", "query", size),
        // To be there is enough.
        parameter("count_disabled", "query", text()),
        parameter("order_by", "query", text()),
        parameter("search", "query", text()),
    ]
}

fn schemas() -> Map<String, Value> {
    let number = || json!({"type": "integer", "minimum": 1});
    let time = || json!({"type": "string", "format": "date-time"});
    let nothing = || json!({"type": "null"});
    let or_nothing = |schema: Value| json!({"oneOf": [schema, {"type": "null"}]});
    let user = object(
        json!({"id": {"type": "integer"}, "username": text(), "first_name": text(), "last_name": text()}),
        &[],
    );
    let token = |secret: Value| {
        let related = json!({"user": text(), "activity_stream": text()});
        // An account that is gone is in no summary.
        let summaries = json!({"oneOf": [
            object(json!({"user": reference("UserSummary")}), &[]),
            {"type": "object", "maxProperties": 0},
        ]});
        let keys = json!({
            "id": number(), "type": {"const": TYPE}, "url": text(),
            "related": object(related, &["user"]), "summary_fields": summaries,
            "created": time(), "modified": time(), "description": text(),
            "user": or_nothing(json!({"type": "integer"})), "token": secret,
            "refresh_token": nothing(), "application": nothing(), "expires": time(),
            "scope": {"enum": ["read", "write", "read write", ""]},
        });
        object(keys, &[])
    };
    let list = |rows: &str| {
        let keys = json!({
            "count": {"type": "integer", "minimum": 0}, "next": or_nothing(text()),
            "previous": or_nothing(text()),
            "results": {"type": "array", "items": reference(rows)},
        });
        // Who does not count gets the rows alone.
        object(keys, &["count", "next", "previous"])
    };
    let metadata = json!({
        "name": text(), "description": text(), "renders": {"type": "array", "items": text()},
        "parses": {"type": "array", "items": text()}, "actions": {"type": "object"},
        "types": {"type": "array", "items": text()},
        "search_fields": {"type": "array", "items": text()},
        "related_search_fields": {"type": "array", "items": text()},
        "max_page_size": {"type": "integer"},
    });
    let errors = || json!({"type": "array", "items": text(), "minItems": 1});
    let of_fields = |names: &[&str], optional: &[&str]| {
        let names = names.iter().map(|name| ((*name).to_owned(), errors()));
        object(Value::Object(names.collect()), optional)
    };
    let detail = object(json!({"detail": text()}), &[]);
    let invalid = json!({"oneOf": [
        reference("Detail"),
        of_fields(&["__all__"], &[]),
        of_fields(&["scope", "description", "application"], &["description", "application"]),
        of_fields(&["description", "application"], &["application"]),
        of_fields(&["application"], &[]),
    ]});
    let wanted = json!({
        "description": {
            "type": ["string", "null"], "maxLength": 4096,
            "description": "At most 4096 bytes in UTF-8.",
        },
        "application": nothing(),
        "scope": {"enum": ["read", "write", "read write"]},
    });
    let mask = json!({"const": MASK});
    let secret = json!({"type": "string", "description": "The secret, shown this once."});
    let schemas = [
        ("Token", token(mask)),
        ("ShownToken", token(secret)),
        ("UserSummary", user),
        ("TokenList", list("Token")),
        ("Entry", entry()),
        ("EntryList", list("Entry")),
        ("Metadata", object(metadata, &["max_page_size"])),
        ("Detail", detail),
        ("Invalid", invalid),
        // Of bodies, keys that are not read are ignored.
        ("Wanted", json!({"type": "object", "properties": wanted})),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn entry() -> Value {
    let token = json!({
        "id": {"type": "integer"}, "user_id": {"type": ["integer", "null"]}, "description": text(),
        "application_id": {"type": "null"}, "scope": text(),
    });
    let tokens = json!({"type": "array", "items": object(token, &[])});
    let summaries = json!({"actor": reference("UserSummary"), "o_auth2_access_token": tokens});
    let related =
        json!({"actor": text(), "o_auth2_access_token": {"type": "array", "items": text()}});
    let keys = json!({
        "id": {"type": "integer"}, "type": {"const": "activity_stream"}, "url": text(),
        "related": object(related, &["actor"]), "summary_fields": object(summaries, &["actor"]),
        "timestamp": {"type": "string", "format": "date-time"},
        "operation": {"enum": ["create", "update", "delete"]}, "changes": {"type": "object"},
        "object1": {"const": TYPE}, "object2": text(), "object_association": text(),
        "action_node": text(), "object_type": text(),
    });
    object(keys, &[])
}

const LOOK: &[&str] = &["401", "403", "404", "503"];
const LIST: &[&str] = &["400", "401", "403", "404", "503"];
const CREATE: &[&str] = &["400", "401", "403", "404", "413", "415", "503"];
const OPTIONS: &[&str] = &["401", "403", "404", "503"];

const fn list(route: &'static str, id: &'static str) -> Words {
    Words::new(route, id, "Lists tokens.", LIST).answers("200", "TokenList")
}

const fn create(route: &'static str, id: &'static str) -> Words {
    Words::new(route, id, "Creates a token, and shows its secret.", CREATE)
        .takes("Wanted", false)
        .answers("201", "ShownToken")
}

const fn change(route: &'static str, id: &'static str) -> Words {
    Words::new(route, id, "Changes a token.", CREATE).takes("Wanted", false).answers("200", "Token")
}

const fn options(route: &'static str, id: &'static str) -> Words {
    Words::new(route, id, "Tells what may be done.", OPTIONS).answers("200", "Metadata")
}

const OPERATIONS: [Words; 19] = [
    list("GET /api/v2/tokens/", "list"),
    create("POST /api/v2/tokens/", "create"),
    options("OPTIONS /api/v2/tokens/", "optionsOfList"),
    Words::new("GET /api/v2/tokens/{token_id}/", "show", "Shows a token.", LOOK)
        .answers("200", "Token"),
    change("PUT /api/v2/tokens/{token_id}/", "replace"),
    change("PATCH /api/v2/tokens/{token_id}/", "change"),
    Words::new("DELETE /api/v2/tokens/{token_id}/", "delete", "Revokes a token.", LOOK)
        .answers("204", ""),
    options("OPTIONS /api/v2/tokens/{token_id}/", "optionsOfOne"),
    Words::new(
        "GET /api/v2/tokens/{token_id}/activity_stream/",
        "activity",
        "Tells what has become of a token.",
        LIST,
    )
    .answers("200", "EntryList"),
    options("OPTIONS /api/v2/tokens/{token_id}/activity_stream/", "optionsOfActivity"),
    list("GET /api/v2/users/{user_id}/tokens/", "listOfUser"),
    create("POST /api/v2/users/{user_id}/tokens/", "createAny"),
    options("OPTIONS /api/v2/users/{user_id}/tokens/", "optionsOfUser"),
    list("GET /api/v2/users/{user_id}/personal_tokens/", "listPersonal"),
    create("POST /api/v2/users/{user_id}/personal_tokens/", "createPersonal"),
    options("OPTIONS /api/v2/users/{user_id}/personal_tokens/", "optionsOfPersonal"),
    list("GET /api/v2/users/{user_id}/authorized_tokens/", "listAuthorized"),
    // None is created, since there is no application that it could be of.
    Words::new(
        "POST /api/v2/users/{user_id}/authorized_tokens/",
        "createAuthorized",
        "Creates no token: there are no applications.",
        &["401", "403", "404", "413", "415", "503"],
    )
    .takes("Wanted", false)
    .answers("400", "Invalid"),
    options("OPTIONS /api/v2/users/{user_id}/authorized_tokens/", "optionsOfAuthorized"),
];
