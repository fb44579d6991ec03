//! What many tokens have in common.

use std::sync::Arc;

use crate::core::constraints::Constraints;
use crate::core::id::{Kind, ScopeName, TokenId};
use crate::core::scope::{Grant, Scope};
use crate::core::token::TokenRecord;
use crate::service::error::AuthenticateError;
use crate::service::rate::{Limiter, Rates};

/// What many tokens have in common, kept once.
pub(in crate::service) struct Class<S: Scope> {
    pub(in crate::service) key: ClassKey,
    /// `None` when the host knows none of the names: it grants nothing.
    pub(in crate::service) grant: Option<Grant<S>>,
    /// What counts their uses, if their rate is limited.
    limiter: Option<Arc<Limiter>>,
}

impl<S: Scope> Class<S> {
    pub(super) fn new(key: &ClassKey, rates: &Rates) -> Self {
        let limiter = key.constraints.rate.map(|rate| rates.limiter(rate));
        Self { grant: key.names.read(), key: key.clone(), limiter }
    }
}

impl<S: Scope> Class<S> {
    /// Counts a use of this token against its rate.
    #[inline]
    pub(in crate::service) fn take(&self, token: TokenId) -> Result<(), AuthenticateError> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        limiter.take(token).map_err(|seconds| AuthenticateError::RateLimited { seconds })
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(in crate::service) struct ClassKey {
    pub(in crate::service) kind: Kind,
    names: Grant<ScopeName>,
    pub(in crate::service) constraints: Constraints,
    pub(in crate::service) bypasses_two_factor: bool,
}

impl ClassKey {
    pub(super) fn of(record: &TokenRecord) -> Self {
        Self {
            kind: record.kind.clone(),
            names: record.grant.clone(),
            constraints: record.constraints.clone(),
            bypasses_two_factor: record.bypasses_two_factor,
        }
    }

    /// Whether [`ClassKey::of`] would make the same, without making it.
    pub(super) fn is_of(&self, record: &TokenRecord) -> bool {
        self.kind == record.kind
            && self.names == record.grant
            && self.constraints == record.constraints
            && self.bypasses_two_factor == record.bypasses_two_factor
    }
}
