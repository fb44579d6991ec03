//! Where randomness comes from.

use std::fmt;

use rand::{TryCryptoRng, TryRng};

/// Delivers random bytes that nobody can foretell.
///
/// **If you lie:** tokens that can be guessed. There is no fallback: when the bytes cannot be
/// had, nothing is issued.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills the buffer.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] when there is no randomness; the buffer must then not be used.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError>;
}

/// There is no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no randomness")]
#[expect(clippy::exhaustive_structs, reason = "it says one thing")]
pub struct EntropyError;

/// An [`Entropy`] as the generator that the pure functions take.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "it is a view")]
pub struct Generator<'a>(pub &'a dyn Entropy);

impl TryRng for Generator<'_> {
    type Error = EntropyError;

    fn try_next_u32(&mut self) -> Result<u32, EntropyError> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, EntropyError> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        self.0.fill(buffer)
    }
}

impl TryCryptoRng for Generator<'_> {}
