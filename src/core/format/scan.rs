//! What a secret scanner looks for.

use super::{CHECKSUM_LENGTH, Format, SECRET_LENGTH};
use crate::core::id::TokenId;

impl Format {
    /// A regular expression that finds this host's tokens in any text, for secret scanners.
    ///
    /// Made from the same constants as the parser. It matches a little more than
    /// [`Format::parse`] accepts, since no regular expression checks a checksum.
    #[must_use]
    pub fn scanner_regex(&self) -> String {
        let prefixes: Vec<_> =
            self.entries.iter().map(|e| e.prefix.trim_end_matches('_')).collect();
        format!(
            r"\b(?:{})_[13-9a-km-uw-z]{{{}}}_[0-9A-Za-z]{{{}}}\b",
            prefixes.join("|"),
            TokenId::TEXT_LENGTH,
            SECRET_LENGTH.saturating_add(CHECKSUM_LENGTH),
        )
    }
}
