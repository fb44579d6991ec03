//! What the answers hold: these keys, in this order.

use chrono::{DateTime, SecondsFormat, Timelike as _, Utc};
use serde::Serialize;

use super::scopes::Asked;
use super::{Needs, description};
use crate::core::event::{Event, EventKind};
use crate::core::scope::Scope;
use crate::core::time::LATEST;
use crate::core::token::TokenRecord;
use crate::ports::directory::Account;
use crate::ports::store::StoredEvent;

/// A token as the product writes it.
#[derive(Serialize)]
pub(super) struct TokenObject<'a> {
    id: u64,
    r#type: &'static str,
    url: String,
    related: Related,
    summary_fields: Summaries,
    created: String,
    modified: String,
    description: &'a str,
    user: Option<u64>,
    token: &'a str,
    refresh_token: Option<u64>,
    application: Option<u64>,
    expires: String,
    scope: &'static str,
}

/// Where else to look; without an account, its address is not there.
#[derive(Serialize)]
struct Related {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    activity_stream: String,
}

#[derive(Serialize)]
struct Summaries {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserSummary>,
}

/// An account in a few words.
#[derive(Clone, Serialize)]
pub(super) struct UserSummary {
    id: u64,
    username: String,
    first_name: String,
    last_name: String,
}

impl UserSummary {
    pub(super) fn of(account: &Account) -> Self {
        let (first_name, last_name) = names(account);
        Self {
            id: account.number,
            username: account.username.clone(),
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
        }
    }
}

/// The first name and the rest, which the product keeps apart.
pub(super) fn names(account: &Account) -> (&str, &str) {
    account.name.split_once(' ').unwrap_or((&account.name, ""))
}

impl<'a> TokenObject<'a> {
    /// A token of this account, if there still is one; its secret is masked.
    pub(super) fn of<S: Scope>(
        record: &'a TokenRecord,
        owner: Option<&Account>,
        needs: &Needs<S>,
    ) -> Self {
        Self {
            id: record.number,
            r#type: TYPE,
            url: url(record.number),
            related: Related {
                user: owner.map(|owner| user_url(owner.number)),
                activity_stream: format!("{}activity_stream/", url(record.number)),
            },
            summary_fields: Summaries { user: owner.map(UserSummary::of) },
            created: written(record.created_at),
            modified: written(record.changed_at),
            description: description::shown(&record.name, &record.note),
            user: owner.map(|owner| owner.number),
            token: MASK,
            refresh_token: None,
            application: None,
            // The product has no token without an end.
            expires: written(record.validity.expires_at.at().unwrap_or(LATEST)),
            scope: scope(record, needs),
        }
    }

    pub(super) const fn with_secret(mut self, secret: &'a str) -> Self {
        self.token = secret;
        self
    }
}

/// An entry of the audit log about a token, as the product writes it.
#[derive(Serialize)]
pub(super) struct Entry {
    id: u64,
    r#type: &'static str,
    url: String,
    related: EntryRelated,
    summary_fields: EntrySummaries,
    timestamp: String,
    operation: &'static str,
    changes: Changes,
    object1: &'static str,
    object2: &'static str,
    object_association: &'static str,
    action_node: &'static str,
    object_type: &'static str,
}

#[derive(Serialize)]
struct EntryRelated {
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    o_auth2_access_token: [String; 1],
}

#[derive(Serialize)]
struct EntrySummaries {
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<UserSummary>,
    o_auth2_access_token: [TokenSummary; 1],
}

#[derive(Clone, Serialize)]
struct TokenSummary {
    id: u64,
    user_id: Option<u64>,
    description: String,
    application_id: Option<u64>,
    scope: &'static str,
}

/// What a creation has made, as far as nothing changes it afterwards; the audit log keeps no values
/// of what does.
#[derive(Serialize)]
struct Changes {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'static str>,
}

impl Entry {
    /// The entry of an event about this token, by this actor; `None` for events that the product has
    /// no operation for.
    pub(super) fn of<S: Scope>(
        StoredEvent { sequence, event }: &StoredEvent,
        record: &TokenRecord,
        (owner, actor): (Option<&Account>, Option<&Account>),
        needs: &Needs<S>,
    ) -> Option<Self> {
        let operation = operation(event)?;
        let is_creation = operation == "create";
        let token = TokenSummary {
            id: record.number,
            user_id: owner.map(|owner| owner.number),
            description: description::shown(&record.name, &record.note).to_owned(),
            application_id: None,
            scope: scope(record, needs),
        };
        Some(Self {
            id: *sequence,
            r#type: "activity_stream",
            url: format!("/api/v2/activity_stream/{sequence}/"),
            related: EntryRelated {
                actor: actor.map(|actor| user_url(actor.number)),
                o_auth2_access_token: [url(record.number)],
            },
            summary_fields: EntrySummaries {
                actor: actor.map(UserSummary::of),
                o_auth2_access_token: [token],
            },
            timestamp: written(event.at),
            operation,
            changes: Changes {
                id: is_creation.then_some(record.number),
                token: is_creation.then_some(MASK),
            },
            object1: TYPE,
            object2: "",
            object_association: "",
            action_node: super::NODE,
            object_type: "",
        })
    }
}

fn operation(event: &Event) -> Option<&'static str> {
    match event.kind {
        EventKind::TokenImported | EventKind::TokenIssued => Some("create"),
        EventKind::TokenDeactivated
        | EventKind::TokenEdited
        | EventKind::TokenNarrowed
        | EventKind::TokenReactivated
        | EventKind::TokenRotated => Some("update"),
        EventKind::TokenRevoked => Some("delete"),
        _ => None,
    }
}

fn scope<S: Scope>(record: &TokenRecord, needs: &Needs<S>) -> &'static str {
    Asked::of(&record.grant, needs).map_or("", Asked::text)
}

/// The address of a token.
pub(super) fn url(number: u64) -> String {
    format!("/api/v2/tokens/{number}/")
}

fn user_url(number: u64) -> String {
    format!("/api/v2/users/{number}/")
}

/// A time as the product writes it: with microseconds, unless there are none.
pub(super) fn written(at: DateTime<Utc>) -> String {
    let is_whole = at.nanosecond() / 1_000 == 0;
    at.to_rfc3339_opts(if is_whole { SecondsFormat::Secs } else { SecondsFormat::Micros }, true)
}

pub(super) const TYPE: &str = "o_auth2_access_token";

/// What stands for a secret.
pub(super) const MASK: &str = "************";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_microseconds_unless_there_are_none() {
        let at = |micros| written(DateTime::from_timestamp_micros(micros).unwrap());
        assert_eq!(at(1_527_597_768_086_056), "2018-05-29T12:42:48.086056Z");
        assert_eq!(at(1_527_597_768_100_000), "2018-05-29T12:42:48.100000Z");
        assert_eq!(at(1_527_597_768_000_000), "2018-05-29T12:42:48Z");
        assert_eq!(written(LATEST), "9999-12-31T23:59:59.999999Z");
    }
}
