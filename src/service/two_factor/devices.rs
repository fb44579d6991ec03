//! Devices from which an answer is remembered for a while.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Enrolments, TRIES, TwoFactor, contended};
use crate::core::digest::Digest;
use crate::core::id::OwnerId;
use crate::core::scope::Scope;
use crate::core::verify::micros;
use crate::ports::two_factor::FactorError;
use crate::service::verified::Verified;

/// A token with the secret that was presented, and from where.
#[derive(Clone, Copy)]
pub(super) struct Device<'a> {
    pub(super) token: &'a Verified,
    /// As the host tells devices apart.
    pub(super) seen_as: &'a [u8],
}

impl Device<'_> {
    /// A secret that replaced another one begins anew: whoever holds it now may not be who answered.
    fn digest(self) -> [u8; 32] {
        // An id and a generation have one length, so no two devices are the same bytes.
        Sha256::new_with_prefix(b"keyfobD2")
            .chain_update(self.token.id().as_bytes())
            .chain_update(self.token.generation().to_be_bytes())
            .chain_update(self.seen_as)
            .finalize()
            .into()
    }
}

/// One device, in its owner's record.
#[derive(Serialize, Deserialize)]
struct Remembered {
    /// Of the token, its secret and what the host says of the device.
    digest: [u8; 32],
    /// What the owner had enrolled: once any of it is changed, the device is as any other.
    mark: [u8; 32],
    /// What was answered with.
    method: String,
    /// In microseconds since 1970.
    until: i64,
}

impl Remembered {
    fn is(&self, digest: [u8; 32], mark: [u8; 32], now: DateTime<Utc>) -> bool {
        let same = |a, b| Digest::from_bytes(a).matches(Digest::from_bytes(b));
        self.until > micros(now) && same(self.digest, digest) && same(self.mark, mark)
    }
}

impl<S: Scope> TwoFactor<S> {
    /// Whether an answer of this owner with one of these methods is remembered of this token and
    /// device.
    pub(super) async fn is_remembered(
        &self,
        owner: &OwnerId,
        device: Device<'_>,
        methods: &[&'static str],
        enrolments: &Enrolments,
        now: DateTime<Utc>,
    ) -> Result<bool, FactorError> {
        let kept = self.vault.load_if_readable::<Vec<Remembered>>(owner, RECORD).await?;
        let digest = device.digest();
        let devices = kept.value.unwrap_or_default();
        Ok(devices.iter().any(|device| {
            methods.contains(&device.method.as_str()) && device.is(digest, enrolments.mark, now)
        }))
    }

    pub(super) async fn remember(
        &self,
        owner: &OwnerId,
        device: Device<'_>,
        (method, time): (&'static str, TimeDelta),
        enrolments: &Enrolments,
        now: DateTime<Utc>,
    ) -> Result<(), FactorError> {
        let digest = device.digest();
        let until = micros(now.checked_add_signed(time).unwrap_or(now));
        for _ in 0..TRIES {
            let kept = self.vault.load_if_readable::<Vec<Remembered>>(owner, RECORD).await?;
            let mut devices = kept.value.unwrap_or_default();
            let counts = |device: &Remembered| {
                device.until > micros(now)
                    && device.mark == enrolments.mark
                    && device.digest != digest
            };
            devices.retain(counts);
            devices.sort_by_key(|device| device.until);
            let excess = devices.len().saturating_add(1).saturating_sub(self.policy.most_devices);
            devices.drain(..excess.min(devices.len()));
            if self.policy.most_devices > 0 {
                let (mark, method) = (enrolments.mark, method.to_owned());
                devices.push(Remembered { digest, mark, method, until });
            }
            if self.vault.save(owner, RECORD, kept.version, &devices).await? {
                return Ok(());
            }
        }
        Err(contended())
    }
}

pub(super) const RECORD: &str = "devices";
