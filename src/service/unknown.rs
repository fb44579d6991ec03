//! How many texts without an id may turn out to be nobody's.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts look-ups of texts that only the store can tell from garbage: so many a second.
///
/// One that finds a token gives its place back, so that those who have one are held up only while
/// others make up more than that.
pub(super) struct UnknownTexts {
    most: u32,
    /// The second in the upper half, how many were admitted in it in the lower.
    window: AtomicU64,
}

impl UnknownTexts {
    pub(super) const fn new(most: u32) -> Self {
        Self { most, window: AtomicU64::new(0) }
    }

    /// Whether one more may be looked up in this second.
    pub(super) fn admit(&self, second: u32) -> bool {
        let admitted = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |window| {
            let count = if window >> 32 == u64::from(second) { window & COUNT } else { 0 };
            (count < u64::from(self.most)).then(|| u64::from(second) << 32 | count.wrapping_add(1))
        });
        admitted.is_ok()
    }

    /// What was looked up in that second was somebody's.
    pub(super) fn give_back(&self, second: u32) {
        // Another second has begun: there is nothing to give back to.
        let _ = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |window| {
            let same = window >> 32 == u64::from(second) && window & COUNT > 0;
            same.then(|| window.wrapping_sub(1))
        });
    }
}

const COUNT: u64 = 0xFFFF_FFFF;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_have_a_token_take_nobodys_place() {
        let texts = UnknownTexts::new(2);
        for _ in 0..10 {
            assert!(texts.admit(7));
            texts.give_back(7);
        }
        assert!(texts.admit(7) && texts.admit(7));
        assert!(!texts.admit(7));
        texts.give_back(6);
        assert!(!texts.admit(7), "another second's place was given back");
        assert!(texts.admit(8));
        assert!(!UnknownTexts::new(0).admit(9));
    }
}
