//! The public async functions, as rustdoc tells of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::rustdoc::docs;

/// `Type::function` for methods, `Trait::function` for those of the stores' traits, the bare name
/// for others.
///
/// The other ports' methods are the host's own code; the crate awaits them inside of these.
pub(crate) fn async_functions() -> BTreeSet<String> {
    let docs = docs();
    let index = docs["index"].as_object().unwrap();
    let mut inside = BTreeSet::new();
    let mut found = BTreeSet::new();
    let mut note = |of: &Value, ids: &Value, is_async: fn(&Value) -> bool| {
        for id in ids.as_array().unwrap() {
            let item = &index[&id.to_string()];
            inside.insert(id.to_string());
            if is_async(&item["inner"]["function"]) {
                let (of, name) = (of.as_str().unwrap(), item["name"].as_str().unwrap());
                found.insert(format!("{of}::{name}"));
            }
        }
    };
    for item in index.values() {
        for kind in ["struct", "enum", "union"] {
            for id in item["inner"][kind]["impls"].as_array().into_iter().flatten() {
                let block = &index[&id.to_string()]["inner"]["impl"];
                note(
                    &item["name"],
                    &block["items"],
                    if block["trait"].is_null() { is_async } else { |_| false },
                );
            }
        }
        if item["inner"]["trait"].is_object() {
            let is_of_stores =
                ["FactorStore", "TokenStore"].iter().any(|name| item["name"] == *name);
            let is_meant: fn(&Value) -> bool = if is_of_stores { is_boxed } else { is_async };
            note(&item["name"], &item["inner"]["trait"]["items"], is_meant);
        }
    }
    let free = index
        .iter()
        .filter(|(id, item)| !inside.contains(*id) && is_async(&item["inner"]["function"]));
    let free: Vec<_> = free.map(|(_, item)| item["name"].as_str().unwrap().to_owned()).collect();
    found.extend(free);
    found
}

/// Written as an `async fn`, or as a function that returns a future.
fn is_async(function: &Value) -> bool {
    let bounds = function["sig"]["output"]["impl_trait"].as_array();
    let is_future = |bound: &Value| {
        let path = bound["trait_bound"]["trait"]["path"].as_str();
        path.is_some_and(|path| path.ends_with("Future"))
    };
    function["header"]["is_async"] == true || bounds.into_iter().flatten().any(is_future)
}

/// What `async_trait` makes of an async method.
fn is_boxed(function: &Value) -> bool {
    let path = &function["sig"]["output"]["resolved_path"]["path"];
    path.as_str().is_some_and(|path| path.ends_with("Pin"))
}
