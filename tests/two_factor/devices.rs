//! Devices of which an answer is remembered.

use chrono::TimeDelta;
use keyfob::core::factor::Grounds;
use keyfob::core::factor_policy::FactorPolicy;
use keyfob::ports::two_factor::Answer;
use keyfob::service::two_factor::Ask;
use keyfob::testing::block_on;
use keyfob::{Access, By, Operation, Rotation};

use crate::scene::{HOST, Scene, alice, answered};

fn scene() -> Scene {
    Scene::new(FactorPolicy::rocketchat()).with_totp(&alice())
}

const LAPTOP: &[u8] = b"192.0.2.7";

#[test]
fn an_answer_is_remembered_of_its_token_and_device_for_half_an_hour() {
    let (alice, scene) = (alice(), scene());
    let (session, other) = (scene.session(&alice), scene.session(&alice));
    let ask = Ask::by(&session, Operation::Host, b"rename").from_device(LAPTOP);
    let code = scene.code(0);
    assert_eq!(scene.demand(&ask.answered(&code)).unwrap(), answered("totp"));
    // For other operations with the same token too.
    let issue = Ask::by(&session, Operation::IssueToken, b"x").from_device(LAPTOP);
    for ask in [&ask, &issue] {
        assert_eq!(scene.demand(ask).unwrap(), Grounds::Remembered);
    }
    for elsewhere in [
        Ask::by(&session, Operation::Host, b"rename").from_device(b"192.0.2.8"),
        Ask::by(&session, Operation::Host, b"rename"),
        Ask::by(&other, Operation::Host, b"rename").from_device(LAPTOP),
        Ask::of(&alice, Operation::Host, b"rename").from_device(LAPTOP),
        // What gives more than a session has is asked each time.
        Ask::by(&session, Operation::ChangeFactors, b"rename").from_device(LAPTOP),
        Ask::by(&session, Operation::SignIn, b"").from_device(LAPTOP),
    ] {
        let error = scene.demand(&elsewhere).unwrap_err();
        assert_eq!(error.code(), "second_factor_required", "{elsewhere:?}");
    }
    scene.clock.advance(TimeDelta::seconds(1799));
    assert_eq!(scene.demand(&ask).unwrap(), Grounds::Remembered);
    scene.clock.advance(TimeDelta::seconds(1));
    assert_eq!(scene.demand(&ask).unwrap_err().code(), "second_factor_required");
}

#[test]
fn an_answer_is_not_remembered_of_a_secret_that_replaced_another_one() {
    let (alice, scene) = (alice(), scene());
    let session = scene.session(&alice);
    let ask = Ask::by(&session, Operation::Host, b"").from_device(LAPTOP);
    assert!(scene.demand(&ask.answered(&scene.code(0))).is_ok());
    assert_eq!(scene.demand(&ask).unwrap(), Grounds::Remembered);
    let rotated = scene.tokens.rotate(session.id(), Rotation::at_once(), HOST);
    let (secret, _) = block_on(rotated).unwrap();
    let access = Access::any();
    let verified = block_on(scene.tokens.authenticate(secret.expose_secret(), &access)).unwrap();
    assert_eq!(verified.id(), session.id());
    let ask = Ask::by(&verified, Operation::Host, b"").from_device(LAPTOP);
    assert_eq!(scene.demand(&ask).unwrap_err().code(), "second_factor_required");
}

#[test]
fn answers_that_only_sign_in_or_change_factors_are_not_remembered() {
    let (alice, scene) = (alice(), scene());
    let session = scene.session(&alice);
    let ask = Ask::by(&session, Operation::ChangeFactors, b"").from_device(LAPTOP);
    assert!(scene.demand(&ask.answered(&scene.code(0))).is_ok());
    let host = Ask::by(&session, Operation::Host, b"").from_device(LAPTOP);
    assert_eq!(scene.demand(&host).unwrap_err().code(), "second_factor_required");
}

#[test]
fn a_change_of_any_factor_ends_what_is_remembered() {
    let (alice, scene) = (alice(), scene());
    let session = scene.session(&alice);
    let ask = Ask::by(&session, Operation::Host, b"").from_device(LAPTOP);
    let remembered = || {
        scene.clock.advance(TimeDelta::seconds(30));
        assert!(scene.demand(&ask.answered(&scene.code(0))).is_ok());
        assert_eq!(scene.demand(&ask).unwrap(), Grounds::Remembered);
    };
    remembered();
    block_on(scene.email.import(&alice)).unwrap();
    assert_eq!(scene.demand(&ask).unwrap_err().code(), "second_factor_required");
    remembered();
    scene.clock.advance(TimeDelta::seconds(30));
    let change = Ask::by(&session, Operation::ChangeFactors, b"disable email alice");
    let code = scene.code(0);
    let proof = block_on(scene.two_factor.demand(&change.answered(&code))).unwrap();
    let by = By::token(&session);
    block_on(scene.email.disable(&scene.two_factor, &alice, proof, by)).unwrap().keep_tokens();
    assert_eq!(scene.demand(&ask).unwrap_err().code(), "second_factor_required");
    // Taken away, there is the password left, and nothing remembered of it.
    remembered();
    block_on(scene.two_factor.reset(&alice, None, HOST)).unwrap().keep_tokens();
    assert_eq!(scene.demand(&ask).unwrap_err().code(), "second_factor_required");
}

#[test]
fn sixteen_devices_are_remembered_and_the_first_to_end_makes_place() {
    let (alice, scene) = (alice(), scene());
    let session = scene.session(&alice);
    let devices: Vec<_> = (0..17_u8).map(|n| [n]).collect();
    for device in &devices {
        scene.clock.advance(TimeDelta::seconds(30));
        let ask = Ask::by(&session, Operation::Host, b"").from_device(device);
        assert!(scene.demand(&ask.answered(&scene.code(0))).is_ok());
    }
    let known = |device: &[u8]| {
        scene.demand(&Ask::by(&session, Operation::Host, b"").from_device(device)).is_ok()
    };
    assert!(!known(&devices[0]));
    assert!(devices[1..].iter().all(|device| known(device)));
}

#[test]
fn an_answer_is_remembered_only_where_its_method_would_be_taken() {
    let alice = alice();
    let mut policy = FactorPolicy::rocketchat();
    policy.fallback_for = [Operation::Host].into();
    policy.passes_unenrolled.clear();
    let scene = Scene::new(policy);
    let session = scene.session(&alice);
    let host = Ask::by(&session, Operation::Host, b"").from_device(LAPTOP);
    let password = Answer::new("alice-password");
    assert_eq!(scene.demand(&host.answered(&password)).unwrap(), answered("password"));
    assert_eq!(scene.demand(&host).unwrap(), Grounds::Remembered);
    let issue = Ask::by(&session, Operation::IssueBypassingToken, b"").from_device(LAPTOP);
    assert_eq!(scene.demand(&issue).unwrap_err().code(), "second_factor_not_enrolled");
}

#[test]
fn nothing_is_remembered_unless_the_policy_says_so() {
    let alice = alice();
    let scene = Scene::new(FactorPolicy::default()).with_totp(&alice);
    let session = scene.session(&alice);
    let ask = Ask::by(&session, Operation::Host, b"").from_device(LAPTOP);
    assert!(scene.demand(&ask.answered(&scene.code(0))).is_ok());
    assert_eq!(scene.demand(&ask).unwrap_err().code(), "second_factor_required");
}
