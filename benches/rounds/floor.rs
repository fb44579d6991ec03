//! The least that verifying a token in use could cost.

use keyfob::Rules;
use keyfob::os::SystemClock;
use keyfob::ports::clock::Clock as _;

/// Digests in a flat table of lines of 64 bytes, half empty, without any synchronisation: the same
/// parser, the same digest of one block, one coarse clock. It cannot be changed while it is read,
/// knows no owners and judges no scope.
pub(crate) struct Floor {
    rules: Rules,
    clock: SystemClock,
    slots: Vec<Slot>,
}

#[repr(align(64))]
#[derive(Clone, Copy, Default)]
struct Slot {
    digest: [u64; 4],
    deadline: i64,
}

impl Floor {
    pub(crate) fn new<'t>(rules: Rules, texts: impl ExactSizeIterator<Item = &'t str>) -> Self {
        let slots = vec![Slot::default(); (texts.len() * 2).next_power_of_two()];
        let mut floor = Self { rules, clock: SystemClock::new(), slots };
        for text in texts {
            let presented = floor.rules.format.parse(text.as_bytes()).unwrap();
            let digest = floor.rules.keyring.current_digest(&presented).to_words();
            let mut index = floor.home(digest);
            while floor.slots[index].deadline != 0 {
                index = (index + 1) % floor.slots.len();
            }
            floor.slots[index] = Slot { digest, deadline: i64::MAX };
        }
        floor
    }

    fn home(&self, digest: [u64; 4]) -> usize {
        digest[0] as usize & (self.slots.len() - 1)
    }

    pub(crate) fn verify(&self, text: &str) -> bool {
        let Ok(presented) = self.rules.format.parse(text.as_bytes()) else {
            return false;
        };
        let digest = self.rules.keyring.current_digest(&presented).to_words();
        let now = self.clock.coarse_micros();
        let mut index = self.home(digest);
        loop {
            let slot = &self.slots[index];
            if slot.digest == digest {
                return now < slot.deadline;
            }
            if slot.deadline == 0 {
                return false;
            }
            index = (index + 1) & (self.slots.len() - 1);
        }
    }
}
