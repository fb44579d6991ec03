//! One accepted secret in one cache line, read without a lock.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};

use crate::core::digest::words_match;
use crate::core::id::TokenId;

/// A slot fills one line of 64 bytes, so that finding it costs one miss.
///
/// It is a sequence lock in safe Rust: every field is an atomic, so a torn read is a wrong value
/// and never undefined, and the sequence in `meta` tells that it was torn. Only a holder of the
/// index's writer lock writes (`usage` excepted, which stands for itself).
#[repr(align(64))]
#[derive(Default)]
pub(super) struct Slot {
    /// The upper half is the token's tag, or that the slot is blank or vacated; the lower half is
    /// the sequence, odd while the slot is being written. It only ever grows.
    meta: AtomicU64,
    digest: [AtomicU64; 4],
    /// Microseconds since 1970; the first instant at which the secret is no longer accepted.
    deadline: AtomicI64,
    /// The secret's generation in the upper half; in the lower the second at which a use was last
    /// recorded.
    usage: AtomicU64,
    /// The owner's handle in the upper half, the class's in the lower.
    handles: AtomicU64,
}

/// Where a token is looked for: a home that spreads over any table, and a tag to tell it by.
#[derive(Clone, Copy)]
pub(in crate::service) struct Key {
    pub(super) home: u64,
    tag: u64,
    /// Which bits of a tag it tells.
    mask: u64,
}

impl Key {
    /// Of all secrets of a token.
    ///
    /// An id is random, but an imported one may have fixed bits; the multiplication moves all
    /// bits of a half into its upper ones.
    #[inline]
    pub(in crate::service) fn of(id: TokenId) -> Self {
        let bits = u128::from_be_bytes(*id.as_bytes());
        let high = u64::try_from(bits >> 64).unwrap_or_default();
        let low = u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
        let home = (high ^ low.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self { home, tag: low.wrapping_mul(0xD6E8_FEB8_6659_FD93) & ID | TAKEN, mask: OF_ID }
    }

    /// Of the secret in a text, and of one in a thousand whose checksum is another.
    #[inline(always)]
    pub(in crate::service) fn of_secret(id: TokenId, checksum: u64) -> Self {
        let Self { home, tag, .. } = Self::of(id);
        let told = checksum.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 22 & CHECKSUM;
        Self { home, tag: tag | told, mask: TAG }
    }

    /// Where the alias of a text without an id is: by its digest, which is random as well.
    #[inline]
    pub(super) fn of_alias([home, tag, ..]: [u64; 4]) -> Self {
        Self { home, tag: tag & TAG | ALIAS | TAKEN, mask: TAG }
    }
}

/// What there is to know of an accepted secret.
#[derive(Clone, Copy)]
pub(in crate::service) struct Kept {
    pub(in crate::service) deadline: i64,
    pub(in crate::service) generation: u32,
    pub(in crate::service) owner: u32,
    pub(in crate::service) class: u32,
}

/// What a slot holds besides its key.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) digest: [u64; 4],
    pub(super) kept: Kept,
    pub(super) used_second: u32,
}

impl Entry {
    /// What says whose the text of this digest is: a slot of its own, that leads to the token's.
    pub(super) fn alias(digest: [u64; 4], id: TokenId, owner: u32) -> Self {
        let (high, low) = id.as_bytes().split_at(8);
        let half = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_be_bytes);
        let (generation, used_second) = halves(half(low));
        let deadline = half(high).cast_signed();
        Self { digest, kept: Kept { deadline, generation, owner, class: 0 }, used_second }
    }

    /// The token that an alias leads to.
    #[inline]
    pub(super) fn aliased(&self) -> TokenId {
        let low = joined(self.kept.generation, self.used_second);
        let bits = u128::from(self.kept.deadline.cast_unsigned()) << 64 | u128::from(low);
        TokenId::from_bytes(bits.to_be_bytes())
    }
}

/// What looking at a slot told.
pub(super) enum Seen {
    /// Nothing was put here or further on: what is looked for is not there.
    Blank,
    /// Some other token, another secret of this one, or a slot in the middle of a change.
    Other,
    /// The secret that is looked for.
    This(Entry),
}

impl Slot {
    #[inline(always)]
    pub(super) fn look(&self, key: Key, digest: [u64; 4]) -> Seen {
        let before = self.meta.load(Ordering::Acquire);
        if before & key.mask != key.tag {
            return if before & TAG == BLANK { Seen::Blank } else { Seen::Other };
        }
        let stored =
            std::array::from_fn(|i| self.digest.get(i).map_or(0, |w| w.load(Ordering::Relaxed)));
        let deadline = self.deadline.load(Ordering::Relaxed);
        let usage = self.usage.load(Ordering::Relaxed);
        let handles = self.handles.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let whole = before & WRITING == 0 && self.meta.load(Ordering::Relaxed) == before;
        // The comparison is made in any case, and tells nothing about where the digests differ.
        if !words_match(stored, digest) || !whole {
            return Seen::Other;
        }
        let (owner, class) = halves(handles);
        let (generation, used_second) = halves(usage);
        let kept = Kept { deadline, generation, owner, class };
        Seen::This(Entry { digest: stored, kept, used_second })
    }

    /// Claims the right to record a use: one caller a minute gets it.
    #[inline]
    pub(super) fn claim_use(&self, generation: u32, used: u32, now: u32) -> bool {
        let before = joined(generation, used);
        let after = joined(generation, now);
        self.usage.compare_exchange(before, after, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(super) fn is_free(&self) -> bool {
        self.meta.load(Ordering::Relaxed) & TAKEN == 0
    }

    pub(super) fn is_blank(&self) -> bool {
        self.meta.load(Ordering::Relaxed) & TAG == BLANK
    }

    pub(super) fn is_vacated(&self) -> bool {
        self.is_free() && !self.is_blank()
    }

    /// Whether it may be what is looked for.
    #[inline]
    pub(super) fn is_of(&self, key: Key) -> bool {
        self.meta.load(Ordering::Relaxed) & key.mask == key.tag
    }

    /// Where the alias of this slot's secret would be. Only under the writer lock.
    pub(super) fn alias(&self) -> Key {
        let load = |i: usize| self.digest.get(i).map_or(0, |word| word.load(Ordering::Relaxed));
        Key::of_alias(std::array::from_fn(load))
    }

    /// The owner's and the class's.
    pub(super) fn handles(&self) -> (u32, u32) {
        halves(self.handles.load(Ordering::Relaxed))
    }

    /// Only under the writer lock.
    pub(super) fn write(&self, key: Key, entry: &Entry) {
        let Kept { deadline, generation, owner, class } = entry.kept;
        self.change(key.tag, |slot| {
            for (word, value) in slot.digest.iter().zip(entry.digest) {
                word.store(value, Ordering::Relaxed);
            }
            slot.deadline.store(deadline, Ordering::Relaxed);
            slot.usage.store(joined(generation, entry.used_second), Ordering::Relaxed);
            slot.handles.store(joined(owner, class), Ordering::Relaxed);
        });
    }

    /// Frees the slot; `blank` when nothing lies further on that a search must reach. Only under
    /// the writer lock.
    pub(super) fn clear(&self, blank: bool) {
        self.change(if blank { BLANK } else { VACATED }, |slot| {
            for word in &slot.digest {
                word.store(0, Ordering::Relaxed);
            }
            slot.deadline.store(i64::MIN, Ordering::Relaxed);
        });
    }

    fn change(&self, tag: u64, write: impl FnOnce(&Self)) {
        let sequence = self.meta.load(Ordering::Relaxed) & SEQUENCE;
        self.meta.store(tag | sequence | WRITING, Ordering::Relaxed);
        fence(Ordering::Release);
        write(self);
        // Two steps on: even again. A reader that sleeps through 2^31 changes of one slot could
        // be deceived; it would have to sleep for hours in the middle of ten instructions.
        self.meta.store(tag | (sequence.wrapping_add(2) & SEQUENCE), Ordering::Release);
    }
}

#[inline]
fn joined(upper: u32, lower: u32) -> u64 {
    (u64::from(upper) << 32) | u64::from(lower)
}

#[inline]
fn halves(word: u64) -> (u32, u32) {
    let half = |half: u64| u32::try_from(half).unwrap_or(u32::MAX);
    (half(word >> 32), half(word & SEQUENCE))
}

const TAG: u64 = 0xFFFF_FFFF_0000_0000;
const SEQUENCE: u64 = 0x0000_0000_FFFF_FFFF;
const WRITING: u64 = 1;

/// The uppermost bit of every tag.
const TAKEN: u64 = 1 << 63;
/// The next one tells aliases from tokens, whatever ids and digests there are.
const ALIAS: u64 = 1 << 62;
/// Twenty bits of a token's tag are its id's: of the few tokens that stand beside it, one in a million
/// is forgotten with it. Ten are its text's checksum's: of texts that name its id with a wrong one, one
/// in a thousand is hashed before it is refused. The time that takes tells ten bits of the right one.
const ID: u64 = 0x3FFF_FC00_0000_0000;
const CHECKSUM: u64 = 0x0000_03FF_0000_0000;
const OF_ID: u64 = TAKEN | ALIAS | ID;
const BLANK: u64 = 0;
const VACATED: u64 = 1 << 32;

const _: () = assert!(size_of::<Slot>() == 64, "a slot is one cache line");
