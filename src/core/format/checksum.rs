//! The checksum that a text ends with: CRC-32, in six digits of base 62.

use super::{CHECKSUM_LENGTH, TAIL};
use crate::core::alphabet;
use crate::core::secret::BASE62;

/// Checks the texts with one prefix.
#[derive(Clone, Debug)]
pub(super) struct Checksum {
    /// What it comes to over the prefix's first letters, which are the same in all of them. To be
    /// cloned for each text: a new one would ask what the processor can do.
    begun: crc32fast::Hasher,
    /// How many those are: all that are too many for what is left to be folded at once.
    letters: usize,
}

impl Checksum {
    pub(super) fn after(prefix: &str) -> Self {
        let at_once = FOLDED.saturating_sub(TAIL.saturating_sub(CHECKSUM_LENGTH));
        let letters = prefix.len().saturating_sub(at_once);
        let mut begun = crc32fast::Hasher::new();
        begun.update(prefix.get(..letters).unwrap_or_default().as_bytes());
        Self { begun, letters }
    }

    /// Whether it is right at the end of a text.
    #[inline]
    pub(super) fn is_right(&self, text: &[u8]) -> bool {
        let Some((covered, digits)) = text.split_last_chunk() else {
            return false;
        };
        // Of what is made up, twelve in thirteen have no number there that a checksum could be.
        let Some(told) = read(digits) else {
            return false;
        };
        let mut checksum = self.begun.clone();
        checksum.update(covered.get(self.letters..).unwrap_or_default());
        told == checksum.finalize()
    }
}

/// Ends a text with its checksum.
pub(super) fn push_checksum(text: &mut String) {
    text.extend(digits(crc32fast::hash(text.as_bytes()).into()).map(char::from));
}

/// A number of six digits, which is less than 62^6.
fn digits(mut number: u64) -> [u8; CHECKSUM_LENGTH] {
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        let value = usize::try_from(number % 62).unwrap_or_default();
        *digit = BASE62.get(value).copied().unwrap_or(b'0');
        number /= 62;
    }
    digits
}

/// The number that six digits stand for; `None` when it does not fit 32 bits.
#[inline]
fn read(digits: &[u8; CHECKSUM_LENGTH]) -> Option<u32> {
    let value = WORTH.iter().zip(digits).fold(0_u64, |value, (worth, digit)| {
        value.wrapping_add(worth.get(usize::from(*digit)).copied().unwrap_or(STRANGE))
    });
    u32::try_from(value).ok()
}

/// What each byte is worth in each of the six places.
static WORTH: [[u64; 256]; CHECKSUM_LENGTH] = worth();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses what is out of bounds"
)]
const fn worth() -> [[u64; 256]; CHECKSUM_LENGTH] {
    let mut worth = [[STRANGE; 256]; CHECKSUM_LENGTH];
    let (mut place, mut weight) = (CHECKSUM_LENGTH, 1_u64);
    while let Some(next) = place.checked_sub(1) {
        place = next;
        let values = alphabet::values(BASE62);
        let mut byte = 0;
        while byte < values.len() {
            if values[byte] < 62 {
                worth[place][byte] = weight.wrapping_mul(values[byte] as u64);
            }
            byte = byte.wrapping_add(1);
        }
        weight = weight.wrapping_mul(62);
    }
    worth
}

/// What a byte that is no digit is worth: more than six digits, which stay below 62^6 < 2^36.
const STRANGE: u64 = 1 << 40;

/// The processor's instructions for it take sixteen bytes at a time, and these are the fewest that have
/// room for all but the prefix: a rest of one byte takes a third as long as all of them.
const FOLDED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_read_as_they_are_written() {
        for value in [0, 1, 61, 62, 3_843, 3_844, u64::from(u32::MAX)] {
            assert_eq!(read(&digits(value)).map(u64::from), Some(value));
        }
        for value in [1 << 32, (1 << 32) + 1, 62_u64.pow(6) - 1] {
            assert_eq!(read(&digits(value)), None, "{value} fits no checksum");
        }
    }

    #[test]
    fn a_byte_that_is_no_digit_makes_no_number() {
        for place in 0..CHECKSUM_LENGTH {
            for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphanumeric()) {
                let mut digits = *b"00000Z";
                digits[place] = byte;
                assert_eq!(read(&digits), None, "{byte} in place {place}");
            }
        }
    }

    #[test]
    fn a_checksum_is_right_however_long_the_prefix_is() {
        for length in 0..40 {
            let prefix = "prefix".repeat(7)[..length].to_owned();
            let mut text = format!("{prefix}{}", "x".repeat(TAIL - CHECKSUM_LENGTH));
            push_checksum(&mut text);
            let checksum = Checksum::after(&prefix);
            assert!(checksum.is_right(text.as_bytes()), "{length}");
            let last = if text.ends_with('a') { 'b' } else { 'a' };
            text.pop();
            text.push(last);
            assert!(!checksum.is_right(text.as_bytes()), "{length}");
        }
        assert!(!Checksum::after("").is_right(b"short"));
    }
}
