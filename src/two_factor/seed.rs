//! A seed that an authenticator and a host share.

use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE64};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::otp::{Algorithm, Digits, hotp};
use crate::ports::entropy::{Entropy, EntropyError};

/// A seed that comes from elsewhere, with the form of its codes.
pub struct TotpSeed(pub(super) Seed);

impl TotpSeed {
    /// The fewest bytes of a seed that comes from elsewhere: 80 bits, what apps have long been
    /// given. Seeds that are drawn here have 160 or more (RFC 4226, section 4, R6).
    pub const SHORTEST: usize = 10;

    /// A seed in base 32, with or without padding, of six digits of SHA-1; `None` when it is none,
    /// or too short.
    #[must_use]
    pub fn from_base32(text: &str) -> Option<Self> {
        let bytes = BASE32_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok()?;
        let bytes = Zeroizing::new(bytes);
        let form = (Algorithm::default(), Digits::default());
        (bytes.len() >= Self::SHORTEST).then(|| Self(Seed { bytes, form }))
    }

    /// With codes of this form.
    #[must_use]
    pub const fn with_form(mut self, algorithm: Algorithm, digits: Digits) -> Self {
        self.0.form = (algorithm, digits);
        self
    }
}

impl fmt::Debug for TotpSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSeed(hidden)")
    }
}

/// A seed as the vault keeps it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Seed {
    #[serde(with = "base64")]
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) form: (Algorithm, Digits),
}

impl Seed {
    /// As many bytes as the hash has, which RFC 6238's own test vectors have and RFC 4226
    /// recommends.
    pub(super) fn draw(
        entropy: &dyn Entropy,
        form: (Algorithm, Digits),
    ) -> Result<Self, EntropyError> {
        let length = match form.0 {
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        };
        let mut bytes = Zeroizing::new(vec![0; length]);
        entropy.fill(&mut bytes)?;
        Ok(Self { bytes, form })
    }

    /// Whether both are the same, in a time that tells nothing about where they differ.
    pub(super) fn is(&self, other: &Self) -> bool {
        bool::from(self.bytes.as_slice().ct_eq(&other.bytes)) && self.form == other.form
    }

    pub(super) fn code(&self, step: u64) -> u32 {
        hotp(&self.bytes, step, self.form.0, self.form.1)
    }
}

/// Bytes as text that is overwritten once it is written or read.
mod base64 {
    use super::{BASE64, Deserialize, Deserializer, Serializer, Zeroizing};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Zeroizing<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(BASE64.encode(bytes)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Zeroizing<Vec<u8>>, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = BASE64.decode(text.as_bytes());
        bytes.map(Zeroizing::new).map_err(|_| serde::de::Error::custom("it is no base64"))
    }
}
