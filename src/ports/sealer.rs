//! Sealing factor seeds at rest.

use std::fmt;

use zeroize::Zeroizing;

/// Encrypts a seed so that only this host can read it, and only for the owner it was sealed for.
///
/// **If you lie:** sealed bytes that open for another owner let a copied row sign somebody else
/// in. It must be authenticated encryption with the context as associated data, under a fresh
/// nonce each time.
pub trait SeedSealer: fmt::Debug + Send + Sync + 'static {
    /// Seals a seed for a context: realm, owner and method.
    ///
    /// # Errors
    ///
    /// [`SealError`] when there is no key or no randomness.
    fn seal(&self, seed: &[u8], context: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Opens what was sealed for the same context.
    ///
    /// # Errors
    ///
    /// [`SealError`] when it was sealed for another one, with another key, or is damaged.
    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError>;

    /// Whether what was sealed would be sealed the same way today. Where it would not, since the
    /// key is about to be retired, it is sealed anew when it is next used.
    fn is_current(&self, _sealed: &[u8]) -> bool {
        true
    }
}

/// A seed was neither sealed nor opened. It does not say why: the difference would help only
/// somebody who tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seed could not be sealed or opened")]
#[expect(clippy::exhaustive_structs, reason = "it says one thing on purpose")]
pub struct SealError;
