//! Randomness that is the same in every run.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};

use crate::ports::entropy::{Entropy, EntropyError};

/// Bytes that look random and follow from a seed: SHA-256 of the seed and a counter.
///
/// **For tests only.** Whoever knows the seed knows every token that is drawn from it.
#[derive(Debug)]
pub struct SeededRandomness {
    seed: [u8; 32],
    blocks: AtomicU64,
}

impl SeededRandomness {
    /// The bytes that follow from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::from_text(&seed.to_le_bytes())
    }

    /// The bytes that follow from this text.
    pub(super) fn from_text(text: &[u8]) -> Self {
        Self { seed: Sha256::digest(text).into(), blocks: AtomicU64::new(0) }
    }

    fn draw(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let number = self.blocks.fetch_add(1, Ordering::Relaxed);
            let block =
                Sha256::new().chain_update(self.seed).chain_update(number.to_le_bytes()).finalize();
            chunk.iter_mut().zip(block).for_each(|(byte, random)| *byte = random);
        }
    }
}

impl Entropy for SeededRandomness {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        self.draw(buffer);
        Ok(())
    }
}

impl TryRng for SeededRandomness {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.draw(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.draw(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        self.draw(buffer);
        Ok(())
    }
}

/// Tests draw tokens from it; see the warning above.
impl TryCryptoRng for SeededRandomness {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes_and_another_seed_gives_others() {
        let drawn = |seed| {
            let mut bytes = [0; 70];
            SeededRandomness::new(seed).draw(&mut bytes);
            bytes
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        assert_ne!(drawn(1)[..32], drawn(1)[32..64]);
    }
}
