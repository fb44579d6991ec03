//! Making a token.

mod request;

use chrono::{DateTime, TimeDelta, Utc};
use rand::TryCryptoRng;

use super::error::IssueError;
use super::event::{Actor, Event, EventKind};
use super::factor::{Operation, TwoFactorProof};
use super::id::TokenId;
use super::owner::{OwnerStanding, OwnerState};
use super::policy::{KindPolicy, Minting, Rules};
use super::scope::{Grant, Scope};
use super::secret::TokenSecret;
use super::time::{is_in_range, rounded_down, rounded_up};
use super::token::{Expiry, State, Token as _, TokenRecord, Usage, Validity};

pub use self::request::{IssueRequest, Lifetime};

/// Who asks for a token.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a caller presents a token or is the host itself")]
pub enum Caller<'a> {
    /// The host, on its own account or for somebody it has authenticated itself.
    Host(&'a Actor),
    /// Somebody who presents this token.
    Token {
        /// The presented token, as the store holds it now.
        token: &'a TokenRecord,
        /// Whether the host has found that its owner may issue for others.
        for_others: bool,
    },
}

/// A new token: the secret to show once, and the row to store.
#[must_use = "the token exists only once its record is stored, and its secret is shown only once"]
#[derive(Debug)]
#[non_exhaustive]
pub struct Issued {
    /// The text to show once.
    pub secret: TokenSecret,
    /// The row; `number`, `changed_sequence` and `version` are for the store to assign.
    pub record: TokenRecord,
    /// What to write into the audit log with it.
    pub event: Event,
}

/// Makes a token: checks the request against the rules, draws id and secret, and returns both.
///
/// Nothing is stored here. `owner` is the owner's state as the store has it; the store checks
/// again, in the step that inserts, that it has not changed.
///
/// # Errors
///
/// [`IssueError`]: which rule the request breaks, or that the generator failed.
pub fn issue<S: Scope, R: TryCryptoRng + ?Sized>(
    request: IssueRequest<S>,
    caller: Caller<'_>,
    owner: &OwnerState,
    rules: &Rules,
    now: DateTime<Utc>,
    rng: &mut R,
) -> Result<Issued, IssueError> {
    let now = rounded_down(now);
    let policy = rules.policy.of(&request.kind);
    if owner.standing != OwnerStanding::Active {
        return Err(IssueError::OwnerNotActive);
    }
    let mut validity = validity(&request, policy, now)?;
    let (by, parent) = authorise(&request, caller, rules, &mut validity)?;
    // Whoever asks has answered, for whomever the token is to be.
    let asker = by.owner.as_ref().unwrap_or(&request.owner);
    let holds = |proof: &TwoFactorProof, operation| {
        proof.holds_for(asker, operation, &request.parameters(), parent_id(caller), now)
    };
    let is_proved = request.proof.as_ref().is_some_and(|proof| holds(proof, Operation::IssueToken));
    let bypasses_two_factor = match &request.bypass {
        None if policy.second_factor && !is_proved => return Err(IssueError::NotProved),
        None => false,
        Some(_) if !policy.may_bypass_two_factor => return Err(IssueError::BypassForbidden),
        Some(proof) if holds(proof, Operation::IssueBypassingToken) => true,
        Some(_) => return Err(IssueError::BypassNotProved),
    };
    let id = TokenId::random(rng).map_err(|_| IssueError::Randomness)?;
    let drawn = rules.format.draw((id, &request.kind, request.shape), &rules.keyring, rng)?;
    let digest = drawn.digest;
    let event =
        Event::new(EventKind::TokenIssued, by.clone(), now).about(id, request.owner.clone());
    let mut record = TokenRecord {
        id,
        number: 0,
        realm: rules.realm.clone(),
        owner: request.owner,
        owner_generation: owner.generation,
        creator: by,
        parent,
        kind: request.kind,
        prefix: drawn.prefix,
        name: request.name,
        note: request.note,
        grant: request.grant.names(),
        state: State::Active,
        validity,
        created_at: now,
        changed_at: now,
        changed_sequence: 0,
        binding: digest.digest,
        digest,
        generation: 1,
        secret_issued_at: now,
        previous: None,
        bypasses_two_factor,
        constraints: request.constraints,
        spent: 0,
        hint: drawn.hint,
        usage: Usage::default(),
        version: 0,
    };
    // The digest above was made with the keyring's current key, which it therefore holds.
    record.bind(&rules.keyring).map_err(|_| IssueError::Randomness)?;
    Ok(Issued { secret: drawn.text, record, event })
}

/// The validity that a request asks for, if the policy allows it.
fn validity<S: Scope>(
    request: &IssueRequest<S>,
    policy: &KindPolicy,
    now: DateTime<Utc>,
) -> Result<Validity, IssueError> {
    let not_before = request.not_before.map(rounded_up);
    if not_before.is_some_and(|at| !is_in_range(at)) {
        return Err(IssueError::NotBeforeOutOfRange);
    }
    let expires_at = expiry(request.lifetime, policy, now)?;
    if not_before.is_some_and(|at| Expiry::At(at) >= expires_at) {
        return Err(IssueError::NeverValid);
    }
    Ok(Validity::new(not_before, expires_at))
}

/// The expiry that a lifetime means now, if the policy allows it.
pub(super) fn expiry(
    lifetime: Lifetime,
    policy: &KindPolicy,
    now: DateTime<Utc>,
) -> Result<Expiry, IssueError> {
    let length = match lifetime {
        Lifetime::Unlimited if policy.never_expires => return Ok(Expiry::Never),
        Lifetime::Unlimited => return Err(IssueError::NeverForbidden),
        Lifetime::Default => policy.default_lifetime,
        Lifetime::For(length) => length,
        Lifetime::Until(at) => rounded_down(at).signed_duration_since(now),
    };
    if length <= TimeDelta::zero() {
        return Err(IssueError::ExpiryNotInFuture);
    }
    let at = now.checked_add_signed(length).map(rounded_down).filter(|at| is_in_range(*at));
    let at = at.ok_or(IssueError::ExpiryOutOfRange)?;
    match policy.longest_lifetime {
        Some(longest) if length > longest => Err(IssueError::LifetimeTooLong { longest }),
        // Less than a microsecond rounds down to nothing.
        _ if at <= now => Err(IssueError::ExpiryNotInFuture),
        _ => Ok(Expiry::At(at)),
    }
}

/// Who issues, and the token that bounds the new one, if any.
fn authorise<S: Scope>(
    request: &IssueRequest<S>,
    caller: Caller<'_>,
    rules: &Rules,
    validity: &mut Validity,
) -> Result<(Actor, Option<TokenId>), IssueError> {
    let (token, for_others) = match caller {
        Caller::Host(actor) => return Ok((actor.clone(), None)),
        Caller::Token { token, for_others } => (token, for_others),
    };
    let by = Actor::with_token(token.owner.clone(), token.id);
    let minting = rules.policy.of(token.kind()).minting;
    if minting == Minting::Forbidden {
        return Err(IssueError::MintingForbidden);
    }
    if request.owner != token.owner && !(for_others && minting == Minting::AsOwner) {
        return Err(IssueError::ForeignOwner);
    }
    let own: Option<Grant<S>> = token.grant.read();
    if !own.is_some_and(|own| own.covers(&request.grant)) {
        return Err(IssueError::GrantExceeded);
    }
    if minting == Minting::AsOwner {
        return Ok((by, None));
    }
    if let Some(field) = token.constraints.exceeded_by(&request.constraints) {
        return Err(IssueError::ConstraintsExceeded { field });
    }
    let ceiling = token.validity.expires_at;
    if validity.expires_at > ceiling {
        // A default is shortened; what was asked for by name is refused.
        if request.lifetime != Lifetime::Default {
            return Err(IssueError::OutlivesParent);
        }
        validity.expires_at = ceiling;
        if validity.not_before.is_some_and(|at| Expiry::At(at) >= ceiling) {
            return Err(IssueError::NeverValid);
        }
    }
    Ok((by, Some(token.id)))
}

const fn parent_id(caller: Caller<'_>) -> Option<TokenId> {
    match caller {
        Caller::Host(_) => None,
        Caller::Token { token, .. } => Some(token.id),
    }
}
