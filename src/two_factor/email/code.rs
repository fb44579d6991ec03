//! A mailed code, as it is drawn, typed and kept.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::ports::two_factor::Answer;

/// What mailed codes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each has an argument of its own")]
pub enum CodeShape {
    /// Eight symbols of 32, as `abcd-efgh`: 40 bits.
    Letters,
    /// Six digits, as `123-456`, for clients that insist: 20 bits, the fewest that NIST SP 800-63B
    /// (section 5.1.3.2) allows, and only with few attempts.
    SixDigits,
}

impl CodeShape {
    pub(super) const fn symbols(self) -> (&'static [u8], usize) {
        match self {
            // None of them looks like another one: there is no i, l, o and 1.
            Self::Letters => (b"abcdefghjkmnpqrstuvwxyz023456789", 8),
            Self::SixDigits => (b"0123456789", 6),
        }
    }
}

/// The newest code of an owner.
#[derive(Serialize, Deserialize)]
pub(super) struct Code {
    /// What it was sent for.
    pub(super) challenge: [u8; 32],
    pub(super) digest: [u8; 32],
    /// In microseconds since 1970.
    pub(super) expires_at: i64,
    pub(super) attempts: u32,
    /// Whether it is known to have gone out.
    pub(super) is_sent: bool,
}

/// Of the challenge too; the code alone is soon tried out, were it not sealed.
pub(super) fn digest(challenge: [u8; 32], code: &str) -> [u8; 32] {
    Sha256::new_with_prefix(b"keyfobM1")
        .chain_update(challenge)
        .chain_update(code)
        .finalize()
        .into()
}

/// The code as it was drawn: people type the hyphen, leave it out, or put a space there.
pub(super) fn plain(answer: &Answer) -> Zeroizing<String> {
    let text = answer.expose_secret();
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    plain.extend(text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_lowercase()));
    plain
}
