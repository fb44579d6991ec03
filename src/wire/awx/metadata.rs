//! What `OPTIONS` tells of a route: the product's command line makes its options of this. Pure.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::cell::{Column, Holds};
use super::lookup::Table;
use super::object::TYPE;
use super::page::LARGEST_SIZE;

/// What may be done, and with which fields.
#[derive(Serialize)]
pub(super) struct Metadata {
    name: &'static str,
    description: &'static str,
    renders: [&'static str; 1],
    parses: [&'static str; 1],
    actions: Actions,
    types: [&'static str; 1],
    search_fields: &'static [&'static str],
    related_search_fields: [&'static str; 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_page_size: Option<u64>,
}

/// The fields of each method that the caller may use; only those that fields are told of.
#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Actions {
    get: Fields,
    #[serde(skip_serializing_if = "Option::is_none")]
    put: Option<Fields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post: Option<Fields>,
}

impl Metadata {
    /// A list of tokens, to which the caller may add one or not.
    pub(super) const fn list(name: &'static str, may_create: bool) -> Self {
        Self {
            actions: Actions {
                get: Fields::Shown(&TOKEN),
                put: None,
                post: if may_create { Some(Fields::Taken(&CREATION)) } else { None },
            },
            max_page_size: Some(LARGEST_SIZE),
            ..Self::of(name, "Tokens, and a way to make one.")
        }
    }

    /// A token, which the caller may change or not.
    pub(super) const fn detail(may_change: bool) -> Self {
        Self {
            actions: Actions {
                get: Fields::Shown(&TOKEN),
                put: if may_change { Some(Fields::Taken(&CHANGE)) } else { None },
                post: None,
            },
            ..Self::of("OAuth Token Detail", "A token.")
        }
    }

    /// What has become of a token.
    pub(super) const fn activity() -> Self {
        Self {
            actions: Actions { get: Fields::Shown(&ENTRY), put: None, post: None },
            types: ["activity_stream"],
            search_fields: ACTIVITY.searched,
            max_page_size: Some(LARGEST_SIZE),
            ..Self::of("OAuth2 Token Activity Stream", "What has become of a token.")
        }
    }

    const fn of(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            renders: ["application/json"],
            parses: ["application/json"],
            actions: Actions { get: Fields::Shown(&[]), put: None, post: None },
            types: [TYPE],
            search_fields: TOKENS.searched,
            related_search_fields: [],
            max_page_size: None,
        }
    }
}

/// Fields by their names, in their order.
enum Fields {
    /// Those of an answer.
    Shown(&'static [Field]),
    /// Those of a request, which may lack any of them.
    Taken(&'static [Field]),
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (fields, is_taken) = match self {
            Self::Shown(fields) => (fields, false),
            Self::Taken(fields) => (fields, true),
        };
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for Field { name, r#type, label, help_text, default, filterable } in *fields {
            let told = Told {
                r#type,
                required: is_taken.then_some(false),
                label,
                help_text,
                default: default.filter(|_| is_taken),
                filterable: *filterable,
            };
            map.serialize_entry(name, &told)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Told {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<bool>,
    label: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    help_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<&'static str>,
    filterable: bool,
}

struct Field {
    name: &'static str,
    r#type: &'static str,
    label: &'static str,
    help_text: &'static str,
    default: Option<&'static str>,
    filterable: bool,
}

const fn field(name: &'static str, r#type: &'static str, label: &'static str) -> Field {
    Field { name, r#type, label, help_text: "", default: None, filterable: true }
}

impl Field {
    const fn helped(mut self, help_text: &'static str) -> Self {
        self.help_text = help_text;
        self
    }

    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn unfiltered(mut self) -> Self {
        self.filterable = false;
        self
    }
}

const DESCRIPTION: Field = field("description", "string", "Description")
    .helped("Optional description of this access token.")
    .or("");

const APPLICATION: Field = field("application", "id", "Application");

const SCOPE: Field = field("scope", "string", "Scope")
    .helped(
        "Allowed scopes, further restricts user's permissions. Must be a simple space-separated \
         string with allowed scopes ['read', 'write'].",
    )
    .or("write");

static TOKEN: [Field; 14] = [
    field("id", "integer", "ID").helped("Database ID for this access token."),
    field("type", "choice", "Type").helped("Data type for this access token.").unfiltered(),
    field("url", "string", "Url").helped("URL for this access token.").unfiltered(),
    field("related", "object", "Related")
        .helped("Data structure with URLs of related resources.")
        .unfiltered(),
    field("summary_fields", "object", "Summary fields")
        .helped("Data structure with name/description for related resources.")
        .unfiltered(),
    field("created", "datetime", "Created").helped("Timestamp when this access token was created."),
    field("modified", "datetime", "Modified")
        .helped("Timestamp when this access token was last modified."),
    DESCRIPTION,
    field("user", "id", "User").helped("The user representing the token owner"),
    field("token", "string", "Token").unfiltered(),
    field("refresh_token", "field", "Refresh token").unfiltered(),
    APPLICATION,
    field("expires", "datetime", "Expires"),
    SCOPE,
];

static CREATION: [Field; 3] = [DESCRIPTION, APPLICATION, SCOPE];

static CHANGE: [Field; 2] = [DESCRIPTION, SCOPE];

static ENTRY: [Field; 13] = [
    field("id", "integer", "ID").helped("Database ID for this activity stream."),
    field("type", "choice", "Type").unfiltered(),
    field("url", "string", "Url").unfiltered(),
    field("related", "object", "Related").unfiltered(),
    field("summary_fields", "object", "Summary fields").unfiltered(),
    field("timestamp", "datetime", "Timestamp"),
    field("operation", "choice", "Operation"),
    field("changes", "json", "Changes").unfiltered(),
    field("object1", "string", "Object1"),
    field("object2", "string", "Object2").unfiltered(),
    field("object_association", "field", "Object association").unfiltered(),
    field("action_node", "string", "Action node").unfiltered(),
    field("object_type", "field", "Object type").unfiltered(),
];

const fn column(name: &'static str, pointer: &'static str, holds: Holds) -> Column {
    Column { name, pointer, holds }
}

/// By what tokens are found.
pub(super) const TOKENS: Table = Table {
    model: "OAuth2AccessToken",
    r#type: TYPE,
    columns: &[
        column("id", "/id", Holds::Number),
        column("created", "/created", Holds::Time),
        column("modified", "/modified", Holds::Time),
        column("description", "/description", Holds::Text),
        column("user", "/user", Holds::Reference),
        column("user__id", "/user", Holds::Number),
        column("user__username", "/summary_fields/user/username", Holds::Text),
        column("user__first_name", "/summary_fields/user/first_name", Holds::Text),
        column("user__last_name", "/summary_fields/user/last_name", Holds::Text),
        column("application", "/application", Holds::Reference),
        column("expires", "/expires", Holds::Time),
        column("scope", "/scope", Holds::Text),
    ],
    searched: &["description"],
};

/// By what entries of the audit log are found.
pub(super) const ACTIVITY: Table = Table {
    model: "ActivityStream",
    r#type: "activity_stream",
    columns: &[
        column("id", "/id", Holds::Number),
        column("timestamp", "/timestamp", Holds::Time),
        column("operation", "/operation", Holds::Text),
        column("object1", "/object1", Holds::Text),
        column("actor__username", "/summary_fields/actor/username", Holds::Text),
        column("actor", "/summary_fields/actor/id", Holds::Reference),
    ],
    searched: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_create_is_told_by_which_fields() {
        let told = serde_json::to_value(Metadata::list("OAuth2 Tokens", true)).unwrap();
        let text = serde_json::to_string(&Metadata::list("OAuth2 Tokens", true)).unwrap();
        let post = r#""POST":{"description":{"type":"string","required":false,"label":"Description","help_text":"Optional description of this access token.","default":"","filterable":true},"application":{"type":"id","required":false,"label":"Application","filterable":true},"scope":{"type":"string","required":false,"label":"Scope","#;
        assert!(text.contains(post), "{text}");
        assert_eq!(told["actions"]["POST"].as_object().unwrap().len(), 3);
        assert_eq!(told["actions"]["GET"].as_object().unwrap().len(), 14);
        assert_eq!(told["actions"]["GET"]["scope"].get("default"), None);
        assert_eq!(told["max_page_size"], 200);
        assert_eq!(told["types"][0], "o_auth2_access_token");
    }

    #[test]
    fn who_may_not_change_anything_is_told_of_looking_only() {
        for metadata in [Metadata::list("a", false), Metadata::detail(false), Metadata::activity()]
        {
            let told = serde_json::to_value(metadata).unwrap();
            assert_eq!(told["actions"].as_object().unwrap().len(), 1, "{told}");
        }
        let told = serde_json::to_value(Metadata::detail(true)).unwrap();
        assert_eq!(told["actions"]["PUT"].as_object().unwrap().len(), 2);
        assert_eq!(told.get("max_page_size"), None);
    }
}
