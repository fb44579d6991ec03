//! The schemas of the `OpenAPI` document: what is derived from the wire types, made strict.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::codec::MOST_ITEMS;
use super::object::{Granted, Owner, RateObject, Token, TokenList};
use crate::wire::openapi::{object, text};

/// Every schema by its name. Objects are closed; an answer has all of its keys, a body as many
/// as it likes.
pub(super) fn schemas() -> Map<String, Value> {
    let mut answers = Vec::new();
    named::<Token>(&mut answers);
    named::<TokenList>(&mut answers);
    named::<Owner>(&mut answers);
    let mut schemas: Map<String, Value> =
        answers.into_iter().map(|(name, schema)| (name, strict(&schema, true))).collect();
    let mut bodies = Vec::new();
    named::<Creation>(&mut bodies);
    named::<Edit>(&mut bodies);
    named::<Reason>(&mut bodies);
    named::<Rotation>(&mut bodies);
    for (name, schema) in bodies {
        schemas.entry(name).or_insert_with(|| strict(&schema, false));
    }
    if let Some(shown) = schemas.get("Token").cloned().and_then(shown) {
        schemas.insert("ShownToken".into(), shown);
    }
    let list = schemas.get_mut("Granted").and_then(|granted| granted.pointer_mut("/oneOf/1"));
    if let Some(list) = list.and_then(Value::as_object_mut) {
        list.insert("minItems".into(), 1.into());
        list.insert("maxItems".into(), MOST_ITEMS.into());
    }
    schemas.insert("Document".into(), document());
    schemas.insert("Problem".into(), problem());
    schemas
}

fn named<T: ToSchema>(found: &mut Vec<(String, RefOr<Schema>)>) {
    T::schemas(found);
    found.push((T::name().into_owned(), T::schema()));
}

fn strict(schema: &RefOr<Schema>, complete: bool) -> Value {
    // A schema is text, numbers and lists under fixed keys.
    let mut schema = serde_json::to_value(schema).unwrap_or_default();
    if let Some(object) = schema.as_object_mut()
        && let Some(Value::Object(properties)) = object.get("properties")
    {
        let keys: Vec<Value> = properties.keys().map(|key| key.as_str().into()).collect();
        object.remove("required");
        if complete {
            object.insert("required".into(), keys.into());
        }
        object.insert("additionalProperties".into(), false.into());
    }
    schema
}

/// A token with its secret.
fn shown(mut token: Value) -> Option<Value> {
    let secret = json!({"type": "string", "description": "The secret, shown this once."});
    let object = token.as_object_mut()?;
    object.insert("description".into(), "A token with its secret.".into());
    object.get_mut("properties")?.as_object_mut()?.insert("token".into(), secret);
    object.get_mut("required")?.as_array_mut()?.push("token".into());
    Some(token)
}

fn problem() -> Value {
    let properties = json!({
        "type": text(), "title": text(), "status": {"type": "integer"}, "detail": text(),
        "code": text(), "field": text(), "id": text(),
    });
    object(properties, &["field", "id"])
}

/// As much as can be said here of what this is part of.
fn document() -> Value {
    let map = || json!({"type": "object"});
    let version = json!({"type": "string", "enum": ["3.1.0"]});
    let properties =
        json!({"openapi": version, "info": map(), "paths": map(), "components": map()});
    object(properties, &[])
}

/// What a new token is to be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is a description; `codec` reads the bytes")]
struct Creation {
    name: String,
    note: String,
    /// As much as the presenting token holds, unless given.
    scopes: Granted,
    /// The first instant at which it no longer works; null for never.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// The same, in seconds from now.
    #[schema(minimum = 1)]
    expires_in: i64,
    #[schema(format = DateTime)]
    not_before: String,
    /// Where it may be used from: networks or addresses.
    #[schema(min_items = 1, max_items = 100)]
    addresses: Vec<String>,
    /// How often it may be used on each server.
    rate: RateObject,
    /// How many uses it is good for.
    #[schema(minimum = 1)]
    uses: u32,
}

/// What is to be different. Scopes, constraints and expiry may only be narrowed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is a description; `codec` reads the bytes")]
struct Edit {
    name: String,
    note: String,
    scopes: Granted,
    #[schema(format = DateTime)]
    expires_at: String,
    #[schema(min_items = 1, max_items = 100)]
    addresses: Vec<String>,
    rate: RateObject,
    #[schema(minimum = 1)]
    uses: u32,
}

/// Why something is ended.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is a description; `codec` reads the bytes")]
struct Reason {
    why: String,
}

/// How a token is to be given a new secret.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is a description; `codec` reads the bytes")]
struct Rotation {
    /// How long the replaced secret goes on working.
    #[schema(minimum = 0)]
    overlap_seconds: i64,
    /// The new end; null for never.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[schema(minimum = 1)]
    expires_in: i64,
}

#[cfg(test)]
mod tests {
    use super::super::codec;
    use super::*;
    use crate::core::scope::ReadWrite;

    #[test]
    fn the_reader_knows_every_key_that_is_described() {
        let schemas = schemas();
        assert_eq!(schemas["Granted"]["oneOf"][1]["minItems"], 1);
        assert_eq!(schemas["Edit"]["properties"]["addresses"]["maxItems"], MOST_ITEMS);
        for name in ["Creation", "Edit", "Reason", "Rotation"] {
            let properties = schemas[name]["properties"].as_object().unwrap();
            assert!(!properties.is_empty());
            for key in properties.keys() {
                // Of no key's type, so that a known key is refused for that.
                let body = format!("{{\"{key}\":true}}");
                let body = body.as_bytes();
                let fault = match name {
                    "Creation" => codec::creation::<ReadWrite>(body).unwrap_err(),
                    "Edit" => codec::edit::<ReadWrite>(body).unwrap_err(),
                    "Reason" => codec::reason(body).unwrap_err(),
                    _ => codec::rotation(body).unwrap_err(),
                };
                assert_eq!(fault.code, "wrong_type", "{name}.{key}");
            }
        }
    }
}
