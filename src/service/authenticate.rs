//! The one path from a presented text to evidence.

mod ask;
mod authentication;
mod many;
mod question;

use std::cell::Cell;

use self::authentication::Authentication;
use self::question::{Question, indexed, named};
use crate::core::digest::{Keyring, Message, UnknownKey};
use crate::core::error::Refusal;
use crate::core::format::{Claim, ParseError, PresentedToken};
use crate::core::freshness::{Lease, Reading};
use crate::core::id::TokenId;
use crate::core::scope::Scope;
use crate::core::verify::{Access, Facts, admit, decide};
use crate::ports::store::StoreError;
use crate::service::error::AuthenticateError;
use crate::service::index::{Glimpse, Hit, Kept};
use crate::service::usage::Noticed;
use crate::service::verified::Verified;
use crate::service::{Inner, Tokens};

impl<S: Scope> Tokens<S> {
    /// Judges a presented text: from the index if the token is in use here, else from the store.
    ///
    /// # Errors
    ///
    /// [`AuthenticateError`]: not ours, refused, used too often, or unavailable, which are four answers.
    pub fn authenticate<'a>(
        &'a self,
        text: &'a str,
        access: &'a Access<'a, S>,
    ) -> impl Future<Output = Result<Verified, AuthenticateError>> + Send + use<'a, S> {
        Authentication::new(&self.inner, text, access)
    }

    /// Judges a presented text if that needs no store: without waiting, lock or allocation.
    ///
    /// `None` means that only the store can tell.
    // Always inline, so that a verdict stays where it is asked for.
    #[inline(always)]
    #[must_use]
    pub fn authenticate_now(
        &self,
        text: &str,
        access: &Access<'_, S>,
    ) -> Option<Result<Verified, AuthenticateError>> {
        let inner = &*self.inner;
        let claim = inner.rules.format.claim(text.as_bytes());
        if let Ok(claim) = &claim
            && let Some(verified) = inner.recognise(claim, access)
        {
            return Some(Ok(verified));
        }
        inner.judge_unrecognised(text, claim, access)
    }

    /// Accepts what the index knows and accepts; of all else it says nothing. Bytes that are no text
    /// are nothing that it knows.
    #[cfg(feature = "http")]
    #[inline]
    pub(crate) fn recognise(&self, text: &[u8], access: &Access<'_, S>) -> Option<Verified> {
        let claim = self.inner.rules.format.claim(text).ok()?;
        self.inner.recognise(&claim, access)
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
    /// Accepts a text that nobody has checked, if the index knows it: what is found there has its id,
    /// its digest, its prefix and its checksum, so that it is the very text that was checked when it
    /// was kept. Of all others it says nothing.
    // Always inline, and so is all that a claim, a question or evidence goes through, here and in
    // `core`. Left to the compiler, which counts callers, a caller more somewhere sends them through
    // memory; and what is written there in small pieces and read back in large ones waits. That is a
    // quarter of the way.
    #[inline(always)]
    fn recognise(&self, claim: &Claim<'_>, access: &Access<'_, S>) -> Option<Verified> {
        if WARY.get() {
            return None;
        }
        let question = Question::of(claim)?;
        // Written down before the index is looked into, and not in the question: all that lies with
        // what is handed to the hash lies in memory.
        let message = Keyring::message(&question.claimed);
        let glimpse = self.index.glance(question.key)?;
        let moment = self.moment();
        self.confirm(&question, &message, glimpse, moment, access)
    }

    /// The same, when the slot has been seen, and then the moment.
    #[inline(always)]
    fn confirm(
        &self,
        question: &Question<'_>,
        message: &Message,
        glimpse: Glimpse<'_>,
        (lease, at): (Lease, Reading),
        access: &Access<'_, S>,
    ) -> Option<Verified> {
        let Question { claimed, key } = question;
        let id = claimed.id()?;
        let words = self.rules.keyring.current_words(message, claimed);
        let now = self.now_under(lease, at)?;
        let hit = glimpse.confirm(*key, indexed(claimed, words))?;
        self.admits(id, hit.kept, now, access)?.ok()?;
        Some(self.accepted(id, &hit, now, access))
    }

    /// Judges a text that makes this claim and is not recognised: by the claim itself, else by the index;
    /// `None` if only the store can tell.
    #[inline(always)]
    fn judge_unrecognised(
        &self,
        text: &str,
        claim: Result<Claim<'_>, ParseError>,
        access: &Access<'_, S>,
    ) -> Option<Result<Verified, AuthenticateError>> {
        match self.fault(text, claim) {
            Some(error) => Some(Err(error)),
            None => self.settle(text, claim.is_ok(), access),
        }
    }

    /// What is wrong with a text that makes this claim and is not recognised, if the claim tells: a text
    /// without any may be another product's, where those are read.
    // Always inline, so that a refusal is made where it is asked for.
    #[inline(always)]
    fn fault(&self, text: &str, claim: Result<Claim<'_>, ParseError>) -> Option<AuthenticateError> {
        let format = &self.rules.format;
        let error = match claim {
            Err(_) if format.reads_shapes() => None,
            Err(error) => Some(error),
            Ok(claim) if format.bears_out(claim, text.as_bytes()) => None,
            Ok(_) => {
                WARY.set(true);
                Some(ParseError::Malformed)
            }
        };
        error.map(|error| self.wrong(error))
    }

    /// Judges by the index a text that is not recognised and whose claim, if it makes one, is without
    /// [fault](Self::fault); `None` if only the store can tell. One without a claim makes none here either.
    #[inline(never)]
    fn settle(
        &self,
        text: &str,
        is_claim: bool,
        access: &Access<'_, S>,
    ) -> Option<Result<Verified, AuthenticateError>> {
        let format = &self.rules.format;
        if is_claim && let Ok(claim) = format.claim(text.as_bytes()) {
            WARY.set(false);
            return self.judge(claim.claimed(), access);
        }
        match self.parse(text) {
            Ok(presented) => self.judge(&presented, access),
            Err(error) => Some(Err(error)),
        }
    }

    /// The same of what has been read.
    #[inline(never)]
    fn judge(
        &self,
        presented: &PresentedToken<'_>,
        access: &Access<'_, S>,
    ) -> Option<Result<Verified, AuthenticateError>> {
        let (lease, at) = self.moment();
        let now = self.now_under(lease, at)?;
        let words = indexed(presented, self.rules.keyring.current_digest(presented).to_words());
        let (id, hit) = match named(presented) {
            Some((id, key)) => (id, self.index.find(key, words)?),
            None => self.index.find_text(words)?,
        };
        Some(match self.admits(id, hit.kept, now, access)? {
            Ok(()) => Ok(self.accepted(id, &hit, now, access)),
            Err(error) => Err(self.refused(error)),
        })
    }

    /// Until when the index may be used, and what time it is: to be read before anything is found or
    /// confirmed there. The
    /// verification has begun by then: a thread that is held up from here on may still accept
    /// what was accepted at that moment.
    #[inline(always)]
    fn moment(&self) -> (Lease, Reading) {
        (self.index.lease(), self.clock.reading())
    }

    /// The store's time, if the index may be used.
    #[inline(always)]
    fn now_under(&self, lease: Lease, at: Reading) -> Option<i64> {
        lease.holds(at).then(|| lease.time_micros(at).saturating_add(self.tick_micros))
    }

    /// Decides about what the index holds; `None` if that is no longer to be used.
    #[inline(always)]
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
    #[inline(always)]
    fn accepted(&self, id: TokenId, hit: &Hit<'_>, now: i64, access: &Access<'_, S>) -> Verified {
        if hit.is_due(now) {
            self.notice(id, hit, now, access);
        }
        self.meter.hit();
        self.evidence(id, hit.kept)
    }

    /// Records a use, if no other one of this minute is.
    #[cold]
    fn notice(&self, id: TokenId, hit: &Hit<'_>, now: i64, access: &Access<'_, S>) {
        if hit.claim_use(now) {
            let (owner, from) = (hit.kept.owner, access.address);
            self.recorder.record(Noticed { token: id, owner, at_micros: now, from });
        }
    }

    /// Reads a text, whatever the index knows of it.
    fn parse<'t>(&'t self, text: &'t str) -> Result<PresentedToken<'t>, AuthenticateError> {
        self.rules.format.parse(text.as_bytes()).map_err(|error| self.wrong(error))
    }

    /// What is wrong with a text that is no token's.
    #[inline(always)]
    fn wrong(&self, error: ParseError) -> AuthenticateError {
        self.refused(match error {
            ParseError::Malformed => Refusal::Malformed.into(),
            ParseError::NotOurs => AuthenticateError::NotOurs,
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
        let presented = self.parse(text)?;
        let (lease, at) = self.moment();
        if !lease.holds(at) {
            // The index may be as good as ever: what changed is asked once for all who come. While
            // somebody does, the others ask for their own token.
            self.freshen().await.map_err(|error| self.refused(error.into()))?;
            if let Some(decision) = self.judge(&presented, access) {
                return decision;
            }
        }
        let asked = self.ask_store(&presented, access).await;
        if let Err(AuthenticateError::Unavailable(_)) = &asked
            && !lease.holds(at)
            && let Some(decision) = self.judge(&presented, access)
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

thread_local! {
    /// Whether the last claim that was checked on this thread was not borne out: the next one is then
    /// checked before it is looked for. A flood of made-up texts would otherwise make a trip to the
    /// index each, and so to memory where there are many tokens. It decides in which order a text is
    /// judged, and nothing else; and no thread pays for what another one sees.
    static WARY: Cell<bool> = const { Cell::new(false) };
}

/// A key that is missing here is trouble of this host, and says nothing about the token.
pub(super) fn unknown_key(error: UnknownKey) -> StoreError {
    StoreError::unavailable(error)
}
