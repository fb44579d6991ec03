//! How often somebody may guess.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use keyfob::core::factor_policy::FactorPolicy;
use keyfob::ports::factors::FactorStore as _;
use keyfob::ports::two_factor::{Answer, Enrolment, FactorError, Sent, TwoFactorVerifier};
use keyfob::service::two_factor::error::StepUpError;
use keyfob::service::two_factor::{Ask, TwoFactor};
use keyfob::store::memory::MemoryStore;
use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::{ManualClock, block_on, sample};
use keyfob::two_factor::{Totp, TotpSeed};
use keyfob::{Challenge, EventKind, Operation, OwnerId, ReadWrite};

use crate::scene::{HOST, SEED, Scene, alice, answered, bob, minutes};

/// Counts how often an answer is compared with anything.
#[derive(Debug)]
struct Counting {
    inner: Arc<Totp>,
    compared: Arc<AtomicU64>,
}

#[async_trait]
impl TwoFactorVerifier for Counting {
    fn method(&self) -> &'static str {
        self.inner.method()
    }

    fn resembles(&self, answer: &Answer) -> bool {
        self.inner.resembles(answer)
    }

    async fn enrolment(&self, owner: &OwnerId) -> Result<Option<Enrolment>, FactorError> {
        self.inner.enrolment(owner).await
    }

    async fn prepare(
        &self,
        challenge: &Challenge,
        now: DateTime<Utc>,
    ) -> Result<Option<Sent>, FactorError> {
        self.inner.prepare(challenge, now).await
    }

    async fn check(
        &self,
        challenge: &Challenge,
        answer: &Answer,
        now: DateTime<Utc>,
    ) -> Result<(), FactorError> {
        self.compared.fetch_add(1, Ordering::SeqCst);
        self.inner.check(challenge, answer, now).await
    }

    async fn forget(&self, owner: &OwnerId) -> Result<(), FactorError> {
        self.inner.forget(owner).await
    }
}

fn counted(scene: &Scene) -> (TwoFactor<ReadWrite>, Arc<AtomicU64>) {
    let compared = Arc::<AtomicU64>::default();
    let counting = Counting { inner: Arc::clone(&scene.totp), compared: Arc::clone(&compared) };
    (scene.two_factor.clone().with(counting), compared)
}

fn guess(two_factor: &TwoFactor<ReadWrite>, owner: &OwnerId, code: &Answer) -> Result<(), String> {
    let ask = Ask::of(owner, Operation::SignIn, b"").answered(code);
    block_on(two_factor.demand(&ask)).map(drop).map_err(|error| format!("{error:?}"))
}

/// A code that is never right: the present ones are asked for.
fn wrong(scene: &Scene) -> Answer {
    let near: Vec<_> = (-5..=5).map(|by| scene.code(by).expose_secret().to_owned()).collect();
    let wrong = (0..).map(|n| format!("{n:06}")).find(|code| !near.contains(code));
    Answer::new(wrong.unwrap())
}

#[test]
fn of_a_million_guesses_five_are_compared_in_a_quarter_of_an_hour_and_a_hundred_in_all() {
    let alice = alice();
    let scene = Scene::new(FactorPolicy::default()).with_totp(&alice);
    let (two_factor, compared) = counted(&scene);
    let (mut total, mut times) = (0, Vec::new());
    for n in 0..1_000_000_u32 {
        // One a second, through all that codes can be.
        scene.clock.advance(TimeDelta::seconds(1));
        let is_right = guess(&two_factor, &alice, &Answer::new(format!("{n:06}"))).is_ok();
        assert!(!is_right, "guess {n} was right by chance: choose another seed");
        let now = compared.load(Ordering::SeqCst);
        if now > total {
            times.push(i64::from(n));
        }
        total = now;
    }
    assert_eq!((total, times.len()), (100, 100));
    for six in times.windows(6) {
        assert!(six[5] - six[0] >= 900, "six in {} s", six[5] - six[0]);
    }
    // The right one does not help, and nothing but an administrator does.
    scene.clock.advance(TimeDelta::days(365));
    let right = guess(&two_factor, &alice, &scene.code(0)).unwrap_err();
    assert!(right.starts_with("Locked") && right.contains("until: None"), "{right}");
    block_on(scene.two_factor.reset(&alice, None, HOST)).unwrap().keep_tokens();
    assert!(guess(&two_factor, &alice, &scene.code(0)).is_ok());
    assert_eq!(total, compared.load(Ordering::SeqCst));
}

#[test]
fn of_many_at_once_on_two_nodes_five_are_compared() {
    let (store, clock) = (MemoryStore::default(), ManualClock::new(sample::start()));
    let nodes =
        [1, 2].map(|seed| Scene::on(store.clone(), clock.clone(), FactorPolicy::default(), seed));
    block_on(nodes[0].totp.import(&alice(), TotpSeed::from_base32(SEED).unwrap())).unwrap();
    let counted = nodes.each_ref().map(counted);
    let wrong = wrong(&nodes[0]);
    thread::scope(|scope| {
        for at in 0..16 {
            let ((two_factor, _), wrong) = (&counted[at % 2], &wrong);
            scope.spawn(move || {
                for _ in 0..1000 {
                    let _ = guess(two_factor, &alice(), wrong).unwrap_err();
                }
            });
        }
    });
    let compared: u64 = counted.iter().map(|(_, count)| count.load(Ordering::SeqCst)).sum();
    assert_eq!(compared, 5);
}

#[test]
fn right_and_wrong_codes_get_the_same_answer_while_it_is_locked_and_change_nothing() {
    let alice = alice();
    let scene = Scene::new(FactorPolicy::default()).with_totp(&alice);
    let (two_factor, compared) = counted(&scene);
    for _ in 0..5 {
        let refused = guess(&two_factor, &alice, &wrong(&scene)).unwrap_err();
        assert!(refused.starts_with("Wrong"), "{refused}");
    }
    let right = scene.code(0);
    let answers = [&right, &wrong(&scene), &right].map(|code| guess(&two_factor, &alice, code));
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    assert!(answers[0].as_ref().unwrap_err().starts_with("Locked"), "{answers:?}");
    assert_eq!(compared.load(Ordering::SeqCst), 5);
    assert_eq!(scene.told(EventKind::FactorLocked), 3);
    // The right one was not used up by being refused.
    scene.clock.advance(minutes(15));
    let later = scene.code(0);
    assert_eq!(guess(&two_factor, &alice, &later), Ok(()));
}

#[test]
fn a_right_answer_begins_the_count_anew() {
    let alice = alice();
    let scene = Scene::new(FactorPolicy::default()).with_totp(&alice);
    for _ in 0..60 {
        for _ in 0..4 {
            assert_eq!(scene.sign_in(&alice, &wrong(&scene)), Err("second_factor_wrong"));
        }
        assert_eq!(scene.sign_in(&alice, &scene.code(0)), Ok(answered("totp")));
        scene.clock.advance(TimeDelta::seconds(30));
    }
}

#[test]
fn all_methods_and_operations_of_an_owner_share_one_count() {
    let alice = alice();
    let scene = Scene::new(FactorPolicy::default()).with_totp(&alice);
    let session = scene.session(&alice);
    for (operation, answer) in [
        (Operation::SignIn, "000001"),
        (Operation::Host, "abcdefgh"),
        (Operation::ChangeFactors, "23456789"),
        (Operation::IssueBypassingToken, "something else"),
        (Operation::Host, "000002"),
    ] {
        let answer = Answer::new(answer);
        let error = scene.demand(&Ask::by(&session, operation, b"").answered(&answer));
        assert_eq!(error.unwrap_err().code(), "second_factor_wrong", "{operation:?}");
    }
    let locked = scene.demand(&Ask::by(&session, Operation::Host, b"").answered(&scene.code(0)));
    assert!(matches!(locked, Err(StepUpError::Locked { until: Some(_), .. })), "{locked:?}");
    // Nobody else's.
    let scene = scene.with_totp(&bob());
    assert_eq!(scene.sign_in(&bob(), &scene.code(0)), Ok(answered("totp")));
}

#[test]
fn a_million_failures_of_others_forgive_nothing() {
    let alice = alice();
    let store = MemoryStore::default();
    let clock = ManualClock::new(sample::start());
    let scene = Scene::on(store.clone(), clock, FactorPolicy::default(), 1).with_totp(&alice);
    for _ in 0..5 {
        let _ = scene.sign_in(&alice, &wrong(&scene)).unwrap_err();
    }
    // What the façade does for each of them before it compares anything.
    for n in 0..1_000_000 {
        let other = OwnerId::new(format!("other-{n}")).unwrap();
        let now = scene.tokens.now();
        let _ = block_on(store.reserve_attempt(&other, "second_factor", &[], now)).unwrap();
    }
    assert_eq!(scene.sign_in(&alice, &scene.code(0)), Err("second_factor_locked"));
}

#[test]
fn a_caller_that_goes_away_was_counted_and_another_node_knows() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SqliteStore::open(folder.path().join("tokens.db"), sample::realm()).unwrap();
    let clock = ManualClock::new(sample::start());
    let node = |seed| Scene::on(open(), clock.clone(), FactorPolicy::default(), seed);
    let (one, alice) = (node(1).with_totp(&alice()), alice());
    let other = node(2);
    let wrong = wrong(&one);
    let (dropping, dropped) = counted(&one);
    let (asking, asked) = counted(&other);
    for polls in 1..=40 {
        let ask = Ask::of(&alice, Operation::SignIn, b"").answered(&wrong);
        drop_after(polls % 8, dropping.demand(&ask));
    }
    while guess(&asking, &alice, &wrong).unwrap_err().starts_with("Wrong") {}
    // Whoever was dropped compared nothing that was not counted.
    let compared = dropped.load(Ordering::SeqCst) + asked.load(Ordering::SeqCst);
    assert!(compared <= 5, "{compared} were compared");
    assert_eq!(other.sign_in(&alice, &other.code(0)), Err("second_factor_locked"));
    // A restarted one remembers it too.
    drop((one, other, dropping, asking));
    assert_eq!(node(3).sign_in(&alice, &wrong), Err("second_factor_locked"));
}

/// Polls a future so often at the most, each time once it has been woken, and drops it.
fn drop_after<T>(polls: u32, future: impl Future<Output = T>) {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    let _ = block_on(std::future::poll_fn(|context| {
        use std::task::Poll;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => {
                left -= 1;
                Poll::Pending
            }
        }
    }));
}
