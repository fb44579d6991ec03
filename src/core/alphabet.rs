//! Alphabets, read backwards.

/// The value of each symbol by its byte; 255 for bytes that are no symbol.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses what is out of bounds"
)]
pub(super) const fn values<const N: usize>(symbols: &[u8; N]) -> [u8; 128] {
    let mut values = [u8::MAX; 128];
    let mut index = 0;
    while index < N {
        values[symbols[index] as usize] = index as u8;
        index = index.wrapping_add(1);
    }
    values
}
