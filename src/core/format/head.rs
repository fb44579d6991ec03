//! Telling prefixes apart without a call.

/// The first bytes of a prefix, eight at the most, as a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    word: u64,
    mask: u64,
}

impl Head {
    pub(super) fn of(prefix: &str) -> Self {
        let (mut word, mut mask) = ([0; 8], [0; 8]);
        for ((word, mask), byte) in word.iter_mut().zip(&mut mask).zip(prefix.bytes()) {
            (*word, *mask) = (byte, u8::MAX);
        }
        Self { word: u64::from_ne_bytes(word), mask: u64::from_ne_bytes(mask) }
    }

    /// Whether a text begins with the prefix that this is the head of.
    #[inline]
    pub(super) fn begins(self, text: &[u8], prefix: &str) -> bool {
        let whole = || text.starts_with(prefix.as_bytes());
        match text.first_chunk() {
            Some(first) if prefix.len() <= first.len() => self.agrees(*first),
            Some(first) => self.agrees(*first) && whole(),
            None => whole(),
        }
    }

    #[inline]
    const fn agrees(self, first: [u8; 8]) -> bool {
        u64::from_ne_bytes(first) & self.mask == self.word
    }
}
