//! What a text says that it is, before that is checked.

use super::{CHECKSUM_LENGTH, Entry, Form, PresentedToken, SECRET_LENGTH, TAIL};
use crate::core::alphabet;
use crate::core::id::TokenId;
use crate::core::secret::BASE62;

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
    /// By the checksum.
    covered: &'t [u8],
}

impl<'t> Parts<'t> {
    #[inline(always)]
    pub(super) fn of(entry: &Entry, text: &'t [u8]) -> Option<Self> {
        let tail: &[u8; TAIL] = text.get(entry.prefix.len()..)?.try_into().ok()?;
        let (id, rest) = tail.split_first_chunk()?;
        let (separator, rest) = rest.split_first_chunk::<1>()?;
        let (secret, checksum) = rest.split_first_chunk()?;
        let checksum = checksum.first_chunk()?;
        let (covered, _) = text.split_last_chunk::<CHECKSUM_LENGTH>()?;
        (*separator == *b"_").then_some(Self { id, secret, checksum, covered })
    }

    /// Whether the checksum is right, and the secret consists of what secrets do.
    #[inline]
    pub(super) fn are_sound(&self, mut crc: crc32fast::Hasher) -> bool {
        // First, since it alone refuses nearly all that is refused.
        crc.update(self.covered);
        read_checksum(self.checksum) == Some(crc.finalize())
            && self.secret.iter().fold(true, |all, byte| all & byte.is_ascii_alphanumeric())
    }

    /// What it would be, were it sound; `None` if its id is none.
    #[inline(always)]
    pub(super) fn claimed(self, prefix: u64, entry: &'t Entry) -> Option<PresentedToken<'t>> {
        let Self { id, secret, checksum, .. } = self;
        let id = TokenId::parse(id)?;
        let form = Form::Native { prefix, kind: &entry.kind, id, secret, checksum };
        Some(PresentedToken(form))
    }
}

/// The number that six base-62 digits stand for; `None` when it does not fit 32 bits.
#[inline]
fn read_checksum(digits: &[u8; CHECKSUM_LENGTH]) -> Option<u32> {
    let (value, strange) = digits.iter().fold((0_u64, 0), |(value, strange), digit| {
        let place = BASE62_VALUES.get(usize::from(*digit)).copied().unwrap_or(u8::MAX);
        // Six digits stay below 62^6 < 2^36.
        (value.wrapping_mul(62).wrapping_add(u64::from(place)), strange | place)
    });
    // No value of a symbol has the upper bits that all others have.
    u32::try_from(value).ok().filter(|_| strange < 64)
}

const BASE62_VALUES: [u8; 256] = alphabet::values(BASE62);
