//! Sealing with XChaCha20-Poly1305, under keys that follow from those of the digests.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::core::digest::Keyring;
use crate::core::id::KeyId;
use crate::ports::entropy::Entropy;
use crate::ports::sealer::{SealError, SeedSealer};

/// Seals with one key and opens with several: the current one of a keyring, and those before it.
///
/// What is sealed begins with the id of its key. When a key is to go, make another one current and
/// keep it as previous: what an owner has is sealed anew when it is next looked at, as
/// [`TwoFactor::enrolled`](crate::service::two_factor::TwoFactor::enrolled) does. Ask that for every
/// owner before the old key goes. Open challenges, mailed codes and remembered devices under a key
/// that is gone are as good as none.
///
/// A nonce has 192 random bits, so that no count of them needs to be kept.
pub struct AeadSealer {
    keys: Vec<(KeyId, XChaCha20Poly1305)>,
    entropy: Box<dyn Entropy>,
}

impl AeadSealer {
    /// A sealer under the keys of a keyring, none of which can be found from it; `None` when the
    /// keyring has none.
    pub fn new(keyring: &Keyring, entropy: impl Entropy) -> Option<Self> {
        let keys: Vec<_> = keyring
            .keys()
            .map(|key| {
                let derived = key.derived(LABEL);
                (key.id().clone(), XChaCha20Poly1305::new((&*derived).into()))
            })
            .collect();
        (!keys.is_empty()).then(|| Self { keys, entropy: Box::new(entropy) })
    }
}

impl SeedSealer for AeadSealer {
    fn seal(&self, seed: &[u8], context: &[u8]) -> Result<Vec<u8>, SealError> {
        let (id, cipher) = self.keys.first().ok_or(SealError)?;
        let mut nonce = [0; NONCE_LENGTH];
        self.entropy.fill(&mut nonce).map_err(|_| SealError)?;
        let mut sealed = header(id);
        let aad = associated(&sealed, context);
        let payload = Payload { msg: seed, aad: &aad };
        let body = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError)?;
        sealed.extend(nonce);
        sealed.extend(body);
        Ok(sealed)
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let fits = |(id, _): &&(KeyId, _)| sealed.starts_with(&header(id));
        let (id, cipher) = self.keys.iter().find(fits).ok_or(SealError)?;
        let header = header(id);
        let body = sealed.get(header.len()..).ok_or(SealError)?;
        let (nonce, body) = body.split_first_chunk::<NONCE_LENGTH>().ok_or(SealError)?;
        let aad = associated(&header, context);
        let payload = Payload { msg: body, aad: &aad };
        let opened = cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealError)?;
        Ok(Zeroizing::new(opened))
    }

    fn is_current(&self, sealed: &[u8]) -> bool {
        self.keys.first().is_some_and(|(id, _)| sealed.starts_with(&header(id)))
    }
}

impl fmt::Debug for AeadSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|(id, _)| id).collect();
        f.debug_struct("AeadSealer").field("keys", &ids).finish_non_exhaustive()
    }
}

/// The form's version, and the key's id with its length before it.
fn header(id: &KeyId) -> Vec<u8> {
    let id = id.as_str().as_bytes();
    let length = u8::try_from(id.len()).unwrap_or(u8::MAX);
    [&[VERSION, length][..], id].concat()
}

fn associated(header: &[u8], context: &[u8]) -> Vec<u8> {
    [header, context].concat()
}

const LABEL: &[u8; 8] = b"keyfobS1";

const VERSION: u8 = 1;

const NONCE_LENGTH: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::digest::Key;
    use crate::testing::SeededRandomness;

    fn key(id: &str, byte: u8) -> Key {
        Key::new(KeyId::new(id).unwrap(), &[byte; 32]).unwrap()
    }

    fn sealer(keyring: &Keyring, seed: u64) -> AeadSealer {
        AeadSealer::new(keyring, SeededRandomness::new(seed)).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_for_its_context_only() {
        let sealer = sealer(&Keyring::new(key("k1", 1)), 1);
        let sealed = sealer.seal(b"seed", b"alice").unwrap();
        assert_eq!(sealer.open(&sealed, b"alice").unwrap().as_slice(), b"seed");
        assert_eq!(sealer.open(&sealed, b"bob"), Err(SealError));
        assert_eq!(sealer.open(&sealed, b""), Err(SealError));
    }

    #[test]
    fn every_bit_of_what_was_sealed_counts() {
        let sealer = sealer(&Keyring::new(key("k1", 1)), 1);
        let sealed = sealer.seal(b"seed", b"alice").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut other = sealed.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(sealer.open(&other, b"alice"), Err(SealError), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(sealer.open(&sealed[..length], b"alice"), Err(SealError), "{length}");
        }
    }

    #[test]
    fn the_same_seed_is_sealed_differently_each_time_and_never_shown() {
        let sealer = sealer(&Keyring::new(key("k1", 1)), 1);
        let sealed = [(); 2].map(|()| sealer.seal(b"seedseedseed", b"alice").unwrap());
        assert_ne!(sealed[0], sealed[1]);
        assert!(sealed.iter().all(|sealed| !sealed.windows(4).any(|four| four == b"seed")));
    }

    #[test]
    fn a_previous_key_opens_and_is_not_current_and_a_dropped_one_does_not_open() {
        let old = sealer(&Keyring::new(key("k1", 1)), 1);
        let sealed = old.seal(b"seed", b"alice").unwrap();
        assert!(old.is_current(&sealed));
        let both = Keyring::new(key("k2", 2)).with_previous(key("k1", 1));
        let both = sealer(&both, 2);
        assert_eq!(both.open(&sealed, b"alice").unwrap().as_slice(), b"seed");
        assert!(!both.is_current(&sealed));
        assert!(both.is_current(&both.seal(b"seed", b"alice").unwrap()));
        assert_eq!(sealer(&Keyring::new(key("k2", 2)), 3).open(&sealed, b"alice"), Err(SealError));
        // Another key by the same id.
        assert_eq!(sealer(&Keyring::new(key("k1", 9)), 4).open(&sealed, b"alice"), Err(SealError));
    }

    #[test]
    fn without_a_key_there_is_no_sealer() {
        assert!(AeadSealer::new(&Keyring::unkeyed(), SeededRandomness::new(1)).is_none());
    }
}
