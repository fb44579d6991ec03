//! Which slots are whose.

use super::table::Place;

/// The places of each owner's slots, as one list an owner through an array beside the slots: four
/// bytes a slot, where a vector an owner would take twenty.
#[derive(Default)]
pub(super) struct Places {
    /// Where each owner's list begins, by the owner's handle.
    heads: Vec<Option<Place>>,
    /// What comes after each place.
    next: Vec<Option<Place>>,
}

impl Places {
    pub(super) fn add(&mut self, owner: u32, place: Place) {
        let Some(head) = entry(&mut self.heads, usize::try_from(owner).ok()) else {
            return;
        };
        let after = head.replace(place);
        if let Some(next) = entry(&mut self.next, place.index()) {
            *next = after;
        }
    }

    pub(super) fn remove(&mut self, owner: u32, place: Place) {
        let after = self.after(place);
        let Some(head) = usize::try_from(owner).ok().and_then(|owner| self.heads.get_mut(owner))
        else {
            return;
        };
        if *head == Some(place) {
            *head = after;
            return;
        }
        let mut before = *head;
        while let Some(one) = before {
            let next = one.index().and_then(|index| self.next.get_mut(index));
            match next {
                Some(next) if *next == Some(place) => {
                    *next = after;
                    return;
                }
                next => before = next.and_then(|next| *next),
            }
        }
    }

    /// Takes an owner's whole list.
    pub(super) fn take(&mut self, owner: u32) -> Vec<Place> {
        let head = usize::try_from(owner).ok().and_then(|owner| self.heads.get_mut(owner));
        let first = head.and_then(Option::take);
        std::iter::successors(first, |place| self.after(*place)).collect()
    }

    pub(super) fn clear(&mut self) {
        self.heads.clear();
        self.next.clear();
    }

    fn after(&self, place: Place) -> Option<Place> {
        place.index().and_then(|index| self.next.get(index)).copied().flatten()
    }
}

/// An element of a vector, which grows by an eighth when it must.
fn entry<T: Clone>(vector: &mut Vec<Option<T>>, index: Option<usize>) -> Option<&mut Option<T>> {
    let index = index?;
    let missing = index.saturating_add(1).saturating_sub(vector.len());
    if index >= vector.capacity() {
        vector.reserve_exact(missing.saturating_add(vector.len() / 8));
    }
    if missing > 0 {
        vector.resize(index.saturating_add(1), None);
    }
    vector.get_mut(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn each_place_is_in_its_owners_list_until_it_is_removed() {
        let (mut places, mut model) = (Places::default(), HashMap::<u32, HashSet<u32>>::new());
        let mut state = 1_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = u32::try_from(state >> 33 & 1023).unwrap();
            let (owner, place) = (number % 50, Place::new(number).unwrap());
            let known = model.entry(owner).or_default();
            match state >> 60 {
                0 => {
                    let taken: HashSet<_> = places.take(owner).into_iter().collect();
                    let expected = known.drain().map(|n| Place::new(n).unwrap()).collect();
                    assert_eq!(taken, expected);
                }
                _ if known.remove(&number) => places.remove(owner, place),
                _ => {
                    known.insert(number);
                    places.add(owner, place);
                }
            }
        }
    }
}
