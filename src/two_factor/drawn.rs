//! Drawing codes, and what tells one enrolment from another.

use zeroize::Zeroizing;

use crate::ports::entropy::{Entropy, EntropyError};
use crate::ports::two_factor::FactorError;

/// What no other enrolment has.
pub(super) fn draw_enrolment(entropy: &dyn Entropy) -> Result<[u8; 16], FactorError> {
    let mut enrolment = [0; 16];
    entropy.fill(&mut enrolment).map_err(FactorError::unavailable)?;
    Ok(enrolment)
}

/// So many of these symbols, each equally likely at each place: a byte that would favour some is
/// drawn again.
pub(super) fn draw(
    entropy: &dyn Entropy,
    symbols: &[u8],
    length: usize,
) -> Result<Zeroizing<String>, EntropyError> {
    let excess = 256_usize.checked_rem(symbols.len()).unwrap_or_default();
    let usable = 256_usize.saturating_sub(excess);
    let mut code = Zeroizing::new(String::with_capacity(length));
    let mut byte = Zeroizing::new([0_u8]);
    while code.len() < length {
        entropy.fill(&mut *byte)?;
        let [place] = *byte;
        let place = usize::from(place);
        let place = (place < usable).then(|| place.checked_rem(symbols.len())).flatten();
        code.extend(place.and_then(|place| symbols.get(place)).map(|symbol| char::from(*symbol)));
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRandomness;

    #[test]
    fn every_symbol_is_equally_likely_at_every_place() {
        let symbols: Vec<u8> = (0..55).collect();
        let entropy = SeededRandomness::new(1);
        let mut counts = vec![[0_u32; 55]; 4];
        for _ in 0..55 * 1000 {
            for (place, symbol) in draw(&entropy, &symbols, 4).unwrap().bytes().enumerate() {
                counts[place][usize::from(symbol)] += 1;
            }
        }
        for place in counts {
            // Chi-squared with 54 degrees of freedom: above 120 once in 10^6.
            let chi: f64 = place.iter().map(|n| (f64::from(*n) - 1000.0).powi(2) / 1000.0).sum();
            assert!(chi < 120.0, "chi-squared {chi}");
        }
    }
}
