//! One-time passwords: HOTP (RFC 4226) and TOTP (RFC 6238), as functions of numbers.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// The hash that codes are made with. Authenticator apps agree on SHA-1 only, whose known weakness
/// is not one of HMAC (RFC 6238, section 1.2, allows all three).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "RFC 6238 names these three")]
pub enum Algorithm {
    /// What every authenticator app knows.
    #[default]
    #[serde(rename = "SHA1")]
    Sha1,
    /// SHA-256.
    #[serde(rename = "SHA256")]
    Sha256,
    /// SHA-512.
    #[serde(rename = "SHA512")]
    Sha512,
}

impl Algorithm {
    /// Its name in an `otpauth://` URI.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }
}

/// How long a code is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "authenticator apps know these two")]
pub enum Digits {
    /// Six, as every authenticator app shows.
    #[default]
    #[serde(rename = "6")]
    Six,
    /// Eight.
    #[serde(rename = "8")]
    Eight,
}

impl Digits {
    /// The number of digits.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Six => 6,
            Self::Eight => 8,
        }
    }

    const fn modulus(self) -> u32 {
        match self {
            Self::Six => 1_000_000,
            Self::Eight => 100_000_000,
        }
    }

    /// The number that a code of this length writes: exactly as many of `0` to `9`, and nothing
    /// else, neither a space nor a sign nor another script's digit.
    #[must_use]
    pub fn parse(self, code: &str) -> Option<u32> {
        let is_code = code.len() == self.count() && code.bytes().all(|b| b.is_ascii_digit());
        is_code.then(|| code.parse().ok()).flatten()
    }
}

/// The code of a counter (RFC 4226, section 5.3).
#[must_use]
pub fn hotp(seed: &[u8], counter: u64, algorithm: Algorithm, digits: Digits) -> u32 {
    let message = counter.to_be_bytes();
    let truncated = match algorithm {
        Algorithm::Sha1 => mac::<Hmac<Sha1>>(seed, message),
        Algorithm::Sha256 => mac::<Hmac<Sha256>>(seed, message),
        Algorithm::Sha512 => mac::<Hmac<Sha512>>(seed, message),
    };
    truncated.checked_rem(digits.modulus()).unwrap_or_default()
}

/// The 31 bits of dynamic truncation. The place that they are taken from depends on the MAC, which
/// the seed and the time alone decide: nothing that somebody guesses shows in the time it takes.
fn mac<M: Mac + KeyInit>(seed: &[u8], message: [u8; 8]) -> u32 {
    // HMAC takes keys of any length.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(seed) else { return 0 };
    mac.update(&message);
    let bytes = mac.finalize().into_bytes();
    let offset = usize::from(bytes.last().copied().unwrap_or_default() & 0xf);
    let four = bytes.get(offset..).and_then(<[u8]>::first_chunk::<4>).copied();
    u32::from_be_bytes(four.unwrap_or_default()) & 0x7fff_ffff
}

/// The time step of an instant in seconds since 1970 (RFC 6238, section 4.2).
#[must_use]
pub fn step(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or_default() / PERIOD
}

/// The latest of these steps whose code this is.
///
/// Each step's code is made and compared, whether an earlier one was right or not: right, wrong and
/// too early or late all cost the same number of MACs.
pub fn find_step(
    code: u32,
    steps: impl IntoIterator<Item = u64>,
    mut code_of: impl FnMut(u64) -> u32,
) -> Option<u64> {
    let (mut found, mut at) = (Choice::from(0), 0_u64);
    for step in steps {
        let is_it = code_of(step).ct_eq(&code);
        at.conditional_assign(&step, is_it & !(found & is_earlier(step, at)));
        found |= is_it;
    }
    bool::from(found).then_some(at)
}

fn is_earlier(step: u64, than: u64) -> Choice {
    Choice::from(u8::from(step < than))
}

/// Seconds a code lasts: what RFC 6238 recommends and every authenticator app goes by.
pub const PERIOD: u64 = 30;

#[cfg(test)]
mod tests;
