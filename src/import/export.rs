//! Exports as tools write them: one value after the other, or all in one list.

use serde::de::DeserializeOwned;
use serde_json::{Deserializer, Value};

use super::{Row, Skipped};
use crate::core::id::TokenName;

/// Reads each value of an export; what is none of the kind is reported in its place.
pub(super) fn rows<T: DeserializeOwned>(export: &str, read: impl Fn(T) -> Vec<Row>) -> Vec<Row> {
    let mut rows = Vec::new();
    for value in Deserializer::from_str(export).into_iter::<Value>() {
        let values = match value {
            Ok(Value::Array(values)) => values,
            Ok(value) => vec![value],
            // Nothing that follows can be told from it.
            Err(error) => {
                rows.push(malformed(format!("line {}", error.line()), "JSON"));
                break;
            }
        };
        for value in values {
            let number = rows.len().saturating_add(1);
            match serde_json::from_value(value) {
                Ok(value) => rows.extend(read(value)),
                Err(_) => rows.push(malformed(format!("row {number}"), "row")),
            }
        }
    }
    rows
}

pub(super) fn malformed(called: String, field: &'static str) -> Row {
    Row { called, token: Err(Skipped::Malformed { field }) }
}

/// A name as it is kept here: control characters, which have no place in one, become spaces.
pub(super) fn name(text: &str) -> Option<TokenName> {
    TokenName::new(text.replace(char::is_control, " ").as_str()).ok()
}
