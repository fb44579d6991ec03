//! Names of things: tokens, owners, realms, scopes, kinds and keys.
//!
//! Every name here is public. None of them authenticates anybody.

use std::fmt;
use std::str::FromStr;

use rand::TryCryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::alphabet::{self, STRANGE};

/// A token's public name: 128 random bits, written as 26 characters.
///
/// It is safe to log, to list, to look up and to revoke by, and never enough to authenticate.
/// The text is z-base-32 (`ybndrfg8ejkmcpqxot1uwisza345h769`) in RFC 4648 bit order, most
/// significant bit first, without padding. That is how Mattermost writes its own ids, so a token
/// imported from there keeps its id, and a client that insists on 26 characters of `[a-z0-9]` is
/// content. Exactly one text names each id: a text whose two spare bits are not zero is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId([u8; 16]);

impl TokenId {
    /// How many characters an id's text has.
    pub const TEXT_LENGTH: usize = 26;

    /// Draws an id.
    ///
    /// # Errors
    ///
    /// The generator's own error, when it cannot deliver.
    pub fn random<R: TryCryptoRng + ?Sized>(rng: &mut R) -> Result<Self, R::Error> {
        let mut bytes = [0; 16];
        rng.try_fill_bytes(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The id with these 128 bits.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 128 bits.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the 26 characters, and nothing else: no case folding, no spare bits.
    #[inline(always)]
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; Self::TEXT_LENGTH] = text.try_into().ok()?;
        // Four symbols at once, six times, then two that hold 8 bits and two spare ones; a symbol
        // of value 0 stands before those. Bytes that are no symbol are looked for at the end.
        let (fours, last) = text.as_chunks::<4>();
        let [a, b, c, d, e, f]: &[[u8; 4]; 6] = fours.try_into().ok()?;
        let [symbol, spare]: &[u8; 2] = last.try_into().ok()?;
        let (a, b, c) = (twenty_bits(a), twenty_bits(b), twenty_bits(c));
        let (d, e, f) = (twenty_bits(d), twenty_bits(e), twenty_bits(f));
        let last = twenty_bits(&[b'y', b'y', *symbol, *spare]);
        if (a | b | c | d | e | f | last) & u64::from(STRANGE) != 0 || last & 0b11 != 0 {
            return None;
        }
        let high = a << 44 | b << 24 | c << 4 | d >> 16;
        let low = d << 48 | e << 28 | f << 8 | last >> 2;
        Some(Self((u128::from(high) << 64 | u128::from(low)).to_be_bytes()))
    }

    /// The 26 characters, without allocation.
    #[must_use]
    pub fn text(&self) -> TokenIdText {
        let bits = u128::from_be_bytes(self.0);
        let mut text = [b'y'; Self::TEXT_LENGTH];
        // From the end: two spare zero bits below the number, then five bits a character.
        let mut shift = 0_u32;
        for (position, character) in text.iter_mut().rev().enumerate() {
            let five = if position == 0 { bits << 2 } else { bits >> shift };
            *character = symbol(five);
            shift = if position == 0 { 3 } else { shift.saturating_add(5) };
        }
        TokenIdText(text)
    }
}

/// The text of a [`TokenId`], held inline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenIdText([u8; TokenId::TEXT_LENGTH]);

impl TokenIdText {
    /// The 26 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only symbols of the alphabet are ever written here, all of them ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for TokenIdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

impl FromStr for TokenId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text.as_bytes()).ok_or(InvalidName { what: "token id", rule: ID_RULE })
    }
}

impl Serialize for TokenId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

impl<'de> Deserialize<'de> for TokenId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn symbol(five_bits: u128) -> u8 {
    let index = usize::try_from(five_bits & 31).unwrap_or_default();
    ALPHABET.get(index).copied().unwrap_or(b'y')
}

/// What four symbols stand for, and [`STRANGE`] if one of them is none.
#[inline]
fn twenty_bits(symbols: &[u8; 4]) -> u64 {
    let mut bits = 0;
    for (values, symbol) in SHIFTED_VALUES.iter().zip(symbols) {
        bits |= values.get(usize::from(*symbol)).copied().unwrap_or(STRANGE);
    }
    u64::from(bits)
}

/// z-base-32's symbols in the order of their values.
const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

/// What each byte stands for as the first, second, third and fourth of four symbols.
static SHIFTED_VALUES: [[u32; 256]; 4] = alphabet::fours(ALPHABET);

const ID_RULE: &str =
    "26 characters of ybndrfg8ejkmcpqxot1uwisza345h769, the last one with two zero bits";

/// A text that is not a name of the asked kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {what} is {rule}")]
#[non_exhaustive]
pub struct InvalidName {
    /// What was to be named.
    pub what: &'static str,
    /// What such a name looks like.
    pub rule: &'static str,
}

impl InvalidName {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "invalid_name"
    }
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes the text if it is such a name.
            ///
            /// # Errors
            ///
            /// [`InvalidName`], which says what such a name looks like.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(&text) {
                    Ok(Self(text.into_boxed_str()))
                } else {
                    Err(InvalidName { what: $what, rule: $rule })
                }
            }

            /// The text, unchanged.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.as_str())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into_string()
            }
        }
    };
}

text_name! {
    /// Whom a token belongs to and acts as: the host's own id of an account, opaque here.
    OwnerId, "owner id", "1 to 255 bytes without control characters", |text| is_line(text, 1, 255)
}
text_name! {
    /// The tenant that a store handle is bound to.
    ///
    /// Every row carries it. A token of another realm is the same as an unknown one.
    RealmId, "realm", "1 to 64 bytes without control characters", |text| is_line(text, 1, 64)
}
text_name! {
    /// What a person calls a token. It may be empty: two of the four products allow that.
    TokenName, "token name", "at most 255 bytes without control characters", |text| is_line(text, 0, 255)
}
text_name! {
    /// A longer remark about a token; line breaks are allowed.
    Note, "note", "at most 4096 bytes without control characters other than line breaks and tabs",
    |text| text.len() <= 4096 && !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}
text_name! {
    /// The stored name of a scope; what it permits is for the host's [`Scope`](crate::core::scope::Scope) to say.
    ScopeName, "scope name", "1 to 128 printable ASCII characters without space, quote and backslash (RFC 6749, section 3.3)",
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}
text_name! {
    /// What a token is for: `personal`, `session`, or what a host adds.
    Kind, "kind", "1 to 32 characters of [a-z0-9_]", |text| is_word(text, 32)
}
text_name! {
    /// Names one digest key of a keyring; stored beside every digest made with it.
    KeyId, "key id", "1 to 32 characters of [a-z0-9_-]",
    |text| (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}
text_name! {
    /// Makes "did it happen?" answerable: the same key never issues twice.
    IdempotencyKey, "idempotency key", "1 to 128 bytes without control characters", |text| is_line(text, 1, 128)
}

impl ScopeName {
    /// A name that no vocabulary has.
    pub(super) fn unknown() -> Self {
        Self("?".into())
    }
}

impl Kind {
    /// The kind of a personal access token.
    #[must_use]
    pub fn personal() -> Self {
        Self("personal".into())
    }

    /// The kind of a session: an ordinary token with a short life.
    #[must_use]
    pub fn session() -> Self {
        Self("session".into())
    }
}

impl Default for RealmId {
    /// The realm of hosts that have one tenant: `default`.
    fn default() -> Self {
        Self("default".into())
    }
}

impl TokenName {
    /// As much of a text as a name holds, in one line.
    #[cfg(any(feature = "awx", feature = "import"))]
    pub(crate) fn beginning(text: &str) -> Self {
        let mut line = text.replace(char::is_control, " ");
        while line.len() > 255 {
            line.pop();
        }
        Self(line.into())
    }
}

impl Default for TokenName {
    /// The empty name.
    fn default() -> Self {
        Self("".into())
    }
}

impl Default for Note {
    /// No remark.
    fn default() -> Self {
        Self("".into())
    }
}

fn is_line(text: &str, shortest: usize, longest: usize) -> bool {
    (shortest..=longest).contains(&text.len()) && !text.contains(char::is_control)
}

fn is_word(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_mattermost_is_an_id_here() {
        // The text of 16 bytes 0x00..0x0f as Mattermost's own encoder writes them.
        let id = TokenId::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap()));
        assert_eq!(id.to_string().len(), 26);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(TokenId::from_bytes([0; 16]).to_string(), "y".repeat(26));
        assert_eq!(TokenId::from_bytes([255; 16]).to_string(), format!("{}h", "9".repeat(25)));
    }

    #[test]
    fn an_id_with_spare_bits_set_is_refused() {
        assert_eq!(TokenId::parse(&[b'y'; 26]), Some(TokenId::from_bytes([0; 16])));
        let mut text = [b'y'; 26];
        text[25] = b'b';
        assert_eq!(TokenId::parse(&text), None);
    }

    #[test]
    fn control_characters_have_no_place_in_names() {
        assert!(OwnerId::new("a\u{0}b").is_err());
        assert!(TokenName::new("line\nbreak").is_err());
        assert!(Note::new("line\nbreak").is_ok());
        assert!(ScopeName::new("two words").is_err());
        assert!(OwnerId::new("").is_err());
        assert!(TokenName::new("").is_ok());
    }
}
