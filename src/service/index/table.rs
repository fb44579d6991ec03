//! Slots in segments: reading takes no lock, growing copies nothing.

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
    slots: Box<[Slot]>,
    /// How far to shift a home to get a place in this segment.
    shift: u32,
    used: AtomicUsize,
}

/// A slot's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    segment: u32,
    slot: u32,
}

impl Table {
    /// A table that begins with room for `expected` tokens and never has more than about `most`.
    pub(super) fn new(expected: usize, most: usize) -> Self {
        // Half empty: the first or second slot looked at is then nearly always the right one.
        let first = expected.max(SMALLEST).saturating_mul(2).next_power_of_two();
        let table = Self {
            segments: std::array::from_fn(|_| OnceLock::new()),
            count: AtomicUsize::new(0),
            first,
            most: most.saturating_mul(2).max(first),
        };
        table.grow();
        table
    }

    /// Starts the loads of the lines that [`Table::find`] will look at first.
    ///
    /// Called before the digest is made: the trip to memory then runs under the hash.
    #[inline]
    pub(super) fn touch(&self, key: Key) -> u64 {
        let mut seen = 0;
        for segment in self.segments() {
            let home = segment.home(key);
            seen |= segment.slot(home).map_or(0, Slot::touch);
            seen |= segment.slot(home.wrapping_add(1)).map_or(0, Slot::touch);
        }
        seen
    }

    #[inline]
    pub(super) fn find(&self, key: Key, digest: [u64; 4]) -> Option<(&Slot, Entry)> {
        // The newest segment is as large as all others together: most tokens are in it.
        for segment in self.segments().rev() {
            let home = segment.home(key);
            for step in 0..WINDOW {
                let slot = segment.slot(home.wrapping_add(step))?;
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
        if used.saturating_mul(5) > slots.saturating_mul(3) {
            self.grow();
        }
        if let Some(place) = self.free_place(key) {
            return self.write(place, key, entry).map(|()| (place, None));
        }
        let newest = self.count.load(Ordering::Relaxed).saturating_sub(1);
        let segment = self.segments.get(newest)?.get()?;
        // A window that is full while its segment is not, or no room to grow: somebody is asked
        // of the store the next time. That costs time and changes no verdict.
        let place = Place {
            segment: u32::try_from(newest).ok()?,
            slot: u32::try_from(segment.wrapped(segment.home(key))).ok()?,
        };
        let evicted = self.slot(place)?.owner();
        self.write(place, key, entry).map(|()| (place, Some(evicted)))
    }

    /// The places of all slots that hold this token, or one that shares its tag.
    pub(super) fn places_of(&self, key: Key) -> Vec<Place> {
        let mut places = Vec::new();
        for (number, segment) in (0_u32..).zip(self.segments()) {
            let home = segment.home(key);
            for index in (0..WINDOW).map(|step| segment.wrapped(home.wrapping_add(step))) {
                if segment.slot(index).is_some_and(|slot| slot.is_of(key)) {
                    let slot = u32::try_from(index).unwrap_or(u32::MAX);
                    places.push(Place { segment: number, slot });
                }
            }
        }
        places
    }

    /// The places of the aliases that may lead to the secret in a slot.
    pub(super) fn aliases_of(&self, place: Place) -> Vec<Place> {
        self.slot(place).map_or_else(Vec::new, |slot| self.places_of(slot.alias()))
    }

    /// Frees a slot; says whose it was.
    pub(super) fn clear(&self, place: Place) -> Option<u32> {
        let segment = self.segments.get(usize::try_from(place.segment).ok()?)?.get()?;
        let mut index = usize::try_from(place.slot).ok()?;
        let slot = segment.slot(index).filter(|slot| !slot.is_free())?;
        let blank = segment.slot(index.wrapping_add(1)).is_some_and(Slot::is_blank);
        slot.clear(blank);
        segment.used.fetch_sub(1, Ordering::Relaxed);
        // Vacated slots before a blank one keep searches going for nothing.
        let mut before = segment.slot(index.wrapping_sub(1)).filter(|_| blank);
        while let Some(vacated) = before.filter(|slot| slot.is_free() && !slot.is_blank()) {
            vacated.clear(true);
            index = index.wrapping_sub(1);
            before = segment.slot(index.wrapping_sub(1));
        }
        Some(slot.owner())
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

    fn write(&self, place: Place, key: Key, entry: &Entry) -> Option<()> {
        let slot = self.slot(place)?;
        if slot.is_free() {
            let segment = self.segments.get(usize::try_from(place.segment).ok()?)?.get()?;
            segment.used.fetch_add(1, Ordering::Relaxed);
        }
        slot.write(key, entry);
        Some(())
    }

    fn free_place(&self, key: Key) -> Option<Place> {
        let numbered: Vec<_> = (0_u32..).zip(self.segments()).collect();
        // The newest first: it is the one with room.
        for (number, segment) in numbered.into_iter().rev() {
            let home = segment.home(key);
            for index in (0..WINDOW).map(|step| segment.wrapped(home.wrapping_add(step))) {
                if segment.slot(index).is_some_and(Slot::is_free) {
                    return Some(Place { segment: number, slot: u32::try_from(index).ok()? });
                }
            }
        }
        None
    }

    fn slot(&self, place: Place) -> Option<&Slot> {
        let segment = self.segments.get(usize::try_from(place.segment).ok()?)?.get()?;
        segment.slots.get(usize::try_from(place.slot).ok()?)
    }

    #[inline]
    fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        let count = self.count.load(Ordering::Acquire);
        self.segments.get(..count).unwrap_or_default().iter().filter_map(OnceLock::get)
    }

    /// Adds a segment; says whether there was room for one.
    fn grow(&self) -> bool {
        let count = self.count.load(Ordering::Relaxed);
        let total = self.segments().map(|segment| segment.slots.len()).sum::<usize>();
        let length = total.max(self.first);
        if total.saturating_add(length) > self.most {
            return false;
        }
        let Some(place) = self.segments.get(count) else {
            return false;
        };
        place.get_or_init(|| Segment {
            slots: std::iter::repeat_with(Slot::default).take(length).collect(),
            shift: 64_u32.saturating_sub(length.trailing_zeros()),
            used: AtomicUsize::new(0),
        });
        // Readers see the segment only when it is whole.
        self.count.store(count.saturating_add(1), Ordering::Release);
        true
    }
}

impl Segment {
    /// The upper bits of a home, as many as number the segment's slots.
    #[inline]
    fn home(&self, key: Key) -> usize {
        usize::try_from(key.home.unbounded_shr(self.shift)).unwrap_or_default()
    }

    /// Lengths are powers of two.
    #[inline]
    fn wrapped(&self, index: usize) -> usize {
        index & self.slots.len().wrapping_sub(1)
    }

    #[inline]
    fn slot(&self, index: usize) -> Option<&Slot> {
        self.slots.get(self.wrapped(index))
    }
}

/// Doubling from the smallest, more than any machine's memory.
const SEGMENTS: usize = 32;

/// 1024 tokens: 128 KiB, which a host with ten tokens does not notice.
const SMALLEST: usize = 1024;

/// How far from its home a token may be. Half full, nearly all are within two, and among millions
/// hardly one is beyond sixty.
const WINDOW: usize = 128;

#[cfg(test)]
mod tests {
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
            deadline: i64::from(small),
            used_second: 0,
            generation: small,
            owner: small,
            class: small,
        }
    }

    fn seed_of(entry: &Entry) -> u64 {
        let seed = entry.digest[0];
        let same = entry.deadline == i64::from(entry.owner) && entry.class == entry.generation;
        assert!(same && entry.owner == entry.class, "a torn entry was taken for a whole one");
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
