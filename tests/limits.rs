//! How often a token may be used, and how many times: over a store in memory, and on every face.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics, in its helpers too")]

mod common;
#[expect(dead_code, reason = "other targets use more of it")]
#[path = "common/faces.rs"]
mod faces;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use async_trait::async_trait;
use chrono::TimeDelta;
use common::{Detour, Way};
use faces::{Host, OWNER, Served};
use http::Method;
use keyfob::core::constraints::Constraints;
use keyfob::core::error::{LifecycleError, VerifyError};
use keyfob::core::rate::Rate;
use keyfob::core::verify::verify;
use keyfob::ports::store::{Lookup, StoreError, TokenStore as _};
use keyfob::service::error::ChangeFailure;
use keyfob::testing::{ManualClock, SeededRandomness, block_on, sample};
use keyfob::wire::rocketchat::Profile;
use keyfob::{
    Access, Actor, AuthenticateError, Builder, By, Grant, IssueRequest, Narrowing, OwnerId,
    ReadWrite, Refusal, TokenId, Tokens,
};

static ITSELF: Actor = Actor::host();
const HOST: By<'static> = By::Host(&ITSELF);

// Rates.

#[test]
fn a_rate_admits_its_burst_and_then_its_pace() {
    let service = Service::new();
    let (text, _) = service.issue(rate(3, 30));
    for _ in 0..3 {
        assert_eq!(service.verdict(&text), Ok(()));
    }
    assert_eq!(service.verdict(&text), Err(Why::TooOften(10)));
    service.clock.advance(TimeDelta::milliseconds(9_500));
    assert_eq!(service.verdict(&text), Err(Why::TooOften(1)), "a part of a second rounds up");
    service.clock.advance(TimeDelta::milliseconds(500));
    assert_eq!(service.verdict(&text), Ok(()));
    assert_eq!(service.verdict(&text), Err(Why::TooOften(10)));
    service.clock.advance(TimeDelta::hours(1));
    for _ in 0..3 {
        assert_eq!(service.verdict(&text), Ok(()), "all of them came back, and no more");
    }
    assert_eq!(service.verdict(&text), Err(Why::TooOften(10)));
}

#[test]
fn whoever_judges_counts_against_one_rate() {
    let service = Service::new();
    let (text, _) = service.issue(rate(4, 60));
    let access = Access::any();
    assert!(block_on(service.tokens.authenticate_strict(&text, &access)).is_ok());
    assert!(block_on(service.tokens.authenticate(&text, &access)).is_ok());
    assert!(service.tokens.authenticate_now(&text, &access).unwrap().is_ok());
    let calls = [(&*text, access), (&*text, access)];
    let [one, other] = block_on(service.tokens.authenticate_many(&calls)).try_into().unwrap();
    assert!(one.is_ok());
    assert_eq!(why(&other), Err(Why::TooOften(15)));
    for judged in [
        block_on(service.tokens.authenticate_strict(&text, &access)),
        block_on(service.tokens.authenticate(&text, &access)),
        service.tokens.authenticate_now(&text, &access).unwrap(),
    ] {
        assert_eq!(judged.unwrap_err().code(), "rate_limited");
    }
}

#[test]
fn each_token_is_counted_by_itself() {
    let service = Service::new();
    let texts: Vec<_> = (0..9).map(|_| service.issue(rate(1, 60)).0).collect();
    for expected in [Ok(()), Err(Why::TooOften(60))] {
        for text in &texts {
            assert_eq!(service.verdict(text), expected);
        }
    }
    let (unlimited, _) = service.issue(Constraints::default());
    for _ in 0..1_000 {
        assert_eq!(service.verdict(&unlimited), Ok(()));
    }
}

#[test]
fn a_call_that_is_refused_is_not_counted() {
    let service = Service::new();
    let mut constraints = Constraints::from_addresses(vec!["192.0.2.0/24".parse().unwrap()]);
    (constraints.rate, constraints.uses) = (Some(Rate::new(1, 60).unwrap()), Some(times(1)));
    let request = IssueRequest::new(owner(), Grant::only([ReadWrite::Read]).unwrap());
    let (text, id) = service.made(request, constraints);
    let home = Some("192.0.2.7".parse().unwrap());
    for _ in 0..5 {
        let elsewhere = Access::needing(&ReadWrite::Read);
        assert_eq!(service.ask(&text, elsewhere), Err(Why::Refused(Refusal::Address)));
        let writing = Access::needing(&ReadWrite::Write).from(home);
        assert_eq!(service.ask(&text, writing), Err(Why::Refused(Refusal::ScopeMissing)));
    }
    assert_eq!(service.spent(id), 0);
    assert_eq!(service.ask(&text, Access::any().from(home)), Ok(()));
}

#[test]
fn what_was_used_is_known_when_the_index_has_forgotten_the_token() {
    let service = Service::new();
    let (text, id) = service.issue(rate(2, 60));
    for n in 0..2 {
        assert_eq!(service.verdict(&text), Ok(()));
        let name = format!("name {n}").parse().unwrap();
        block_on(service.tokens.edit(id, Some(name), None, HOST)).unwrap();
    }
    assert_eq!(service.verdict(&text), Err(Why::TooOften(30)));
}

#[test]
fn a_rate_that_is_exceeded_counts_no_use_and_spends_none() {
    let service = Service::new();
    let (text, id) = service.issue(rate(1, 60).for_uses(times(5)));
    assert_eq!(service.verdict(&text), Ok(()));
    for _ in 0..5 {
        assert_eq!(service.verdict(&text), Err(Why::TooOften(60)));
    }
    block_on(service.tokens.flush_usage()).unwrap();
    let row = block_on(service.tokens.find(id, HOST)).unwrap();
    assert_eq!((row.spent, row.usage.count), (1, 1));
}

#[test]
fn no_more_than_its_burst_is_admitted_however_many_ask_at_once() {
    let service = Service::new();
    let (text, _) = service.issue(rate(100, 60));
    let admitted = at_once(16, || {
        let judged = (0..50).map(|_| service.verdict(&text));
        judged.filter(Result::is_ok).count()
    });
    assert_eq!(admitted.iter().sum::<usize>(), 100);
}

// Uses.

#[test]
fn a_token_for_one_use_works_once_whichever_way_it_is_asked() {
    let access = Access::any();
    for first in [false, true] {
        let service = Service::new();
        let (text, id) = service.issue(uses(1));
        assert!(service.tokens.authenticate_now(&text, &access).is_none());
        let judged = if first {
            block_on(service.tokens.authenticate_strict(&text, &access))
        } else {
            block_on(service.tokens.authenticate(&text, &access))
        };
        assert!(judged.is_ok());
        assert!(service.tokens.authenticate_now(&text, &access).is_none(), "it is not indexed");
        assert_eq!(service.verdict(&text), Err(Why::Refused(Refusal::Spent)));
        let strict = block_on(service.tokens.authenticate_strict(&text, &access));
        assert_eq!(why(&strict), Err(Why::Refused(Refusal::Spent)));
        assert_eq!(service.spent(id), 1);
    }
}

#[test]
fn the_last_use_is_had_once_on_all_nodes_together() {
    let service = Service::new();
    let other = service.beside();
    let (text, id) = service.issue(uses(20));
    let had = at_once(8, || {
        let judged = (0..10).flat_map(|_| [service.verdict(&text), other.verdict(&text)]);
        judged.filter(Result::is_ok).count()
    });
    assert_eq!(had.iter().sum::<usize>(), 20);
    assert_eq!(service.spent(id), 20);
}

#[test]
fn a_use_that_cannot_be_counted_is_unavailable_and_nobody_has_it() {
    let service = Service::new();
    let (text, id) = service.issue(uses(2));
    service.store.way.0.store(true, Ordering::Relaxed);
    assert_eq!(service.verdict(&text), Err(Why::Unavailable));
    service.store.way.0.store(false, Ordering::Relaxed);
    assert_eq!(service.spent(id), 1, "it was counted, and the answer was lost");
    assert_eq!(service.verdict(&text), Ok(()));
    assert_eq!(service.verdict(&text), Err(Why::Refused(Refusal::Spent)));
}

#[test]
fn a_connection_that_the_last_use_opened_stays_open() {
    let service = Service::new();
    let (text, _) = service.issue(uses(1));
    let verified = block_on(service.tokens.authenticate(&text, &Access::any())).unwrap();
    let live = block_on(service.tokens.live(&verified)).unwrap();
    assert!(live.is_live());
    assert_eq!(service.verdict(&text), Err(Why::Refused(Refusal::Spent)));
    assert!(live.is_live());
}

#[test]
fn the_pure_function_refuses_what_is_spent() {
    let service = Service::new();
    let (text, id) = service.issue(uses(1));
    let rules = service.tokens.rules();
    let presented = rules.format.parse(text.as_bytes()).unwrap();
    let judged = || {
        let found = block_on(service.store.find(&Lookup::Id(id))).unwrap().unwrap();
        let access = Access::<ReadWrite>::any();
        verify(&presented, &*found.record, &found.owner, &access, rules, sample::start())
    };
    assert!(judged().is_ok());
    assert_eq!(service.verdict(&text), Ok(()));
    assert_eq!(judged(), Err(VerifyError::Refused(Refusal::Spent)));
}

#[test]
fn limits_are_narrowed_and_never_widened() {
    let service = Service::new();
    let (text, id) = service.issue(rate(10, 60).for_uses(times(10)));
    let narrow = |constraints: Constraints| {
        let mut narrowing = Narrowing::default();
        narrowing.constraints = Some(constraints);
        match block_on(service.tokens.narrow(id, &narrowing, HOST)) {
            Ok(_) => Ok(()),
            Err(ChangeFailure::Lifecycle(LifecycleError::Wider { field })) => Err(field),
            other => unreachable!("{other:?}"),
        }
    };
    assert_eq!(service.verdict(&text), Ok(()));
    assert_eq!(narrow(rate(11, 60)), Err("rate"));
    assert_eq!(narrow(uses(11)), Err("uses"));
    // What is not spoken of stays.
    assert_eq!(narrow(uses(2)), Ok(()));
    assert_eq!(narrow(rate(1, 60)), Ok(()));
    let row = block_on(service.tokens.find(id, HOST)).unwrap();
    assert_eq!(row.constraints, rate(1, 60).for_uses(times(2)));
    assert_eq!(service.verdict(&text), Ok(()));
    assert_eq!(service.verdict(&text), Err(Why::Refused(Refusal::Spent)), "two of two");
}

// On every face.

#[test]
fn every_face_answers_429_to_a_token_that_is_used_too_often_and_401_to_one_that_is_spent() {
    let host = Host::new();
    let tokens = "/api/v4/users/aliceealiceealiceealiceeal/tokens";
    let faces: [(Served, Method, &str, &str, &str); 6] = [
        (host.native(), Method::GET, "/tokens", "", r#""code":"rate_limited""#),
        (host.mattermost(), Method::GET, tokens, "", "limit exceeded"),
        (
            host.rocketchat(Profile::default()),
            Method::GET,
            "/api/v1/users.getPersonalAccessTokens",
            "",
            "You must wait 60 seconds",
        ),
        (host.zitadel(), Method::POST, "/v2/users/pats/search", "{}", r#""code":8"#),
        (
            host.zitadel(),
            Method::GET,
            "/management/v1/users/aliceealiceealiceealiceeal/pats/x",
            "",
            "",
        ),
        (
            host.awx(),
            Method::GET,
            "/api/v2/tokens/",
            "",
            "Request was throttled. Expected available in 60 seconds.",
        ),
    ];
    for (face, method, path, body, told) in &faces {
        for (constraints, status) in [(rate(1, 60), 429), (uses(1), 401)] {
            let mut request = IssueRequest::new(OwnerId::new(OWNER).unwrap(), Grant::Full);
            request.constraints = constraints;
            let (secret, _) = block_on(host.tokens.issue(request, HOST)).unwrap();
            let call = || face.call(method, path, secret.expose_secret(), body.as_bytes());
            let first = call();
            assert!([200, 404].contains(&first.status), "{path}: {first:?}");
            let second = call();
            assert_eq!(second.status, status, "{path}: {second:?}");
            if status == 429 {
                let text = String::from_utf8_lossy(&second.body);
                assert!(text.contains(told), "{path}: {text}");
            }
        }
    }
}

/// A service over a store whose answers about spent uses may be lost.
struct Service {
    tokens: Tokens<ReadWrite>,
    store: Detour<Lossy>,
    clock: ManualClock,
}

#[derive(Clone, Debug, Default)]
struct Lossy(Arc<AtomicBool>);

#[async_trait]
impl Way for Lossy {
    async fn back(&self, method: &'static str) -> Result<(), StoreError> {
        let is_lost = method == "spend" && self.0.load(Ordering::Relaxed);
        if is_lost { Err(StoreError::unavailable("lost")) } else { Ok(()) }
    }
}

/// Why a text was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    TooOften(u64),
    Refused(Refusal),
    NotOurs,
    Unavailable,
}

impl Service {
    fn new() -> Self {
        Self::over(Detour::new(Lossy::default()), ManualClock::new(sample::start()))
    }

    /// Another node on the same store.
    fn beside(&self) -> Self {
        Self::over(self.store.clone(), self.clock.clone())
    }

    fn over(store: Detour<Lossy>, clock: ManualClock) -> Self {
        let (rules, randomness) = (sample::rules(), SeededRandomness::new(7));
        let tokens = Builder::new(store.clone(), rules, clock.clone(), randomness).build();
        Self { tokens, store, clock }
    }

    fn issue(&self, constraints: Constraints) -> (String, TokenId) {
        self.made(IssueRequest::new(owner(), Grant::Full), constraints)
    }

    fn made(
        &self,
        mut request: IssueRequest<ReadWrite>,
        constraints: Constraints,
    ) -> (String, TokenId) {
        request.constraints = constraints;
        let (secret, row) = block_on(self.tokens.issue(request, HOST)).unwrap();
        (secret.expose_secret().to_owned(), row.id)
    }

    fn verdict(&self, text: &str) -> Result<(), Why> {
        self.ask(text, Access::any())
    }

    fn ask(&self, text: &str, access: Access<'_, ReadWrite>) -> Result<(), Why> {
        why(&block_on(self.tokens.authenticate(text, &access)))
    }

    fn spent(&self, id: TokenId) -> u32 {
        block_on(self.tokens.find(id, HOST)).unwrap().spent
    }
}

fn why<T>(judged: &Result<T, AuthenticateError>) -> Result<(), Why> {
    match judged {
        Ok(_) => Ok(()),
        Err(AuthenticateError::NotOurs) => Err(Why::NotOurs),
        Err(AuthenticateError::RateLimited { seconds }) => Err(Why::TooOften(*seconds)),
        Err(AuthenticateError::Refused(refusal)) => Err(Why::Refused(*refusal)),
        Err(AuthenticateError::Unavailable(_)) => Err(Why::Unavailable),
    }
}

fn at_once<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    })
}

fn owner() -> OwnerId {
    sample::owner(1)
}

fn rate(uses: u32, seconds: u32) -> Constraints {
    Constraints::default().at_rate(Rate::new(uses, seconds).unwrap())
}

fn uses(uses: u32) -> Constraints {
    Constraints::default().for_uses(times(uses))
}

fn times(uses: u32) -> NonZeroU32 {
    NonZeroU32::new(uses).unwrap()
}
