//! What the index is asked.

use crate::core::format::{Claim, PresentedToken};
use crate::core::id::TokenId;
use crate::service::index::Key;

/// A text with an id, as the index is asked for it.
pub(super) struct Question<'t> {
    pub(super) claimed: PresentedToken<'t>,
    pub(super) key: Key,
}

impl<'t> Question<'t> {
    #[inline(always)]
    pub(super) fn of(claim: &Claim<'t>) -> Option<Self> {
        let claimed = *claim.claimed();
        // The id is read from what is claimed: a second one would be kept beside it.
        let (_, key) = named(&claimed)?;
        Some(Self { claimed, key })
    }
}

/// What the index tells texts by: the digest, which is made of the id and the secret, with the
/// prefix and the checksum, which are all else that there is. A text of another prefix claims to be
/// a token of another kind, and is for the store to judge.
///
/// Whoever makes a text up chooses its checksum, and so 48 of the bits that are compared. The
/// other 208 are the digest's alone.
#[inline(always)]
pub(super) fn indexed(presented: &PresentedToken<'_>, digest: [u64; 4]) -> [u64; 4] {
    let [first, second, third, fourth] = digest;
    [first ^ presented.prefix_number(), second ^ presented.checksum_number(), third, fourth]
}

/// A text's id, and where the index has it; `None` for a text without an id.
#[inline(always)]
pub(super) fn named(presented: &PresentedToken<'_>) -> Option<(TokenId, Key)> {
    let id = presented.id()?;
    Some((id, Key::of_secret(id, presented.checksum_number())))
}
