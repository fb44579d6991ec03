//! Devices from which an answer is remembered for a while.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Enrolments, TRIES, TwoFactor, contended};
use crate::core::digest::Digest;
use crate::core::id::{OwnerId, TokenId};
use crate::core::scope::Scope;
use crate::core::verify::micros;
use crate::ports::two_factor::FactorError;

/// One device, in its owner's record.
#[derive(Serialize, Deserialize)]
struct Device {
    /// Of the token and what the host says of the device.
    digest: [u8; 32],
    /// What the owner had enrolled: once any of it is changed, the device is as any other.
    mark: [u8; 32],
    /// What was answered with.
    method: String,
    /// In microseconds since 1970.
    until: i64,
}

impl Device {
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
        device: (TokenId, &[u8]),
        methods: &[&'static str],
        enrolments: &Enrolments,
        now: DateTime<Utc>,
    ) -> Result<bool, FactorError> {
        let kept = self.vault.load_if_readable::<Vec<Device>>(owner, RECORD).await?;
        let digest = digest(device);
        let devices = kept.value.unwrap_or_default();
        Ok(devices.iter().any(|device| {
            methods.contains(&device.method.as_str()) && device.is(digest, enrolments.mark, now)
        }))
    }

    pub(super) async fn remember(
        &self,
        owner: &OwnerId,
        device: (TokenId, &[u8]),
        (method, time): (&'static str, TimeDelta),
        enrolments: &Enrolments,
        now: DateTime<Utc>,
    ) -> Result<(), FactorError> {
        let digest = digest(device);
        let until = micros(now.checked_add_signed(time).unwrap_or(now));
        for _ in 0..TRIES {
            let kept = self.vault.load_if_readable::<Vec<Device>>(owner, RECORD).await?;
            let mut devices = kept.value.unwrap_or_default();
            let counts = |device: &Device| {
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
                devices.push(Device { digest, mark, method, until });
            }
            if self.vault.save(owner, RECORD, kept.version, &devices).await? {
                return Ok(());
            }
        }
        Err(contended())
    }
}

fn digest((token, device): (TokenId, &[u8])) -> [u8; 32] {
    // A token's id has one length, so no two pairs are the same bytes.
    Sha256::new_with_prefix(b"keyfobD1")
        .chain_update(token.as_bytes())
        .chain_update(device)
        .finalize()
        .into()
}

pub(super) const RECORD: &str = "devices";
