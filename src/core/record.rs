//! Making a record anew from what a store holds, and tying it to what it says.

use chrono::{DateTime, Utc};

use super::constraints::Constraints;
use super::digest::{Digest, Keyring, StoredDigest, UnknownKey};
use super::event::Actor;
use super::id::{Kind, Note, OwnerId, RealmId, ScopeName, TokenId, TokenName};
use super::scope::Grant;
use super::token::{Ended, Expiry, State, TokenRecord, Usage, Validity};

impl TokenRecord {
    /// A row with these fields, for a store or an importer that sets the others from what it
    /// holds. Until `validity` is set, the token ends with its creation.
    #[must_use]
    pub fn new(
        id: TokenId,
        realm: RealmId,
        owner: OwnerId,
        grant: Grant<ScopeName>,
        digest: StoredDigest,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            number: 0,
            realm,
            owner,
            owner_generation: 1,
            creator: Actor::host(),
            parent: None,
            kind: Kind::personal(),
            prefix: "".into(),
            name: TokenName::default(),
            note: Note::default(),
            grant,
            state: State::Active,
            validity: Validity::new(None, Expiry::At(created_at)),
            created_at,
            changed_at: created_at,
            changed_sequence: 0,
            binding: digest.digest,
            digest,
            generation: 1,
            secret_issued_at: created_at,
            previous: None,
            bypasses_two_factor: false,
            constraints: Constraints::default(),
            spent: 0,
            hint: "".into(),
            usage: Usage::default(),
            version: 0,
        }
    }

    /// Whether the row belongs where it is: whether its digests were written for this id, realm,
    /// owner and kind. It says nothing about the other fields.
    ///
    /// # Errors
    ///
    /// [`UnknownKey`] when the keyring lacks the key that the row was written with.
    pub fn is_intact(&self, keyring: &Keyring) -> Result<bool, UnknownKey> {
        Ok(self.bound(keyring)?.matches(self.binding))
    }

    /// Ties the row to what it says now.
    ///
    /// An importer calls it on rows that it makes; everything else does it by itself.
    ///
    /// # Errors
    ///
    /// [`UnknownKey`] when the keyring lacks the key of the row's digest.
    pub fn bind(&mut self, keyring: &Keyring) -> Result<(), UnknownKey> {
        self.binding = self.bound(keyring)?;
        Ok(())
    }

    /// Revokes the row, as a store does with many of them at once. `changed_sequence` and
    /// `version` are for the store to advance.
    pub fn end(&mut self, end: &Ended) {
        self.state = State::Revoked(end.clone());
        self.changed_at = self.changed_at.max(end.at);
    }

    fn bound(&self, keyring: &Keyring) -> Result<Digest, UnknownKey> {
        let previous = self.previous.as_ref().map(|previous| previous.digest.digest);
        keyring.bind(
            self.digest.key.as_ref(),
            [
                self.id.as_bytes(),
                self.realm.as_str().as_bytes(),
                self.owner.as_str().as_bytes(),
                &self.owner_generation.to_be_bytes(),
                self.kind.as_str().as_bytes(),
                self.digest.digest.as_bytes(),
                previous.as_ref().map_or(&[][..], |digest| digest.as_bytes()),
            ],
        )
    }
}
