//! What is stored in place of a secret.

mod keyring;

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

#[cfg(feature = "service")]
pub(crate) use self::keyring::Message;
use self::keyring::hashed;
pub use self::keyring::{Key, KeyTooShort, Keyring, UnknownKey};
use super::format::{Form, PresentedToken};
use super::id::{KeyId, TokenId};

/// 256 bits that stand for a secret.
///
/// There is no `PartialEq`: two digests are compared with [`Digest::matches`], in constant time.
/// `Debug` shows nothing, since an unkeyed digest lets a holder of both confirm a guess.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest with these bytes, as a store keeps them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// An id for a token of which nothing but this digest is known: the same each time. It tells
    /// nothing of the digest.
    pub(super) fn derived_id(self) -> TokenId {
        let hash = hashed(None, [&ID_TAG[..], &self.0]);
        TokenId::from_bytes(*hash.0.first_chunk().unwrap_or(&[0; 16]))
    }

    /// The same as four words, the most significant byte first, for an index.
    #[inline]
    #[must_use]
    pub fn to_words(self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks::<8>();
        std::array::from_fn(|i| words.get(i).map_or(0, |word| u64::from_be_bytes(*word)))
    }

    /// [`Digest::to_words`] back.
    #[inline]
    pub(super) fn from_words(words: [u64; 4]) -> Self {
        let mut bytes = [0; 32];
        for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        Self(bytes)
    }

    /// Whether both are the same, in a time that tells nothing about where they differ.
    ///
    /// Compared as words: byte by byte, the same guarantee costs as much as the hash itself.
    #[must_use]
    pub fn matches(self, other: Self) -> bool {
        words_match(self.to_words(), other.to_words())
    }
}

/// [`Digest::matches`] on words.
#[inline]
#[must_use]
pub fn words_match(left: [u64; 4], right: [u64; 4]) -> bool {
    let difference = left.iter().zip(right).fold(0, |all, (left, right)| all | (left ^ right));
    difference.ct_eq(&0).into()
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(hidden)")
    }
}

/// What a digest was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DigestScheme {
    /// The id and the secret of a native text: a row's digest fits no other id.
    Native,
    /// SHA-256 of a whole text that carries no id, as imported tokens are kept.
    Text,
}

impl DigestScheme {
    const fn of(presented: &PresentedToken<'_>) -> Self {
        match presented.form() {
            Form::Native { .. } => Self::Native,
            Form::Text(_) => Self::Text,
        }
    }

    /// The stable code of this scheme, for a store.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Text => "text",
        }
    }

    /// The scheme with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "native" => Some(Self::Native),
            "text" => Some(Self::Text),
            _ => None,
        }
    }
}

/// A digest as a row holds it, with all that is needed to make it again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredDigest {
    /// What it was made from.
    pub scheme: DigestScheme,
    /// The key it was made with; `None` is plain SHA-256.
    pub key: Option<KeyId>,
    /// The 256 bits.
    pub digest: Digest,
}

impl StoredDigest {
    /// A digest as a store read it.
    #[must_use]
    pub const fn new(scheme: DigestScheme, key: Option<KeyId>, digest: Digest) -> Self {
        Self { scheme, key, digest }
    }
}

const ID_TAG: &[u8; 8] = b"keyfobI1";
