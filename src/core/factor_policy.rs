//! What the host asks for before an operation, and which factors count.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::factor::Operation;

/// The names of the shipped methods, as hosts' policies and the wires use them.
pub mod method {
    /// One of the codes that are kept for the day the authenticator is lost.
    pub const BACKUP_CODE: &str = "backup_code";
    /// A code that is sent by mail.
    pub const EMAIL: &str = "email";
    /// The account's password, once more.
    pub const PASSWORD: &str = "password";
    /// A code of an authenticator (RFC 6238).
    pub const TOTP: &str = "totp";
}

/// Which operations ask for a second factor, which methods count, and what else lets pass.
///
/// Three come with the crate: the default, [`strict`](FactorPolicy::strict) and
/// [`rocketchat`](FactorPolicy::rocketchat).
///
/// ```
/// use keyfob::core::factor_policy::{Due, FactorPolicy, method};
/// use keyfob::Operation;
///
/// let policy = FactorPolicy::default();
/// // Whoever has an authenticator cannot fall back on mail.
/// let due = policy.due(Operation::SignIn, &[method::EMAIL, method::TOTP]);
/// assert_eq!(due, Due::Answer(vec![method::TOTP]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FactorPolicy {
    /// The operations that ask for a second factor. Whether a kind of token can be issued without
    /// one is said once more, in [`KindPolicy::second_factor`](super::policy::KindPolicy), where it
    /// cannot be forgotten.
    pub asked_for: BTreeSet<Operation>,
    /// The methods that count, strongest first. Of the first group in which the owner has any, one
    /// must be answered; none of a later group is taken then, whatever the client asks for.
    pub tiers: Vec<Vec<&'static str>>,
    /// The methods that count for owners with none of the above.
    pub fallback: Vec<&'static str>,
    /// For which operations they do.
    pub fallback_for: BTreeSet<Operation>,
    /// The operations that owners pass without any factor if they have none, the fallback included.
    /// For all others they are refused.
    pub passes_unenrolled: BTreeSet<Operation>,
    /// Whether tokens that bypass the second factor do, where that is possible at all
    /// ([`Operation::may_be_bypassed`]).
    pub bypass: bool,
    /// How long an answer is remembered of the device that gave it; `None` for not at all.
    pub remember_for: Option<TimeDelta>,
    /// The operations for which no device is remembered.
    pub never_remembered: BTreeSet<Operation>,
    /// How many devices of one owner are remembered; one more, and the first to end is forgotten.
    pub most_devices: usize,
    /// Whether an answer must name the challenge that it answers. Without, the repeated request is
    /// its own challenge, as on wires that know no other way.
    pub needs_challenge: bool,
    /// How long a challenge can be answered.
    pub challenge_lives_for: TimeDelta,
    /// How many answers of one owner are compared within [`attempts_within`](Self::attempts_within)
    /// until one is right.
    pub attempts: u32,
    /// The time of `attempts`.
    pub attempts_within: TimeDelta,
    /// How many are compared in all until one is right or an administrator resets the count.
    pub attempts_in_all: u32,
}

/// What an owner has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a fourth outcome would have to be thought through")]
pub enum Due {
    /// Answer with one of these methods; the first one unless something else is asked for.
    Answer(Vec<&'static str>),
    /// Nothing: there is no factor, and the policy lets that pass.
    Nothing,
    /// There is no factor, and the policy wants one.
    Refused,
}

impl FactorPolicy {
    /// For hosts that follow OWASP ASVS 5.0 at level 3.
    ///
    /// Everything asks; authenticators and their backup codes count and mail does not (6.3.6);
    /// nothing is remembered, bypassed or let pass, and an answer names its challenge (6.6.2). A
    /// password counts for one thing only: enrolling the first factor.
    #[must_use]
    pub fn strict() -> Self {
        Self {
            asked_for: Operation::ALL.into(),
            tiers: vec![vec![method::TOTP, method::BACKUP_CODE]],
            fallback: vec![method::PASSWORD],
            fallback_for: [Operation::ChangeFactors].into(),
            passes_unenrolled: BTreeSet::new(),
            needs_challenge: true,
            challenge_lives_for: TimeDelta::minutes(5),
            ..Self::default()
        }
    }

    /// As Rocket.Chat does by default, without its holes.
    ///
    /// Everything that it gates asks; the password counts where there is nothing else, owners
    /// without any factor pass, tokens with `bypassTwoFactor` do where no token is made, an answer
    /// is remembered for half an hour of the token and client that gave it. Unlike there, whoever
    /// has an authenticator cannot choose mail, every answer is counted, and none is taken twice.
    #[must_use]
    pub fn rocketchat() -> Self {
        Self {
            asked_for: Operation::ALL.into(),
            fallback_for: all_but(&[Operation::SignIn]),
            passes_unenrolled: Operation::ALL.into(),
            bypass: true,
            remember_for: Some(TimeDelta::seconds(1800)),
            ..Self::default()
        }
    }

    /// The same policy without this method, for hosts that do not offer it.
    #[must_use]
    pub fn without(mut self, method: &str) -> Self {
        let methods = self.tiers.iter_mut().chain([&mut self.fallback]);
        methods.for_each(|tier| tier.retain(|other| *other != method));
        self
    }

    /// What an owner with these methods enrolled has to do for an operation that asks.
    #[must_use]
    pub fn due(&self, operation: Operation, enrolled: &[&str]) -> Due {
        let of = |methods: &[&'static str]| -> Vec<&'static str> {
            methods.iter().copied().filter(|method| enrolled.contains(method)).collect()
        };
        let fallback = self.fallback_for.contains(&operation).then_some(&self.fallback);
        let strongest =
            self.tiers.iter().chain(fallback).map(|tier| of(tier)).find(|tier| !tier.is_empty());
        match strongest {
            Some(methods) => Due::Answer(methods),
            None if self.passes_unenrolled.contains(&operation) => Due::Nothing,
            None => Due::Refused,
        }
    }

    /// All methods that may count for an operation, in the order in which they are looked for.
    pub fn methods(&self) -> impl Iterator<Item = &'static str> {
        self.tiers.iter().flatten().chain(&self.fallback).copied()
    }

    /// For how long an answer for this operation is remembered, and whether a remembered one
    /// stands in for it.
    #[must_use]
    pub fn remembers(&self, operation: Operation) -> Option<TimeDelta> {
        let remembered = self.remember_for.filter(|time| *time > TimeDelta::zero());
        remembered.filter(|_| !self.never_remembered.contains(&operation))
    }
}

impl Default for FactorPolicy {
    /// Everything asks but revoking a token; whether issuing and rotating take an answer, each kind
    /// of token says. An authenticator or its backup codes count, then mail, then for all but signing in the
    /// password; whoever has nothing of that signs in without and enrolls the first factor, and no
    /// more. Five answers in a quarter of an hour are compared, and a hundred in all.
    fn default() -> Self {
        Self {
            asked_for: all_but(&[Operation::RevokeToken]),
            tiers: vec![vec![method::TOTP, method::BACKUP_CODE], vec![method::EMAIL]],
            fallback: vec![method::PASSWORD],
            fallback_for: all_but(&[Operation::SignIn]),
            passes_unenrolled: [Operation::ChangeFactors, Operation::SignIn].into(),
            bypass: false,
            remember_for: None,
            never_remembered: [Operation::ChangeFactors, Operation::SignIn].into(),
            // A few browsers and scripts of one person.
            most_devices: 16,
            needs_challenge: false,
            // NIST SP 800-63B, section 5.1.3.2: an out-of-band code lives ten minutes.
            challenge_lives_for: TimeDelta::minutes(10),
            // Of a million codes with three right ones, five guesses each quarter of an hour hit in
            // one day with 0.14 %, and a hundred (SP 800-63B, section 5.2.2) ever with 0.03 %.
            attempts: 5,
            attempts_within: TimeDelta::minutes(15),
            attempts_in_all: 100,
        }
    }
}

fn all_but(these: &[Operation]) -> BTreeSet<Operation> {
    Operation::ALL.into_iter().filter(|operation| !these.contains(operation)).collect()
}
