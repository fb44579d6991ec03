//! The one path from a presented text to evidence.

mod ask;
mod many;

use crate::core::digest::{Digest, UnknownKey};
use crate::core::error::Refusal;
use crate::core::format::{Claim, ParseError, PresentedToken};
use crate::core::freshness::{Lease, Reading};
use crate::core::id::TokenId;
use crate::core::scope::Scope;
use crate::core::verify::{Access, Facts, admit, decide};
use crate::ports::store::StoreError;
use crate::service::error::AuthenticateError;
use crate::service::index::{Hit, Kept, Key};
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
            Some(decision) => decision,
            // In a box, so that who finds it in the index moves no room for this about.
            None => Box::pin(self.inner.conclude(text, access)).await,
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
        self.inner.look_up(text, access)
    }

    /// Accepts what the index knows and accepts; of all else it says nothing. Bytes that are no text
    /// are nothing that it knows.
    #[cfg(feature = "http")]
    #[inline]
    pub(crate) fn recognise(&self, text: &[u8], access: &Access<'_, S>) -> Option<Verified> {
        let claim = self.inner.rules.format.claim(text).ok()?;
        self.inner.recognise_now(&claim, access)
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

impl<S: Scope> Inner<S> {
    /// Judges by the index; `None` if only the store can tell.
    #[inline]
    fn look_up(
        &self,
        text: &str,
        access: &Access<'_, S>,
    ) -> Option<Result<Verified, AuthenticateError>> {
        let claim = self.rules.format.claim(text.as_bytes());
        if let Ok(claim) = &claim
            && let Some(verified) = self.recognise_now(claim, access)
        {
            return Some(Ok(verified));
        }
        match self.check(claim, text) {
            Ok(presented) => self.judge(&presented, access),
            Err(error) => Some(Err(error)),
        }
    }

    /// The same, out of the way of those that are decided at once.
    #[cold]
    fn look_up_again(
        &self,
        text: &str,
        access: &Access<'_, S>,
    ) -> Option<Result<Verified, AuthenticateError>> {
        self.look_up(text, access)
    }

    /// Accepts a text that the index knows; of all others it says nothing.
    // Always inline, as what it calls: else claim and evidence go through memory, a tenth of the way.
    #[inline(always)]
    fn recognise_now(&self, claim: &Claim<'_>, access: &Access<'_, S>) -> Option<Verified> {
        let (id, key) = named(claim.claimed())?;
        let begin = || self.index.may_hold(key).then(|| self.moment());
        self.recognise(claim.claimed(), (id, key), begin, access)
    }

    /// Accepts a text that nobody has checked: what is found in the index has its id, its digest,
    /// its prefix and its checksum, so that it is the very text that was checked when it was kept.
    /// `begin` tells the moment, if anything is likely to be found.
    #[inline(always)]
    fn recognise(
        &self,
        claimed: &PresentedToken<'_>,
        (id, key): (TokenId, Key),
        begin: impl FnOnce() -> Option<(Lease, Reading)>,
        access: &Access<'_, S>,
    ) -> Option<Verified> {
        let ((lease, at), digest) = self.rules.keyring.current_digest_if(claimed, begin)?;
        let now = self.now_under(lease, at)?;
        let hit = self.index.find(key, indexed(claimed, digest))?;
        self.admits(id, hit.kept, now, access)?.ok()?;
        Some(self.accepted(id, &hit, now, access))
    }

    /// Judges what has been checked by the index, and says why it is refused; `None` if only the
    /// store can tell.
    #[inline(never)]
    fn judge(
        &self,
        presented: &PresentedToken<'_>,
        access: &Access<'_, S>,
    ) -> Option<Result<Verified, AuthenticateError>> {
        let (lease, at) = self.moment();
        let now = self.now_under(lease, at)?;
        let words = indexed(presented, self.rules.keyring.current_digest(presented));
        let (id, hit) = match named(presented) {
            Some((id, key)) => (id, self.index.find(key, words)?),
            None => self.index.find_text(words)?,
        };
        Some(match self.admits(id, hit.kept, now, access)? {
            Ok(()) => Ok(self.accepted(id, &hit, now, access)),
            Err(error) => Err(self.refused(error)),
        })
    }

    /// Until when the index may be used, and what time it is: to be read before the index is. The
    /// verification has begun by then: a thread that is held up from here on may still accept
    /// what was accepted at that moment.
    #[inline]
    fn moment(&self) -> (Lease, Reading) {
        (self.index.lease(), self.clock.reading())
    }

    /// The store's time, if the index may be used.
    #[inline]
    fn now_under(&self, lease: Lease, at: Reading) -> Option<i64> {
        lease.holds(at).then(|| lease.time_micros(at).saturating_add(self.tick_micros))
    }

    /// Decides about what the index holds; `None` if that is no longer to be used.
    #[inline]
    fn admits(
        &self,
        id: TokenId,
        kept: Kept,
        now: i64,
        access: &Access<'_, S>,
    ) -> Option<Result<(), AuthenticateError>> {
        decide(Facts::live_until(kept.deadline), now).ok()?;
        let class = self.index.class(kept.class)?;
        let admitted = admit(class.grant.as_ref(), &class.key.constraints, access);
        Some(admitted.map_err(AuthenticateError::from).and_then(|()| class.take(id)))
    }

    /// What the index holds is accepted and used.
    #[inline]
    fn accepted(&self, id: TokenId, hit: &Hit<'_>, now: i64, access: &Access<'_, S>) -> Verified {
        if hit.claim_use(second(now)) {
            let (owner, from) = (hit.kept.owner, access.address);
            self.recorder.record(Noticed { token: id, owner, at_micros: now, from });
        }
        self.meter.hit();
        self.evidence(id, hit.kept)
    }

    /// Reads a text, whatever the index knows of it.
    fn parse<'t>(&'t self, text: &'t str) -> Result<PresentedToken<'t>, AuthenticateError> {
        self.check(self.rules.format.claim(text.as_bytes()), text)
    }

    /// What is wrong with a text that is not a token's, if so.
    #[inline]
    fn check<'t>(
        &'t self,
        claim: Result<Claim<'t>, ParseError>,
        text: &'t str,
    ) -> Result<PresentedToken<'t>, AuthenticateError> {
        self.rules.format.check(claim, text.as_bytes()).map_err(|error| {
            self.refused(match error {
                ParseError::Malformed => Refusal::Malformed.into(),
                ParseError::NotOurs => AuthenticateError::NotOurs,
            })
        })
    }

    /// Counts what is not accepted.
    fn refused(&self, error: AuthenticateError) -> AuthenticateError {
        self.meter.refused(&error);
        error
    }

    /// Judges what the index cannot.
    async fn conclude(
        &self,
        text: &str,
        access: &Access<'_, S>,
    ) -> Result<Verified, AuthenticateError> {
        let (lease, at) = self.moment();
        if !lease.holds(at) {
            // The index may be as good as ever: what changed is asked once for all who come. While
            // somebody does, the others ask for their own token.
            self.freshen().await.map_err(|error| self.refused(error.into()))?;
            if let Some(decision) = self.look_up_again(text, access) {
                return decision;
            }
        }
        let presented = self.parse(text)?;
        let asked = self.ask_store(&presented, access).await;
        if let Err(AuthenticateError::Unavailable(_)) = &asked
            && !lease.holds(at)
            && let Some(decision) = self.look_up_again(text, access)
        {
            // Whoever asked what changed has been answered since.
            return decision;
        }
        asked
    }

    #[inline]
    const fn evidence(&self, id: TokenId, kept: Kept) -> Verified {
        let Kept { generation, owner, class, .. } = kept;
        Verified { id, generation, owner, class, mark: self.mark }
    }
}

/// What the index tells texts by: the digest, which is made of the id and the secret, with the
/// prefix and the checksum, which are all else that there is. A text of another prefix claims to be
/// a token of another kind, and is for the store to judge.
///
/// Whoever makes a text up chooses its checksum, and so 48 of the bits that are compared. The
/// other 208 are the digest's alone.
#[inline]
fn indexed(presented: &PresentedToken<'_>, digest: Digest) -> [u64; 4] {
    let [first, second, rest @ ..] = digest.to_words();
    let [third, fourth] = rest;
    [first ^ presented.prefix_number(), second ^ presented.checksum_number(), third, fourth]
}

/// A text's id, and where the index has it; `None` for a text without an id.
#[inline]
fn named(presented: &PresentedToken<'_>) -> Option<(TokenId, Key)> {
    let id = presented.id()?;
    Some((id, Key::of_secret(id, presented.checksum_number())))
}

/// A key that is missing here is trouble of this host, and says nothing about the token.
pub(super) fn unknown_key(error: UnknownKey) -> StoreError {
    StoreError::unavailable(error)
}

#[inline]
pub(super) fn second(micros: i64) -> u32 {
    u32::try_from(micros.wrapping_div(1_000_000)).unwrap_or_default()
}
