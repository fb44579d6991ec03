//! What a new token is to be.

use chrono::{DateTime, TimeDelta, Utc};

use crate::core::constraints::Constraints;
use crate::core::factor::TwoFactorProof;
use crate::core::id::{IdempotencyKey, Kind, Note, OwnerId, TokenName};
use crate::core::scope::{Grant, Scope};
use crate::core::shape::Shape;

/// What a new token is to be.
///
/// ```
/// use chrono::TimeDelta;
/// use keyfob::{Grant, IssueRequest, OwnerId, ReadWrite, TokenName};
///
/// let request = IssueRequest::new(OwnerId::new("alice")?, Grant::only([ReadWrite::Read]).expect("one scope"))
///     .named(TokenName::new("backup script")?)
///     .expires_in(TimeDelta::days(30));
/// assert_eq!(request.owner.as_str(), "alice");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct IssueRequest<S: Scope> {
    /// Whom it is to act as.
    pub owner: OwnerId,
    /// What it is for.
    pub kind: Kind,
    /// What a person calls it.
    pub name: TokenName,
    /// A longer remark.
    pub note: Note,
    /// Whether to refuse when the owner has a live token of that name.
    pub unique_name: bool,
    /// What it may do.
    pub grant: Grant<S>,
    /// Its first valid instant, if not at once.
    pub not_before: Option<DateTime<Utc>>,
    /// How long it is to live.
    pub lifetime: Lifetime,
    /// What else must hold when it is used.
    pub constraints: Constraints,
    /// The product whose tokens its text is to look like; `None` for a native text.
    pub shape: Option<Shape>,
    /// The proof that a second factor was answered for this token, where its kind takes one.
    pub proof: Option<TwoFactorProof>,
    /// Whether it passes where a second factor is due, with the proof that somebody entitled
    /// asked for that; it is as good as [`proof`](Self::proof) then.
    pub bypass: Option<TwoFactorProof>,
    /// Makes a repetition of this request find what the first one made.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl<S: Scope> IssueRequest<S> {
    /// A personal token of this owner with this grant; everything else as the policy says.
    #[must_use]
    pub fn new(owner: OwnerId, grant: Grant<S>) -> Self {
        Self {
            owner,
            kind: Kind::personal(),
            name: TokenName::default(),
            note: Note::default(),
            unique_name: false,
            grant,
            not_before: None,
            lifetime: Lifetime::Default,
            constraints: Constraints::default(),
            shape: None,
            proof: None,
            bypass: None,
            idempotency_key: None,
        }
    }

    /// Of this kind.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// With this name.
    #[must_use]
    pub fn named(mut self, name: TokenName) -> Self {
        self.name = name;
        self
    }

    /// With a text of this shape, or a native one.
    #[must_use]
    pub const fn in_shape(mut self, shape: Option<Shape>) -> Self {
        self.shape = shape;
        self
    }

    /// Living this long.
    #[must_use]
    pub const fn expires_in(mut self, lifetime: TimeDelta) -> Self {
        self.lifetime = Lifetime::For(lifetime);
        self
    }

    /// Living until this instant.
    #[must_use]
    pub const fn expires_at(mut self, at: DateTime<Utc>) -> Self {
        self.lifetime = Lifetime::Until(at);
        self
    }

    /// All that is asked for, for the [`Challenge`](crate::core::factor::Challenge) whose proof this
    /// request takes: the same bytes for the same request, and for no other.
    #[must_use]
    pub fn parameters(&self) -> Vec<u8> {
        let scopes = match self.grant.names() {
            Grant::Full => vec!["full".to_owned()],
            Grant::Only(names) => names.iter().map(|name| format!("scope {name}")).collect(),
        };
        let networks = self.constraints.addresses.iter().map(ToString::to_string);
        let fields = [
            self.owner.to_string(),
            self.kind.to_string(),
            self.name.to_string(),
            self.note.to_string(),
            self.unique_name.to_string(),
            self.not_before.map(|at| at.timestamp_micros().to_string()).unwrap_or_default(),
            self.lifetime.parameter(),
            self.shape.map_or_else(String::new, |shape| shape.name().to_owned()),
            self.constraints.rate.map(|rate| format!("{rate:?}")).unwrap_or_default(),
            self.constraints.uses.map(|uses| uses.to_string()).unwrap_or_default(),
        ];
        let mut bytes = Vec::new();
        for field in fields.into_iter().chain(scopes).chain(networks) {
            // With its length before it, so that no two lists of fields are the same bytes.
            bytes.extend(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend(field.into_bytes());
        }
        bytes
    }

    /// With the proof that a second factor was answered for it.
    #[must_use]
    pub fn proved_by(mut self, proof: TwoFactorProof) -> Self {
        self.proof = Some(proof);
        self
    }

    /// Passing where a second factor is due, with the proof that one was answered for that.
    #[must_use]
    pub fn bypassing_two_factor(mut self, proof: TwoFactorProof) -> Self {
        self.bypass = Some(proof);
        self
    }

    /// Living until it is revoked, where the policy allows that.
    #[must_use]
    pub const fn never_expires(mut self) -> Self {
        self.lifetime = Lifetime::Unlimited;
        self
    }
}

impl Lifetime {
    /// The same text for the same life, whatever the library of dates makes of it.
    pub(in crate::core) fn parameter(self) -> String {
        match self {
            Self::Default => "default".to_owned(),
            // Finer than any life is kept.
            Self::For(length) => format!("for {:?}", length.num_microseconds()),
            Self::Until(at) => format!("until {}", at.timestamp_micros()),
            Self::Unlimited => "unlimited".to_owned(),
        }
    }
}

/// How long a token is to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "these are the ways to say it")]
pub enum Lifetime {
    /// As long as the policy says by default.
    Default,
    /// This long from now.
    For(TimeDelta),
    /// Until this instant.
    Until(DateTime<Utc>),
    /// Without end.
    Unlimited,
}
