//! What the `OpenAPI` 3.1 documents of all faces have in common: the routes are those that a face
//! declares, and an answer's object has the keys that are described, and no others.

use http::Method;
use serde_json::{Map, Value, json};

use crate::core::scope::Scope;
use crate::http::{Declared, Need};

/// What there is to say of a face beside the routes that it declares.
pub(super) struct Description<'a> {
    pub(super) title: &'a str,
    /// The security schemes by their names: a request presents all of them, but of those that share
    /// the `Authorization` header one.
    pub(super) schemes: Value,
    pub(super) schemas: Map<String, Value>,
    pub(super) words: &'a [Words],
    /// The parameters of a method and path, those of the path apart.
    pub(super) parameters: fn(&Method, &str) -> Vec<Value>,
    /// The schema of a parameter in a path, by its name.
    pub(super) in_path: fn(&str) -> Value,
    /// The content types in which a body may come.
    pub(super) bodies: &'a [&'a str],
    /// With which statuses every route may fail, besides its own.
    pub(super) everywhere: &'a [&'a str],
    /// The response for one of the statuses with which a route fails.
    pub(super) failure: fn(&str) -> Value,
}

impl Description<'_> {
    /// The document, as JSON. A route that has no words is left out.
    pub(super) fn document<S: Scope>(&self, declared: &[Declared<S>]) -> String {
        let mut paths: Map<String, Value> = Map::new();
        for route in declared {
            let name = format!("{} {}", route.method, route.path);
            let Some(words) = self.words.iter().find(|words| words.is_of(&name)) else { continue };
            let path = paths.entry(&route.path).or_insert_with(|| json!({}));
            if let Some(path) = path.as_object_mut() {
                let method = route.method.as_str().to_ascii_lowercase();
                path.insert(method, self.operation(route, words));
            }
        }
        let document = json!({
            "openapi": "3.1.0",
            "info": {"title": self.title, "version": env!("CARGO_PKG_VERSION")},
            "paths": paths,
            "components": {"schemas": self.schemas, "securitySchemes": self.schemes},
        });
        document.to_string()
    }

    fn operation<S: Scope>(&self, route: &Declared<S>, words: &Words) -> Value {
        let names = route.path.split('/').filter_map(|segment| {
            segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'))
        });
        let mut parameters: Vec<Value> =
            names.map(|name| parameter(name, "path", (self.in_path)(name))).collect();
        parameters.extend((self.parameters)(&route.method, &route.path));
        let mut responses = Map::new();
        responses.insert(words.status.into(), words.done());
        for status in words.failures.iter().chain(self.everywhere) {
            responses.insert((*status).into(), (self.failure)(status));
        }
        let mut operation = json!({
            "operationId": words.id,
            "summary": words.summary,
            "parameters": parameters,
            "security": self.security(&route.need),
            "responses": responses,
        });
        if let (Some((schema, required)), Some(operation)) = (words.body, operation.as_object_mut())
        {
            let types = self.bodies.iter();
            let content: Map<String, Value> = types
                .map(|kind| ((*kind).to_owned(), json!({"schema": reference(schema)})))
                .collect();
            let body = json!({"content": content, "required": required});
            operation.insert("requestBody".into(), body);
        }
        operation
    }

    fn security<S: Scope>(&self, need: &Need<S>) -> Value {
        let scopes = match need {
            Need::Public => return json!([]),
            Need::Scope(scope) => json!([scope.name().as_str()]),
            Need::Token => json!([]),
        };
        let schemes = || self.schemes.as_object().into_iter().flatten();
        let presented = |name: &String| (name.clone(), scopes.clone());
        if schemes().all(|(_, scheme)| scheme["type"] == "http") {
            let one = |(name, _)| Map::from_iter([presented(name)]);
            return json!(schemes().map(one).collect::<Vec<_>>());
        }
        let all: Map<String, Value> = schemes().map(|(name, _)| presented(name)).collect();
        json!([all])
    }
}

/// The content type of bodies on most faces.
pub(super) const JSON: &str = "application/json";

/// What a route does, which its declaration does not say.
pub(super) struct Words {
    /// Its method and path.
    route: &'static str,
    id: &'static str,
    summary: &'static str,
    /// The schema of the body that it takes, and whether there must be one.
    body: Option<(&'static str, bool)>,
    status: &'static str,
    /// The schema; empty for an answer without a body.
    answer: &'static str,
    /// The statuses with which it fails.
    failures: &'static [&'static str],
}

impl Words {
    pub(super) const fn new(
        route: &'static str,
        id: &'static str,
        summary: &'static str,
        failures: &'static [&'static str],
    ) -> Self {
        Self { route, id, summary, body: None, status: "200", answer: "", failures }
    }

    pub(super) const fn takes(mut self, body: &'static str, required: bool) -> Self {
        self.body = Some((body, required));
        self
    }

    pub(super) const fn answers(mut self, status: &'static str, answer: &'static str) -> Self {
        (self.status, self.answer) = (status, answer);
        self
    }

    fn is_of(&self, route: &str) -> bool {
        self.route == route
    }

    fn done(&self) -> Value {
        match self.answer {
            "" => json!({"description": "Done."}),
            schema => response("Done.", JSON, schema),
        }
    }
}

pub(super) fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

pub(super) fn response(description: &str, content_type: &str, schema: &str) -> Value {
    json!({"description": description, "content": {content_type: {"schema": reference(schema)}}})
}

pub(super) fn parameter(name: &str, place: &str, schema: Value) -> Value {
    json!({"name": name, "in": place, "required": place == "path", "schema": schema})
}

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

/// A closed object, which has all of these keys but the optional ones for certain.
pub(super) fn object(properties: Value, optional: &[&str]) -> Value {
    let keys = properties.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<&String> = keys.filter(|key| !optional.contains(&key.as_str())).collect();
    json!({
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}
