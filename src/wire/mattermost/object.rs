//! What the answers hold.

use serde::Serialize;

use crate::core::secret::TokenSecret;
use crate::core::token::{State, TokenRecord};

/// A token as the product writes it: these keys, in this order, and the secret's only where it is
/// shown.
#[derive(Serialize)]
pub(super) struct TokenObject<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    user_id: &'a str,
    description: &'a str,
    is_active: bool,
    /// Milliseconds since 1970; zero for never.
    expires_at: i64,
}

impl<'a> TokenObject<'a> {
    pub(super) fn of(record: &'a TokenRecord) -> Self {
        // Faces that have no names put what a person reads into the note.
        let (name, note) = (record.name.as_str(), record.note.as_str());
        Self {
            id: record.id.to_string(),
            token: None,
            user_id: record.owner.as_str(),
            description: if name.is_empty() { note } else { name },
            is_active: matches!(record.state, State::Active),
            expires_at: record.validity.expires_at.at().map_or(0, |at| at.timestamp_millis()),
        }
    }

    pub(super) fn with_secret(mut self, secret: &'a TokenSecret) -> Self {
        self.token = Some(secret.expose_secret());
        self
    }
}

/// How many tokens there are, or were.
#[derive(Serialize)]
pub(super) struct Count {
    pub(super) count: usize,
}

/// That it is done.
#[derive(Serialize)]
pub(super) struct Done {
    status: &'static str,
}

impl Done {
    pub(super) const OK: Self = Self { status: "OK" };
}
