//! Codes of an authenticator: which are taken, and that each is taken once.

use std::sync::Arc;
use std::thread;

use keyfob::core::factor_policy::FactorPolicy;
use keyfob::ports::two_factor::Answer;
use keyfob::service::two_factor::{Ask, TwoFactor};
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, SeededRandomness, block_on, sample};
use keyfob::two_factor::{Algorithm, Digits, Totp, TotpSeed, Window};
use keyfob::{Operation, ReadWrite};

use crate::scene::{Scene, alice, answered, bob, code_at, minutes};

/// A scene whose authenticator's codes are judged in this window.
fn within(window: Window) -> (Scene, TwoFactor<ReadWrite>) {
    let alice = alice();
    let scene = Scene::new(FactorPolicy::default()).with_totp(&alice);
    let totp = Totp::new(scene.vault.clone(), SeededRandomness::new(9)).window(window);
    let two_factor = scene.two_factor.clone().with(totp);
    (scene, two_factor)
}

fn sign_in(two_factor: &TwoFactor<ReadWrite>, answer: &Answer) -> bool {
    let alice = alice();
    block_on(two_factor.demand(&Ask::of(&alice, Operation::SignIn, b"").answered(answer))).is_ok()
}

#[test]
fn a_window_takes_its_steps_and_no_others() {
    for (window, taken) in [
        (Window::strict(), vec![0]),
        (Window::usual(), vec![-1, 0]),
        (Window::lenient(), vec![-1, 0, 1]),
    ] {
        for by in -3..=3 {
            let (scene, two_factor) = within(window);
            let accepted = sign_in(&two_factor, &scene.code(by));
            assert_eq!(accepted, taken.contains(&by), "{window:?}, {by}");
        }
    }
}

#[test]
fn a_step_once_used_refuses_itself_and_every_earlier_step_in_the_window() {
    let (scene, two_factor) = within(Window::lenient());
    assert!(sign_in(&two_factor, &scene.code(0)));
    assert!(!sign_in(&two_factor, &scene.code(0)));
    assert!(!sign_in(&two_factor, &scene.code(-1)));
    assert!(sign_in(&two_factor, &scene.code(1)));
    for by in -1..=1 {
        assert!(!sign_in(&two_factor, &scene.code(by)), "{by}");
    }
    // Half a minute later the step that was the next one is the present one.
    scene.clock.advance(chrono::TimeDelta::seconds(30));
    assert!(!sign_in(&two_factor, &scene.code(0)));
    assert!(sign_in(&two_factor, &scene.code(1)));
}

#[test]
fn of_64_at_once_with_one_code_on_two_nodes_one_is_accepted() {
    for round in 0..20 {
        let (store, clock) = (MemoryStore::default(), ManualClock::new(sample::start()));
        let nodes = [1, 2].map(|seed| {
            Scene::on(store.clone(), clock.clone(), FactorPolicy::default(), seed + 2 * round)
        });
        let seed = TotpSeed::from_base32(crate::scene::SEED).unwrap();
        block_on(nodes[0].totp.import(&alice(), seed)).unwrap();
        let code = Arc::new(nodes[0].code(0));
        let accepted: usize = thread::scope(|scope| {
            let all: Vec<_> = (0..64)
                .map(|at| {
                    let (node, code) = (&nodes[at % 2], Arc::clone(&code));
                    scope.spawn(move || usize::from(sign_in(&node.two_factor, &code)))
                })
                .collect();
            all.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(accepted, 1, "round {round}");
    }
}

#[test]
fn a_clock_that_is_known_to_be_wrong_is_gone_by_and_a_right_one_too() {
    let (scene, two_factor) = within(Window::usual());
    let next = |by: i64| {
        scene.clock.advance(minutes(20));
        sign_in(&two_factor, &scene.code(by))
    };
    assert!(!next(-2));
    // Each answer shows a clock that is one step more behind.
    assert!(next(-1));
    assert!(next(-2));
    assert!(next(-3));
    assert!(next(-4));
    // Four are the most that are learnt; one more is typing time.
    assert!(next(-5));
    assert!(!next(-6));
    // Its clock was set right: the present step never goes out of the window.
    assert!(next(0));
    assert!(!next(-2));
    assert!(!next(1));
}

#[test]
fn other_hashes_and_lengths_work_from_end_to_end() {
    for (algorithm, digits) in [
        (Algorithm::Sha256, Digits::Six),
        (Algorithm::Sha256, Digits::Eight),
        (Algorithm::Sha512, Digits::Eight),
        (Algorithm::Sha1, Digits::Eight),
    ] {
        let scene = Scene::new(FactorPolicy::default());
        let seed = TotpSeed::from_base32(crate::scene::SEED).unwrap();
        let seed = seed.with_form(algorithm, digits);
        block_on(scene.totp.import(&bob(), seed)).unwrap();
        let bytes = data_encoding::BASE32_NOPAD.decode(crate::scene::SEED.as_bytes()).unwrap();
        let step = keyfob::two_factor::otp::step(scene.tokens.now().timestamp());
        let code = keyfob::two_factor::otp::hotp(&bytes, step, algorithm, digits);
        let width = digits.count();
        let answer = Answer::new(format!("{code:0width$}"));
        assert_eq!(scene.sign_in(&bob(), &answer), Ok(answered("totp")), "{algorithm:?}");
    }
}

#[test]
fn only_the_exact_digits_are_a_code() {
    let (alice, scene) = (alice(), Scene::new(FactorPolicy::default()));
    let scene = scene.with_totp(&alice);
    let right = code_at(scene.tokens.now(), 0).expose_secret().to_owned();
    for wrong in [
        format!(" {right}"),
        format!("{right} "),
        format!("{} {}", &right[..3], &right[3..]),
        format!("0{right}"),
        right[..5].to_owned(),
        right.chars().map(|c| char::from_u32(u32::from(c) + 0xFEE0).unwrap()).collect(),
        String::new(),
    ] {
        scene.clock.advance(minutes(15));
        let _ = scene.sign_in(&alice, &Answer::new(wrong.clone())).unwrap_err();
    }
    scene.clock.advance(minutes(15));
    assert!(scene.sign_in(&alice, &scene.code(0)).is_ok());
}
