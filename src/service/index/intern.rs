//! Values under small numbers, read without a lock.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Keeps each distinct value once and for good, under a handle of 32 bits.
///
/// Handles are never used again, so evidence that is still in somebody's hands never comes to
/// mean something else. It holds one entry for each owner, or each combination of kind, grant
/// and constraints, that was seen since the start.
pub(super) struct Interner<K, V> {
    handles: Mutex<HashMap<K, u32>>,
    chunks: [OnceLock<Box<[OnceLock<V>]>>; CHUNKS],
}

impl<K: Clone + Hash + Eq, V> Interner<K, V> {
    pub(super) fn new() -> Self {
        Self { handles: Mutex::default(), chunks: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// The handle of a value, which is made from its key when it is new. `None` when all handles
    /// are taken.
    pub(super) fn intern(&self, key: &K, make: impl FnOnce(&K) -> V) -> Option<u32> {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = handles.get(key) {
            return Some(*handle);
        }
        let handle = u32::try_from(handles.len()).ok()?;
        let (chunk, offset) = position(handle);
        let length = 1_usize.checked_shl(chunk.saturating_add(FIRST_CHUNK_BITS))?;
        let chunk = self.chunks.get(usize::try_from(chunk).ok()?)?;
        let chunk =
            chunk.get_or_init(|| std::iter::repeat_with(OnceLock::new).take(length).collect());
        chunk.get(offset)?.set(make(key)).ok()?;
        handles.insert(key.clone(), handle);
        Some(handle)
    }

    /// The handle of a value that is known.
    pub(super) fn known(&self, key: &K) -> Option<u32> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    #[inline(always)]
    pub(super) fn value(&self, handle: u32) -> Option<&V> {
        let (chunk, offset) = position(handle);
        self.chunks.get(usize::try_from(chunk).ok()?)?.get()?.get(offset)?.get()
    }
}

/// Chunk `n` holds twice as many values as the one before it.
#[inline]
fn position(handle: u32) -> (u32, usize) {
    let number = u64::from(handle).saturating_add(1 << FIRST_CHUNK_BITS);
    let bits = number.ilog2();
    let offset = number.wrapping_sub(1_u64.unbounded_shl(bits));
    (bits.saturating_sub(FIRST_CHUNK_BITS), usize::try_from(offset).unwrap_or(usize::MAX))
}

/// Together they hold 2^32 values.
const CHUNKS: usize = 27;
const FIRST_CHUNK_BITS: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_means_one_value_for_good() {
        let interner = Interner::new();
        for value in 0..10_000_u32 {
            assert_eq!(interner.intern(&value, |v| *v), Some(value));
        }
        for value in 0..10_000_u32 {
            assert_eq!(interner.intern(&value, |_| 0), Some(value));
            assert_eq!(interner.value(value), Some(&value));
            assert_eq!(interner.known(&value), Some(value));
        }
        assert_eq!(interner.value(10_000), None);
        assert_eq!(interner.value(u32::MAX), None);
    }
}
