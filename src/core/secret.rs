//! Secrets: what may be shown once, and nothing else.

use std::fmt;

use rand::TryCryptoRng;
use zeroize::{Zeroize, Zeroizing};

/// The text of a new token, to be shown to its owner once.
///
/// It can be shown and nothing else: there is no `Clone`, `Display`, `Serialize` or `PartialEq`,
/// `Debug` says that something is hidden, and the memory is overwritten when it is dropped.
///
/// ```compile_fail,E0599
/// fn twice(secret: keyfob::TokenSecret) { let _ = secret.clone(); }
/// ```
/// ```compile_fail,E0277
/// fn shown(secret: keyfob::TokenSecret) { let _ = format!("{secret}"); }
/// ```
/// ```compile_fail,E0369
/// fn compared(a: keyfob::TokenSecret, b: keyfob::TokenSecret) { let _ = a == b; }
/// ```
/// ```compile_fail,E0277
/// fn sent(secret: keyfob::TokenSecret) {
///     fn serialise<T: serde::Serialize>(_: T) {}
///     serialise(secret);
/// }
/// ```
#[must_use = "a secret that is not shown now can never be shown"]
pub struct TokenSecret(Zeroizing<String>);

impl TokenSecret {
    pub(super) fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The token's text, for the one answer that shows it.
    ///
    /// Send it with `Cache-Control: no-store`, and keep no copy.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(hidden)")
    }
}

/// Draws `length` characters of an alphabet of at most 256 symbols, each equally likely.
///
/// A byte beyond the largest multiple of the alphabet's size is drawn again: folding it would make
/// some characters likelier than others.
pub(super) fn characters<R: TryCryptoRng + ?Sized>(
    rng: &mut R,
    alphabet: &[u8],
    length: usize,
) -> Result<Zeroizing<String>, R::Error> {
    let mut text = Zeroizing::new(String::with_capacity(length));
    let mut bytes = [0_u8; 32];
    let fair = 256_usize.saturating_sub(256_usize.checked_rem(alphabet.len()).unwrap_or_default());
    while text.len() < length && !alphabet.is_empty() {
        rng.try_fill_bytes(&mut bytes)?;
        for byte in bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair) {
            if text.len() == length {
                break;
            }
            let place = byte.checked_rem(alphabet.len()).and_then(|place| alphabet.get(place));
            text.extend(place.copied().map(char::from));
        }
    }
    bytes.zeroize();
    Ok(text)
}

/// The symbols of base 62 in the order of their values.
pub(super) const BASE62: &[u8; 62] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shape::Shape;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn every_symbol_is_equally_likely_at_every_place() {
        let mut rng = StdRng::seed_from_u64(7);
        let shapes = [Shape::MATTERMOST, Shape::ROCKET_CHAT].map(|shape| shape.alphabet());
        for alphabet in [&BASE62[..]].into_iter().chain(shapes) {
            let mut counts = vec![vec![0_u32; alphabet.len()]; 8];
            for _ in 0..alphabet.len() * 1000 {
                let text = characters(&mut rng, alphabet, 8).unwrap();
                for (place, symbol) in text.bytes().enumerate() {
                    counts[place][alphabet.iter().position(|s| *s == symbol).unwrap()] += 1;
                }
            }
            for place in counts {
                // Chi-squared with at most 63 degrees of freedom: above 133 once in 10^6.
                let chi: f64 =
                    place.iter().map(|n| (f64::from(*n) - 1000.0).powi(2) / 1000.0).sum();
                assert!(chi < 133.0, "chi-squared {chi}");
            }
        }
    }
}
