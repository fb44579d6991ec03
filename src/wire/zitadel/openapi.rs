//! The `OpenAPI` 3.1 document: paths from the declared routes, and what the product says of them.

use serde_json::{Map, Value, json};

use super::codec::{COLUMNS, IDS, INSTANTS, MOST_FILTERS, RELATIONS};
use super::{SCOPES, Zitadel};
use crate::core::scope::Scope;
use crate::wire::openapi::{Description, JSON, Words, object, reference, response, text};

/// The document, as JSON.
pub(super) fn document<S: Scope>(face: &Zitadel<S>) -> String {
    let description = Description {
        title: "Personal access tokens, as Zitadel serves them",
        schemes: json!({"bearer": {"type": "http", "scheme": "bearer"}}),
        schemas: schemas(face.settings.max_limit),
        words: &OPERATIONS,
        parameters: |_, _| Vec::new(),
        in_path: |_| id(),
        bodies: &[JSON],
        everywhere: &["429"],
        failure: |status| match status {
            "415" => json!({"description": "The call is not in JSON."}),
            _ => response("An error, told apart by its id.", "application/json", "Error"),
        },
    };
    description.document(&face.declared())
}

fn id() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 200})
}

fn at() -> Value {
    json!({"type": "string", "format": "date-time"})
}

/// 64 bits do not fit into the numbers of every language.
fn count() -> Value {
    json!({"type": "string", "pattern": "^[1-9][0-9]*$"})
}

/// A list that is empty is left out.
fn list(schema: &str) -> Value {
    json!({"type": "array", "minItems": 1, "items": reference(schema)})
}

fn schemas(max_limit: u32) -> Map<String, Value> {
    let parts = [answers(), failures(), messages(max_limit)];
    parts.into_iter().filter_map(|part| part.as_object().cloned()).flatten().collect()
}

fn answers() -> Value {
    let details = json!({"sequence": count(), "creationDate": at(), "resourceOwner": text()});
    let changed = json!({"sequence": count(), "changeDate": at(), "resourceOwner": text()});
    let both = json!({
        "sequence": count(), "creationDate": at(), "changeDate": at(), "resourceOwner": text(),
    });
    let scopes = json!({"type": "array", "items": {"enum": SCOPES}});
    let token = json!({
        "id": text(), "details": reference("Details"), "expirationDate": at(), "scopes": scopes,
    });
    let added = json!({
        "tokenId": text(), "token": text(), "details": reference("AddedDetails"),
    });
    let total =
        json!({"totalResult": count(), "processedSequence": count(), "viewTimestamp": at()});
    let found = json!({
        "creationDate": at(), "changeDate": at(), "id": text(), "userId": text(),
        "organizationId": text(), "expirationDate": at(),
    });
    let page = json!({"totalResult": count(), "appliedLimit": count()});
    json!({
        "Details": object(both, &[]),
        "AddedDetails": object(details, &[]),
        "RemovedDetails": object(changed, &[]),
        "Token": object(token, &[]),
        "Added": object(added, &[]),
        "Removed": object(json!({"details": reference("RemovedDetails")}), &[]),
        "Shown": object(json!({"token": reference("Token")}), &[]),
        "ListDetails": object(total, &["totalResult", "processedSequence"]),
        "Listed": object(
            json!({"details": reference("ListDetails"), "result": list("Token")}),
            &["result"],
        ),
        "Created": object(json!({"creationDate": at(), "tokenId": text(), "token": text()}), &[]),
        "Deleted": object(json!({"deletionDate": at()}), &[]),
        "FoundToken": object(found, &["organizationId"]),
        "Pagination": object(page, &["totalResult"]),
        "Found": object(
            json!({"pagination": reference("Pagination"), "result": list("FoundToken")}),
            &["result"],
        ),
    })
}

/// One envelope for each transport.
fn failures() -> Value {
    let rest =
        json!({"code": {"type": "integer"}, "message": text(), "details": list("RestDetail")});
    let call = json!({"code": text(), "message": text(), "details": list("CallDetail")});
    let told = json!({"id": text(), "message": text()});
    json!({
        "Error": {"oneOf": [reference("RestError"), reference("CallError")]},
        "RestError": object(rest, &["details"]),
        "RestDetail": object(json!({"@type": text(), "id": text(), "message": text()}), &[]),
        "CallError": object(call, &["details"]),
        "CallDetail": object(
            json!({"type": text(), "value": text(), "debug": reference("Told")}),
            &[],
        ),
        "Told": object(told, &[]),
    })
}

/// What is asked. Keys that are not known are ignored; of a resource, what is in the path counts.
fn messages(max_limit: u32) -> Value {
    let offset = json!({"type": ["string", "integer"], "minimum": 0, "pattern": "^[0-9]{1,18}$"});
    let page = |most: u32| {
        let limit = json!({"type": "integer", "minimum": 0, "maximum": most});
        message(&[], json!({"offset": offset, "limit": limit, "asc": {"type": "boolean"}}))
    };
    let sorting = names("PERSONAL_ACCESS_TOKEN_FIELD_NAME_", &COLUMNS);
    let methods = names("TIMESTAMP_FILTER_METHOD_", &RELATIONS);
    let by_id = message(&[], json!({"id": {"type": "string", "maxLength": 200}}));
    let by_instant = message(&[], json!({"timestamp": at(), "method": methods}));
    let ids = IDS.map(|(name, _)| message(&[name], json!({name: by_id})));
    let instants = INSTANTS.map(|(name, _)| message(&[name], json!({name: by_instant})));
    let filters: Vec<Value> = ids.into_iter().chain(instants).collect();
    let search = json!({
        "pagination": page(max_limit),
        "sortingColumn": sorting,
        "filters": {"type": "array", "maxItems": MOST_FILTERS, "items": {"oneOf": filters}},
    });
    let of_user = json!({"userId": id(), "query": page(u32::MAX)});
    let addition = || json!({"userId": id(), "expirationDate": at()});
    json!({
        "Expiry": message(&[], json!({"expirationDate": at()})),
        "MustExpire": message(&["expirationDate"], json!({"expirationDate": at()})),
        "Addition": message(&["userId"], addition()),
        "ExpiringAddition": message(&["userId", "expirationDate"], addition()),
        "Named": message(&["userId", "tokenId"], json!({"userId": id(), "tokenId": id()})),
        "Query": message(&[], json!({"query": page(u32::MAX)})),
        "UserQuery": message(&["userId"], of_user),
        "Search": message(&[], search),
    })
}

fn message(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

fn names<T>(prefix: &str, choices: &[(&str, T)]) -> Value {
    let names = choices.iter().map(|(name, _)| format!("{prefix}{name}"));
    json!({"enum": names.collect::<Vec<_>>()})
}

const REST: &[&str] = &["400", "401", "403", "404", "429", "503"];

const CALL: &[&str] = &["400", "401", "403", "404", "415", "429", "503"];

const ADD: &str = "Makes a token, and shows its secret.";

const LIST: &str = "Lists an account's tokens.";

const SHOW: &str = "Shows a token.";

const REMOVE: &str = "Ends a token.";

const FIND: &str = "Finds tokens within the caller's sight.";

const OPERATIONS: [Words; 14] = [
    Words::new("POST /management/v1/users/{user_id}/pats", "addV1", ADD, REST)
        .takes("Expiry", false)
        .answers("200", "Added"),
    Words::new("POST /management/v1/users/{user_id}/pats/_search", "listV1", LIST, REST)
        .takes("Query", false)
        .answers("200", "Listed"),
    Words::new("GET /management/v1/users/{user_id}/pats/{token_id}", "showV1", SHOW, REST)
        .answers("200", "Shown"),
    Words::new("DELETE /management/v1/users/{user_id}/pats/{token_id}", "removeV1", REMOVE, REST)
        .answers("200", "Removed"),
    Words::new("POST /v2/users/{user_id}/pats", "addV2", ADD, REST)
        .takes("MustExpire", true)
        .answers("200", "Created"),
    Words::new("DELETE /v2/users/{user_id}/pats/{token_id}", "removeV2", REMOVE, REST)
        .answers("200", "Deleted"),
    Words::new("POST /v2/users/pats/search", "listV2", FIND, REST)
        .takes("Search", false)
        .answers("200", "Found"),
    Words::new(
        "POST /zitadel.management.v1.ManagementService/AddPersonalAccessToken",
        "callAddV1",
        ADD,
        CALL,
    )
    .takes("Addition", true)
    .answers("200", "Added"),
    Words::new(
        "POST /zitadel.management.v1.ManagementService/ListPersonalAccessTokens",
        "callListV1",
        LIST,
        CALL,
    )
    .takes("UserQuery", true)
    .answers("200", "Listed"),
    Words::new(
        "POST /zitadel.management.v1.ManagementService/GetPersonalAccessTokenByIDs",
        "callShowV1",
        SHOW,
        CALL,
    )
    .takes("Named", true)
    .answers("200", "Shown"),
    Words::new(
        "POST /zitadel.management.v1.ManagementService/RemovePersonalAccessToken",
        "callRemoveV1",
        REMOVE,
        CALL,
    )
    .takes("Named", true)
    .answers("200", "Removed"),
    Words::new("POST /zitadel.user.v2.UserService/AddPersonalAccessToken", "callAddV2", ADD, CALL)
        .takes("ExpiringAddition", true)
        .answers("200", "Created"),
    Words::new(
        "POST /zitadel.user.v2.UserService/RemovePersonalAccessToken",
        "callRemoveV2",
        REMOVE,
        CALL,
    )
    .takes("Named", true)
    .answers("200", "Deleted"),
    Words::new(
        "POST /zitadel.user.v2.UserService/ListPersonalAccessTokens",
        "callListV2",
        FIND,
        CALL,
    )
    .takes("Search", true)
    .answers("200", "Found"),
];
