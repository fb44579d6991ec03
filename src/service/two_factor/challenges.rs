//! The challenges that wait for an answer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{TRIES, TwoFactor, contended};
use crate::core::digest::Digest;
use crate::core::factor::Challenge;
use crate::core::id::{OwnerId, TokenId};
use crate::core::scope::Scope;
use crate::core::verify::micros;
use crate::ports::entropy::Generator;
use crate::ports::two_factor::FactorError;

/// One challenge that waits, in its owner's record.
#[derive(Clone, Serialize, Deserialize)]
struct Waiting {
    id: TokenId,
    /// Of whom, what, by which token and among which factors it was asked.
    digest: [u8; 32],
    /// In microseconds since 1970.
    expires_at: i64,
}

impl<S: Scope> TwoFactor<S> {
    /// Puts a challenge down, and returns the text that names it.
    pub(super) async fn put(
        &self,
        challenge: &Challenge,
        now: DateTime<Utc>,
    ) -> Result<String, FactorError> {
        let mut generator = Generator(&*self.tokens.inner.entropy);
        let id = TokenId::random(&mut generator).map_err(FactorError::unavailable)?;
        let expires_at = now.checked_add_signed(self.policy.challenge_lives_for);
        let waiting = Waiting {
            id,
            digest: challenge.digest(),
            expires_at: micros(expires_at.unwrap_or(now)),
        };
        for _ in 0..TRIES {
            let kept =
                self.vault.load_if_readable::<Vec<Waiting>>(challenge.owner(), RECORD).await?;
            let mut all = kept.value.unwrap_or_default();
            all.retain(|waiting| waiting.expires_at > micros(now));
            if all.len() >= MOST_WAITING {
                all.remove(0);
            }
            all.push(waiting.clone());
            if self.vault.save(challenge.owner(), RECORD, kept.version, &all).await? {
                return Ok(text(id, challenge.owner()));
            }
        }
        Err(contended())
    }

    /// Takes the challenge with this name away, and says whether it was for this one.
    ///
    /// It is gone whoever named it, so that one that was meant for another owner, operation or
    /// token cannot be tried there afterwards.
    pub(super) async fn take(
        &self,
        name: &str,
        challenge: &Challenge,
        now: DateTime<Utc>,
    ) -> Result<bool, FactorError> {
        let Some((id, owner)) = read(name) else { return Ok(false) };
        for _ in 0..TRIES {
            let kept = self.vault.load_if_readable::<Vec<Waiting>>(&owner, RECORD).await?;
            let mut all = kept.value.unwrap_or_default();
            let Some(at) = all.iter().position(|waiting| waiting.id == id) else {
                return Ok(false);
            };
            let taken = all.remove(at);
            if self.vault.save(&owner, RECORD, kept.version, &all).await? {
                let digest = Digest::from_bytes(taken.digest);
                return Ok(taken.expires_at > micros(now)
                    && digest.matches(Digest::from_bytes(challenge.digest())));
            }
        }
        Err(contended())
    }
}

/// The id, and the owner in whose record it is. Both are public; whoever changes either names a
/// challenge that is not there, or one that does not fit.
fn text(id: TokenId, owner: &OwnerId) -> String {
    format!("{id}.{}", URL_SAFE_NO_PAD.encode(owner.as_str()))
}

fn read(text: &str) -> Option<(TokenId, OwnerId)> {
    let (id, owner) = text.split_once('.')?;
    let owner = String::from_utf8(URL_SAFE_NO_PAD.decode(owner).ok()?).ok()?;
    Some((id.parse().ok()?, OwnerId::new(owner).ok()?))
}

pub(super) const RECORD: &str = "challenges";

/// More than one person answers at a time; the oldest makes place.
const MOST_WAITING: usize = 8;
