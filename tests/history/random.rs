//! Whatever the history, the checker finds in it what a plain reading finds.
//!
//! A failure prints its seed and its operations.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::history::{Act, NEVER, Operation, Outcome, Reason, Subject, Terms, check};
use crate::plain;

#[test]
fn every_history_is_judged_as_a_plain_reading_judges_it() {
    let all = if option_env!("KEYFOB_LONG").is_some() { 3_000_000 } else { HISTORIES };
    let (mut found, mut sound) = (BTreeMap::<_, u32>::new(), 0);
    for seed in 0..all {
        let mut random = StdRng::seed_from_u64(seed);
        let terms = Terms {
            bound: random.random_range(0..20),
            expiry_allowance: random.random_range(0..3),
        };
        let history = draw(&mut random);
        let expected = plain::violations(&history, &terms);
        let answer = check(&history, &terms).err().unwrap_or_default();
        let judged: BTreeSet<_> =
            answer.iter().map(|violation| (violation.operation, violation.broken)).collect();
        assert_eq!(judged, expected, "seed {seed}, {terms:?}: {history:#?}");
        sound += u32::from(expected.is_empty());
        for (_, broken) in expected {
            *found.entry(broken).or_default() += 1;
        }
    }
    // All but those of histories that make no sense, which a plain reading does not read.
    assert_eq!(found.len(), 11, "{found:?}");
    let rarest = found.values().min().copied().unwrap_or_default();
    assert!(rarest > 100 && sound > 1000, "{found:?}, {sound} are sound");
}

const HISTORIES: u64 = 60_000;

const TOKENS: u32 = 3;

/// Little time, few tokens, nodes and owners, so that everything meets everything.
fn draw(random: &mut StdRng) -> Vec<Operation> {
    let mut history: Vec<_> = (0..TOKENS)
        .map(|token| {
            let parent =
                (token > 0 && random.random_bool(0.5)).then(|| random.random_range(0..token));
            let expires_at =
                if random.random_bool(0.8) { NEVER } else { random.random_range(0..60) };
            let act = Act::Issue { token, owner: random.random_range(0..2), parent, expires_at };
            let start = u64::from(token) * 3;
            operation(random, act, start..start + 5, 5)
        })
        .collect();
    for _ in 0..random.random_range(2..14) {
        let act = act(random);
        history.push(operation(random, act, 0..60, 12));
    }
    // The order of the list says nothing.
    for place in 1..history.len() {
        history.swap(place, random.random_range(0..=place));
    }
    history
}

fn act(random: &mut StdRng) -> Act {
    let (token, owner) = (random.random_range(0..TOKENS), random.random_range(0..2));
    let fenced = random.random_bool(0.3);
    let whom = if random.random_bool(0.5) { Subject::Token(token) } else { Subject::Owner(owner) };
    match random.random_range(0..20) {
        0..3 => Act::Deactivate { whom, fenced },
        3..6 => Act::Reactivate { whom },
        6..8 => Act::Revoke { token, cascades: random.random_bool(0.5), fenced },
        8 => Act::RevokeAll { owner, fenced },
        9..12 => Act::Connect { token },
        _ => Act::Verify { token, strict: random.random_bool(0.3) },
    }
}

fn operation(
    random: &mut StdRng,
    act: Act,
    start: std::ops::Range<u64>,
    longest: u64,
) -> Operation {
    let refusals = [Reason::Revoked, Reason::Unsaid].map(Outcome::Refused);
    let outcomes: &[Outcome] = match act {
        Act::Connect { .. } | Act::Verify { .. } => &[
            Outcome::Accepted,
            Outcome::Accepted,
            refusals[0],
            refusals[1],
            refusals[1],
            Outcome::Unavailable,
            Outcome::Indeterminate,
        ],
        _ => &[
            Outcome::Done,
            Outcome::Done,
            Outcome::Done,
            Outcome::Done,
            Outcome::Done,
            Outcome::Done,
            refusals[1],
            Outcome::Unavailable,
            Outcome::Indeterminate,
        ],
    };
    let outcome = *outcomes.choose(random).expect("there are some");
    let is_open = matches!(act, Act::Connect { .. }) && outcome == Outcome::Accepted;
    let is_cut = outcome == Outcome::Indeterminate || is_open && random.random_bool(0.5);
    let invoked_at = random.random_range(start);
    let length = random.random_range(1..=longest);
    Operation {
        invoked_at,
        returned_at: if is_cut { NEVER } else { invoked_at + length },
        act,
        node: random.random_range(0..2),
        outcome,
    }
}
