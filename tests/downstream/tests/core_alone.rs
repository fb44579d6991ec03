//! The core alone, without a feature: the host's own scopes, and its own rows.

use std::convert::Infallible;

use chrono::{DateTime, TimeDelta, Utc};
use downstream::forum::{Forum, Key};
use keyfob::core::constraints::Constraints;
use keyfob::core::error::VerifyError;
use keyfob::core::issue::{Caller, issue};
use keyfob::core::owner::{OwnerStanding, OwnerState};
use keyfob::core::scope::scope_is_a_preorder;
use keyfob::core::token::Ended;
use keyfob::core::verify::verify;
use keyfob::{
    Access, Actor, Expiry, Format, Grant, IssueRequest, Keyring, OwnerId, Refusal, Rules, Scope,
    ScopeName, State, TokenSecret,
};
use rand::{TryCryptoRng, TryRng};

#[test]
fn the_hosts_scopes_are_a_preorder() {
    assert_eq!(scope_is_a_preorder(&Forum::ALL), Ok(()));
}

#[test]
fn scopes_that_are_none_are_reported() {
    assert!(scope_is_a_preorder(&[Chain(1), Chain(2), Chain(3)]).is_err());
}

#[test]
fn the_hosts_row_is_accepted_with_its_secret() {
    let (secret, key) = key();
    assert!(judge(&secret, &key, Forum::Read, now()).is_ok());
    assert!(judge(&secret, &key, Forum::Post, now()).is_ok());
    assert_eq!(judge(&secret, &key, Forum::Moderate, now()), Err(Refusal::ScopeMissing));
}

#[test]
fn the_hosts_row_is_refused_with_another_secret() {
    let (secret, key) = key();
    let (_, mut other) = self::key();
    other.id = key.id;
    other.digest = Keyring::unkeyed().digest_text(b"something else");
    assert_eq!(judge(&secret, &other, Forum::Read, now()), Err(Refusal::WrongSecret));
}

#[test]
fn the_hosts_row_is_refused_once_it_has_ended() {
    let (secret, mut key) = key();
    let Expiry::At(end) = key.validity.expires_at else { panic!("it has an end") };
    assert!(judge(&secret, &key, Forum::Read, end - TimeDelta::microseconds(1)).is_ok());
    assert_eq!(judge(&secret, &key, Forum::Read, end), Err(Refusal::Expired));
    key.state = State::Revoked(Ended::new(Actor::host(), None, now()));
    assert_eq!(judge(&secret, &key, Forum::Read, now()), Err(Refusal::Revoked));
}

#[test]
fn the_hosts_row_is_refused_while_its_owner_is_blocked() {
    let (secret, key) = key();
    let owner = OwnerState::new(OwnerStanding::Deactivated, 1, 0, None);
    let presented = rules().format;
    let presented = presented.parse(secret.expose_secret().as_bytes()).expect("a token's text");
    let verdict = verify(&presented, &key, &owner, &Access::needing(&Forum::Read), &rules(), now());
    assert_eq!(verdict, Err(VerifyError::Refused(Refusal::OwnerDeactivated)));
}

fn judge(
    secret: &TokenSecret,
    key: &Key,
    needed: Forum,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let rules = rules();
    let presented = rules.format.parse(secret.expose_secret().as_bytes()).expect("a token's text");
    let owner = OwnerState::unheard_of();
    match verify(&presented, key, &owner, &Access::needing(&needed), &rules, now) {
        Ok(_) => Ok(()),
        Err(VerifyError::Refused(refusal)) => Err(refusal),
        Err(other) => panic!("{other}"),
    }
}

/// A token that may post, as the host's table holds it.
fn key() -> (TokenSecret, Key) {
    let owner = OwnerId::new("alice").expect("an owner id");
    let request = IssueRequest::new(owner, Grant::only([Forum::Post]).expect("one scope"));
    let caller = Caller::Host(&Actor::host());
    let issued =
        issue(request, caller, &OwnerState::unheard_of(), &rules(), now(), &mut Counting(0));
    let issued = issued.expect("the rules allow it");
    let record = issued.record;
    let key = Key {
        id: record.id,
        account: record.owner,
        kind: record.kind,
        scopes: record.grant,
        state: record.state,
        validity: record.validity,
        anywhere: Constraints::default(),
        made_at: record.created_at,
        digest: record.digest,
    };
    (issued.secret, key)
}

fn rules() -> Rules {
    Rules::new(Format::new("forum").expect("a prefix"), Keyring::unkeyed())
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("an instant")
}

/// Each permits itself and the next one, and so not what that one permits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Chain(u8);

impl Scope for Chain {
    fn parse(name: &ScopeName) -> Option<Self> {
        name.as_str().parse().ok().map(Self)
    }

    fn name(&self) -> ScopeName {
        ScopeName::new(self.0.to_string()).expect("a scope name")
    }

    fn permits(&self, needed: &Self) -> bool {
        needed.0 == self.0 || needed.0 == self.0 + 1
    }
}

/// No randomness at all: the core takes whatever generator the host hands it.
struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        for byte in buffer {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}
