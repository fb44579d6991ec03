//! The descriptions of the faces: complete, closed, and of nothing that there is not.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

#[expect(dead_code, reason = "others need more of it")]
#[path = "common/faces.rs"]
mod faces;

use std::collections::BTreeSet;

use keyfob::wire::rocketchat::Profile;
use serde_json::{Value, json};

use self::faces::{Host, Served};

/// Each face with the number of routes that it is known to have.
fn all() -> [(&'static str, Served, usize); 6] {
    let host = Host::new();
    [
        ("awx", host.awx(), 19),
        ("native", host.native(), 13),
        ("mattermost", host.mattermost(), 16),
        ("rocketchat 8", host.rocketchat(Profile::Eight), 4),
        ("rocketchat legacy", host.rocketchat(Profile::Legacy), 4),
        ("zitadel", host.zitadel(), 14),
    ]
}

fn read(served: &Served) -> Value {
    serde_json::from_str(&served.document).unwrap()
}

/// Every operation, by its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of_path = paths.flat_map(|(path, operations)| {
        let operations = operations.as_object().unwrap().iter();
        operations.map(move |(method, told)| (format!("{} {path}", method.to_uppercase()), told))
    });
    of_path.collect()
}

#[test]
fn every_declared_route_is_described_and_nothing_else() {
    for (face, served, count) in all() {
        let document = read(&served);
        assert_eq!(document["openapi"], "3.1.0", "{face}");
        let declared = served.declared.iter();
        let declared: BTreeSet<String> =
            declared.map(|route| format!("{} {}", route.method, route.path)).collect();
        let operations = operations(&document);
        let described: BTreeSet<String> =
            operations.iter().map(|(route, _)| route.clone()).collect();
        assert_eq!((&described, declared.len()), (&declared, count), "{face}");
        let ids: BTreeSet<&str> =
            operations.iter().map(|(_, told)| told["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), count, "{face}");
        // Every parameter of a path is described, and is there.
        for (route, told) in operations {
            let named: Vec<&str> = route.split(['{', '}']).skip(1).step_by(2).collect();
            let parameters = told["parameters"].as_array().unwrap().iter();
            let in_path = parameters.filter(|parameter| parameter["in"] == "path");
            let described: Vec<&Value> = in_path.map(|parameter| &parameter["name"]).collect();
            assert_eq!(described, named, "{face} {route}");
        }
    }
}

#[test]
fn every_answer_is_described_to_its_last_key() {
    for (face, served, _) in all() {
        let document = read(&served);
        for (route, told) in operations(&document) {
            for (status, response) in told["responses"].as_object().unwrap() {
                let what = format!("{face} {route} {status}");
                let Some(content) = response["content"].as_object() else {
                    assert!(matches!(status.as_str(), "204" | "415"), "{what}");
                    continue;
                };
                let (content_type, content) = content.iter().next().unwrap();
                if let ("mattermost", "429") = (face, status.as_str()) {
                    assert_eq!(content_type, "text/plain", "{what}");
                    continue;
                }
                let expected = match (face, status.as_str()) {
                    ("native", "default") => "application/problem+json",
                    _ => "application/json",
                };
                assert_eq!(content_type, expected, "{what}");
                assert!(is_closed(&document, &content["schema"], &what), "{what}: no object");
            }
        }
    }
}

/// Holds every object of a schema to be closed, with keys that are always there. Says whether there
/// is one.
fn is_closed(document: &Value, schema: &Value, what: &str) -> bool {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix('#').unwrap();
        let found = document.pointer(name).unwrap_or_else(|| panic!("{what}: {reference}"));
        return is_closed(document, found, what);
    }
    let properties = schema["properties"].as_object();
    if let Some(properties) = properties {
        assert_eq!(schema["additionalProperties"], json!(false), "{what}: {schema}");
        let required = schema["required"].as_array().unwrap();
        assert!(!required.is_empty(), "{what}: {schema}");
        let mut names = required.iter().map(|name| name.as_str().unwrap());
        assert!(names.all(|name| properties.contains_key(name)), "{what}: {schema}");
    }
    let values = properties.into_iter().flat_map(|properties| properties.values());
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    let items = schema.get("items").into_iter();
    let within = values.chain(choices).chain(items);
    let objects = within.filter(|one| is_closed(document, one, what)).count();
    properties.is_some() || objects > 0
}

#[test]
fn a_request_shows_what_its_face_takes_for_credentials() {
    for (face, served, _) in all() {
        let document = read(&served);
        let schemes = document["components"]["securitySchemes"].as_object().unwrap();
        let expected: &[&str] = match face {
            "awx" => &["basic", "bearer"],
            "mattermost" | "native" | "zitadel" => &["bearer"],
            _ => &["token", "user"],
        };
        assert_eq!(schemes.keys().collect::<Vec<_>>(), expected, "{face}");
        for (route, told) in operations(&document) {
            if route == "GET /openapi.json" {
                assert_eq!(told["security"], json!([]), "{face}");
                continue;
            }
            // One of two on AWX's face, and all of them on the others.
            let security = told["security"].as_array().unwrap();
            let count = if face == "awx" { 2 } else { 1 };
            assert_eq!(security.len(), count, "{face} {route}");
            for scheme in expected {
                let scopes = security.iter().find_map(|one| one.get(scheme)).unwrap();
                let scopes = scopes.as_array().unwrap();
                let looks = route.starts_with("GET") || route.starts_with("OPTIONS");
                let needed = if looks { "read" } else { "write" };
                // Any token may look at itself and end itself; finding is looking, by `POST`.
                let is_open = route.ends_with("/tokens/current") && scopes.is_empty();
                let looks = ["/search", "/_search", "Tokens", "ByIDs"];
                let is_search = looks.iter().any(|end| route.ends_with(end)) && *scopes == ["read"];
                assert!(is_open || is_search || *scopes == [needed], "{face} {route}: {scopes:?}");
            }
        }
    }
}
