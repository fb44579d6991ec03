//! Texts that carry no id, as other products write them: found by their digest, and judged like any.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics, in its helpers too")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use chrono::TimeDelta;
use common::{Detour, Way};
use keyfob::ports::store::StoreError;
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, SeededRandomness, block_on, sample};
use keyfob::{
    Access, Actor, AuthenticateError, Builder, By, Format, Grant, IssueError, IssueRequest, Key,
    KeyId, Keyring, Kind, KindPolicy, OwnerId, ParseError, Policy, ReadWrite, Refusal, Rotation,
    Rules, Shape, TokenId, TokenStore, Tokens,
};

static ITSELF: Actor = Actor::host();
const HOST: By<'static> = By::Host(&ITSELF);
const SHAPES: [Shape; 2] = [Shape::MATTERMOST, Shape::ROCKET_CHAT];

fn key(id: &str, byte: u8) -> Key {
    Key::new(KeyId::new(id).unwrap(), &[byte; 32]).unwrap()
}

fn rules(keyring: Keyring) -> Rules {
    let format = SHAPES.into_iter().fold(Format::new("chat").unwrap(), Format::reading);
    let mut personal = KindPolicy::personal();
    personal.quota = None;
    let policy = Policy::default().with_kind(Kind::personal(), personal);
    Rules::new(format, keyring).with_policy(policy)
}

fn service(store: impl TokenStore, keyring: Keyring, seed: u64) -> Tokens<ReadWrite> {
    let clock = ManualClock::new(sample::start());
    Builder::new(store, rules(keyring), clock, SeededRandomness::new(seed)).build()
}

fn owner() -> OwnerId {
    OwnerId::new("alice").unwrap()
}

fn issue(tokens: &Tokens<ReadWrite>, shape: Option<Shape>) -> (String, TokenId) {
    let request = IssueRequest::new(owner(), Grant::Full).in_shape(shape);
    let (secret, record) = block_on(tokens.issue(request, HOST)).unwrap();
    (secret.expose_secret().to_owned(), record.id)
}

fn verdict(tokens: &Tokens<ReadWrite>, text: &str) -> Result<TokenId, &'static str> {
    let judged = block_on(tokens.authenticate(text, &Access::any()));
    let strict = block_on(tokens.authenticate_strict(text, &Access::any()));
    let class = |judged: Result<keyfob::Verified, AuthenticateError>| {
        judged.map(|verified| verified.id()).map_err(|error| error.code())
    };
    let (judged, strict) = (class(judged), class(strict));
    assert_eq!(judged, strict);
    judged
}

#[test]
fn a_text_of_a_products_shape_works_and_is_found_in_the_index() {
    for keyring in [Keyring::unkeyed(), Keyring::new(key("k1", 1))] {
        let tokens = service(MemoryStore::default(), keyring, 1);
        for shape in SHAPES {
            let (text, id) = issue(&tokens, Some(shape));
            assert!(shape.fits(text.as_bytes()));
            assert!(tokens.authenticate_now(&text, &Access::any()).is_none(), "nobody used it yet");
            assert_eq!(verdict(&tokens, &text), Ok(id));
            let again = tokens.authenticate_now(&text, &Access::any()).unwrap().unwrap();
            assert_eq!(again.id(), id);
        }
    }
}

#[test]
fn what_ends_or_blocks_a_token_holds_for_its_text_without_an_id() {
    for shape in SHAPES {
        let tokens = service(MemoryStore::default(), Keyring::new(key("k1", 1)), 2);
        let (text, id) = issue(&tokens, Some(shape));
        let (other, other_id) = issue(&tokens, Some(shape));
        assert_eq!(verdict(&tokens, &text), Ok(id));
        assert_eq!(verdict(&tokens, &other), Ok(other_id));
        block_on(tokens.deactivate(id, HOST, None)).unwrap();
        assert_eq!(verdict(&tokens, &text), Err("deactivated"));
        block_on(tokens.reactivate(id, HOST)).unwrap();
        assert_eq!(verdict(&tokens, &text), Ok(id));
        block_on(tokens.deactivate_owner(&owner(), HOST, None)).unwrap();
        assert_eq!(verdict(&tokens, &text), Err("owner_deactivated"));
        block_on(tokens.reactivate_owner(&owner(), HOST)).unwrap();
        assert_eq!(verdict(&tokens, &text), Ok(id));
        block_on(tokens.revoke(id, HOST, None)).unwrap();
        assert_eq!(verdict(&tokens, &text), Err("revoked"));
        assert_eq!(verdict(&tokens, &other), Ok(other_id));
    }
}

#[test]
fn a_rotation_goes_from_any_shape_to_any_other() {
    let shapes = [None, Some(Shape::MATTERMOST), Some(Shape::ROCKET_CHAT)];
    for (from, to) in shapes.into_iter().flat_map(|from| shapes.map(|to| (from, to))) {
        let tokens = service(MemoryStore::default(), Keyring::new(key("k1", 1)), 3);
        let (old, id) = issue(&tokens, from);
        assert_eq!(verdict(&tokens, &old), Ok(id));
        let rotation = Rotation::at_once().in_shape(to);
        let (secret, record) = block_on(tokens.rotate(id, rotation, HOST)).unwrap();
        assert_eq!(record.id, id);
        let gone = if from.is_none() { "superseded" } else { "unknown" };
        assert_eq!(verdict(&tokens, &old), Err(gone), "{from:?} to {to:?}");
        assert_eq!(verdict(&tokens, secret.expose_secret()), Ok(id), "{from:?} to {to:?}");
    }
}

#[test]
fn no_overlap_is_promised_for_a_text_that_could_not_be_found() {
    let tokens = service(MemoryStore::default(), Keyring::unkeyed(), 4);
    let overlap = Rotation::with_overlap(TimeDelta::seconds(10));
    let (text, id) = issue(&tokens, Some(Shape::MATTERMOST));
    let refused = block_on(tokens.rotate(id, overlap, HOST)).unwrap_err();
    assert_eq!(refused.code(), "overlap_too_long");
    assert_eq!(verdict(&tokens, &text), Ok(id));
    let (text, id) = issue(&tokens, None);
    let (_, record) =
        block_on(tokens.rotate(id, overlap.in_shape(Some(Shape::MATTERMOST)), HOST)).unwrap();
    assert_eq!(verdict(&tokens, &text), Ok(record.id), "a native text is found by its id");
}

#[test]
fn a_shape_that_is_not_read_is_neither_issued_nor_ours() {
    let clock = ManualClock::new(sample::start());
    let rules = rules(Keyring::unkeyed());
    let narrow =
        Rules::new(Format::new("chat").unwrap().reading(Shape::MATTERMOST), Keyring::unkeyed());
    let tokens: Tokens<ReadWrite> =
        Builder::new(MemoryStore::default(), narrow, clock, SeededRandomness::new(5)).build();
    let request = IssueRequest::new(owner(), Grant::Full).in_shape(Some(Shape::ROCKET_CHAT));
    let refused = block_on(tokens.issue(request, HOST)).unwrap_err();
    assert_eq!(refused.code(), IssueError::ShapeNotRead { shape: Shape::ROCKET_CHAT }.code());
    assert_eq!(refused.field(), Some("shape"));
    let text = "RScctEHSmLGZGywfIhWyRpyofhKOiMoUIpimhvheU3f";
    assert_eq!(verdict(&tokens, text), Err("not_ours"));
    assert!(rules.format.parse(text.as_bytes()).is_ok());
    for other in [&text[1..], &format!("{text}x"), &text.replace('R', ".")] {
        assert_eq!(rules.format.parse(other.as_bytes()).err(), Some(ParseError::NotOurs));
    }
}

#[test]
fn a_text_that_begins_like_a_native_one_is_read_all_the_same() {
    let format = rules(Keyring::unkeyed()).format;
    let text = format!("chat_{}", "x".repeat(38));
    assert!(format.parse(text.as_bytes()).unwrap().id().is_none());
    assert_eq!(format.parse(&text.as_bytes()[..40]).err(), Some(ParseError::Malformed));
}

#[test]
fn a_mistyped_native_text_is_malformed_though_it_has_a_products_length() {
    // A prefix of five letters makes a native text as long as Zitadel's are.
    let format = Format::new("chatp").unwrap().reading(Shape::ZITADEL);
    let tokens: Tokens<ReadWrite> = Builder::new(
        MemoryStore::default(),
        Rules::new(format.clone(), Keyring::unkeyed()),
        ManualClock::new(sample::start()),
        SeededRandomness::new(40),
    )
    .build();
    let (text, id) = issue(&tokens, None);
    assert_eq!(verdict(&tokens, &text), Ok(id));
    let (body, last) = text.split_at(text.len() - 1);
    let mistyped = format!("{body}{}", if last == "a" { "b" } else { "a" });
    assert_eq!(format.parse(mistyped.as_bytes()).unwrap_err(), ParseError::Malformed);
    assert_eq!(verdict(&tokens, &mistyped), Err("malformed"));
    let refused =
        |verdict: Result<_, AuthenticateError>| verdict.unwrap_err().code() == "malformed";
    assert!(refused(tokens.authenticate_now(&mistyped, &Access::any()).unwrap()));
    let calls = [(text.as_str(), Access::any()), (&mistyped, Access::any())];
    let [live, spoilt] = block_on(tokens.authenticate_many(&calls)).try_into().unwrap();
    assert!(live.is_ok() && refused(spoilt));
    let (foreign, id) = issue(&tokens, Some(Shape::ZITADEL));
    assert_eq!(foreign.len(), text.len());
    assert_eq!(verdict(&tokens, &foreign), Ok(id));
}

#[test]
fn a_token_moves_to_the_current_key_when_it_is_used() {
    let store = MemoryStore::default();
    let (unkeyed, old) = (Keyring::unkeyed(), Keyring::new(key("k1", 1)));
    let both = || Keyring::new(key("k2", 2)).with_previous(key("k1", 1)).with_previous_unkeyed();
    for (seed, before) in [(6, unkeyed), (7, old)] {
        let (text, id) = issue(&service(store.clone(), before, seed), Some(Shape::ROCKET_CHAT));
        let tokens = service(store.clone(), both(), 8);
        assert_eq!(verdict(&tokens, &text), Ok(id));
        // The old keys are not needed any more.
        let only = service(store.clone(), Keyring::new(key("k2", 2)), 9);
        assert_eq!(verdict(&only, &text), Ok(id));
    }
}

#[test]
fn a_leaked_text_without_an_id_is_ended_by_its_text_alone() {
    let tokens = service(MemoryStore::default(), Keyring::new(key("k1", 1)), 10);
    let (text, id) = issue(&tokens, Some(Shape::MATTERMOST));
    assert_eq!(verdict(&tokens, &text), Ok(id));
    let other = "ybndrfg8ejkmcpqxot1uwisza3";
    assert!(!block_on(tokens.report_leaked(other)).unwrap());
    assert!(block_on(tokens.report_leaked(&text)).unwrap());
    assert_eq!(verdict(&tokens, &text), Err("revoked"));
}

/// Counts what is looked up.
#[derive(Clone, Debug, Default)]
struct Counted(Arc<AtomicU64>);

#[async_trait]
impl Way for Counted {
    async fn there(&self, method: &'static str) -> Result<(), StoreError> {
        self.0.fetch_add(u64::from(method == "find"), Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn texts_that_are_nobodys_are_looked_up_so_often_and_then_unavailable() {
    let looked = Counted::default();
    let clock = ManualClock::new(sample::start());
    let tokens: Tokens<ReadWrite> = Builder::new(
        Detour::new(looked.clone()),
        rules(Keyring::new(key("k1", 1))),
        clock.clone(),
        SeededRandomness::new(11),
    )
    .unknown_texts(100)
    .build();
    let (hot, hot_id) = issue(&tokens, Some(Shape::MATTERMOST));
    let (cold, cold_id) = issue(&tokens, Some(Shape::MATTERMOST));
    let (native, native_id) = issue(&tokens, None);
    let judge = |text: &str| {
        let judged = block_on(tokens.authenticate(text, &Access::any()));
        judged.map(|verified| verified.id()).map_err(|error| error.code())
    };
    assert_eq!(judge(&hot), Ok(hot_id));
    let before = looked.0.load(Ordering::Relaxed);
    let mut answers = [0, 0];
    let alphabet = b"ybndrfg8ejkmcpqxot1uwisza345h769";
    for number in 0..10_000_usize {
        let digit = |place: u32| char::from(alphabet[(number >> (5 * place)) % 32]);
        let made_up = format!("{}{}", "y".repeat(23), (0..3).map(digit).collect::<String>());
        match judge(&made_up) {
            Err("unknown") => answers[0] += 1,
            Err("store_unavailable") => answers[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answers, [100, 9_900]);
    assert_eq!(looked.0.load(Ordering::Relaxed) - before, 100);
    // Those who are in the index, or say who they are, are not held up.
    assert_eq!(judge(&hot), Ok(hot_id));
    assert_eq!(judge(&native), Ok(native_id));
    assert_eq!(judge(&cold), Err("store_unavailable"));
    clock.advance(TimeDelta::seconds(1));
    // A thousand tokens that are somebody's are looked up in one second.
    for _ in 0..1_000 {
        let (text, id) = issue(&tokens, Some(Shape::ROCKET_CHAT));
        assert_eq!(judge(&text), Ok(id));
    }
    assert_eq!(judge(&cold), Ok(cold_id));
}

#[test]
fn an_index_that_is_too_small_for_all_texts_changes_no_verdict() {
    let clock = ManualClock::new(sample::start());
    let (store, rules) = (MemoryStore::default(), rules(Keyring::unkeyed()));
    let tokens: Tokens<ReadWrite> =
        Builder::new(store, rules, clock, SeededRandomness::new(12)).most_indexed(10).build();
    let all: Vec<_> = (0..3_000)
        .map(|n| issue(&tokens, [None, Some(Shape::MATTERMOST), Some(Shape::ROCKET_CHAT)][n % 3]))
        .collect();
    for round in 0..2 {
        for (text, id) in &all {
            assert_eq!(verdict(&tokens, text), Ok(*id), "round {round}");
        }
    }
    for (number, (text, id)) in all.iter().enumerate() {
        if number % 2 == 0 {
            block_on(tokens.revoke(*id, HOST, None)).unwrap();
            assert_eq!(verdict(&tokens, text), Err("revoked"));
        }
    }
    for (number, (text, id)) in all.iter().enumerate() {
        let expected = if number % 2 == 0 { Err(Refusal::Revoked.code()) } else { Ok(*id) };
        assert_eq!(verdict(&tokens, text), expected);
    }
}
