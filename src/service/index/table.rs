//! Slots in segments: reading takes no lock, growing copies nothing.

use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::slot::{Entry, Key, Seen, Slot};

/// Segments of slots, each as large as all before it together, so that a table of any size has
/// few. A reader looks into all of them, and starts the loads from all of them at once.
pub(super) struct Table {
    segments: [OnceLock<Segment>; SEGMENTS],
    count: AtomicUsize,
    first: usize,
    most: usize,
}

struct Segment {
    /// As many as there are homes, and a window more, so that no search wraps.
    slots: Box<[Slot]>,
    homes: usize,
    /// How many slots the segments before this one have.
    before: usize,
    used: AtomicUsize,
}

/// A slot's place: its number in the whole table, and one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place(NonZeroU32);

impl Place {
    pub(super) fn new(slot: u32) -> Option<Self> {
        slot.checked_add(1).and_then(NonZeroU32::new).map(Self)
    }

    /// The slot's number.
    pub(super) fn index(self) -> Option<usize> {
        usize::try_from(self.0.get()).ok()?.checked_sub(1)
    }
}

impl Table {
    /// A table that begins with room for `expected` tokens and never has more than about `most`.
    pub(super) fn new(expected: usize, most: usize) -> Self {
        let first = slots_for(expected.max(SMALLEST));
        let table = Self {
            segments: std::array::from_fn(|_| OnceLock::new()),
            count: AtomicUsize::new(0),
            first,
            most: slots_for(most).max(first),
        };
        table.grow();
        table
    }

    /// The slot that [`Table::find`] is likely to find, of those that it looks at first.
    ///
    /// Asked before the digest is made: the trip to memory then runs under the hash. Between the
    /// loads nothing is decided, so that all of them are begun at once.
    #[inline(always)]
    pub(super) fn glance(&self, key: Key) -> Option<&Slot> {
        self.segments().fold(None, |seen, segment| {
            let first = segment.window(key).1.first_chunk::<GLANCED>();
            let slots = first.into_iter().flatten();
            slots.fold(seen, |seen, slot| if slot.is_of(key) { Some(slot) } else { seen })
        })
    }

    #[inline]
    pub(super) fn find(&self, key: Key, digest: [u64; 4]) -> Option<(&Slot, Entry)> {
        // The newest segment is as large as all others together: most tokens are in it.
        for segment in self.segments().rev() {
            for slot in segment.window(key).1 {
                match slot.look(key, digest) {
                    Seen::This(entry) => return Some((slot, entry)),
                    Seen::Other => {}
                    Seen::Blank => break,
                }
            }
        }
        None
    }

    /// Puts an entry into a free slot, or into one whose tenant it evicts. Says where, and where
    /// the evicted one was (the same place) with its owner's handle.
    pub(super) fn put(&self, key: Key, entry: &Entry) -> Option<(Place, Option<u32>)> {
        let (used, slots) = self.load();
        if used.saturating_mul(4) > slots.saturating_mul(3) {
            self.grow();
        }
        let free = self.free(key).or_else(|| {
            // A crowd around one home, as there is one in a hundred thousand shortly before a table
            // grows anyway.
            if used.saturating_mul(2) > slots {
                self.grow();
            }
            self.free(key)
        });
        if let Some((segment, index)) = free {
            segment.slots.get(index)?.write(key, entry);
            segment.used.fetch_add(1, Ordering::Relaxed);
            return Some((segment.place(index)?, None));
        }
        // No room to grow, or a window that is full of what was chosen to crowd it: somebody is asked
        // of the store the next time. That costs time and changes no verdict.
        let segment = self.segments().next_back()?;
        let (home, window) = segment.window(key);
        let slot = window.first()?;
        let (evicted, _) = slot.handles();
        slot.write(key, entry);
        Some((segment.place(home)?, Some(evicted)))
    }

    /// A free slot in a key's window. The newest first: it is the one with room.
    fn free(&self, key: Key) -> Option<(&Segment, usize)> {
        self.segments().rev().find_map(|segment| {
            let (home, window) = segment.window(key);
            Some((segment, home.wrapping_add(window.iter().position(Slot::is_free)?)))
        })
    }

    /// The places of all slots that hold this token, or one that shares its tag.
    pub(super) fn places_of(&self, key: Key) -> Vec<Place> {
        self.slots_of(key).filter_map(|(segment, index, _)| segment.place(index)).collect()
    }

    /// The handles of owner and class in the same slots.
    pub(super) fn handles_of(&self, key: Key) -> impl Iterator<Item = (u32, u32)> {
        self.slots_of(key).map(|(_, _, slot)| slot.handles())
    }

    fn slots_of(&self, key: Key) -> impl Iterator<Item = (&Segment, usize, &Slot)> {
        self.segments().flat_map(move |segment| {
            let (home, window) = segment.window(key);
            let there = (home..).zip(window).take_while(|(_, slot)| !slot.is_blank());
            there
                .filter(move |(_, slot)| slot.is_of(key))
                .map(move |(index, slot)| (segment, index, slot))
        })
    }

    /// The places of the aliases that may lead to the secret in a slot.
    pub(super) fn aliases_of(&self, place: Place) -> Vec<Place> {
        let slot = self.find_place(place).and_then(|(segment, index)| segment.slots.get(index));
        slot.map_or_else(Vec::new, |slot| self.places_of(slot.alias()))
    }

    /// Frees a slot; says whose it was.
    pub(super) fn clear(&self, place: Place) -> Option<u32> {
        let (segment, mut index) = self.find_place(place)?;
        let slot = segment.slots.get(index).filter(|slot| !slot.is_free())?;
        // No search goes on from the last slot.
        let blank = segment.slots.get(index.wrapping_add(1)).is_none_or(Slot::is_blank);
        slot.clear(blank);
        segment.used.fetch_sub(1, Ordering::Relaxed);
        // Vacated slots before a blank one keep searches going for nothing.
        let before = |index: usize| segment.slots.get(index.wrapping_sub(1)).filter(|_| blank);
        while let Some(vacated) = before(index).filter(|slot| slot.is_vacated()) {
            vacated.clear(true);
            index = index.wrapping_sub(1);
        }
        Some(slot.handles().0)
    }

    pub(super) fn clear_all(&self) {
        for segment in self.segments() {
            for slot in segment.slots.iter().filter(|slot| !slot.is_blank()) {
                slot.clear(true);
            }
            segment.used.store(0, Ordering::Relaxed);
        }
    }

    /// How many slots are used, and how many there are.
    pub(super) fn load(&self) -> (usize, usize) {
        self.segments().fold((0, 0), |(used, slots), segment| {
            let own = segment.used.load(Ordering::Relaxed);
            (used.saturating_add(own), slots.saturating_add(segment.slots.len()))
        })
    }

    fn find_place(&self, place: Place) -> Option<(&Segment, usize)> {
        let index = place.index()?;
        let segment = self.segments().rev().find(|segment| segment.before <= index)?;
        Some((segment, index.checked_sub(segment.before)?))
    }

    #[inline(always)]
    fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        let count = self.count.load(Ordering::Acquire);
        self.segments.get(..count).unwrap_or_default().iter().filter_map(OnceLock::get)
    }

    /// Adds a segment, if there is room for one.
    fn grow(&self) {
        let count = self.count.load(Ordering::Relaxed);
        let total = self.load().1;
        let homes = total.max(self.first).min(self.most.saturating_sub(total));
        if homes < SMALLEST {
            return;
        }
        if let Some(place) = self.segments.get(count) {
            place.get_or_init(|| Segment::new(homes, total));
            // Readers see the segment only when it is whole.
            self.count.store(count.saturating_add(1), Ordering::Release);
        }
    }
}

impl Segment {
    fn new(homes: usize, before: usize) -> Self {
        let length = homes.saturating_add(WINDOW);
        Self {
            slots: std::iter::repeat_with(Slot::default).take(length).collect(),
            homes,
            before,
            used: AtomicUsize::new(0),
        }
    }

    /// Where a key is looked for: from its home on, which is as far on among all homes as the key
    /// is among all keys.
    #[inline(always)]
    fn window(&self, key: Key) -> (usize, &[Slot]) {
        let product = u128::from(key.home).wrapping_mul(self.homes as u128);
        let home = usize::try_from(product >> 64).unwrap_or_default();
        (home, self.slots.get(home..home.wrapping_add(WINDOW)).unwrap_or_default())
    }

    fn place(&self, index: usize) -> Option<Place> {
        u32::try_from(self.before.saturating_add(index)).ok().and_then(Place::new)
    }
}

/// Six tenths full when all that are expected are there: the first or second slot looked at is then
/// nearly always the right one.
const fn slots_for(tokens: usize) -> usize {
    tokens.saturating_mul(5) / 3
}

/// Doubling from the smallest, more than any machine's memory.
const SEGMENTS: usize = 32;

/// 1024 tokens: about 100 KiB, which a host with ten tokens does not notice.
const SMALLEST: usize = 1024;

/// How many slots are looked at before a digest is made. Of all tokens, 91 in 100 are in the first three;
/// the others cost a checksum more, and a fourth slot costs all of them as much as it saves.
const GLANCED: usize = 3;

/// How far from its home a token may be. Three quarters full, most are within three, and of a hundred
/// thousand one or two beyond this.
const WINDOW: usize = 128;

#[cfg(test)]
mod tests {
    use super::super::slot::Kept;
    use super::*;
    use crate::core::id::TokenId;
    use std::collections::HashMap;
    use std::sync::atomic::AtomicBool;

    fn id(number: u64) -> TokenId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        bytes[8..].copy_from_slice(&number.wrapping_mul(0xC2B2_AE3D_27D4_EB4F).to_be_bytes());
        TokenId::from_bytes(bytes)
    }

    fn entry(seed: u64) -> Entry {
        let small = u32::try_from(seed & 0xFFFF).unwrap();
        Entry {
            digest: [seed, seed ^ 1, seed ^ 2, seed ^ 3],
            kept: Kept {
                deadline: i64::from(small),
                generation: small,
                owner: small,
                class: small,
            },
            used_second: 0,
        }
    }

    fn seed_of(entry: &Entry) -> u64 {
        let seed = entry.digest[0];
        let Kept { deadline, generation, owner, class } = entry.kept;
        let same = deadline == i64::from(owner) && class == generation;
        assert!(same && owner == class, "a torn entry was taken for a whole one");
        assert_eq!(entry.digest, [seed, seed ^ 1, seed ^ 2, seed ^ 3]);
        seed
    }

    #[test]
    fn a_table_is_a_map_through_growth_and_removal() {
        let table = Table::new(0, usize::MAX / 4);
        let mut model = HashMap::new();
        let mut state = 1_u64;
        for step in 0..200_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (state >> 40) % 50_000;
            let key = Key::of(id(number));
            if state & 0x30_0000 != 0 {
                if let std::collections::hash_map::Entry::Vacant(place) = model.entry(number) {
                    let (_, evicted) = table.put(key, &entry(number)).unwrap();
                    assert_eq!(evicted, None);
                    place.insert(step);
                }
            } else if model.remove(&number).is_some() {
                for place in table.places_of(key) {
                    table.clear(place);
                }
            }
        }
        assert!(model.len() > 10_000);
        assert_eq!(table.load().0, model.len());
        for number in 0..50_000 {
            let found = table.find(Key::of(id(number)), entry(number).digest);
            assert_eq!(
                found.map(|(_, entry)| seed_of(&entry)).is_some(),
                model.contains_key(&number)
            );
            assert!(table.find(Key::of(id(number)), entry(number + 1).digest).is_none());
        }
    }

    #[test]
    fn all_secrets_of_a_token_are_there_under_its_id() {
        let table = Table::new(0, 4096);
        let put = |key, seed| table.put(key, &entry(seed)).unwrap().0;
        let places: Vec<_> =
            (0..50).map(|checksum| put(Key::of_secret(id(7), checksum), checksum)).collect();
        let other = put(Key::of_secret(id(8), 7), 7);
        assert_eq!(table.places_of(Key::of(id(7))), places);
        assert_eq!(table.places_of(Key::of(id(8))), [other]);
        for checksum in 0..50 {
            assert!(table.find(Key::of_secret(id(7), checksum), entry(checksum).digest).is_some());
        }
    }

    #[test]
    fn what_a_slot_held_when_it_was_seen_is_not_confirmed() {
        let (table, key) = (Table::new(10, 10), Key::of_secret(id(7), 1));
        let is_confirmed = |slot: &Slot, seed| {
            let Entry { digest, .. } = entry(seed);
            matches!(slot.look(key, digest), Seen::This(found) if seed_of(&found) == seed)
        };
        let (place, _) = table.put(key, &entry(1)).unwrap();
        let slot = table.glance(key).unwrap();
        assert!(is_confirmed(slot, 1));
        let _ = table.clear(place);
        assert!(!is_confirmed(slot, 1), "it was forgotten");
        assert_eq!(table.put(key, &entry(2)).unwrap().0, place);
        assert!(!is_confirmed(slot, 1), "another secret is there");
        assert!(is_confirmed(slot, 2));
    }

    #[test]
    fn of_two_secrets_with_one_tag_one_is_glanced_at_and_both_are_found() {
        let (table, key) = (Table::new(10, 10), Key::of_secret(id(7), 1));
        for seed in [1, 2] {
            assert!(table.put(key, &entry(seed)).is_some());
        }
        assert!(table.glance(key).is_some());
        for seed in [1, 2] {
            let (_, found) = table.find(key, entry(seed).digest).unwrap();
            assert_eq!(seed_of(&found), seed);
        }
    }

    #[test]
    fn a_wrong_checksum_is_told_by_its_tag_but_for_one_in_a_thousand() {
        let table = Table::new(0, 4096);
        table.put(Key::of_secret(id(7), 1), &entry(1)).unwrap();
        assert!(table.glance(Key::of_secret(id(7), 1)).is_some());
        let alike =
            (2..100_002).filter(|wrong| table.glance(Key::of_secret(id(7), *wrong)).is_some());
        assert!((50..200).contains(&alike.count()));
    }

    #[test]
    fn a_full_table_evicts_and_never_exceeds_its_bound() {
        let table = Table::new(0, 4096);
        for number in 0..100_000 {
            table.put(Key::of(id(number)), &entry(number)).unwrap();
        }
        let (used, slots) = table.load();
        assert!(slots <= 8192 && used <= slots, "{used} of {slots}");
        let found =
            (0..100_000).filter(|n| table.find(Key::of(id(*n)), entry(*n).digest).is_some());
        assert_eq!(found.count(), used);
    }

    #[test]
    fn emptied_slots_do_not_lengthen_searches_for_ever() {
        let table = Table::new(0, usize::MAX / 4);
        for number in 0..1_000_000 {
            let key = Key::of(id(number));
            let (place, _) = table.put(key, &entry(number)).unwrap();
            table.clear(place);
        }
        let segment = table.segments().next().unwrap();
        assert!(segment.slots.iter().all(Slot::is_blank));
    }

    #[test]
    fn readers_never_see_half_of_a_change() {
        let table = Table::new(0, 4096);
        let key = Key::of(id(7));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut seen = [0_u64; 2];
                        while !done.load(Ordering::Relaxed) {
                            for seed in [3, 9] {
                                if let Some((_, entry)) = table.find(key, entry(seed).digest) {
                                    assert_eq!(seed_of(&entry), seed);
                                    seen[usize::from(seed == 9)] += 1;
                                }
                            }
                        }
                        seen
                    })
                })
                .collect();
            for step in 0..200_000_u64 {
                let seed = if step % 2 == 0 { 3 } else { 9 };
                let (place, _) = table.put(key, &entry(seed)).unwrap();
                if step % 4 < 2 {
                    std::thread::yield_now();
                }
                table.clear(place);
            }
            done.store(true, Ordering::Relaxed);
            for reader in readers {
                let _ = reader.join().unwrap();
            }
        });
    }
}
