//! The keys that digests are made with.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

use super::{Digest, DigestScheme, StoredDigest};
use crate::core::format::{Form, PresentedToken, SECRET_LENGTH};
use crate::core::id::{KeyId, TokenId};

/// One key of a [`Keyring`].
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    state: Hmac<Sha256>,
}

impl Key {
    /// The fewest bytes of a key: less than the digest's own strength would weaken it.
    pub const SHORTEST: usize = 32;

    /// A key with its id.
    ///
    /// # Errors
    ///
    /// [`KeyTooShort`] below 32 bytes.
    pub fn new(id: KeyId, bytes: &[u8]) -> Result<Self, KeyTooShort> {
        if bytes.len() < Self::SHORTEST {
            return Err(KeyTooShort);
        }
        let state = Hmac::new_from_slice(bytes).map_err(|_| KeyTooShort)?;
        Ok(Self { id, state })
    }

    /// The key's id.
    #[must_use]
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// A key for another use, which tells nothing about this one.
    #[cfg(feature = "two-factor")]
    pub(crate) fn derived(&self, label: &[u8; 8]) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(hashed(Some(self), [&label[..]]).0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A digest key of fewer than 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest key has at least 32 bytes")]
#[expect(clippy::exhaustive_structs, reason = "it says one thing")]
pub struct KeyTooShort;

/// The keys that digests are made with: one for new digests, older ones that still verify.
///
/// Without a key a digest is plain SHA-256, which is safe because a secret has 190 random bits;
/// with one, a copy of the store is useless to somebody who could test guesses, and rows that
/// were moved to another owner are noticed. A key derivation function is never used: it would only make
/// verification a way to exhaust the host.
///
/// To change the key, make the new one current and the old one previous: each token moves over
/// when it is next used. A key that is dropped leaves
/// the others unverifiable: they are answered as unavailable, since nobody can judge them.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    current: Option<Key>,
    previous: Vec<Key>,
    /// Whether rows from before there was a key still verify.
    unkeyed: bool,
}

impl Keyring {
    /// No key: digests are plain SHA-256.
    #[must_use]
    pub fn unkeyed() -> Self {
        Self { current: None, previous: Vec::new(), unkeyed: true }
    }

    /// Digests are made with `current`.
    #[must_use]
    pub fn new(current: Key) -> Self {
        Self { current: Some(current), previous: Vec::new(), unkeyed: false }
    }

    /// Digests made with `key` still verify, and are made anew when their token is used.
    #[must_use]
    pub fn with_previous(mut self, key: Key) -> Self {
        self.previous.push(key);
        self
    }

    /// Digests from before there was a key still verify, and are made anew when used.
    #[must_use]
    pub fn with_previous_unkeyed(mut self) -> Self {
        self.unkeyed = true;
        self
    }

    /// The keys, the current one first.
    #[cfg(feature = "two-factor")]
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.current.iter().chain(&self.previous)
    }

    /// The digest of a presented text under the current key.
    #[must_use]
    pub fn digest(&self, presented: &PresentedToken<'_>) -> StoredDigest {
        let key = self.current.as_ref();
        stored(key, DigestScheme::of(presented), presented_digest(key, presented))
    }

    /// The digest of an id-less text under the current key.
    #[must_use]
    pub fn digest_text(&self, text: &[u8]) -> StoredDigest {
        self.digest_hashed(hashed(None, [text]))
    }

    /// The digest under the current key of an id-less text of which only the SHA-256 is known, as
    /// products keep it whose tokens are imported.
    #[must_use]
    pub fn digest_hashed(&self, sha256: Digest) -> StoredDigest {
        let key = self.current.as_ref();
        stored(key, DigestScheme::Text, keyed_text(key, sha256))
    }

    /// Only the 256 bits of [`Keyring::digest`]: nothing is allocated.
    #[inline]
    #[must_use]
    pub fn current_digest(&self, presented: &PresentedToken<'_>) -> Digest {
        presented_digest(self.current.as_ref(), presented)
    }

    /// What [`Keyring::current_digest`] hashes, written down as one block: in vain where there
    /// is a key, which is cheaper than to ask beforehand.
    ///
    /// Whoever begins a load from far away after this has it come while the hash is made. Before
    /// this, all that the hash reads would be stuck behind the load in the processor's queue of
    /// writes.
    #[cfg(feature = "service")]
    #[inline(always)]
    pub(crate) fn message(presented: &PresentedToken<'_>) -> Message {
        match presented.form() {
            Form::Native { id, secret, .. } => Message(native_block(id, secret)),
            Form::Text(_) => Message(PADDED_TAG),
        }
    }

    /// [`Keyring::current_digest`] as words, of what [`Keyring::message`] has written down of the same
    /// text.
    #[cfg(feature = "service")]
    #[inline(always)]
    pub(crate) fn current_words(
        &self,
        Message(block): &Message,
        presented: &PresentedToken<'_>,
    ) -> [u64; 4] {
        match (&self.current, presented.form()) {
            (None, Form::Native { .. }) => one_block(block),
            _ => self.current_digest(presented).to_words(),
        }
    }

    /// Every digest under which a presented text may be kept, the current key's first: what a text
    /// without an id is looked up by.
    pub fn every_digest<'k>(
        &'k self,
        presented: &'k PresentedToken<'_>,
    ) -> impl Iterator<Item = StoredDigest> + 'k {
        let unkeyed = self.unkeyed.then_some(None);
        let keys = self.current.iter().chain(&self.previous).map(Some).chain(unkeyed);
        let scheme = DigestScheme::of(presented);
        keys.map(move |key| stored(key, scheme, presented_digest(key, presented)))
    }

    pub(in crate::core) fn digest_secret(
        &self,
        id: TokenId,
        secret: &[u8; SECRET_LENGTH],
    ) -> StoredDigest {
        let key = self.current.as_ref();
        stored(key, DigestScheme::Native, native(key, id, secret))
    }

    /// Whether `stored` is the digest of `presented`.
    ///
    /// # Errors
    ///
    /// [`UnknownKey`] when this keyring lacks the key it was made with: the operator's fault, and
    /// no verdict about the token.
    pub fn matches(
        &self,
        stored: &StoredDigest,
        presented: &PresentedToken<'_>,
    ) -> Result<bool, UnknownKey> {
        let key = self.key(stored.key.as_ref())?;
        let same = presented_digest(key, presented).matches(stored.digest);
        Ok(same && stored.scheme == DigestScheme::of(presented))
    }

    /// Whether `stored` was made with the current key.
    #[must_use]
    pub fn is_current(&self, stored: &StoredDigest) -> bool {
        stored.key.as_ref() == self.current.as_ref().map(Key::id)
    }

    /// A digest over the fields that a row must not trade with another one.
    pub(in crate::core) fn bind<const N: usize>(
        &self,
        key: Option<&KeyId>,
        fields: [&[u8]; N],
    ) -> Result<Digest, UnknownKey> {
        // Each field with its length before it, so that no two lists of fields are the same bytes.
        let lengths: [_; N] =
            fields.map(|field| u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        let parts = lengths.iter().zip(&fields).flat_map(|(length, field)| [&length[..], *field]);
        Ok(hashed(self.key(key)?, std::iter::once(&BINDING_TAG[..]).chain(parts)))
    }

    fn key(&self, id: Option<&KeyId>) -> Result<Option<&Key>, UnknownKey> {
        match id {
            None if self.unkeyed => Ok(None),
            None => Err(UnknownKey { key: None }),
            Some(id) => self
                .current
                .iter()
                .chain(&self.previous)
                .find(|key| key.id == *id)
                .map(Some)
                .ok_or_else(|| UnknownKey { key: Some(id.clone()) }),
        }
    }
}

/// A block of SHA-256, which holds a secret.
#[cfg(feature = "service")]
pub(crate) struct Message([u8; 64]);

/// A digest was made with a key that this keyring does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("digest key {} is not in the keyring", self.key.as_ref().map_or("(none)", KeyId::as_str))]
#[non_exhaustive]
pub struct UnknownKey {
    /// The key's id; `None` when the row was made without a key and the keyring refuses those.
    pub key: Option<KeyId>,
}

impl UnknownKey {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "unknown_key"
    }
}

fn stored(key: Option<&Key>, scheme: DigestScheme, digest: Digest) -> StoredDigest {
    StoredDigest { scheme, key: key.map(|key| key.id.clone()), digest }
}

#[inline]
fn presented_digest(key: Option<&Key>, presented: &PresentedToken<'_>) -> Digest {
    match presented.form() {
        Form::Native { id, secret, .. } => native(key, id, secret),
        Form::Text(text) => keyed_text(key, hashed(None, [text])),
    }
}

fn keyed_text(key: Option<&Key>, sha256: Digest) -> Digest {
    if key.is_some() { hashed(key, [&sha256.0[..]]) } else { sha256 }
}

fn native(key: Option<&Key>, id: TokenId, secret: &[u8; SECRET_LENGTH]) -> Digest {
    match key {
        Some(_) => hashed(key, [TAG, &id.as_bytes()[..], secret]),
        None => Digest::from_words(one_block(&native_block(id, secret))),
    }
}

/// The message of a native digest, padded as SHA-256 pads it.
#[inline(always)]
fn native_block(id: TokenId, secret: &[u8; SECRET_LENGTH]) -> [u8; 64] {
    let mut block = PADDED_TAG;
    if let Some((_, rest)) = block.split_first_chunk_mut::<{ TAG.len() }>()
        && let Some((id_place, rest)) = rest.split_first_chunk_mut::<16>()
        && let Some((secret_place, _)) = rest.split_first_chunk_mut::<SECRET_LENGTH>()
    {
        *id_place = *id.as_bytes();
        *secret_place = *secret;
    }
    block
}

/// SHA-256 of a message of one padded block, without the buffer that one of any length needs.
#[inline(always)]
fn one_block(block: &[u8; 64]) -> [u64; 4] {
    let mut state = FIRST_STATE;
    sha2::block_api::compress256(&mut state, std::slice::from_ref(block));
    let [a, b, c, d, e, f, g, h] = state.map(u64::from);
    [a << 32 | b, c << 32 | d, e << 32 | f, g << 32 | h]
}

/// The digest of the parts one after the other.
pub(super) fn hashed<'p>(key: Option<&Key>, parts: impl IntoIterator<Item = &'p [u8]>) -> Digest {
    Digest(match key {
        Some(key) => {
            let mut mac = key.state.clone();
            parts.into_iter().for_each(|part| mac.update(part));
            mac.finalize().into_bytes().into()
        }
        None => {
            let mut hash = Sha256::new();
            parts.into_iter().for_each(|part| hash.update(part));
            hash.finalize().into()
        }
    })
}

/// Seven bytes: with 16 of id and 32 of secret the message has 55, the most that one block of
/// SHA-256 takes; one more and every verification would cost twice the hash.
const TAG: &[u8; 7] = b"keyfob1";

/// A block that begins with the tag, and ends with the bit behind a message of 55 bytes and with its
/// length in bits.
const PADDED_TAG: [u8; 64] =
    *b"keyfob1................................................\x80\0\0\0\0\0\0\x01\xB8";

/// Where SHA-256 begins: FIPS 180-4, section 5.3.3.
const FIRST_STATE: [u32; 8] = [
    0x6A09_E667,
    0xBB67_AE85,
    0x3C6E_F372,
    0xA54F_F53A,
    0x510E_527F,
    0x9B05_688C,
    0x1F83_D9AB,
    0x5BE0_CD19,
];

const BINDING_TAG: &[u8; 8] = b"keyfobB1";

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, byte: u8) -> Key {
        Key::new(KeyId::new(id).unwrap(), &[byte; 32]).unwrap()
    }

    #[test]
    fn the_message_fills_one_block_and_no_more() {
        assert_eq!(TAG.len() + 16 + SECRET_LENGTH, 55);
    }

    #[test]
    fn a_native_digest_is_sha_256_of_tag_id_and_secret() {
        let id = TokenId::from_bytes([7; 16]);
        let stored = Keyring::unkeyed().digest_secret(id, &[b'a'; 32]);
        let expected: [u8; 32] =
            Sha256::digest([b"keyfob1".as_slice(), &[7; 16], &[b'a'; 32]].concat()).into();
        assert_eq!(stored.digest.as_bytes(), &expected);
        assert!(stored.key.is_none());
    }

    #[test]
    fn a_digest_fits_one_id_one_secret_and_one_key() {
        let (id, other) = (TokenId::from_bytes([7; 16]), TokenId::from_bytes([8; 16]));
        let ring = Keyring::new(key("k1", 1));
        let digest = ring.digest_secret(id, &[b'a'; 32]).digest;
        assert!(digest.matches(ring.digest_secret(id, &[b'a'; 32]).digest));
        assert!(!digest.matches(ring.digest_secret(other, &[b'a'; 32]).digest));
        assert!(!digest.matches(ring.digest_secret(id, &[b'b'; 32]).digest));
        assert!(!digest.matches(Keyring::new(key("k1", 2)).digest_secret(id, &[b'a'; 32]).digest));
        assert!(!digest.matches(Keyring::unkeyed().digest_secret(id, &[b'a'; 32]).digest));
    }

    #[test]
    fn every_bit_of_a_digest_counts() {
        let digest = Digest([0; 32]);
        for bit in 0..256 {
            let mut other = [0; 32];
            other[bit / 8] = 1 << (bit % 8);
            assert!(!digest.matches(Digest(other)), "bit {bit}");
        }
    }

    #[test]
    fn fields_that_move_from_one_to_the_next_bind_differently() {
        let ring = Keyring::unkeyed();
        let bind = |fields: [&[u8]; 2]| ring.bind(None, fields).unwrap();
        assert!(!bind([b"ab", b"c"]).matches(bind([b"a", b"bc"])));
        assert!(!ring.bind(None, [b"a"]).unwrap().matches(bind([b"a", b""])));
    }

    #[test]
    fn a_dropped_key_is_an_operators_fault_and_no_verdict() {
        let old = Keyring::new(key("k1", 1));
        let stored = old.digest_secret(TokenId::from_bytes([7; 16]), &[b'a'; 32]);
        let ring = Keyring::new(key("k2", 2));
        assert_eq!(
            ring.key(stored.key.as_ref()).err(),
            Some(UnknownKey { key: stored.key.clone() })
        );
        assert!(ring.with_previous(key("k1", 1)).key(stored.key.as_ref()).is_ok());
    }
}
