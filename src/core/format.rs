//! The token's text: `{prefix}_{id}_{secret}{checksum}`.

mod checksum;
mod claim;
mod draw;
mod error;
mod head;
mod scan;

use std::fmt;

use self::checksum::Checksum;
#[cfg(feature = "service")]
pub(crate) use self::claim::Claim;
use self::claim::{Parts, is_sound};
pub use self::error::{FormatError, ParseError};
use self::head::Head;
use super::id::{InvalidName, Kind, TokenId};
use super::shape::Shape;

/// What a host's token texts begin with, one prefix for each kind of token.
///
/// Built once at start: [`Format::new`] with the prefix of new personal tokens, then
/// [`Format::with`] for other kinds and [`Format::with_retired`] for prefixes that the host no
/// longer issues but still reads. No registered prefix may begin with another one, so every text
/// has one reading.
///
/// A text consists of `[A-Za-z0-9_]` only, so that a double click selects all of it. Its parts
/// have fixed lengths: 26 characters of public id, 32 of secret (190 bits), 6 of checksum.
/// The checksum is CRC-32 (ISO-HDLC) of everything before it, in base 62, most significant digit
/// first. It is no security: it refuses typing errors, truncations and garbage without asking a
/// store. Exactly one text names each token.
///
/// ```
/// use keyfob::{Format, Kind};
///
/// let format = Format::new("chat")?.with("chatsession", Kind::session());
/// assert!(format.is_err(), "one prefix begins with the other");
///
/// let format = Format::new("chatp")?.with("chats", Kind::session())?.with_retired("cht", Kind::personal())?;
/// assert_eq!(format.scanner_regex(), r"\b(?:chatp|chats|cht)_[13-9a-km-uw-z]{26}_[0-9A-Za-z]{38}\b");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Format {
    entries: Vec<Entry>,
    shapes: Vec<Shape>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// With its separator, so that one comparison decides.
    prefix: Box<str>,
    /// Its first eight bytes, by which nearly all texts are told apart at once.
    head: Head,
    kind: Kind,
    retired: bool,
    checksum: Checksum,
}

impl Format {
    /// The length of a text without its prefix: two separators, id, secret and checksum.
    pub const TAIL_LENGTH: usize = 2 + TokenId::TEXT_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH;

    /// The longest prefix; longer ones would only make tokens unwieldy.
    pub const LONGEST_PREFIX: usize = 16;

    /// A format whose personal tokens begin with `prefix`.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when this is no prefix.
    pub fn new(prefix: &str) -> Result<Self, FormatError> {
        Self { entries: Vec::new(), shapes: Vec::new() }.with(prefix, Kind::personal())
    }

    /// Adds the prefix of new tokens of another kind.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when this is no prefix, when one prefix begins with the other, or when
    /// the kind has a prefix already.
    pub fn with(self, prefix: &str, kind: Kind) -> Result<Self, FormatError> {
        if self.entries.iter().any(|entry| !entry.retired && entry.kind == kind) {
            return Err(FormatError::KindTaken { kind });
        }
        self.add(prefix, kind, false)
    }

    /// Adds a prefix that is read and never issued.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when this is no prefix, or when one prefix begins with the other.
    pub fn with_retired(self, prefix: &str, kind: Kind) -> Result<Self, FormatError> {
        self.add(prefix, kind, true)
    }

    /// Reads texts of this shape too, and lets them be issued.
    ///
    /// They have no checksum: each one that is made up costs a look-up in the store, of which a
    /// service makes only [so many](crate::service::Builder::unknown_texts).
    #[must_use]
    pub fn reading(mut self, shape: Shape) -> Self {
        if !self.reads(shape) {
            self.shapes.push(shape);
        }
        self
    }

    /// Whether texts of this shape are read.
    #[must_use]
    pub fn reads(&self, shape: Shape) -> bool {
        self.shapes.contains(&shape)
    }

    fn add(mut self, prefix: &str, kind: Kind, retired: bool) -> Result<Self, FormatError> {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if !(2..=Self::LONGEST_PREFIX).contains(&prefix.len())
            || !prefix.bytes().all(word)
            || prefix.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(FormatError::InvalidPrefix(InvalidName {
                what: "prefix",
                rule: "2 to 16 characters of [a-z0-9], the first a letter",
            }));
        }
        for entry in &self.entries {
            let other = entry.prefix.trim_end_matches('_');
            if other.starts_with(prefix) || prefix.starts_with(other) {
                return Err(FormatError::Ambiguous { prefix: prefix.into(), other: other.into() });
            }
        }
        let prefix: Box<str> = format!("{prefix}_").into();
        let (head, checksum) = (Head::of(&prefix), Checksum::after(&prefix));
        self.entries.push(Entry { head, checksum, prefix, kind, retired });
        Ok(self)
    }

    /// Reads a presented text. No I/O, no allocation, no panic, whatever the bytes.
    ///
    /// # Errors
    ///
    /// [`ParseError::NotOurs`] when it begins with no registered prefix and has no shape that is
    /// read, so that another scheme may look at it; [`ParseError::Malformed`] when it begins with
    /// one and is not a token all the same.
    #[inline]
    pub fn parse<'t>(&'t self, text: &'t [u8]) -> Result<PresentedToken<'t>, ParseError> {
        let error = match self.entry(text) {
            Some((prefix, entry)) => match Parts::of(entry, text) {
                Some(parts) => {
                    let sound = is_sound(entry, text).then_some(parts);
                    let native = sound.and_then(|parts| parts.claimed(prefix, entry));
                    return native.ok_or(ParseError::Malformed);
                }
                None => ParseError::Malformed,
            },
            None => ParseError::NotOurs,
        };
        // A text of another product may begin like one of this host's.
        if self.shapes.iter().any(|shape| shape.fits(text)) {
            return Ok(PresentedToken(Form::Text(text)));
        }
        Err(error)
    }

    /// What a text says that it is.
    #[cfg(feature = "service")]
    #[inline(always)]
    pub(crate) fn claim<'t>(&'t self, text: &'t [u8]) -> Result<Claim<'t>, ParseError> {
        match self.entry(text) {
            Some((prefix, entry)) => Claim::read(prefix, entry, text).ok_or(ParseError::Malformed),
            None => Err(ParseError::NotOurs),
        }
    }

    /// Whether a text that makes this claim is what it claims to be.
    // Always inline, and what it calls never: a claim that is handed to a function lies in memory, for
    // those texts too that are recognised before anybody asks this.
    #[cfg(feature = "service")]
    #[inline(always)]
    pub(crate) fn bears_out(&self, claim: Claim<'_>, text: &[u8]) -> bool {
        self.is_sound_after(claim.claimed().prefix_number(), text)
    }

    #[cfg(feature = "service")]
    #[inline(never)]
    fn is_sound_after(&self, prefix: u64, text: &[u8]) -> bool {
        let entry = usize::try_from(prefix.wrapping_sub(1)).ok().and_then(|n| self.entries.get(n));
        entry.is_some_and(|entry| is_sound(entry, text))
    }

    /// Whether texts without an id are read.
    #[cfg(feature = "service")]
    #[inline]
    pub(crate) const fn reads_shapes(&self) -> bool {
        !self.shapes.is_empty()
    }

    /// Whose prefix a text has, and the how many-th that is.
    #[inline(always)]
    fn entry(&self, text: &[u8]) -> Option<(u64, &Entry)> {
        (1..).zip(&self.entries).find(|(_, entry)| entry.head.begins(text, &entry.prefix))
    }
}

/// A text that has the form of a token of this host, and proves nothing yet.
///
/// Only [`Format::parse`] gives one out. It holds a secret, which it does not show.
///
/// ```compile_fail,E0277
/// fn shown(presented: keyfob::PresentedToken<'_>) { let _ = format!("{presented}"); }
/// ```
/// ```compile_fail,E0369
/// fn compared(a: keyfob::PresentedToken<'_>, b: keyfob::PresentedToken<'_>) { let _ = a == b; }
/// ```
/// ```compile_fail,E0277
/// fn sent(presented: keyfob::PresentedToken<'_>) {
///     fn serialise<T: serde::Serialize>(_: T) {}
///     serialise(presented);
/// }
/// ```
#[derive(Clone, Copy)]
pub struct PresentedToken<'t>(Form<'t>);

/// What there is to be read from a text.
#[derive(Clone, Copy)]
pub(super) enum Form<'t> {
    Native {
        prefix: u64,
        kind: &'t Kind,
        id: TokenId,
        secret: &'t [u8; SECRET_LENGTH],
        checksum: &'t [u8; CHECKSUM_LENGTH],
    },
    Text(&'t [u8]),
}

impl<'t> PresentedToken<'t> {
    /// The id that the text claims; `None` for a text of another product's [`Shape`], whose token
    /// is found by its digest.
    #[inline]
    #[must_use]
    pub const fn id(&self) -> Option<TokenId> {
        match self.0 {
            Form::Native { id, .. } => Some(id),
            Form::Text(_) => None,
        }
    }

    /// The kind that the text's prefix stands for, if it has one.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> Option<&'t Kind> {
        match self.0 {
            Form::Native { kind, .. } => Some(kind),
            Form::Text(_) => None,
        }
    }

    /// Which of the format's prefixes it begins with; 0 for a text that has none.
    #[cfg_attr(not(feature = "service"), expect(dead_code, reason = "only an index asks"))]
    #[inline]
    pub(crate) const fn prefix_number(&self) -> u64 {
        match self.0 {
            Form::Native { prefix, .. } => prefix,
            Form::Text(_) => 0,
        }
    }

    /// The six digits of its checksum, as a number that no other digits are; 0 for a text without.
    #[cfg_attr(not(feature = "service"), expect(dead_code, reason = "only an index asks"))]
    #[inline]
    pub(crate) const fn checksum_number(&self) -> u64 {
        match self.0 {
            Form::Native { checksum: [a, b, c, d, e, f], .. } => {
                u64::from_le_bytes([*a, *b, *c, *d, *e, *f, 0, 0])
            }
            Form::Text(_) => 0,
        }
    }

    #[inline]
    pub(super) const fn form(&self) -> Form<'t> {
        self.0
    }
}

impl fmt::Debug for PresentedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedToken")
            .field("kind", &self.kind())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// 32 characters of base 62 are 190.5 bits: more than any search can reach, and with the id and
/// the tag they still fit one block of SHA-256.
pub(super) const SECRET_LENGTH: usize = 32;

/// 62^6 is the first power of 62 above 2^32.
const CHECKSUM_LENGTH: usize = 6;

/// The tail after the prefix and its separator.
const TAIL: usize = Format::TAIL_LENGTH - 1;
