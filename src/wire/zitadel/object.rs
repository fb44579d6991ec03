//! What the answers hold: keys in the product's order, and none for what is zero.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::codec::NEVER;
use crate::core::secret::TokenSecret;
use crate::core::token::{Expiry, TokenRecord};

/// What v1 tells of a change beside its effect.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details<'a> {
    #[serde(skip_serializing_if = "String::is_empty")]
    sequence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change_date: Option<String>,
    resource_owner: &'a str,
}

impl<'a> Details<'a> {
    pub(super) fn of(record: &TokenRecord, organization: &'a str) -> Self {
        Self {
            sequence: count(record.changed_sequence),
            creation_date: None,
            change_date: None,
            resource_owner: organization,
        }
    }

    pub(super) fn created(mut self, record: &TokenRecord) -> Self {
        self.creation_date = Some(timestamp(record.created_at));
        self
    }

    pub(super) fn changed(mut self, record: &TokenRecord) -> Self {
        self.change_date = Some(timestamp(record.changed_at));
        self
    }
}

/// A new token, as v1 shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Added<'a> {
    pub(super) token_id: String,
    pub(super) token: &'a str,
    pub(super) details: Details<'a>,
}

/// The end of a token, as v1 tells it.
#[derive(Serialize)]
pub(super) struct Removed<'a> {
    pub(super) details: Details<'a>,
}

/// One token, as v1 shows it.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    pub(super) token: TokenObject<'a>,
}

/// Some tokens, as v1 lists them.
#[derive(Serialize)]
pub(super) struct Listed<'a> {
    pub(super) details: ListDetails,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) result: Vec<TokenObject<'a>>,
}

/// How many there are, and of when that is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListDetails {
    #[serde(skip_serializing_if = "String::is_empty")]
    total_result: String,
    /// The last change of the account that the list knows of.
    #[serde(skip_serializing_if = "String::is_empty")]
    processed_sequence: String,
    view_timestamp: String,
}

impl ListDetails {
    pub(super) fn new(total: u64, sequence: u64, now: DateTime<Utc>) -> Self {
        Self {
            total_result: count(total),
            processed_sequence: count(sequence),
            view_timestamp: timestamp(now),
        }
    }
}

/// A token in v1.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenObject<'a> {
    id: String,
    details: Details<'a>,
    expiration_date: String,
    scopes: [&'static str; 4],
}

impl<'a> TokenObject<'a> {
    pub(super) fn of(record: &TokenRecord, organization: &'a str) -> Self {
        Self {
            id: record.id.to_string(),
            details: Details::of(record, organization).created(record).changed(record),
            expiration_date: expiry(record),
            scopes: SCOPES,
        }
    }
}

/// A new token, as v2 shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created<'a> {
    creation_date: String,
    token_id: String,
    token: &'a str,
}

impl<'a> Created<'a> {
    pub(super) fn of(record: &TokenRecord, secret: &'a TokenSecret) -> Self {
        Self {
            creation_date: timestamp(record.created_at),
            token_id: record.id.to_string(),
            token: secret.expose_secret(),
        }
    }
}

/// The end of a token, as v2 tells it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deleted {
    deletion_date: String,
}

impl Deleted {
    pub(super) fn of(record: &TokenRecord) -> Self {
        Self { deletion_date: timestamp(record.changed_at) }
    }
}

/// Some tokens, as v2 lists them.
#[derive(Serialize)]
pub(super) struct Found {
    pub(super) pagination: Pagination,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) result: Vec<FoundToken>,
}

/// How many there are, and how many were shown at the most.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pagination {
    #[serde(skip_serializing_if = "String::is_empty")]
    total_result: String,
    applied_limit: String,
}

impl Pagination {
    pub(super) fn new(total: u64, limit: u32) -> Self {
        Self { total_result: count(total), applied_limit: limit.to_string() }
    }
}

/// A token in v2.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundToken {
    creation_date: String,
    change_date: String,
    id: String,
    user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization_id: Option<String>,
    expiration_date: String,
}

impl FoundToken {
    pub(super) fn of(record: &TokenRecord, organization: Option<String>) -> Self {
        Self {
            creation_date: timestamp(record.created_at),
            change_date: timestamp(record.changed_at),
            id: record.id.to_string(),
            user_id: record.owner.to_string(),
            organization_id: organization,
            expiration_date: expiry(record),
        }
    }
}

/// What the product says of every token, whatever it may do.
pub const SCOPES: [&str; 4] =
    ["openid", "profile", "urn:zitadel:iam:user:metadata", "urn:zitadel:iam:user:resourceowner"];

/// A count of 64 bits, which is a text on this wire, and absent where it is zero.
fn count(count: u64) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

fn expiry(record: &TokenRecord) -> String {
    match record.validity.expires_at {
        Expiry::At(at) => timestamp(at),
        Expiry::Never => timestamp(NEVER),
    }
}

fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
