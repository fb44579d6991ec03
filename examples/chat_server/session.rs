//! From the first factor to a session, for every face that signs people in.

use std::net::IpAddr;

use keyfob::core::owner::OwnerStanding;
use keyfob::ports::two_factor::Answer;
use keyfob::service::error::IssueFailure;
use keyfob::service::two_factor::Ask;
use keyfob::service::two_factor::error::StepUpError;
use keyfob::{
    Actor, By, Grant, IssueError, IssueRequest, Kind, Operation, OwnerId, TokenName, TokenRecord,
    TokenSecret, TwoFactorProof,
};

use crate::Host;
use crate::accounts::Entry;
use crate::attempts::{Attempt, Subject, TooMany};
use crate::passwords::PasswordText;

/// Why nobody is signed in.
#[derive(Debug)]
pub(crate) enum NotSignedIn {
    TooMany(TooMany),
    Unavailable,
    /// One answer for names that are nobody's, wrong passwords, accounts without one and those that
    /// are deactivated.
    Wrong,
}

/// The account whose password this is, by its SHA-256, and the attempt that is still to be decided:
/// by its second factor.
pub(crate) async fn first_factor<'h>(
    host: &'h Host,
    entry: Option<&'h Entry>,
    name: &str,
    password: PasswordText,
    peer: IpAddr,
) -> Result<(&'h Entry, Attempt<'h>), NotSignedIn> {
    let subject = entry.map_or_else(
        || Subject::Nobody(name.chars().take(LONGEST_COUNTED_NAME).collect()),
        |entry| Subject::Account(entry.account.id.clone()),
    );
    let attempt = host.attempts.begin(subject, Some(peer)).await.map_err(NotSignedIn::TooMany)?;
    let own = entry.and_then(|entry| entry.password.as_ref());
    let is_right = host.passwords.check(own, password).await;
    let is_right = is_right.map_err(|_| NotSignedIn::Unavailable)?;
    let entry = entry.filter(|_| is_right).ok_or(NotSignedIn::Wrong)?;
    let state = match host.tokens.owner_state(&entry.account.id).await {
        Ok(state) => state,
        Err(error) => {
            // While the store is away, those who know their passwords must not be locked out.
            attempt.succeeded();
            tracing::error!(%error, "nobody can say whether an account is active");
            return Err(NotSignedIn::Unavailable);
        }
    };
    if state.standing != OwnerStanding::Active {
        attempt.failed_with_the_right_password();
        return Err(NotSignedIn::Wrong);
    }
    Ok((entry, attempt))
}

/// The second factor of whoever knows the password, where the face asks as this host does itself;
/// with it the attempt is decided.
pub(crate) async fn second_factor(
    host: &Host,
    owner: &OwnerId,
    code: Option<&Answer>,
    attempt: Attempt<'_>,
) -> Result<TwoFactorProof, StepUpError> {
    let mut ask = Ask::of(owner, Operation::SignIn, SIGN_IN);
    if let Some(code) = code {
        ask = ask.answered(code);
    }
    let proof = host.factors.native.demand(&ask).await;
    match &proof {
        Ok(_) => attempt.succeeded(),
        Err(StepUpError::Wrong(_) | StepUpError::Locked { .. }) if code.is_some() => {
            attempt.without_second_factor(true);
        }
        Err(_) => attempt.without_second_factor(false),
    }
    proof
}

/// A session for whoever has signed in, second factor and all.
pub(crate) async fn session(
    host: &Host,
    owner: OwnerId,
    proof: TwoFactorProof,
) -> Result<(TokenSecret, TokenRecord), NotSignedIn> {
    if !proof.holds_for(&owner, Operation::SignIn, SIGN_IN, None, host.tokens.now()) {
        tracing::error!("what was proved does not hold a moment later");
        return Err(NotSignedIn::Unavailable);
    }
    let actor = Actor::account(owner.clone());
    let mut request = IssueRequest::new(owner, Grant::Full).of_kind(Kind::session());
    request.name = TokenName::new("signed in").unwrap_or_default();
    host.tokens.issue(request, By::Host(&actor)).await.map_err(|error| match error {
        // It was deactivated since the password was found right.
        IssueFailure::Request(IssueError::OwnerNotActive) => NotSignedIn::Wrong,
        error => {
            tracing::error!(%error, "no session could be made");
            NotSignedIn::Unavailable
        }
    })
}

/// Signing in has no parameters, on any face.
const SIGN_IN: &[u8] = b"";

/// Longer names than that share a count with those that begin like them.
const LONGEST_COUNTED_NAME: usize = 64;
