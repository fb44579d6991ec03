//! Texts that carry no id: how other products write their tokens.

use std::fmt;

use super::alphabet;

/// How a text without an id looks: so many characters of one alphabet.
///
/// Such a text is found by its digest alone. It has no checksum, so whatever has its shape is looked
/// up in the store before it can be refused; and no prefix, so no scanner recognises it. Hosts read
/// them for tokens that were [imported](crate::import), and issue them where a client insists.
///
/// A host says which ones it reads, by [`Format::reading`](super::format::Format::reading).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    name: &'static str,
    alphabet: &'static Alphabet,
    length: usize,
}

#[derive(PartialEq, Eq, Hash)]
struct Alphabet {
    symbols: &'static [u8],
    values: [u8; 256],
}

impl Alphabet {
    const fn new<const N: usize>(symbols: &'static [u8; N]) -> Self {
        Self { symbols, values: alphabet::values(symbols) }
    }
}

impl Shape {
    /// 30 letters and digits, as AWX and Ansible Tower write them: 178 bits.
    pub const AWX: Self = Self {
        name: "awx",
        alphabet: &Alphabet::new(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"),
        length: 30,
    };

    /// 26 characters of Mattermost's own base 32: 130 bits.
    pub const MATTERMOST: Self = Self {
        name: "mattermost",
        alphabet: &Alphabet::new(b"ybndrfg8ejkmcpqxot1uwisza345h769"),
        length: 26,
    };

    /// 43 characters of base 64 as in an URL, as Rocket.Chat writes them: 258 bits.
    pub const ROCKET_CHAT: Self = Self {
        name: "rocketchat",
        alphabet: &Alphabet::new(
            b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
        ),
        length: 43,
    };

    /// 71 characters of base 64 as in an URL, as long as Zitadel's with ids of its own: 426 bits.
    ///
    /// Each is drawn at random. What Zitadel writes there is both ids under a cipher without
    /// authentication, which whoever knows them can change; that is not reproduced, and nothing can
    /// be read out of such a text.
    pub const ZITADEL: Self = Self { name: "zitadel", length: 71, ..Self::ROCKET_CHAT };

    /// The product whose shape it is.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether a text has this shape.
    #[must_use]
    pub fn fits(&self, text: &[u8]) -> bool {
        let value = |byte: &u8| self.alphabet.values.get(usize::from(*byte)).copied();
        // No value of a symbol has the upper bits that all others have.
        text.len() == self.length
            && text.iter().fold(0, |all, byte| all | value(byte).unwrap_or(u8::MAX)) < 64
    }

    pub(super) const fn alphabet(&self) -> &'static [u8] {
        self.alphabet.symbols
    }

    pub(super) const fn length(&self) -> usize {
        self.length
    }

    /// How many of the last characters may be shown for a person to recognise the token: six, if
    /// what is left is more than a search can reach.
    #[must_use]
    pub const fn hint_length(&self) -> usize {
        // No alphabet has fewer than 32 symbols: five bits a character.
        if self.length.saturating_mul(5) >= 128 + HINT * 5 { HINT } else { 0 }
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape({})", self.name)
    }
}

/// As many as Rocket.Chat shows.
const HINT: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_fits_by_length_and_alphabet() {
        assert!(Shape::MATTERMOST.fits(b"ybndrfg8ejkmcpqxot1uwisza3"));
        for text in ["", "ybndrfg8ejkmcpqxot1uwisza", "ybndrfg8ejkmcpqxot1uwisza0"] {
            assert!(!Shape::MATTERMOST.fits(text.as_bytes()), "{text:?}");
        }
        assert!(Shape::AWX.fits(b"73HNeV53E6p2oYMMAogRn9TIKt92Cf"));
        assert!(!Shape::AWX.fits(b"73HNeV53E6p2oYMMAogRn9TIKt92C_"));
        assert!(Shape::ROCKET_CHAT.fits(b"RScctEHSmLGZGywfIhWyRpyofhKOiMoUIpimhvheU3f"));
        assert!(!Shape::ROCKET_CHAT.fits(b"RScctEHSmLGZGywfIhWyRpyofhKOiMoUIpimhvheU3+"));
    }

    #[test]
    fn no_hint_leaves_fewer_than_128_bits() {
        for shape in [Shape::AWX, Shape::MATTERMOST, Shape::ROCKET_CHAT, Shape::ZITADEL] {
            let hidden = shape.length - shape.hint_length();
            let symbols = u32::try_from(shape.alphabet().len()).unwrap();
            assert!(hidden * usize::try_from(symbols.ilog2()).unwrap() >= 128, "{shape:?}");
        }
    }
}
