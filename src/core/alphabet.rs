//! Alphabets, read backwards.

/// The value of each symbol by its byte; 255 for bytes that are no symbol. There is a value for
/// every byte, so that looking one up checks no bound.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses what is out of bounds"
)]
pub(super) const fn values<const N: usize>(symbols: &[u8; N]) -> [u8; 256] {
    let mut values = [u8::MAX; 256];
    let mut index = 0;
    while index < N {
        values[symbols[index] as usize] = index as u8;
        index = index.wrapping_add(1);
    }
    values
}

/// What each byte stands for as the first, second, third and fourth of four symbols of five bits, and
/// [`STRANGE`] for bytes that are no symbol.
pub(super) const fn fours(symbols: &[u8; 32]) -> [[u32; 256]; 4] {
    [shifted(symbols, 15), shifted(symbols, 10), shifted(symbols, 5), shifted(symbols, 0)]
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses what is out of bounds"
)]
const fn shifted(symbols: &[u8; 32], bits: u32) -> [u32; 256] {
    let mut shifted = [STRANGE; 256];
    let mut index = 0;
    while index < symbols.len() {
        shifted[symbols[index] as usize] = (index as u32) << bits;
        index = index.wrapping_add(1);
    }
    shifted
}

/// No four symbols have this bit.
pub(super) const STRANGE: u32 = 1 << 31;
