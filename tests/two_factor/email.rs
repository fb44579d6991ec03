//! Codes by mail: for one challenge, once, the newest alone, and not too many.

use chrono::TimeDelta;
use keyfob::core::factor_policy::{FactorPolicy, method};
use keyfob::ports::two_factor::{Answer, FactorError};
use keyfob::service::two_factor::Ask;
use keyfob::service::two_factor::error::StepUpError;
use keyfob::testing::{SeededRandomness, block_on};
use keyfob::two_factor::{CodeShape, EmailCode};
use keyfob::{Operation, OwnerId};

use crate::scene::{Scene, alice, answered, bob, minutes};

fn scene() -> Scene {
    Scene::new(FactorPolicy::default()).with_email(&alice())
}

/// Asks without an answer, and returns the code that was mailed.
fn asked(scene: &Scene, ask: &Ask<'_>) -> String {
    let before = scene.host.mails().len();
    let required = scene.demand(ask).unwrap_err();
    assert!(matches!(required, StepUpError::Required(_)), "{required:?}");
    let question = required.question().unwrap();
    assert!(question.sent.unwrap().is_new);
    let mails = scene.host.mails();
    assert_eq!(mails.len(), before + 1);
    assert_eq!(Some(&mails[before].0), question.to.as_ref());
    scene.host.last_code()
}

#[test]
fn a_code_is_mailed_once_and_accepted_once() {
    let (alice, scene) = (alice(), scene());
    let ask = Ask::of(&alice, Operation::SignIn, b"");
    let code = asked(&scene, &ask);
    // Asked again, the same code is still on its way.
    let again = scene.demand(&ask).unwrap_err();
    assert!(!again.question().unwrap().sent.as_ref().unwrap().is_new);
    assert_eq!(scene.host.mails().len(), 1);
    let answer = Answer::new(code);
    assert_eq!(scene.demand(&ask.answered(&answer)).unwrap(), answered("email"));
    assert_eq!(scene.demand(&ask.answered(&answer)).unwrap_err().code(), "second_factor_wrong");
}

#[test]
fn a_code_has_forty_bits_and_six_digits_only_where_that_is_asked_for() {
    let (alice, scene) = (alice(), scene());
    let code = asked(&scene, &Ask::of(&alice, Operation::SignIn, b""));
    let symbols = code.replace('-', "");
    assert_eq!((code.len(), symbols.len()), (9, 8));
    // 32 symbols at eight places: over many codes each of them comes.
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..60 {
        scene.clock.advance(minutes(11));
        let code = asked(&scene, &Ask::of(&alice, Operation::SignIn, b""));
        seen.extend(code.bytes().filter(|byte| *byte != b'-'));
    }
    assert_eq!(seen.len(), 32);

    let parts = (std::sync::Arc::new(scene.host.clone()), std::sync::Arc::new(scene.host.clone()));
    let random = SeededRandomness::new(77);
    let digits = EmailCode::new(scene.vault.clone(), parts.0, parts.1, random)
        .shape(CodeShape::SixDigits)
        .lives_for(TimeDelta::hours(1));
    let two_factor = scene.two_factor.clone().with(digits);
    scene.clock.advance(minutes(11));
    let ask = Ask::of(&alice, Operation::SignIn, b"other");
    let _ = block_on(two_factor.demand(&ask)).unwrap_err();
    let code = scene.host.last_code();
    let (head, tail) = code.split_once('-').unwrap();
    assert!(head.len() == 3 && tail.len() == 3);
    assert!(code.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()));
    // An hour is nearly over; people leave the hyphen out.
    scene.clock.advance(TimeDelta::seconds(3599));
    let answer = Answer::new(format!("{head}{tail}"));
    assert!(block_on(two_factor.demand(&ask.answered(&answer))).is_ok());
}

#[test]
fn a_code_for_one_request_is_refused_for_another_and_used_up_by_that() {
    let (alice, scene) = (alice(), scene());
    let (session, other) = (scene.session(&alice), scene.session(&alice));
    let rename = Ask::by(&session, Operation::Host, b"rename");
    let elsewhere = [
        Ask::by(&session, Operation::Host, b"delete"),
        Ask::by(&session, Operation::ChangeFactors, b"rename"),
        Ask::by(&other, Operation::Host, b"rename"),
        Ask::of(&alice, Operation::Host, b"rename"),
    ];
    for other in elsewhere {
        scene.clock.advance(minutes(6));
        let code = Answer::new(asked(&scene, &rename));
        let refused = scene.demand(&other.answered(&code)).unwrap_err();
        assert_eq!(refused.code(), "second_factor_wrong");
        let burnt = scene.demand(&rename.answered(&code)).unwrap_err();
        assert_eq!(burnt.code(), "second_factor_wrong");
        scene.clock.advance(minutes(16));
    }
    // Somebody else's code is as good as none.
    let scene = scene.with_email(&bob());
    let code = Answer::new(asked(&scene, &Ask::of(&alice, Operation::SignIn, b"")));
    assert_eq!(scene.sign_in(&bob(), &code), Err("second_factor_wrong"));
    assert_eq!(scene.sign_in(&alice, &code), Ok(answered("email")));
}

#[test]
fn while_an_owner_may_not_answer_no_mail_is_sent() {
    let (alice, scene) = (alice(), scene());
    let ask = Ask::of(&alice, Operation::SignIn, b"");
    let _ = asked(&scene, &ask);
    let wrong = Answer::new("aaaa-aaaa");
    for _ in 0..5 {
        assert_eq!(scene.sign_in(&alice, &wrong), Err("second_factor_wrong"));
    }
    scene.clock.advance(minutes(11));
    for other in [ask, Ask::of(&alice, Operation::Host, b"rename")] {
        let error = scene.demand(&other).unwrap_err();
        let until = scene.tokens.now() + minutes(4);
        assert!(matches!(error, StepUpError::Locked { until: Some(at), .. } if at == until));
        assert_eq!(error.question().unwrap().to.as_deref(), Some("alice@acme.example"));
    }
    let again = block_on(scene.email.send_again(&scene.two_factor, &alice));
    assert!(matches!(again, Err(FactorError::TooManyAttempts)));
    assert_eq!(scene.host.mails().len(), 1);
    // What was not sent was not used up: the next one is sent, and right.
    scene.clock.advance(minutes(4));
    let code = Answer::new(asked(&scene, &ask));
    assert_eq!(scene.sign_in(&alice, &code), Ok(answered("email")));
}

#[test]
fn a_question_tells_where_codes_go_whether_or_not_one_is_on_its_way() {
    let (alice, scene) = (alice(), scene());
    let ask = Ask::of(&alice, Operation::SignIn, b"");
    let code = Answer::new(asked(&scene, &ask));
    assert!(scene.demand(&ask.answered(&code)).is_ok());
    let used = scene.demand(&ask.answered(&code)).unwrap_err();
    let question = used.question().unwrap();
    assert_eq!((question.to.as_deref(), &question.sent), (Some("alice@acme.example"), &None));
    let required = scene.demand(&ask).unwrap_err();
    let question = required.question().unwrap();
    assert_eq!(question.to.as_deref(), Some("alice@acme.example"));
    assert!(question.sent.unwrap().is_new);
}

#[test]
fn the_newest_code_counts_alone_and_not_for_long() {
    let (alice, scene) = (alice(), scene());
    let ask = Ask::of(&alice, Operation::SignIn, b"");
    let first = Answer::new(asked(&scene, &ask));
    block_on(scene.email.send_again(&scene.two_factor, &alice)).unwrap();
    let second = Answer::new(scene.host.last_code());
    assert_eq!(scene.sign_in(&alice, &first), Err("second_factor_wrong"));
    assert_eq!(scene.sign_in(&alice, &second), Ok(answered("email")));
    let late = Answer::new(asked(&scene, &ask));
    scene.clock.advance(minutes(10));
    assert_eq!(scene.sign_in(&alice, &late), Err("second_factor_wrong"));
}

#[test]
fn what_is_sent_again_is_for_what_was_asked_last() {
    let (alice, scene) = (alice(), scene());
    let session = scene.session(&alice);
    let rename = Ask::by(&session, Operation::Host, b"rename");
    let _ = asked(&scene, &rename);
    block_on(scene.email.send_again(&scene.two_factor, &alice)).unwrap();
    let code = Answer::new(scene.host.last_code());
    assert_eq!(scene.demand(&rename.answered(&code)).unwrap(), answered("email"));
    // Nothing is asked any more: it is for signing in.
    block_on(scene.email.send_again(&scene.two_factor, &alice)).unwrap();
    let code = Answer::new(scene.host.last_code());
    assert_eq!(scene.sign_in(&alice, &code), Ok(answered("email")));
}

#[test]
fn five_mails_in_five_minutes_are_sent_and_no_more() {
    let (alice, scene) = (alice(), scene());
    let ask_for = |n: u8| {
        let parameters = [n];
        scene.demand(&Ask::of(&alice, Operation::SignIn, &parameters)).unwrap_err().code()
    };
    let codes: Vec<_> = (0..8).map(ask_for).collect();
    assert_eq!(codes[..5], ["second_factor_required"; 5]);
    assert_eq!(codes[5..], ["second_factor_too_many_sent"; 3]);
    assert_eq!(scene.host.mails().len(), 5);
    let again = || block_on(scene.email.send_again(&scene.two_factor, &alice));
    assert!(matches!(again(), Err(FactorError::TooManySent)));
    scene.clock.advance(minutes(5));
    assert_eq!(ask_for(9), "second_factor_required");
}

#[test]
fn an_address_gets_five_mails_whoever_they_are_for() {
    // Both names have the same address, whatever its letters.
    let scene = Scene::new(FactorPolicy::default());
    let owners = ["shared", "Shared", "SHARED"].map(|name| OwnerId::new(name).unwrap());
    let mut sent = 0;
    for owner in &owners {
        block_on(scene.email.import(owner)).unwrap();
        for n in 0..3 {
            let error = scene.demand(&Ask::of(owner, Operation::SignIn, &[n])).unwrap_err();
            sent += usize::from(error.code() == "second_factor_required");
        }
    }
    assert_eq!((sent, scene.host.mails().len()), (5, 5));
}

#[test]
fn whoever_presses_send_again_leaves_three_of_five_mails_to_the_owner() {
    let (alice, scene) = (alice(), scene());
    let again = || block_on(scene.email.send_again(&scene.two_factor, &alice));
    let sent = (0..5).filter(|_| again().is_ok()).count();
    assert_eq!((sent, scene.host.mails().len()), (2, 2));
    for n in 0..3_u8 {
        let _ = asked(&scene, &Ask::of(&alice, Operation::Host, &[n]));
    }
    assert_eq!(scene.host.mails().len(), 5);
}

#[test]
fn an_address_that_is_not_verified_is_no_way_around_the_factor() {
    let dora = OwnerId::new("dora").unwrap();
    let scene = Scene::new(FactorPolicy::default()).with_email(&dora);
    let methods = block_on(scene.two_factor.enrolled(&dora)).unwrap();
    assert_eq!(methods, [method::EMAIL, method::PASSWORD]);
    let found = scene.demand(&Ask::of(&dora, Operation::SignIn, b""));
    assert!(matches!(found, Err(StepUpError::Unavailable(_))), "{found:?}");
    assert!(scene.host.mails().is_empty());
    // Where the host says that it then is no factor, as Rocket.Chat does, it is none.
    let parts = (std::sync::Arc::new(scene.host.clone()), std::sync::Arc::new(scene.host.clone()));
    let random = SeededRandomness::new(78);
    let lenient = EmailCode::new(scene.vault.clone(), parts.0, parts.1, random).only_with_address();
    let two_factor = scene.two_factor.clone().with(lenient);
    assert_eq!(block_on(two_factor.enrolled(&dora)).unwrap(), [method::PASSWORD]);
    assert!(block_on(two_factor.demand(&Ask::of(&dora, Operation::SignIn, b""))).is_ok());
}

#[test]
fn whoever_goes_away_while_the_mail_is_being_sent_is_sent_another_one() {
    let (alice, scene) = (alice(), scene());
    let ask = Ask::of(&alice, Operation::SignIn, b"");
    *scene.host.mail_hangs.lock().unwrap() = true;
    {
        let mut asking = std::pin::pin!(scene.two_factor.demand(&ask));
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        assert!(asking.as_mut().poll(&mut context).is_pending());
    }
    *scene.host.mail_hangs.lock().unwrap() = false;
    let code = Answer::new(asked(&scene, &ask));
    assert_eq!(scene.sign_in(&alice, &code), Ok(answered("email")));
}

#[test]
fn a_code_that_was_tried_too_often_is_worth_nothing_and_another_one_is_sent() {
    let (alice, scene) = (alice(), scene());
    let parts = (std::sync::Arc::new(scene.host.clone()), std::sync::Arc::new(scene.host.clone()));
    let random = SeededRandomness::new(79);
    let few = EmailCode::new(scene.vault.clone(), parts.0, parts.1, random).most_attempts(2);
    let two_factor = scene.two_factor.clone().with(few);
    let ask = Ask::of(&alice, Operation::SignIn, b"");
    let code = |ask: &Ask<'_>| block_on(two_factor.demand(ask)).map_err(|error| error.code());
    let _ = code(&ask).unwrap_err();
    let (right, wrong) = (Answer::new(scene.host.last_code()), Answer::new("aaaa-aaaa"));
    assert_eq!(code(&ask.answered(&wrong)).unwrap_err(), "second_factor_wrong");
    assert_eq!(code(&ask.answered(&wrong)).unwrap_err(), "second_factor_wrong");
    assert_eq!(code(&ask.answered(&right)).unwrap_err(), "second_factor_locked");
    let _ = code(&ask).unwrap_err();
    let fresh = Answer::new(scene.host.last_code());
    assert!(code(&ask.answered(&fresh)).is_ok());
}

#[test]
fn a_code_ends_with_the_password_that_was_there_when_it_was_sent() {
    let (alice, scene) = (alice(), scene());
    let code = Answer::new(asked(&scene, &Ask::of(&alice, Operation::SignIn, b"")));
    *scene.host.passwords_changed.lock().unwrap() = 2;
    assert_eq!(scene.sign_in(&alice, &code), Err("second_factor_wrong"));
}

#[test]
fn a_mail_that_is_not_sent_is_trouble_and_leaves_no_code_that_counts() {
    let (alice, scene) = (alice(), scene());
    let ask = Ask::of(&alice, Operation::SignIn, b"");
    *scene.host.mail_is_down.lock().unwrap() = true;
    let error = scene.demand(&ask).unwrap_err();
    assert!(matches!(error, StepUpError::Unavailable(_)), "{error:?}");
    *scene.host.mail_is_down.lock().unwrap() = false;
    let _ = asked(&scene, &ask);
}

#[test]
fn a_code_stands_in_the_mail_once_and_nothing_else_looks_like_it() {
    let (alice, scene) = (alice(), scene());
    let code = asked(&scene, &Ask::of(&alice, Operation::SignIn, b""));
    let (_, text) = scene.host.mails().pop().unwrap();
    assert_eq!(text.matches(&code).count(), 1);
    assert!(!text.replace(&code, "").contains(|c: char| c.is_ascii_digit() || c == '-'), "{text}");
}
