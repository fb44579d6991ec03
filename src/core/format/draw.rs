//! Drawing the text of a new token.

use rand::TryCryptoRng;
use zeroize::Zeroizing;

use super::checksum::push_checksum;
use super::{CHECKSUM_LENGTH, Format, SECRET_LENGTH, TAIL};
use crate::core::digest::{Keyring, StoredDigest};
use crate::core::error::IssueError;
use crate::core::id::{Kind, TokenId};
use crate::core::secret::{BASE62, TokenSecret, characters};
use crate::core::shape::Shape;

/// A freshly drawn text.
pub(in crate::core) struct Drawn {
    pub(in crate::core) text: TokenSecret,
    pub(in crate::core) prefix: Box<str>,
    /// The text's last characters, by which a person recognises a token: of a native one the
    /// checksum, which tells nothing of use to a guesser (32 bits about 190 random ones).
    pub(in crate::core) hint: Box<str>,
    pub(in crate::core) digest: StoredDigest,
}

impl Format {
    /// A new text for a token of this id and kind: a native one, or one of this shape.
    pub(in crate::core) fn draw<R: TryCryptoRng + ?Sized>(
        &self,
        (id, kind, shape): (TokenId, &Kind, Option<Shape>),
        keyring: &Keyring,
        rng: &mut R,
    ) -> Result<Drawn, IssueError> {
        if let Some(shape) = shape {
            return self.draw_shape(shape, keyring, rng);
        }
        let entry = self.entries.iter().find(|entry| !entry.retired && entry.kind == *kind);
        let entry = entry.ok_or_else(|| IssueError::KindWithoutPrefix { kind: kind.clone() })?;
        let secret = characters(rng, BASE62, SECRET_LENGTH).map_err(|_| IssueError::Randomness)?;
        let length = entry.prefix.len().saturating_add(TAIL);
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(&entry.prefix);
        text.push_str(id.text().as_str());
        text.push('_');
        text.push_str(&secret);
        push_checksum(&mut text);
        let secret = secret.as_bytes().try_into().map_err(|_| IssueError::Randomness)?;
        let digest = keyring.digest_secret(id, secret);
        let prefix = entry.prefix.trim_end_matches('_').into();
        let hint = last(&text, CHECKSUM_LENGTH);
        Ok(Drawn { text: TokenSecret::new(text), prefix, hint, digest })
    }

    fn draw_shape<R: TryCryptoRng + ?Sized>(
        &self,
        shape: Shape,
        keyring: &Keyring,
        rng: &mut R,
    ) -> Result<Drawn, IssueError> {
        if !self.reads(shape) {
            return Err(IssueError::ShapeNotRead { shape });
        }
        let text = characters(rng, shape.alphabet(), shape.length());
        let text = text.map_err(|_| IssueError::Randomness)?;
        let digest = keyring.digest_text(text.as_bytes());
        let hint = last(&text, shape.hint_length());
        Ok(Drawn { text: TokenSecret::new(text), prefix: "".into(), hint, digest })
    }
}

fn last(text: &str, length: usize) -> Box<str> {
    text.get(text.len().saturating_sub(length)..).unwrap_or_default().into()
}
