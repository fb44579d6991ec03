//! What holds for every token text, every scope, every lifetime and every moment.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

mod common;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use common::{Detour, Way};
use keyfob::core::constraints::Constraints;
use keyfob::core::error::VerifyError;
use keyfob::core::issue::{Caller, Issued, issue};
use keyfob::core::owner::OwnerState;
use keyfob::core::scope::{ChatAction, ChatPlace, scope_is_a_preorder};
use keyfob::core::time::LATEST;
use keyfob::core::verify::verify;
use keyfob::ports::clock::Clock;
use keyfob::ports::store::{Lookup, StoreError, TokenStore};
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, SeededRandomness, block_on, sample};
use keyfob::{
    Access, Actor, AuthenticateError, Builder, By, ChatScope, Expiry, Format, Grant, IssueError,
    IssueRequest, Keyring, Kind, KindPolicy, Lifetime, Minting, Narrowing, OwnerId, ParseError,
    Policy, ReadWrite, Refusal, Rotation, Rules, Scope, ScopeName, Scopes, Shape, TokenId,
    TokenRecord, TokenSecret, Tokens,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

// Texts.

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn an_issued_text_parses_to_its_own_id_and_kind(prefixes in prefixes(), seed: u64) {
        let mut format = Format::new(&prefixes[0]).unwrap();
        for (number, prefix) in prefixes.iter().enumerate().skip(1) {
            format = format.with(prefix, kind(number)).unwrap();
        }
        let mut rng = SeededRandomness::new(seed);
        for (number, prefix) in prefixes.iter().enumerate() {
            let kind = if number == 0 { Kind::personal() } else { kind(number) };
            let rules = Rules::new(format.clone(), Keyring::unkeyed());
            let issued = issued(anybody().of_kind(kind.clone()), &rules, sample::start(), &mut rng).unwrap();
            let text = issued.secret.expose_secret();
            let presented = format.parse(text.as_bytes()).unwrap();
            prop_assert_eq!(presented.id(), Some(issued.record.id));
            prop_assert_eq!(presented.kind(), Some(&kind));
            prop_assert_eq!(text.len(), prefix.len() + Format::TAIL_LENGTH);
            prop_assert_eq!(&issued.record.hint[..], &text[text.len() - 6..]);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
            // What the parser does not read as written it would have to print as it was read.
            let head = format!("{prefix}_{}_", issued.record.id);
            prop_assert!(text.starts_with(&head));
            prop_assert_eq!(format.parse(text.to_uppercase().as_bytes()).err(), Some(ParseError::NotOurs));
        }
    }

    #[test]
    fn any_bytes_after_a_prefix_are_malformed_and_any_others_are_not_ours(
        bytes in vec(any::<u8>(), 0..120),
    ) {
        let format = Format::new("chat").unwrap();
        let expected = if bytes.starts_with(b"chat_") { ParseError::Malformed } else { ParseError::NotOurs };
        prop_assert_eq!(format.parse(&bytes).err(), Some(expected));
        let bytes = [b"chat_", &bytes[..]].concat();
        prop_assert_eq!(format.parse(&bytes).err(), Some(ParseError::Malformed));
    }
}

#[test]
fn every_single_change_of_a_text_is_refused() {
    let format = Format::new("chat").unwrap();
    let format =
        format.with("ch4t", kind(1)).unwrap().with_retired("old", Kind::personal()).unwrap();
    let rules = Rules::new(format.clone(), Keyring::unkeyed());
    let mut rng = SeededRandomness::new(1);
    let mut tried = 0;
    for kind in [Kind::personal(), kind(1), Kind::personal(), kind(1)] {
        let issued = issued(anybody().of_kind(kind), &rules, sample::start(), &mut rng).unwrap();
        let text = issued.secret.expose_secret().as_bytes();
        assert!(format.parse(text).is_ok());
        let mut refused = |changed: &[u8], how: &str, at: usize| {
            tried += 1;
            assert!(format.parse(changed).is_err(), "{how} at {at}");
        };
        for at in 0..text.len() {
            let (head, tail) = text.split_at(at);
            refused(head, "cut behind", at);
            refused(&tail[1..], "cut before", at);
            refused(&[head, &tail[1..]].concat(), "left out", at);
            refused(&[head, &tail[..1], tail].concat(), "doubled", at);
            if let [first, second, rest @ ..] = tail
                && first != second
            {
                refused(&[head, &[*second, *first], rest].concat(), "exchanged", at);
            }
            for byte in (0..=u8::MAX).filter(|byte| *byte != tail[0]) {
                refused(&[head, &[byte], &tail[1..]].concat(), "changed", at);
            }
            for byte in 0..=u8::MAX {
                refused(&[head, &[byte], tail].concat(), "inserted", at);
            }
        }
        for byte in 0..=u8::MAX {
            refused(&[text, &[byte]].concat(), "appended", text.len());
        }
    }
    assert!(tried > 140_000, "only {tried} changes");
}

#[test]
fn a_text_that_no_host_issued_is_refused_without_asking_the_store() {
    let calls = Arc::new(AtomicU64::new(0));
    let store = Detour::new(Counting(Arc::clone(&calls)));
    let tokens: Tokens<ReadWrite> = Builder::new(
        store,
        sample::rules(),
        ManualClock::new(sample::start()),
        SeededRandomness::new(2),
    )
    .build();
    let host = Actor::host();
    let real: Vec<_> =
        (0..16).map(|_| block_on(tokens.issue(anybody(), By::Host(&host))).unwrap().0).collect();
    let before = calls.load(Ordering::Relaxed);
    let mut rng = StdRng::seed_from_u64(3);
    for round in 0..250_000 {
        let mut noise = vec![0; rng.random_range(0..100)];
        rng.fill_bytes(&mut noise);
        let letters: String = drawn(&mut rng, WORD, 76);
        let shaped =
            format!("sample_{}_{}", drawn(&mut rng, ID, 26), drawn(&mut rng, &WORD[1..], 38));
        let mut mutated = real[round % real.len()].expose_secret().as_bytes().to_vec();
        for _ in 0..rng.random_range(1..5) {
            let at = rng.random_range(0..mutated.len());
            mutated[at] = WORD[rng.random_range(0..WORD.len())];
        }
        let mutated = String::from_utf8(mutated).unwrap();
        if real.iter().any(|real| real.expose_secret() == mutated) {
            continue;
        }
        for text in [&*String::from_utf8_lossy(&noise), &letters, &shaped, &mutated] {
            let refused = block_on(tokens.authenticate(text, &Access::any()));
            assert!(
                matches!(
                    refused,
                    Err(AuthenticateError::NotOurs | AuthenticateError::Refused(Refusal::Malformed))
                ),
                "round {round}: {refused:?}"
            );
        }
    }
    assert_eq!(calls.load(Ordering::Relaxed), before);
    // The counter counts.
    let _ = block_on(tokens.authenticate(real[0].expose_secret(), &Access::any())).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), before + 1);
}

#[test]
fn the_scanner_finds_every_issued_text_and_nothing_around_it() {
    let rules = sample::rules();
    let scanner = regex::Regex::new(&rules.format.scanner_regex()).unwrap();
    let mut rng = SeededRandomness::new(4);
    for _ in 0..10_000 {
        let issued = issued(anybody(), &rules, sample::start(), &mut rng).unwrap();
        let text = issued.secret.expose_secret();
        for place in [format!("token=\"{text}\";"), format!("Bearer {text}\n"), format!("({text})")]
        {
            assert_eq!(scanner.find(&place).map(|found| found.as_str()), Some(text));
        }
        assert!(!scanner.is_match(&format!("x{text}")));
        assert!(!scanner.is_match(&format!("{text}0")));
    }
}

#[test]
fn every_symbol_occurs_at_every_place_and_no_token_twice() {
    let rules = Rules::new(Format::new("chat").unwrap(), Keyring::unkeyed());
    let mut rng = SeededRandomness::new(5);
    let mut seen = vec![[0_u32; 128]; 26 + 1 + 32];
    let (mut ids, mut secrets) = (HashSet::new(), HashSet::new());
    for _ in 0..100_000 {
        let issued = issued(anybody(), &rules, sample::start(), &mut rng).unwrap();
        let body = &issued.secret.expose_secret()["chat_".len()..];
        for (place, symbol) in body.bytes().take(seen.len()).enumerate() {
            seen[place][usize::from(symbol)] += 1;
        }
        assert!(ids.insert(issued.record.id));
        assert!(secrets.insert(body[27..59].to_owned()));
    }
    let last: Vec<u8> = ID.iter().copied().step_by(4).collect();
    for (place, counts) in seen.iter().enumerate() {
        // The last character of an id holds three bits; behind it stands the separator.
        let symbols = match place {
            0..25 => ID,
            25 => &last,
            26 => &WORD[..1],
            _ => &WORD[1..],
        };
        let used = counts.iter().filter(|count| **count > 0).count();
        assert_eq!(used, symbols.len(), "place {place}");
        let expected = 100_000.0 / f64::from(u32::try_from(used).unwrap());
        for symbol in symbols {
            let count = f64::from(counts[usize::from(*symbol)]);
            // Seven standard deviations: once in 10^11.
            assert!((count - expected).abs() < 7.0 * expected.sqrt(), "{count} at place {place}");
        }
    }
}

// Scopes.

#[test]
fn read_write_is_a_preorder() {
    assert_eq!(scope_is_a_preorder(&[ReadWrite::Read, ReadWrite::Write]), Ok(()));
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn chat_scopes_are_a_preorder(scopes in vec(chat_scope(), 0..24)) {
        prop_assert_eq!(scope_is_a_preorder(&scopes), Ok(()));
    }

    #[test]
    fn grants_of_chat_scopes_keep_the_laws(
        grants in vec(grant(chat_scope()), 3),
        needed in vec(chat_scope(), 8),
    ) {
        keeps_the_laws(&grants, &needed)?;
    }

    #[test]
    fn grants_of_read_and_write_keep_the_laws(grants in vec(grant(read_write()), 3)) {
        keeps_the_laws(&grants, &[ReadWrite::Read, ReadWrite::Write])?;
    }

    #[test]
    fn a_name_that_the_vocabulary_lacks_grants_nothing(
        known in btree_set(chat_scope(), 0..4),
        unknown in btree_set("[!#-Z]{1,12}|messages:(rea|posts|manage@|post@channel:|read@public:)", 1..4),
        needed in chat_scope(),
    ) {
        let named = |text: &String| ScopeName::new(text.clone()).unwrap();
        let names = Grant::only(unknown.iter().map(named).chain(known.iter().map(Scope::name))).unwrap();
        let read = names.read::<ChatScope>();
        prop_assert_eq!(&read, &Grant::only(known));
        let unknown = Grant::only(unknown.iter().map(named)).unwrap();
        prop_assert_eq!(unknown.read::<ChatScope>(), None);
        prop_assert_eq!(unknown.read::<ReadWrite>(), None);
        // Through the whole of verification, too.
        let mut rng = SeededRandomness::new(6);
        let issued = issued(anybody(), &sample::rules(), sample::start(), &mut rng).unwrap();
        let mut record = issued.record;
        record.grant = unknown;
        let access = Access::needing(&needed);
        let verdict = judged(issued.secret.expose_secret(), &record, &access, &sample::rules(), sample::start());
        prop_assert_eq!(verdict, Err(Refusal::ScopeMissing));
    }

    #[test]
    fn a_grant_survives_being_written_and_read(grant in grant(chat_scope())) {
        let names = grant.names();
        let text = serde_json::to_string(&names).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Grant<ScopeName>>(&text).unwrap(), &names);
        prop_assert_eq!(names.read::<ChatScope>(), Some(grant));
    }
}

#[test]
fn a_grant_of_nothing_cannot_be_made_or_read() {
    assert_eq!(Grant::<ReadWrite>::only([]), None);
    assert!(Scopes::<ScopeName>::try_from(BTreeSet::new()).is_err());
    for text in
        [r#"{"only":[]}"#, r#"{"only":null}"#, r#"{"only":[""]}"#, "{}", "null", "[]", r#""none""#]
    {
        assert!(serde_json::from_str::<Grant<ScopeName>>(text).is_err(), "{text}");
    }
    assert_eq!(serde_json::from_str::<Grant<ScopeName>>(r#""full""#).unwrap(), Grant::Full);
}

fn keeps_the_laws<S: Scope>(grants: &[Grant<S>], needed: &[S]) -> Result<(), TestCaseError> {
    for a in grants {
        prop_assert!(a.covers(a));
        prop_assert!(Grant::Full.covers(a));
        for b in grants.iter().filter(|b| a.covers(b)) {
            for c in grants.iter().filter(|c| b.covers(c)) {
                prop_assert!(a.covers(c), "{a:?} over {b:?} over {c:?}");
            }
            for scope in needed.iter().filter(|scope| b.holds(scope)) {
                prop_assert!(a.holds(scope), "{a:?} covers {b:?}, which holds {scope:?}");
            }
        }
        for rights in grants {
            for scope in needed {
                prop_assert_eq!(a.permits(scope, rights), a.holds(scope) && rights.holds(scope));
            }
        }
        for scope in needed {
            prop_assert_eq!(a.covers(&Grant::only([scope.clone()]).unwrap()), a.holds(scope));
        }
    }
    Ok(())
}

// Time.

#[test]
fn a_token_works_from_its_first_instant_until_just_before_its_last() {
    let mut request = anybody().expires_at(sample::after(100));
    request.not_before = Some(sample::after(10));
    let mut store = Served::new(sample::rules());
    let (secret, _) = store.issue(request).unwrap();
    let end = sample::after(100);
    for (at, verdict) in [
        (sample::start(), Err("not_yet_valid")),
        (sample::after(10) - MICROSECOND, Err("not_yet_valid")),
        (sample::after(10), Ok(())),
        (end - MICROSECOND, Ok(())),
        (end, Err("expired")),
        (end + MICROSECOND, Err("expired")),
        (LATEST, Err("expired")),
    ] {
        store.advance_to(at);
        assert_eq!(store.verdict(&secret), verdict, "at {at}");
    }
}

#[test]
fn a_lifetime_is_positive_and_ends_before_the_year_10000() {
    let zero = TimeDelta::zero();
    let unlimited = || policy(|personal| personal.longest_lifetime = None);
    for (lifetime, expected) in [
        (Lifetime::For(zero), Err("expiry_not_in_future")),
        (Lifetime::For(-MICROSECOND), Err("expiry_not_in_future")),
        (Lifetime::For(TimeDelta::MIN), Err("expiry_not_in_future")),
        (Lifetime::For(TimeDelta::nanoseconds(1)), Err("expiry_not_in_future")),
        (Lifetime::For(TimeDelta::nanoseconds(999)), Err("expiry_not_in_future")),
        (Lifetime::For(MICROSECOND), Ok(sample::start() + MICROSECOND)),
        (Lifetime::For(TimeDelta::MAX), Err("expiry_out_of_range")),
        (Lifetime::For(TimeDelta::days(366 * 1_000_000)), Err("expiry_out_of_range")),
        (Lifetime::For(LATEST - sample::start()), Ok(LATEST)),
        (Lifetime::For(LATEST - sample::start() + MICROSECOND), Err("expiry_out_of_range")),
        (Lifetime::Until(sample::start()), Err("expiry_not_in_future")),
        (
            Lifetime::Until(sample::start() + TimeDelta::nanoseconds(999)),
            Err("expiry_not_in_future"),
        ),
        (Lifetime::Until(DateTime::UNIX_EPOCH), Err("expiry_not_in_future")),
        (Lifetime::Until(DateTime::<Utc>::MIN_UTC), Err("expiry_not_in_future")),
        (Lifetime::Until(LATEST), Ok(LATEST)),
        (Lifetime::Until(LATEST + TimeDelta::nanoseconds(999)), Ok(LATEST)),
        (Lifetime::Until(LATEST + MICROSECOND), Err("expiry_out_of_range")),
        (Lifetime::Until(DateTime::<Utc>::MAX_UTC), Err("expiry_out_of_range")),
        (Lifetime::Unlimited, Err("never_forbidden")),
    ] {
        let mut request = anybody();
        request.lifetime = lifetime;
        let mut rng = SeededRandomness::new(7);
        let made = issued(request, &unlimited(), sample::start(), &mut rng);
        let end = made.map(|made| made.record.validity.expires_at.at().unwrap());
        assert_eq!(end.map_err(|error| error.code()), expected, "{lifetime:?}");
    }
}

#[test]
fn a_token_may_live_to_the_end_of_the_year_9999() {
    let mut store = Served::new(policy(|personal| personal.longest_lifetime = None));
    let (secret, _) = store.issue(anybody().expires_at(LATEST)).unwrap();
    assert_eq!(store.verdict(&secret), Ok(()));
    store.advance_to(LATEST - MICROSECOND);
    assert_eq!(store.verdict(&secret), Ok(()));
    store.advance_to(LATEST);
    assert_eq!(store.verdict(&secret), Err("expired"));
}

#[test]
fn a_beginning_is_in_the_calendar_and_before_the_end() {
    for (not_before, expected) in [
        (sample::start() - TimeDelta::days(1), Ok(())),
        (sample::after(60) - MICROSECOND, Ok(())),
        (sample::after(60), Err("never_valid")),
        (sample::after(60) - TimeDelta::nanoseconds(1), Err("never_valid")),
        (LATEST + MICROSECOND, Err("not_before_out_of_range")),
        (DateTime::UNIX_EPOCH - MICROSECOND, Err("not_before_out_of_range")),
        (DateTime::<Utc>::MIN_UTC, Err("not_before_out_of_range")),
        (DateTime::<Utc>::MAX_UTC, Err("not_before_out_of_range")),
    ] {
        let mut request = anybody().expires_at(sample::after(60));
        request.not_before = Some(not_before);
        let mut rng = SeededRandomness::new(8);
        let made = issued(request, &sample::rules(), sample::start(), &mut rng);
        assert_eq!(made.map(drop).map_err(|error| error.code()), expected, "{not_before}");
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn rounding_never_extends_a_life(
        now_nanos in 0..2_000_000_000_i64,
        begins_nanos in 0..2_000_000_000_i64,
        lives_nanos in 1..4_000_000_000_i64,
        until: bool,
    ) {
        let now = sample::start() + TimeDelta::nanoseconds(now_nanos);
        let begins = now + TimeDelta::nanoseconds(begins_nanos);
        let ends = now + TimeDelta::nanoseconds(lives_nanos);
        let mut request = anybody();
        request.not_before = Some(begins);
        request.lifetime =
            if until { Lifetime::Until(ends) } else { Lifetime::For(TimeDelta::nanoseconds(lives_nanos)) };
        let mut rng = SeededRandomness::new(9);
        if let Ok(made) = issued(request, &sample::rules(), now, &mut rng) {
            let validity = made.record.validity;
            let (first, last) = (validity.not_before.unwrap(), validity.expires_at.at().unwrap());
            prop_assert!(first >= begins && first - begins < MICROSECOND);
            prop_assert!(last <= ends && ends - last < MICROSECOND * 2);
            prop_assert!(made.record.created_at <= now);
            for at in [first, last, made.record.created_at] {
                prop_assert_eq!(at.timestamp_subsec_nanos() % 1000, 0);
            }
        }
    }
}

// Policy.

#[test]
fn the_longest_lifetime_is_allowed_and_a_microsecond_more_is_not() {
    let longest = TimeDelta::days(366);
    let issue = |request| {
        issued(request, &sample::rules(), sample::start(), &mut SeededRandomness::new(10))
    };
    assert!(issue(anybody().expires_in(longest)).is_ok());
    assert!(issue(anybody().expires_at(sample::start() + longest)).is_ok());
    for request in [
        anybody().expires_in(longest + MICROSECOND),
        anybody().expires_in(longest + TimeDelta::nanoseconds(1)),
        anybody().expires_at(sample::start() + longest + MICROSECOND),
    ] {
        assert_eq!(issue(request).unwrap_err(), IssueError::LifetimeTooLong { longest });
    }
    assert_eq!(issue(anybody().never_expires()).unwrap_err(), IssueError::NeverForbidden);
    let default = issue(anybody()).unwrap().record.validity.expires_at;
    assert_eq!(default, Expiry::At(sample::start() + TimeDelta::days(90)));
}

#[test]
fn a_policy_that_is_lowered_ends_what_was_issued_under_a_laxer_one() {
    let lax = policy(|personal| {
        personal.longest_lifetime = None;
        personal.never_expires = true;
    });
    let mut rng = SeededRandomness::new(11);
    let never = issued(anybody().never_expires(), &lax, sample::start(), &mut rng).unwrap();
    let long = issued(anybody().expires_in(TimeDelta::days(1000)), &lax, sample::start(), &mut rng)
        .unwrap();
    let limit = TimeDelta::days(30);
    let strict = policy(|personal| personal.longest_lifetime = Some(limit));
    let new_only = policy(|personal| {
        personal.longest_lifetime = Some(limit);
        personal.enforced_at_use = false;
    });
    for issued in [never, long] {
        let text = issued.secret.expose_secret();
        let at = |rules: &Rules, at| {
            judged::<ReadWrite>(text, &issued.record, &Access::any(), rules, at)
        };
        let end = sample::start() + limit;
        assert_eq!(at(&strict, end - MICROSECOND), Ok(()));
        assert_eq!(at(&strict, end), Err(Refusal::Policy));
        assert_eq!(at(&new_only, end), Ok(()));
        assert_eq!(at(&lax, end), Ok(()));
    }
}

#[test]
fn a_kind_without_a_policy_of_its_own_is_as_personal_tokens_are() {
    let policy = Policy::default();
    assert_eq!(policy.of(&kind(3)), &KindPolicy::personal());
    assert_eq!(policy.of(&Kind::session()), &KindPolicy::session());
}

// Minting.

#[test]
fn a_token_of_a_kind_that_mints_nothing_mints_nothing() {
    let parent = parent(Minting::Forbidden, Grant::Full);
    for for_others in [false, true] {
        let minted = parent.mint(anybody(), for_others);
        assert_eq!(minted.unwrap_err(), IssueError::MintingForbidden);
    }
}

#[test]
fn a_minted_token_never_goes_beyond_its_parent() {
    let read = Grant::only([ReadWrite::Read]).unwrap();
    let parent = parent(Minting::Within, read.clone());
    let minted = |change: &dyn Fn(&mut IssueRequest<ReadWrite>)| {
        let mut request = IssueRequest::new(owner(), read.clone());
        request.constraints = office("192.0.2.0/25");
        change(&mut request);
        parent.mint(request, true).map(|minted| minted.record)
    };
    let child = minted(&|_| {}).unwrap();
    assert_eq!(child.parent, Some(parent.record.id));
    assert_eq!(child.creator, Actor::with_token(owner(), parent.record.id));
    // The default of 90 days is cut to what the parent has left.
    assert_eq!(child.validity.expires_at, parent.record.validity.expires_at);

    let longest = parent.record.validity.expires_at.at().unwrap();
    assert!(minted(&|request| request.lifetime = Lifetime::Until(longest)).is_ok());
    let refused = |change: &dyn Fn(&mut IssueRequest<ReadWrite>)| minted(change).unwrap_err();
    assert_eq!(
        refused(&|request| request.lifetime = Lifetime::Until(longest + MICROSECOND)),
        IssueError::OutlivesParent
    );
    assert_eq!(refused(&|request| request.grant = Grant::Full), IssueError::GrantExceeded);
    assert_eq!(
        refused(&|request| request.grant = Grant::only([ReadWrite::Write]).unwrap()),
        IssueError::GrantExceeded
    );
    assert_eq!(
        refused(&|request| request.constraints = Constraints::default()),
        IssueError::ConstraintsExceeded { field: "addresses" }
    );
    assert_eq!(
        refused(&|request| request.constraints = office("192.0.0.0/16")),
        IssueError::ConstraintsExceeded { field: "addresses" }
    );
    assert_eq!(refused(&|request| request.owner = sample::owner(2)), IssueError::ForeignOwner);
    assert_eq!(refused(&|request| request.not_before = Some(longest)), IssueError::NeverValid);
}

#[test]
fn a_parent_that_never_expires_leaves_the_policy_as_the_limit() {
    let mut parent = parent(Minting::Within, Grant::Full);
    parent.record.validity.expires_at = Expiry::Never;
    let mut request = anybody();
    request.constraints = office("192.0.2.0/24");
    let child = parent.mint(request, false).unwrap().record;
    assert_eq!(child.validity.expires_at, Expiry::At(sample::start() + TimeDelta::days(90)));
}

#[test]
fn a_token_that_mints_as_its_owner_is_bounded_by_its_grant_alone() {
    let write = Grant::only([ReadWrite::Write]).unwrap();
    let parent = parent(Minting::AsOwner, write.clone());
    let mint = |owner: OwnerId, grant, for_others| {
        parent.mint(IssueRequest::new(owner, grant), for_others).map(|minted| minted.record)
    };
    let free = mint(owner(), write.clone(), false).unwrap();
    assert_eq!((free.parent, free.constraints), (None, Constraints::default()));
    assert!(free.validity.expires_at > parent.record.validity.expires_at);
    assert_eq!(mint(owner(), Grant::Full, false).unwrap_err(), IssueError::GrantExceeded);
    assert_eq!(mint(sample::owner(2), write.clone(), false).unwrap_err(), IssueError::ForeignOwner);
    assert!(mint(sample::owner(2), write, true).is_ok());
}

#[test]
fn a_parent_of_unknown_scopes_mints_nothing() {
    let mut parent = parent(Minting::AsOwner, Grant::Full);
    parent.record.grant = Grant::only([ScopeName::new("gone").unwrap()]).unwrap();
    let read = Grant::only([ReadWrite::Read]).unwrap();
    let minted = parent.mint(IssueRequest::new(owner(), read), false);
    assert_eq!(minted.unwrap_err(), IssueError::GrantExceeded);
}

struct Parent {
    record: TokenRecord,
    rules: Rules,
}

/// A token of an office's network that lives for a minute more.
fn parent(minting: Minting, grant: Grant<ReadWrite>) -> Parent {
    let rules = policy(|personal| personal.minting = minting);
    let mut request = IssueRequest::new(owner(), grant).expires_in(TimeDelta::minutes(1));
    request.constraints = office("192.0.2.0/24");
    let issued = issued(request, &rules, sample::start(), &mut SeededRandomness::new(12)).unwrap();
    Parent { record: issued.record, rules }
}

impl Parent {
    fn mint(
        &self,
        request: IssueRequest<ReadWrite>,
        for_others: bool,
    ) -> Result<Issued, IssueError> {
        let caller = Caller::Token { token: &self.record, for_others };
        let mut rng = SeededRandomness::new(13);
        issue(request, caller, &OwnerState::unheard_of(), &self.rules, sample::start(), &mut rng)
    }
}

fn office(network: &str) -> Constraints {
    Constraints::from_addresses(vec![network.parse().unwrap()])
}

// The index and the pure function.

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn the_index_and_the_pure_function_never_differ(
        wanted in vec(wanted(), 1..5),
        steps in vec(step(), 1..14),
        idle_seconds in proptest::option::of(100..4000_i64),
        lag_millis in prop_oneof![Just(0), 1..10_i64],
        seed: u64,
    ) {
        let mut rules = policy(|personal| {
            personal.idle_limit = idle_seconds.map(TimeDelta::seconds);
            personal.longest_lifetime = Some(TimeDelta::seconds(5000));
        });
        rules.format = rules.format.with_retired("old", kind(1)).unwrap();
        for shape in SHAPES.into_iter().flatten() {
            rules.format = rules.format.reading(shape);
        }
        let clock = ManualClock::new(sample::start());
        let lagging = Lagging { clock: clock.clone(), lag: TimeDelta::milliseconds(lag_millis) };
        let store = MemoryStore::default();
        let tokens: Tokens<ReadWrite> =
            // How many texts are nobody's in a second is not what differs here.
            Builder::new(store.clone(), rules, lagging, SeededRandomness::new(seed))
                .unknown_texts(u32::MAX)
                .build();
        let host = Actor::host();
        let mut texts: Vec<(String, TokenId)> = Vec::new();
        for wanted in wanted {
            if let Ok((secret, record)) = block_on(tokens.issue(wanted, By::Host(&host))) {
                texts.push((secret.expose_secret().to_owned(), record.id));
            }
        }
        for step in steps {
            if let Some(rotated) = step.take(&tokens, &clock, &texts) {
                texts.push(rotated);
            }
            for access in [Access::any(), Access::needing(&ReadWrite::Write).from(office_address())] {
                // So often that they are taken in several turns, and one among them that is none.
                let presented = texts.iter().map(|(text, _)| text.as_str()).chain([NO_TOKEN]);
                let all = presented.clone().count() * 7;
                let calls: Vec<_> = presented.cycle().take(all).map(|text| (text, access)).collect();
                let many = block_on(tokens.authenticate_many(&calls)).into_iter().map(class);
                for ((text, _), verdict) in calls.iter().zip(many) {
                    let single = class(block_on(tokens.authenticate(text, &access)));
                    prop_assert_eq!(verdict, single, "{} among many after {:?}", text, step);
                }
                for (text, id) in &texts {
                    let first = class(block_on(tokens.authenticate(text, &access)));
                    let second = class(block_on(tokens.authenticate(text, &access)));
                    let strict = class(block_on(tokens.authenticate_strict(text, &access)));
                    prop_assert_eq!(first, second, "{} after {:?}", id, step);
                    prop_assert_eq!(first, strict, "{} after {:?}", id, step);
                    block_on(tokens.flush_usage()).unwrap();
                    let found = block_on(store.find(&Lookup::Id(*id))).unwrap().unwrap();
                    let presented = tokens.rules().format.parse(text.as_bytes()).unwrap();
                    let now = clock.now();
                    let pure = verify(&presented, &*found.record, &found.owner, &access, tokens.rules(), now);
                    let pure = pure.map(|accepted| accepted.generation).map_err(|error| match error {
                        // What carries no id is found by its digest, while it is the token's own.
                        VerifyError::Refused(Refusal::Superseded | Refusal::WrongSecret)
                            if presented.id().is_none() => Refusal::Unknown.code(),
                        VerifyError::Refused(refusal) => refusal.code(),
                        VerifyError::UnknownKey(error) => error.code(),
                    });
                    prop_assert_eq!(first, pure, "{} after {:?}", id, step);
                }
            }
        }
    }
}

const NO_TOKEN: &str = "somebody_elses";

const SHAPES: [Option<Shape>; 3] = [None, Some(Shape::MATTERMOST), Some(Shape::ROCKET_CHAT)];

fn shape() -> impl Strategy<Value = Option<Shape>> {
    proptest::sample::select(&SHAPES[..])
}

#[derive(Clone, Debug)]
enum Step {
    Wait(TimeDelta),
    Deactivate(usize),
    Reactivate(usize),
    Revoke(usize),
    Narrow(usize, Option<i64>),
    Rotate(usize, i64, Option<Shape>),
    Edit(usize),
    BlockOwner,
    FreeOwner,
    DeleteOwner,
}

fn step() -> impl Strategy<Value = Step> {
    let token = 0..8_usize;
    prop_oneof![
        4 => prop_oneof![0..3_i64, 0..4_000_000_i64, 0..3_000_000_000_i64]
            .prop_map(|micros| Step::Wait(TimeDelta::microseconds(micros))),
        1 => token.clone().prop_map(Step::Deactivate),
        2 => token.clone().prop_map(Step::Reactivate),
        1 => token.clone().prop_map(Step::Revoke),
        1 => (token.clone(), proptest::option::of(0..3000_i64)).prop_map(|(n, end)| Step::Narrow(n, end)),
        2 => (token.clone(), prop_oneof![Just(0), 0..1000_i64], shape())
            .prop_map(|(n, overlap, shape)| Step::Rotate(n, overlap, shape)),
        1 => token.prop_map(Step::Edit),
        1 => Just(Step::BlockOwner),
        2 => Just(Step::FreeOwner),
        1 => Just(Step::DeleteOwner),
    ]
}

impl Step {
    /// Does it, as far as it can be done; returns the new text and its token's id, if it makes one.
    fn take(
        &self,
        tokens: &Tokens<ReadWrite>,
        clock: &ManualClock,
        texts: &[(String, TokenId)],
    ) -> Option<(String, TokenId)> {
        let host = Actor::host();
        let by = By::Host(&host);
        let id = |n: &usize| texts.get(n % texts.len().max(1)).map(|(_, id)| *id);
        match self {
            Self::Wait(time) => clock.advance(*time),
            Self::Deactivate(n) => drop(block_on(tokens.deactivate(id(n)?, by, None))),
            Self::Reactivate(n) => drop(block_on(tokens.reactivate(id(n)?, by))),
            Self::Revoke(n) => drop(block_on(tokens.revoke(id(n)?, by, None))),
            Self::Narrow(n, end) => {
                let mut narrowing = Narrowing::to_grant(Grant::only([ReadWrite::Read]).unwrap());
                narrowing.expires_at = end.map(sample::after);
                drop(block_on(tokens.narrow(id(n)?, &narrowing, by)));
            }
            Self::Rotate(n, overlap, shape) => {
                let rotation =
                    Rotation::with_overlap(TimeDelta::seconds(*overlap)).in_shape(*shape);
                let rotated = block_on(tokens.rotate(id(n)?, rotation, by)).ok();
                return rotated.map(|(secret, row)| (secret.expose_secret().to_owned(), row.id));
            }
            Self::Edit(n) => {
                let name = keyfob::TokenName::new("edited").unwrap();
                drop(block_on(tokens.edit(id(n)?, Some(name), None, by)));
            }
            Self::BlockOwner => drop(block_on(tokens.deactivate_owner(&owner(), by, None))),
            Self::FreeOwner => drop(block_on(tokens.reactivate_owner(&owner(), by))),
            Self::DeleteOwner => drop(block_on(tokens.delete_owner(&owner(), by, None))),
        }
        None
    }
}

fn wanted() -> impl Strategy<Value = IssueRequest<ReadWrite>> {
    let lives = prop_oneof![1..3_i64, 1..4_000_000_i64, 1..5_000_000_000_i64];
    let begins = proptest::option::of(0..1_000_000_000_i64);
    (lives, begins, grant(read_write()), any::<bool>(), any::<bool>(), shape()).prop_map(
        |(lives, begins, grant, at_office, session, shape)| {
            let mut request = IssueRequest::new(owner(), grant).in_shape(shape);
            request.lifetime = Lifetime::For(TimeDelta::microseconds(lives));
            request.not_before =
                begins.map(|micros| sample::start() + TimeDelta::microseconds(micros));
            if at_office {
                request.constraints = office("192.0.2.0/24");
            }
            if session {
                request.kind = Kind::session();
            }
            request
        },
    )
}

fn office_address() -> Option<std::net::IpAddr> {
    Some([192, 0, 2, 7].into())
}

/// The verdict in one word.
fn class(verdict: Result<keyfob::Verified, AuthenticateError>) -> Result<u32, &'static str> {
    verdict.map(|verified| verified.generation()).map_err(|error| error.code())
}

/// A clock whose cheap time lags, as a kernel's coarse clock does.
#[derive(Debug)]
struct Lagging {
    clock: ManualClock,
    lag: TimeDelta,
}

impl Clock for Lagging {
    fn now_micros(&self) -> i64 {
        self.clock.now_micros()
    }

    fn coarse_micros(&self) -> i64 {
        self.now_micros() - self.lag.num_microseconds().unwrap()
    }

    fn tick(&self) -> TimeDelta {
        self.lag
    }

    fn boot_nanos(&self) -> u64 {
        self.clock.boot_nanos()
    }
}

// What the tests above share.

/// The same cases in every run; a failure prints the case that failed.
fn cases(number: u32) -> ProptestConfig {
    ProptestConfig {
        cases: number,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x6B65_7966_6F62),
        ..ProptestConfig::default()
    }
}

const MICROSECOND: TimeDelta = TimeDelta::microseconds(1);

/// The characters of a word, the separator first.
const WORD: &[u8] = b"_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The characters of an id.
const ID: &[u8] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

fn drawn(rng: &mut StdRng, alphabet: &[u8], length: usize) -> String {
    let mut bytes = vec![0; length];
    rng.fill_bytes(&mut bytes);
    bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()
}

/// Prefixes of which none begins with another.
fn prefixes() -> impl Strategy<Value = Vec<String>> {
    btree_set("[a-z][a-z0-9]{1,15}", 1..6).prop_map(|prefixes| {
        let mut kept: Vec<String> = Vec::new();
        for prefix in prefixes {
            if !kept.iter().any(|kept| prefix.starts_with(&**kept)) {
                kept.push(prefix);
            }
        }
        kept
    })
}

fn kind(number: usize) -> Kind {
    Kind::new(format!("kind_{number}")).unwrap()
}

fn owner() -> OwnerId {
    sample::owner(1)
}

fn anybody() -> IssueRequest<ReadWrite> {
    IssueRequest::new(owner(), Grant::Full)
}

/// Rules with this change to what holds for personal tokens.
fn policy(change: impl FnOnce(&mut KindPolicy)) -> Rules {
    let mut personal = KindPolicy::personal();
    personal.quota = None;
    change(&mut personal);
    sample::rules().with_policy(Policy::default().with_kind(Kind::personal(), personal))
}

fn issued(
    request: IssueRequest<ReadWrite>,
    rules: &Rules,
    now: DateTime<Utc>,
    rng: &mut SeededRandomness,
) -> Result<Issued, IssueError> {
    issue(request, Caller::Host(&Actor::host()), &OwnerState::unheard_of(), rules, now, rng)
}

fn judged<S: Scope>(
    text: &str,
    record: &TokenRecord,
    access: &Access<'_, S>,
    rules: &Rules,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let presented = rules.format.parse(text.as_bytes()).unwrap();
    match verify(&presented, record, &OwnerState::unheard_of(), access, rules, now) {
        Ok(_) => Ok(()),
        Err(VerifyError::Refused(refusal)) => Err(refusal),
        Err(VerifyError::UnknownKey(error)) => panic!("{error}"),
    }
}

/// A service whose time is told.
struct Served {
    tokens: Tokens<ReadWrite>,
    clock: ManualClock,
}

impl Served {
    fn new(rules: Rules) -> Self {
        let clock = ManualClock::new(sample::start());
        let randomness = SeededRandomness::new(14);
        let tokens = Builder::new(MemoryStore::default(), rules, clock.clone(), randomness).build();
        Self { tokens, clock }
    }

    fn advance_to(&self, at: DateTime<Utc>) {
        self.clock.advance(at - self.clock.now());
    }

    fn issue(&mut self, request: IssueRequest<ReadWrite>) -> Option<(TokenSecret, TokenRecord)> {
        block_on(self.tokens.issue(request, By::Host(&Actor::host()))).ok()
    }

    /// The one verdict of the index, of the index again, and of the store.
    fn verdict(&self, secret: &TokenSecret) -> Result<(), &'static str> {
        let text = secret.expose_secret();
        let by_index = class(block_on(self.tokens.authenticate(text, &Access::any())));
        let again = class(block_on(self.tokens.authenticate(text, &Access::any())));
        let strict = class(block_on(self.tokens.authenticate_strict(text, &Access::any())));
        assert_eq!(by_index, again);
        assert_eq!(by_index, strict);
        strict.map(drop)
    }
}

fn chat_scope() -> impl Strategy<Value = ChatScope> {
    let action =
        proptest::sample::select(&[ChatAction::Manage, ChatAction::Post, ChatAction::Read][..]);
    let channel = "town|off-topic|a|a:b|@x|public|[!#-Z^-~]{1,20}";
    let place = prop_oneof![
        Just(ChatPlace::Everywhere),
        Just(ChatPlace::Public),
        channel.prop_map(|id| ChatPlace::Channel(id.into())),
        channel.prop_map(|id| ChatPlace::PublicChannel(id.into())),
    ];
    (action, place).prop_map(|(action, place)| ChatScope { action, place })
}

fn read_write() -> impl Strategy<Value = ReadWrite> {
    proptest::sample::select(&[ReadWrite::Read, ReadWrite::Write][..])
}

fn grant<S: Scope>(scope: impl Strategy<Value = S>) -> impl Strategy<Value = Grant<S>> {
    prop_oneof![
        1 => Just(Grant::Full),
        3 => btree_set(scope, 1..5).prop_map(|scopes| Grant::only(scopes).unwrap()),
    ]
}

/// Counts the calls that reach the store.
#[derive(Debug)]
struct Counting(Arc<AtomicU64>);

#[async_trait]
impl Way for Counting {
    async fn there(&self, _method: &'static str) -> Result<(), StoreError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
