//! The same path for several texts at once.

use super::question::Question;
use crate::core::digest::{Keyring, Message};
use crate::core::format::Claim;
use crate::core::scope::Scope;
use crate::core::verify::Access;
use crate::service::error::AuthenticateError;
use crate::service::verified::Verified;
use crate::service::{Inner, Tokens};

impl<S: Scope> Tokens<S> {
    /// Judges several presented texts, each for its own access, as so many calls of
    /// [`authenticate`](Tokens::authenticate) would one after the other; the verdicts are in the
    /// order of the texts.
    ///
    /// For a gateway that has several at hand. Where there are millions of tokens, a verification
    /// mostly waits for memory; here the trips for sixteen texts are made beside each other.
    ///
    /// ```
    /// use keyfob::store::memory::MemoryStore;
    /// use keyfob::{Access, Format, Keyring, ReadWrite, Rules, Tokens};
    ///
    /// # keyfob::testing::block_on(async {
    /// let rules = Rules::new(Format::new("chat")?, Keyring::unkeyed());
    /// let tokens: Tokens<ReadWrite> = Tokens::new(MemoryStore::default(), rules);
    /// let calls = [
    ///     ("chat_typed_by_hand", Access::any()),
    ///     ("somebody_elses", Access::needing(&ReadWrite::Write)),
    /// ];
    /// for (verdict, (text, _)) in tokens.authenticate_many(&calls).await.iter().zip(&calls) {
    ///     assert!(verdict.is_err(), "{text} is no token");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Each verdict by itself is that of [`Tokens::authenticate`].
    pub async fn authenticate_many(
        &self,
        calls: &[(&str, Access<'_, S>)],
    ) -> Vec<Result<Verified, AuthenticateError>> {
        let mut verdicts = Vec::with_capacity(calls.len());
        while let Some(rest @ [_, ..]) = calls.get(verdicts.len()..) {
            let is_done = self.inner.judge_some(rest, &mut verdicts);
            if let Some((text, access)) = calls.get(verdicts.len()).filter(|_| !is_done) {
                verdicts.push(self.authenticate(text, access).await);
            }
        }
        verdicts
    }
}

impl<S: Scope> Inner<S> {
    /// Judges the first sixteen, or those of them that come before one that the index cannot
    /// decide; says whether there is none such.
    fn judge_some(
        &self,
        calls: &[(&str, Access<'_, S>)],
        verdicts: &mut Vec<Result<Verified, AuthenticateError>>,
    ) -> bool {
        let some = calls.get(..AT_ONCE).unwrap_or(calls);
        // All are read, and written down for the hash, before any is looked for or hashed: a hash that
        // reads what has just been written waits for whatever came before that.
        let all: [Option<Asked<'_>>; AT_ONCE] = std::array::from_fn(|number| {
            let (text, _) = some.get(number)?;
            Asked::of(&self.rules.format.claim(text.as_bytes()).ok()?)
        });
        let mut glimpses = [None; AT_ONCE];
        // Nothing is decided between the loads, so that as many as there can be are under way.
        for (place, asked) in glimpses.iter_mut().zip(&all) {
            *place = asked.as_ref().and_then(|asked| self.index.glance(asked.question.key));
        }
        // One for all of them, before any is confirmed.
        let moment = self.moment();
        for ((text, access), (asked, glimpse)) in some.iter().zip(all.iter().zip(glimpses)) {
            let seen = asked.as_ref().zip(glimpse);
            let verified = seen.and_then(|(Asked { question, message }, seen)| {
                self.confirm(question, message, seen, moment, access)
            });
            // Each on a way of its own, since a verdict that may be anything is moved about.
            if let Some(verified) = verified {
                verdicts.push(Ok(verified));
                continue;
            }
            let claim = self.rules.format.claim(text.as_bytes());
            let Some(verdict) = self.judge_unrecognised(text, claim, access) else {
                return false;
            };
            verdicts.push(verdict);
        }
        true
    }
}

/// A text that is looked for, and what is hashed for it: sixteen lie in memory anyway.
struct Asked<'t> {
    question: Question<'t>,
    message: Message,
}

impl<'t> Asked<'t> {
    #[inline(always)]
    fn of(claim: &Claim<'t>) -> Option<Self> {
        let question = Question::of(claim)?;
        Some(Self { question, message: Keyring::message(claim.claimed()) })
    }
}

/// About as many loads as a processor keeps under way.
const AT_ONCE: usize = 16;
