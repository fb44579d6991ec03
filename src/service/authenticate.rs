//! The one path from a presented text to evidence.

mod ask;
mod many;

use crate::core::digest::{Digest, UnknownKey};
use crate::core::error::Refusal;
use crate::core::format::{ParseError, PresentedToken};
use crate::core::id::TokenId;
use crate::core::scope::Scope;
use crate::core::verify::{Access, Facts, admit, decide};
use crate::ports::store::StoreError;
use crate::service::error::AuthenticateError;
use crate::service::index::{Hit, Key};
use crate::service::usage::Noticed;
use crate::service::verified::Verified;
use crate::service::{Inner, Tokens};

impl<S: Scope> Tokens<S> {
    /// Judges a presented text: from the index if the token is in use here, else from the store.
    ///
    /// # Errors
    ///
    /// [`AuthenticateError`]: not ours, refused, used too often, or unavailable, which are four answers.
    pub async fn authenticate(
        &self,
        text: &str,
        access: &Access<'_, S>,
    ) -> Result<Verified, AuthenticateError> {
        match self.inner.look_up(text, access) {
            Looked::Decided(decision) => decision,
            // In a box, so that who finds it in the index moves no room for this about.
            looked => Box::pin(self.inner.conclude(looked, text, access)).await,
        }
    }

    /// Judges a presented text if that needs no store: without waiting, lock or allocation.
    ///
    /// `None` means that only the store can tell.
    #[must_use]
    pub fn authenticate_now(
        &self,
        text: &str,
        access: &Access<'_, S>,
    ) -> Option<Result<Verified, AuthenticateError>> {
        match self.inner.look_up(text, access) {
            Looked::Decided(decision) => Some(decision),
            Looked::AskStore(_) | Looked::Lapsed(_) => None,
        }
    }

    /// Judges a presented text by what the store holds at this moment, whatever the index knows.
    ///
    /// # Errors
    ///
    /// As [`Tokens::authenticate`].
    pub async fn authenticate_strict(
        &self,
        text: &str,
        access: &Access<'_, S>,
    ) -> Result<Verified, AuthenticateError> {
        let inner = &*self.inner;
        let presented = inner.parse(text)?;
        inner.ask_store(&presented, access).await
    }
}

enum Looked<'t> {
    Decided(Result<Verified, AuthenticateError>),
    AskStore(PresentedToken<'t>),
    /// The index may not be used before the store has told what changed.
    Lapsed(PresentedToken<'t>),
}

impl<S: Scope> Inner<S> {
    #[inline]
    fn parse<'t>(&'t self, text: &'t str) -> Result<PresentedToken<'t>, AuthenticateError> {
        self.rules.format.parse(text.as_bytes()).map_err(|error| {
            self.refused(match error {
                ParseError::Malformed => Refusal::Malformed.into(),
                ParseError::NotOurs => AuthenticateError::NotOurs,
            })
        })
    }

    #[inline]
    fn look_up<'t>(&'t self, text: &'t str, access: &Access<'_, S>) -> Looked<'t> {
        match self.parse(text) {
            Ok(presented) => self.judge(presented, access),
            Err(error) => Looked::Decided(Err(error)),
        }
    }

    /// Judges by the index.
    #[inline]
    fn judge<'t>(&self, presented: PresentedToken<'t>, access: &Access<'_, S>) -> Looked<'t> {
        let key = presented.id().map(Key::of);
        let begin = || {
            // Before the index is looked into. The verification has begun by then: a thread that
            // is held up from here on may still accept what was accepted at that moment.
            let begun = (self.index.lease(), self.clock.reading());
            if let Some(key) = key {
                // Kept from the optimiser's reach, so that the loads are begun before the hash.
                std::hint::black_box(self.index.touch(key));
            }
            begun
        };
        let ((lease, at), digest) = self.rules.keyring.current_digest_after(&presented, begin);
        if !lease.holds(at) {
            return Looked::Lapsed(presented);
        }
        let now = lease.time_micros(at).saturating_add(self.tick_micros);
        let words = indexed(&presented, digest);
        let found = match presented.id().zip(key) {
            Some((id, key)) => self.index.find(key, words, second(now)).map(|hit| (id, hit)),
            None => self.index.find_text(words, second(now)),
        };
        let live = |hit: &Hit| decide(Facts::live_until(hit.deadline), now).is_ok();
        let live = found.filter(|(_, hit)| live(hit));
        let Some((id, hit, class)) =
            live.and_then(|(id, hit)| Some((id, hit, self.index.class(hit.class)?)))
        else {
            return Looked::AskStore(presented);
        };
        if let Err(refusal) = admit(class.grant.as_ref(), &class.key.constraints, access) {
            return Looked::Decided(Err(self.refused(refusal.into())));
        }
        if let Err(error) = class.take(id) {
            return Looked::Decided(Err(self.refused(error)));
        }
        if hit.record_use {
            let noticed =
                Noticed { token: id, owner: hit.owner, at_micros: now, from: access.address };
            self.recorder.record(noticed);
        }
        self.meter.hit();
        Looked::Decided(Ok(self.evidence(id, &hit)))
    }

    /// Counts what is not accepted.
    fn refused(&self, error: AuthenticateError) -> AuthenticateError {
        self.meter.refused(&error);
        error
    }

    /// What the index could not decide.
    async fn conclude<'a>(
        &'a self,
        mut looked: Looked<'a>,
        text: &'a str,
        access: &Access<'_, S>,
    ) -> Result<Verified, AuthenticateError> {
        if let Looked::Lapsed(_) = looked {
            // The index may be as good as ever: what changed is asked once for all who come. While
            // somebody does, the others ask for their own token.
            self.freshen().await.map_err(|error| self.refused(error.into()))?;
            looked = self.look_up(text, access);
        }
        match looked {
            Looked::Decided(decision) => decision,
            Looked::AskStore(presented) => self.ask_store(&presented, access).await,
            Looked::Lapsed(presented) => {
                let asked = self.ask_store(&presented, access).await;
                if let Err(AuthenticateError::Unavailable(_)) = &asked
                    && let Looked::Decided(decision) = self.look_up(text, access)
                {
                    // Whoever asked what changed has been answered since.
                    return decision;
                }
                asked
            }
        }
    }

    #[inline]
    fn evidence(&self, id: TokenId, hit: &Hit) -> Verified {
        Verified {
            id,
            generation: hit.generation,
            owner: hit.owner,
            class: hit.class,
            mark: self.mark,
        }
    }
}

/// What the index tells texts by: the digest, which is made of the id and the secret, and the prefix.
/// A text of another prefix claims to be a token of another kind, and is for the store to judge.
#[inline]
fn indexed(presented: &PresentedToken<'_>, digest: Digest) -> [u64; 4] {
    let [first, rest @ ..] = digest.to_words();
    let [second, third, fourth] = rest;
    [first ^ presented.prefix_number(), second, third, fourth]
}

/// A key that is missing here is trouble of this host, and says nothing about the token.
pub(super) fn unknown_key(error: UnknownKey) -> StoreError {
    StoreError::unavailable(error)
}

#[inline]
pub(super) fn second(micros: i64) -> u32 {
    u32::try_from(micros.wrapping_div(1_000_000)).unwrap_or_default()
}
