//! The `OpenAPI` 3.1 document: paths from the declared routes, schemas from the wire types.

use http::Method;
use serde_json::{Map, Value, json};

use super::query::{DEFAULT_LIMIT, LARGEST_LIMIT};
use super::schema::schemas;
use crate::core::scope::Scope;
use crate::http::{Declared, Need};

/// The document, as JSON.
pub(super) fn document<S: Scope>(declared: &[Declared<S>]) -> String {
    let mut paths: Map<String, Value> = Map::new();
    for route in declared {
        let method = route.method.as_str().to_ascii_lowercase();
        let path = paths.entry(&route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(method, operation(route));
        }
    }
    let bearer = json!({"type": "http", "scheme": "bearer"});
    let document = json!({
        "openapi": "3.1.0",
        "info": {"title": "Tokens", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": schemas(), "securitySchemes": {"bearer": bearer}},
    });
    document.to_string()
}

fn operation<S: Scope>(route: &Declared<S>) -> Value {
    let name = format!("{} {}", route.method, route.path);
    let words = OPERATIONS.iter().find(|words| words.route == name);
    let security = match &route.need {
        Need::Public => json!([]),
        Need::Scope(scope) => json!([{"bearer": [scope.name().as_str()]}]),
        Need::Token => json!([{"bearer": []}]),
    };
    let mut operation = Map::new();
    operation.insert("parameters".into(), parameters(&route.method, &route.path));
    operation.insert("security".into(), security);
    if let Some(words) = words {
        operation.insert("operationId".into(), words.id.into());
        operation.insert("summary".into(), words.summary.into());
        operation.insert("responses".into(), responses(words));
        if let Some(schema) = words.body {
            let content = json!({"application/json": {"schema": reference(schema)}});
            let required = matches!(schema, "Creation" | "Edit");
            let body = json!({"content": content, "required": required});
            operation.insert("requestBody".into(), body);
        }
    }
    operation.into()
}

fn responses(words: &Words) -> Value {
    let problem = json!({
        "description": "A problem, as RFC 9457 writes it.",
        "content": {"application/problem+json": {"schema": reference("Problem")}},
    });
    let done = match words.answer {
        "" => json!({"description": "Done."}),
        "object" => json!({
            "description": "Done.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }),
        schema => json!({
            "description": "Done.",
            "content": {"application/json": {"schema": reference(schema)}},
        }),
    };
    json!({words.status: done, "default": problem})
}

fn parameters(method: &Method, path: &str) -> Value {
    let one = |name: &str, place: &str, schema: Value| json!({"name": name, "in": place, "required": place == "path", "schema": schema});
    let text = || json!({"type": "string"});
    let limits = json!({
        "type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT,
    });
    let orders = json!({
        "enum": ["changed", "-changed", "created", "-created", "expires", "-expires"],
        "default": "-created",
    });
    match (method.as_str(), path) {
        ("POST", "/tokens") => json!([
            one("owner", "query", text()),
            one("Idempotency-Key", "header", json!({"type": "string", "maxLength": 128})),
        ]),
        ("GET", "/tokens") => json!([
            one("owner", "query", text()),
            one("limit", "query", limits),
            one("cursor", "query", text()),
            one("order", "query", orders),
            one("state", "query", json!({"enum": ["active", "deactivated", "revoked"]})),
            one("kind", "query", text()),
            one("name", "query", text()),
        ]),
        _ if path.contains("{id}") => json!([one("id", "path", text())]),
        _ => json!([]),
    }
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// What a route does, which its declaration does not say.
struct Words {
    route: &'static str,
    id: &'static str,
    summary: &'static str,
    body: Option<&'static str>,
    status: &'static str,
    /// The schema; empty for an answer without a body.
    answer: &'static str,
}

impl Words {
    const fn new(route: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self { route, id, summary, body: None, status: "200", answer: "Token" }
    }

    const fn takes(mut self, body: &'static str) -> Self {
        self.body = Some(body);
        self
    }

    const fn answers(mut self, status: &'static str, answer: &'static str) -> Self {
        (self.status, self.answer) = (status, answer);
        self
    }
}

const OPERATIONS: [Words; 13] = [
    Words::new("GET /tokens", "list", "Lists tokens.").answers("200", "TokenList"),
    Words::new("POST /tokens", "create", "Issues a token, and shows its secret.")
        .takes("Creation")
        .answers("201", "ShownToken"),
    Words::new("GET /tokens/current", "showCurrent", "Shows the presented token."),
    Words::new("DELETE /tokens/current", "revokeCurrent", "Revokes the presented token.")
        .takes("Reason")
        .answers("204", ""),
    Words::new("GET /tokens/{id}", "show", "Shows a token."),
    Words::new("PATCH /tokens/{id}", "edit", "Renames or narrows a token.").takes("Edit"),
    Words::new("DELETE /tokens/{id}", "revoke", "Revokes a token.")
        .takes("Reason")
        .answers("204", ""),
    Words::new("POST /tokens/{id}/deactivate", "deactivate", "Blocks a token.").takes("Reason"),
    Words::new("POST /tokens/{id}/reactivate", "reactivate", "Lets a token work again."),
    Words::new("POST /tokens/{id}/rotate", "rotate", "Gives a token a new secret, and shows it.")
        .takes("Rotation")
        .answers("200", "ShownToken"),
    Words::new("POST /owners/{id}/deactivate", "deactivateOwner", "Blocks an owner's tokens.")
        .takes("Reason")
        .answers("200", "Owner"),
    Words::new(
        "POST /owners/{id}/reactivate",
        "reactivateOwner",
        "Lets an owner's tokens work again, except those that were revoked.",
    )
    .answers("200", "Owner"),
    Words::new("GET /openapi.json", "describe", "This document.").answers("200", "object"),
];
