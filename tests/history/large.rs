//! A history is judged in the time that it takes to sort it, whatever its shape.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::history::{Nanos, Operation, Outcome, Reason, Subject, Summary, Terms, check};
use crate::words::*;

#[test]
fn a_large_history_of_many_tokens_is_judged() {
    assert!(many_tokens(300_000).bounded.barred > 1_000);
}

#[test]
fn a_token_that_is_switched_all_the_time_is_judged() {
    let mut history = vec![issued(0, 0..1), connected(0, 1..Nanos::MAX)];
    for turn in 1..100_000 {
        let start = turn * 10;
        history.extend([
            deactivated(token(0), start..start + 1),
            refused(0, start + 1..start + 2).on(1),
            reactivated(token(0), start + 3..start + 4),
            accepted(0, start + 4..start + 5),
        ]);
    }
    assert_eq!(check(&history, &BOUND).unwrap().bounded.accepted, 99_999);
}

const BOUND: Terms = Terms { bound: 2_000_000, expiry_allowance: 0 };

/// A hundredth of the operations are revocations; nodes hear of them within the bound.
fn many_tokens(operations: u64) -> Summary {
    let mut random = StdRng::seed_from_u64(7);
    let tokens = u32::try_from(operations / 20).unwrap();
    let owner = |token: u32| token % 1_000;
    let mut ended_at: Vec<Option<Nanos>> = vec![None; tokens as usize];
    let mut away_since = [None; 1_000];
    let mut history: Vec<Operation> =
        (0..tokens).map(|number| issued(number, 0..1).of(owner(number))).collect();
    for at in (1..operations).map(|turn| turn * 1_000) {
        let (number, time) = (random.random_range(0..tokens), at..at + 900);
        let node = random.random_range(0..16);
        let ended = &mut ended_at[number as usize];
        let away = &mut away_since[owner(number) as usize];
        let operation = match random.random_range(0..1_000) {
            0..10 => {
                ended.get_or_insert(time.end);
                revoked(number, time)
            }
            10 => {
                let whom = Subject::Owner(owner(number));
                if away.take().is_some() {
                    reactivated(whom, time)
                } else {
                    *away = Some(time.end);
                    deactivated(whom, time)
                }
            }
            _ if ended.is_some() || away.is_some() => {
                refused(number, time).ended(Outcome::Refused(if ended.is_some() {
                    Reason::Revoked
                } else {
                    Reason::Unsaid
                }))
            }
            _ => accepted(number, time),
        };
        history.push(operation.on(node));
    }
    check(&history, &BOUND).unwrap_or_else(|found| panic!("{}", found[0].tell(&history)))
}
