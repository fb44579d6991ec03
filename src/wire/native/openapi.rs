//! The `OpenAPI` 3.1 document: paths from the declared routes, schemas from the wire types.

use http::Method;
use serde_json::{Value, json};

use super::query::{DEFAULT_LIMIT, LARGEST_LIMIT};
use super::schema::schemas;
use crate::core::scope::Scope;
use crate::http::Declared;
use crate::wire::openapi::{Description, JSON, Words, parameter, response, text};

/// The document, as JSON.
pub(super) fn document<S: Scope>(declared: &[Declared<S>]) -> String {
    let description = Description {
        title: "Tokens",
        schemes: json!({"bearer": {"type": "http", "scheme": "bearer"}}),
        schemas: schemas(),
        words: &OPERATIONS,
        parameters,
        in_path: |_| text(),
        bodies: &[JSON],
        everywhere: &[],
        failure: |_| {
            response("A problem, as RFC 9457 writes it.", "application/problem+json", "Problem")
        },
    };
    description.document(declared)
}

fn parameters(method: &Method, path: &str) -> Vec<Value> {
    let limits = json!({
        "type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT,
    });
    let orders = json!({
        "enum": ["changed", "-changed", "created", "-created", "expires", "-expires"],
        "default": "-created",
    });
    match (method.as_str(), path) {
        ("POST", "/tokens") => vec![
            parameter("owner", "query", text()),
            parameter("Idempotency-Key", "header", json!({"type": "string", "maxLength": 128})),
        ],
        ("GET", "/tokens") => vec![
            parameter("owner", "query", text()),
            parameter("limit", "query", limits),
            parameter("cursor", "query", text()),
            parameter("order", "query", orders),
            parameter("state", "query", json!({"enum": ["active", "deactivated", "revoked"]})),
            parameter("kind", "query", text()),
            parameter("name", "query", text()),
        ],
        _ => Vec::new(),
    }
}

/// A problem has the status that it says.
const PROBLEMS: &[&str] = &["default"];

const fn words(route: &'static str, id: &'static str, summary: &'static str) -> Words {
    Words::new(route, id, summary, PROBLEMS).answers("200", "Token")
}

const OPERATIONS: [Words; 13] = [
    words("GET /tokens", "list", "Lists tokens.").answers("200", "TokenList"),
    words("POST /tokens", "create", "Issues a token, and shows its secret.")
        .takes("Creation", true)
        .answers("201", "ShownToken"),
    words("GET /tokens/current", "showCurrent", "Shows the presented token."),
    words("DELETE /tokens/current", "revokeCurrent", "Revokes the presented token.")
        .takes("Reason", false)
        .answers("204", ""),
    words("GET /tokens/{id}", "show", "Shows a token."),
    words("PATCH /tokens/{id}", "edit", "Renames or narrows a token.").takes("Edit", true),
    words("DELETE /tokens/{id}", "revoke", "Revokes a token.")
        .takes("Reason", false)
        .answers("204", ""),
    words("POST /tokens/{id}/deactivate", "deactivate", "Blocks a token.").takes("Reason", false),
    words("POST /tokens/{id}/reactivate", "reactivate", "Lets a token work again."),
    words("POST /tokens/{id}/rotate", "rotate", "Gives a token a new secret, and shows it.")
        .takes("Rotation", false)
        .answers("200", "ShownToken"),
    words("POST /owners/{id}/deactivate", "deactivateOwner", "Blocks an owner's tokens.")
        .takes("Reason", false)
        .answers("200", "Owner"),
    words(
        "POST /owners/{id}/reactivate",
        "reactivateOwner",
        "Lets an owner's tokens work again, except those that were revoked.",
    )
    .answers("200", "Owner"),
    words("GET /openapi.json", "describe", "This document.").answers("200", "Document"),
];
