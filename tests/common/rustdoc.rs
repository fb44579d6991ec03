//! The public types, as rustdoc tells of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The public types by path, without the crate's name, each with the names of the traits that it
/// implements, auto traits included.
pub(crate) fn public_types() -> BTreeMap<String, BTreeSet<String>> {
    let docs = docs();
    let (index, paths) = (docs["index"].as_object().unwrap(), &docs["paths"]);
    let path = |id: &str| -> Option<Vec<&str>> {
        paths[id]["path"].as_array()?.iter().map(Value::as_str).collect()
    };
    let mut types = BTreeMap::new();
    for (id, item) in index.iter().filter(|(_, item)| item["crate_id"] == 0) {
        let kinds = ["struct", "enum", "union"];
        let Some(kind) = kinds.into_iter().find(|kind| item["inner"][kind].is_object()) else {
            continue;
        };
        let impls = item["inner"][kind]["impls"].as_array().unwrap().iter();
        let traits = impls.filter_map(|number| {
            let of = &index[&number.to_string()]["inner"]["impl"];
            let name = path(&of["trait"]["id"].to_string())?.pop()?.to_owned();
            (of["is_negative"] == false && of["blanket_impl"].is_null()).then_some(name)
        });
        types.insert(path(id).unwrap()[1..].join("::"), traits.collect());
    }
    assert!(types.len() > 100, "rustdoc told of only {} types", types.len());
    types
}

/// The crate's documentation as JSON.
pub(crate) fn docs() -> Value {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rustdoc");
    // The JSON form is not yet promised, so that stable toolchains must be told to write it.
    let output = Command::new(env!("CARGO"))
        .args(["rustdoc", "--lib", "--all-features", "--quiet", "--target-dir"])
        .arg(&target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json = std::fs::read(target.join("doc/keyfob.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}
