//! What is kept of uses.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::num::NonZeroU32;

use super::Realm;
use crate::core::id::TokenId;
use crate::core::token::State;
use crate::ports::store::Use;

impl Realm {
    pub(in crate::store::memory) fn mark_used(&mut self, uses: &[Use]) -> Vec<TokenId> {
        let mut told = Vec::new();
        for new in uses {
            let row = self.by_id.get(&new.token).and_then(|number| self.rows.get_mut(number));
            let Some(record) = row else {
                continue;
            };
            let usage = &mut record.usage;
            if new.usage.last_at > usage.last_at {
                usage.last_at = new.usage.last_at;
                usage.last_from = new.usage.last_from;
            }
            usage.count = usage.count.saturating_add(new.usage.count);
            let known = self.known_addresses.entry(record.number).or_default();
            if new.usage.last_from.is_some_and(|address| meet(known, address))
                && let Some(event) = &new.if_new
            {
                told.push(new.token);
                self.append(event.clone());
            }
        }
        told
    }

    pub(in crate::store::memory) fn spend(&mut self, token: TokenId, uses: NonZeroU32) -> bool {
        let row = self.by_id.get(&token).and_then(|number| self.rows.get_mut(number));
        let row = row.filter(|row| row.state == State::Active && row.spent < uses.get());
        row.map(|row| row.spent = row.spent.saturating_add(1)).is_some()
    }
}

/// Whether an address is new among others; it is known from then on.
fn meet(known: &mut VecDeque<IpAddr>, address: IpAddr) -> bool {
    if known.contains(&address) {
        return false;
    }
    let is_first = known.is_empty();
    if known.len() == Use::KNOWN_ADDRESSES {
        known.pop_front();
    }
    known.push_back(address);
    !is_first
}
