//! What a recorder of metrics is told, and that it is told nothing of a token. It runs with
//! `cargo test --features metrics --test metrics`.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics, in its helpers too")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};
use keyfob::core::error::Refusal;
use keyfob::core::verify::Access;
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, SeededRandomness, block_on};
use keyfob::{
    Actor, Builder, By, Format, Grant, IssueRequest, Keyring, OwnerId, ReadWrite, Rules, Tokens,
};
use metrics::with_local_recorder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

const VERIFICATIONS: &str = "keyfob_verifications_total";

fn tokens(seed: u64) -> (Tokens<ReadWrite>, ManualClock) {
    let clock = ManualClock::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    let rules = Rules::new(Format::new("chatp").unwrap(), Keyring::unkeyed());
    let (store, randomness) = (MemoryStore::default(), SeededRandomness::new(seed));
    (Builder::new(store, rules, clock.clone(), randomness).build(), clock)
}

fn issue(tokens: &Tokens<ReadWrite>) -> (String, keyfob::TokenId) {
    let request = IssueRequest::new(OwnerId::new("alice").unwrap(), Grant::Full);
    let (secret, row) = block_on(tokens.issue(request, By::Host(&Actor::host()))).unwrap();
    (secret.expose_secret().to_owned(), row.id)
}

/// All that was told since the last time, by name and labels.
fn told(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let all = snapshotter.snapshot().into_vec();
    all.into_iter()
        .map(|(key, _, description, value)| {
            assert!(description.is_some(), "{key:?} is described");
            let (_, key) = key.into_parts();
            let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
            let value = match value {
                DebugValue::Counter(count) => f64::from(u32::try_from(count).unwrap()),
                DebugValue::Gauge(gauge) => gauge.into_inner(),
                DebugValue::Histogram(_) => f64::NAN,
            };
            (format!("{}{}", key.name(), labels.collect::<String>()), value)
        })
        .collect()
}

#[test]
fn verifications_are_counted_by_their_outcome_and_hits_of_the_index_apart() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let (tokens, clock) = tokens(1);
    let (text, id) = issue(&tokens);
    let told = with_local_recorder(&recorder, || {
        let judged = |text: &str| block_on(tokens.authenticate(text, &Access::any())).is_ok();
        // The first is asked of the store, the others are hits.
        for _ in 0..5 {
            assert!(judged(&text));
        }
        assert!(tokens.authenticate_now(&text, &Access::any()).unwrap().is_ok());
        assert!(block_on(tokens.authenticate_strict(&text, &Access::any())).is_ok());
        for unreadable in ["chatp_x", "chatp_"] {
            assert!(!judged(unreadable));
        }
        assert!(!judged("somebody else's"));
        assert!(block_on(tokens.authenticate_strict("nobody's", &Access::any())).is_err());
        block_on(tokens.deactivate(id, By::Host(&Actor::host()), None)).unwrap();
        assert!(!judged(&text));
        clock.advance(TimeDelta::seconds(1));
        tokens.publish_metrics();
        told(&snapshotter)
    });
    let count = |outcome: &str| told[&format!("{VERIFICATIONS} outcome={outcome}")];
    assert_eq!(count("accepted"), 7.0);
    assert_eq!(told["keyfob_index_hits_total"], 5.0);
    assert_eq!(count("malformed"), 2.0);
    assert_eq!(count("not_ours"), 2.0);
    assert_eq!(count("deactivated"), 1.0);
    let all = told.iter().filter(|(name, _)| name.starts_with(VERIFICATIONS));
    assert_eq!(all.map(|(_, count)| count).sum::<f64>(), 12.0);
}

#[test]
fn each_refusal_is_counted_under_its_own_code() {
    for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
        assert_eq!(place, refusal as usize, "{refusal:?}");
    }
    let codes: BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
    assert_eq!(codes.len(), Refusal::ALL.len());
}

#[test]
fn what_was_told_is_not_told_again_and_services_add_up() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let services = [tokens(1).0, tokens(2).0];
    let told = with_local_recorder(&recorder, || {
        for tokens in &services {
            let (text, _) = issue(tokens);
            for _ in 0..3 {
                let _ = block_on(tokens.authenticate(&text, &Access::any())).unwrap();
                tokens.publish_metrics();
                tokens.publish_metrics();
            }
        }
        told(&snapshotter)
    });
    assert_eq!(told["keyfob_index_hits_total"], 4.0);
    assert_eq!(told[&format!("{VERIFICATIONS} outcome=accepted")], 6.0);
}

#[test]
fn hits_of_many_threads_are_all_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let tokens = tokens(1).0;
    let (text, _) = issue(&tokens);
    let _ = block_on(tokens.authenticate(&text, &Access::any())).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    let judged = tokens.authenticate_now(&text, &Access::any());
                    let _ = judged.unwrap().unwrap();
                }
            });
        }
    });
    let told = with_local_recorder(&recorder, || {
        tokens.publish_metrics();
        told(&snapshotter)
    });
    assert_eq!(told["keyfob_index_hits_total"], 40_000.0);
}

#[test]
fn the_state_of_a_service_is_told_as_it_is_now() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let (tokens, clock) = tokens(1);
    let publish = || {
        with_local_recorder(&recorder, || {
            tokens.publish_metrics();
            told(&snapshotter)
        })
    };
    let told = publish();
    assert_eq!(told["keyfob_lease_age_seconds"], f64::INFINITY, "the store was never asked");
    assert_eq!(told["keyfob_indexed_tokens"], 0.0);

    let (text, _) = issue(&tokens);
    let verified = block_on(tokens.authenticate(&text, &Access::any())).unwrap();
    let live = block_on(tokens.live(&verified)).unwrap();
    let told = publish();
    assert_eq!(told["keyfob_indexed_tokens"], 1.0);
    assert_eq!(told["keyfob_usage_pending"], 1.0);
    assert_eq!(told["keyfob_usage_dropped_total"], 0.0);
    assert_eq!(told["keyfob_live_connections"], 1.0);
    let young = told["keyfob_lease_age_seconds"];
    assert!((0.0..1.0).contains(&young), "{young}");

    drop(live);
    block_on(tokens.flush_usage()).unwrap();
    clock.advance(TimeDelta::seconds(7));
    let told = publish();
    assert_eq!(told["keyfob_usage_pending"], 0.0);
    assert_eq!(told["keyfob_live_connections"], 0.0);
    let aged = told["keyfob_lease_age_seconds"] - young;
    assert!((6.9..7.1).contains(&aged), "it goes on when the lease is over: {aged}");
}

#[test]
fn nothing_that_is_told_holds_anything_of_a_token() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let tokens = tokens(1).0;
    let (text, id) = issue(&tokens);
    let told = with_local_recorder(&recorder, || {
        let _ = block_on(tokens.authenticate(&text, &Access::any())).unwrap();
        let wrong = format!("{}x", &text[..text.len() - 1]);
        assert!(block_on(tokens.authenticate(&wrong, &Access::any())).is_err());
        tokens.publish_metrics();
        told(&snapshotter)
    });
    assert!(told.len() > 5);
    for name in told.keys() {
        for part in [text.as_str(), &text[6..12], &text[20..26], &id.to_string(), "alice"] {
            assert!(!name.contains(part), "{name}");
        }
    }
}
