//! Asking for a second factor, and judging what came with the request.

use std::fmt;

use chrono::{DateTime, Utc};

use super::devices::Device;
use super::error::{Question, StepUpError};
use super::{ATTEMPTS, TwoFactor};
use crate::core::error::Refusal;
use crate::core::event::{Actor, Event, EventKind};
use crate::core::factor::{Challenge, Grounds, Operation, TwoFactorProof};
use crate::core::factor_policy::Due;
use crate::core::id::OwnerId;
use crate::core::scope::Scope;
use crate::ports::factors::Reservation;
use crate::ports::two_factor::{Answer, FactorError};
use crate::service::verified::Verified;

/// An operation that somebody asks for, with what came along in answer to a second factor.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    asker: Asker<'a>,
    operation: Operation,
    parameters: &'a [u8],
    device: Option<&'a [u8]>,
    answer: Option<Answered<'a>>,
}

#[derive(Clone, Copy, Debug)]
enum Asker<'a> {
    Owner(&'a OwnerId),
    Token(&'a Verified),
}

#[derive(Clone, Copy, Debug)]
struct Answered<'a> {
    answer: &'a Answer,
    method: Option<&'a str>,
    challenge: Option<&'a str>,
}

impl<'a> Ask<'a> {
    /// The owner of this token asks, with these parameters in a canonical form of the host's:
    /// equal bytes for equal requests, and for no others.
    #[must_use]
    pub const fn by(token: &'a Verified, operation: Operation, parameters: &'a [u8]) -> Self {
        Self { asker: Asker::Token(token), operation, parameters, device: None, answer: None }
    }

    /// This owner asks, whom the host knows without a token: to sign in, by its password.
    ///
    /// Only where the first factor was right: whoever gets here can use up the owner's attempts.
    #[must_use]
    pub const fn of(owner: &'a OwnerId, operation: Operation, parameters: &'a [u8]) -> Self {
        Self { asker: Asker::Owner(owner), operation, parameters, device: None, answer: None }
    }

    /// From this device, as the host tells devices apart: an answer may be remembered of it, for
    /// the presented token.
    #[must_use]
    pub const fn from_device(mut self, device: &'a [u8]) -> Self {
        self.device = Some(device);
        self
    }

    /// With this answer.
    #[must_use]
    pub const fn answered(mut self, answer: &'a Answer) -> Self {
        self.answer = Some(Answered { answer, method: None, challenge: None });
        self
    }

    /// The answer is of this method. One that is not among those that are due is refused.
    #[must_use]
    pub const fn with_method(mut self, method: &'a str) -> Self {
        if let Some(answer) = &mut self.answer {
            answer.method = Some(method);
        }
        self
    }

    /// The answer is to this challenge.
    #[must_use]
    pub const fn to_challenge(mut self, challenge: &'a str) -> Self {
        if let Some(answer) = &mut self.answer {
            answer.challenge = Some(challenge);
        }
        self
    }
}

/// What the host puts into parameters and devices is not shown.
impl fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("asker", &self.asker)
            .field("operation", &self.operation)
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}

impl<S: Scope> TwoFactor<S> {
    /// The proof that what the policy asks for this operation was done.
    ///
    /// An answer is counted before it is compared, and accepted once. A challenge that an answer
    /// names is used up by it, right or wrong. Whether the operation itself is allowed, nobody asks
    /// here.
    ///
    /// # Errors
    ///
    /// [`StepUpError`]; in none of the cases may anybody go on.
    pub async fn demand(&self, ask: &Ask<'_>) -> Result<TwoFactorProof, StepUpError> {
        let policy = &self.policy;
        let (challenge, presented) = self.challenge(ask)?;
        let now = self.tokens.inner.now().await?;
        let proof = |grounds| Ok(TwoFactorProof::new(challenge.clone(), grounds, now));
        if !policy.asked_for.contains(&ask.operation) {
            return proof(Grounds::NotAsked);
        }
        if let Some(presented) = presented
            && policy.bypass
            && ask.operation.may_be_bypassed()
            && self.tokens.bypasses_two_factor(presented)
        {
            self.tell(EventKind::FactorBypassed, &challenge, now);
            return proof(Grounds::Bypassed);
        }
        let enrolments = self.enrolments(challenge.owner()).await?;
        let methods = match policy.due(ask.operation, &enrolments.methods) {
            Due::Answer(methods) => methods,
            Due::Nothing => return proof(Grounds::NothingEnrolled),
            Due::Refused => return Err(StepUpError::NothingEnrolled),
        };
        let device =
            ask.device.and_then(|device| Some(Device { token: presented?, seen_as: device }));
        let time = policy.remembers(ask.operation);
        if let (Some(device), Some(_)) = (device, time)
            && self.is_remembered(challenge.owner(), device, &methods, &enrolments, now).await?
        {
            return proof(Grounds::Remembered);
        }
        // What is asked from here on ends when the owner's factors change.
        let asked = challenge.clone().among(enrolments.mark);
        let Some(Answered { answer, method, challenge: named }) = ask.answer else {
            return Err(self.ask(&asked, methods, None, now).await);
        };
        let fits = match named {
            Some(named) => self.take(named, &asked, now).await?,
            None if policy.needs_challenge => {
                return Err(self.ask(&asked, methods, method, now).await);
            }
            None => true,
        };
        let chosen = self.chosen(&methods, method, answer)?;
        let Some(method) = chosen.filter(|_| fits) else {
            return Err(self.refuse(&asked, methods, None, now).await);
        };
        let verifier = self.method(method)?;
        let (store, owner) = (self.vault.store(), challenge.owner());
        let reserved = store.reserve_attempt(owner, ATTEMPTS, &self.limits(), now).await?;
        if let Reservation::Locked { until } = reserved {
            self.tell(EventKind::FactorLocked, &challenge, now);
            return Err(self.locked(&asked, methods, method, until, now).await);
        }
        match verifier.check(&asked, answer, now).await {
            Ok(()) => {}
            Err(FactorError::Unavailable(reason)) => return Err(StepUpError::Unavailable(reason)),
            Err(FactorError::TooManyAttempts) => {
                // Of one code: another one can be asked for at once.
                let question = self.question(&asked, methods, method, now).await?;
                return Err(StepUpError::Locked { question, until: Some(now) });
            }
            Err(_) => return Err(self.refuse(&asked, methods, Some(method), now).await),
        }
        // It was right, and is used up. What is only to its owner's comfort must not spoil that.
        let _ = store.clear_attempts(owner, ATTEMPTS).await;
        if let (Some(device), Some(time)) = (device, time) {
            let _ = self.remember(owner, device, (method, time), &enrolments, now).await;
        }
        proof(Grounds::Answered(method.into()))
    }

    /// What is to be answered, by whom, and the token that was presented.
    fn challenge<'a>(
        &self,
        ask: &Ask<'a>,
    ) -> Result<(Challenge, Option<&'a Verified>), StepUpError> {
        let (owner, presented) = match ask.asker {
            Asker::Owner(owner) => (owner, None),
            Asker::Token(verified) => {
                let owner = self.tokens.owner_of(verified);
                let owner = owner.ok_or(StepUpError::Presenter(Refusal::Unknown))?;
                (owner, Some(verified))
            }
        };
        let presenter = presented.map(Verified::id);
        let challenge = Challenge::new(owner.clone(), ask.operation, ask.parameters, presenter);
        Ok((challenge, presented))
    }

    /// Which of the methods that are due an answer is of; `None` when it is of another one.
    fn chosen(
        &self,
        methods: &[&'static str],
        named: Option<&str>,
        answer: &Answer,
    ) -> Result<Option<&'static str>, FactorError> {
        if let Some(named) = named {
            return Ok(methods.iter().copied().find(|method| *method == named));
        }
        for method in methods {
            if self.method(method)?.resembles(answer) {
                return Ok(Some(method));
            }
        }
        // Whatever it is, it is compared with something, and counted.
        Ok(methods.first().copied())
    }

    /// Asks for an answer, and has sent what it takes. An owner who may not answer now is sent
    /// nothing: it would be refused, and be used up by that.
    async fn ask(
        &self,
        challenge: &Challenge,
        methods: Vec<&'static str>,
        wanted: Option<&str>,
        now: DateTime<Utc>,
    ) -> StepUpError {
        let asking = async {
            let wanted = methods.iter().find(|method| Some(**method) == wanted);
            let method = wanted.or_else(|| methods.first()).copied().unwrap_or_default();
            let verifier = self.method(method)?;
            let to = verifier.destination(challenge.owner()).await?;
            if to.is_some()
                && let Reservation::Locked { until } = self.lock(challenge.owner(), now).await?
            {
                return Ok(self.locked(challenge, methods, method, until, now).await);
            }
            let sent = match verifier.prepare(challenge, now).await {
                Ok(sent) => Ok(sent),
                Err(FactorError::TooManySent) => Err(()),
                Err(error) => return Err(StepUpError::from(error)),
            };
            let named = self.named(challenge, now).await?;
            let question = |sent| Question { method, methods, to, sent, challenge: named };
            Ok(match sent {
                Ok(sent) => StepUpError::Required(question(sent)),
                Err(()) => StepUpError::TooManySent(question(None)),
            })
        };
        asking.await.unwrap_or_else(|error| error)
    }

    /// Refuses an answer, and says what is to be answered still.
    async fn refuse(
        &self,
        challenge: &Challenge,
        methods: Vec<&'static str>,
        method: Option<&'static str>,
        now: DateTime<Utc>,
    ) -> StepUpError {
        let method = method.or_else(|| methods.first().copied()).unwrap_or_default();
        self.question(challenge, methods, method, now)
            .await
            .map_or_else(StepUpError::from, StepUpError::Wrong)
    }

    /// Refuses to compare anything, and says until when.
    async fn locked(
        &self,
        challenge: &Challenge,
        methods: Vec<&'static str>,
        method: &'static str,
        until: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> StepUpError {
        self.question(challenge, methods, method, now)
            .await
            .map_or_else(StepUpError::from, |question| StepUpError::Locked { question, until })
    }

    /// Whether an owner's next answer would be compared.
    pub(crate) async fn lock(
        &self,
        owner: &OwnerId,
        now: DateTime<Utc>,
    ) -> Result<Reservation, FactorError> {
        Ok(self.vault.store().peek_attempt(owner, ATTEMPTS, &self.limits(), now).await?)
    }

    async fn question(
        &self,
        challenge: &Challenge,
        methods: Vec<&'static str>,
        method: &'static str,
        now: DateTime<Utc>,
    ) -> Result<Question, FactorError> {
        let verifier = self.method(method)?;
        let to = verifier.destination(challenge.owner()).await?;
        let sent = verifier.outstanding(challenge, now).await?;
        let named = self.named(challenge, now).await?;
        Ok(Question { method, methods, to, sent, challenge: named })
    }

    /// A challenge of its own for the next answer, where the policy wants it named.
    async fn named(
        &self,
        challenge: &Challenge,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, FactorError> {
        if !self.policy.needs_challenge {
            return Ok(None);
        }
        self.put(challenge, now).await.map(Some)
    }

    pub(super) fn tell(&self, kind: EventKind, challenge: &Challenge, now: DateTime<Utc>) {
        let owner = challenge.owner().clone();
        let by = Actor { owner: Some(owner.clone()), token: challenge.presenter() };
        let event = Event::new(kind, by, now);
        self.tokens.inner.tell(&match challenge.presenter() {
            Some(token) => event.about(token, owner),
            None => event.about_owner(owner),
        });
    }
}
