//! Tokens whose rows nobody keeps.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use keyfob::core::issue::{Caller, issue};
use keyfob::core::owner::OwnerState;
use keyfob::ports::store::{Epoch, Found, Lookup};
use keyfob::testing::SeededRandomness;
use keyfob::{Actor, Grant, IssueRequest, OwnerId, ReadWrite, Rules, TokenId, TokenRecord};

use crate::common::Way;

/// Draws a token's row again whenever a store is asked for it, the same each time. Twenty million
/// rows take more memory than most machines have, and it is the index that is to be measured.
#[derive(Debug)]
pub(crate) struct Redrawn {
    rules: Rules,
    issued_at: DateTime<Utc>,
    numbers: HashMap<TokenId, u64>,
}

impl Redrawn {
    /// So many tokens, ten an owner, and their texts one after the other.
    pub(crate) fn new(rules: Rules, issued_at: DateTime<Utc>, size: usize) -> (Self, String) {
        let mut rows = Self { rules, issued_at, numbers: HashMap::with_capacity(size) };
        let mut texts = String::new();
        for number in 0..size as u64 {
            let (record, text) = rows.draw(number);
            if number == 0 {
                texts.reserve_exact(size * text.len());
            }
            rows.numbers.insert(record.id, number);
            texts.push_str(&text);
        }
        (rows, texts)
    }

    fn draw(&self, number: u64) -> (TokenRecord, String) {
        let owner = OwnerId::new(format!("owner-{}", number / 10)).unwrap();
        let request: IssueRequest<ReadWrite> = IssueRequest::new(owner, Grant::Full);
        let (host, state) = (Actor::host(), OwnerState::unheard_of());
        let mut random = SeededRandomness::new(number);
        let caller = Caller::Host(&host);
        let issued = issue(request, caller, &state, &self.rules, self.issued_at, &mut random);
        let issued = issued.unwrap();
        let mut record = issued.record;
        record.number = number + 1;
        (record, issued.secret.expose_secret().to_owned())
    }
}

#[async_trait]
impl Way for Redrawn {
    fn found(&self, key: &Lookup, _: Option<Found>) -> Option<Found> {
        let Lookup::Id(id) = key else { unreachable!("all texts have ids") };
        let (record, _) = self.draw(*self.numbers.get(id)?);
        Some(Found::new(record, OwnerState::unheard_of(), Epoch::default()))
    }
}
