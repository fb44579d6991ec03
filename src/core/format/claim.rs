//! What a text says that it is, before that is checked.

use super::{CHECKSUM_LENGTH, Entry, Form, PresentedToken, SECRET_LENGTH, TAIL};
use crate::core::id::TokenId;

/// A text with a prefix of this host, as long as a token's text, whose separators and id are in
/// their places.
///
/// Its checksum may be wrong, and its secret may hold anything. That is enough to look for what is
/// known of it, and to find that it is the very text that was checked before.
#[cfg(feature = "service")]
#[derive(Clone, Copy)]
pub(crate) struct Claim<'t>(PresentedToken<'t>);

#[cfg(feature = "service")]
impl<'t> Claim<'t> {
    #[inline(always)]
    pub(super) fn read(prefix: u64, entry: &'t Entry, text: &'t [u8]) -> Option<Self> {
        Parts::of(entry, text)?.claimed(prefix, entry).map(Self)
    }

    /// What it would be, were its checksum right.
    #[inline]
    pub(crate) const fn claimed(&self) -> &PresentedToken<'t> {
        &self.0
    }
}

/// A text with a prefix of this host, taken apart.
pub(super) struct Parts<'t> {
    id: &'t [u8; TokenId::TEXT_LENGTH],
    secret: &'t [u8; SECRET_LENGTH],
    checksum: &'t [u8; CHECKSUM_LENGTH],
}

impl<'t> Parts<'t> {
    #[inline(always)]
    pub(super) fn of(entry: &Entry, text: &'t [u8]) -> Option<Self> {
        let tail: &[u8; TAIL] = text.get(entry.prefix.len()..)?.try_into().ok()?;
        let (id, rest) = tail.split_first_chunk()?;
        let (separator, rest) = rest.split_first_chunk::<1>()?;
        let (secret, checksum) = rest.split_first_chunk()?;
        let checksum = checksum.first_chunk()?;
        (*separator == *b"_").then_some(Self { id, secret, checksum })
    }

    /// What it would be, were it sound; `None` if its id is none.
    #[inline(always)]
    pub(super) fn claimed(self, prefix: u64, entry: &'t Entry) -> Option<PresentedToken<'t>> {
        let Self { id, secret, checksum } = self;
        let id = TokenId::parse(id)?;
        let form = Form::Native { prefix, kind: &entry.kind, id, secret, checksum };
        Some(PresentedToken(form))
    }
}

/// Whether a text that was taken apart is what it claims to be: its checksum is right, and its secret
/// consists of what secrets do.
#[inline]
pub(super) fn is_sound(entry: &Entry, text: &[u8]) -> bool {
    let secret = || text.split_last_chunk::<CHECKSUM_LENGTH>()?.0.last_chunk::<SECRET_LENGTH>();
    // The checksum first, since it alone refuses nearly all that is refused.
    entry.checksum.is_right(text)
        && secret().is_some_and(|secret| {
            secret.iter().fold(true, |all, byte| all & byte.is_ascii_alphanumeric())
        })
}
