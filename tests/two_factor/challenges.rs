//! Challenges that an answer must name: each for one request, once, and not for long.

use keyfob::Operation;
use keyfob::core::factor_policy::{FactorPolicy, method};
use keyfob::service::two_factor::Ask;
use keyfob::service::two_factor::error::StepUpError;
use keyfob::testing::block_on;

use crate::scene::{Scene, alice, answered, bob, minutes};

fn scene() -> Scene {
    Scene::new(FactorPolicy::strict()).with_totp(&alice()).with_totp(&bob())
}

fn asked(scene: &Scene, ask: &Ask<'_>) -> String {
    let required = scene.demand(ask).unwrap_err();
    assert!(matches!(required, StepUpError::Required(_)), "{required:?}");
    required.question().unwrap().challenge.clone().unwrap()
}

/// The answer is right each time; what is wrong is the challenge that it names.
fn answer(scene: &Scene, ask: &Ask<'_>, challenge: &str) -> Result<(), &'static str> {
    scene.clock.advance(chrono::TimeDelta::seconds(30));
    let code = scene.code(0);
    let ask = ask.answered(&code).to_challenge(challenge);
    scene.demand(&ask).map(drop).map_err(|error| error.code())
}

#[test]
fn every_swap_of_owner_operation_parameters_or_token_is_refused_and_burns_the_challenge() {
    let (alice, bob, scene) = (alice(), bob(), scene());
    let tokens = [&alice, &alice, &bob].map(|owner| scene.session(owner));
    let mut asks = Vec::new();
    for operation in [Operation::Host, Operation::ChangeFactors, Operation::IssueToken] {
        for parameters in [&b"one"[..], b"two"] {
            asks.extend(tokens.iter().map(|token| Ask::by(token, operation, parameters)));
            asks.extend([&alice, &bob].map(|owner| Ask::of(owner, operation, parameters)));
        }
    }
    let mut swapped = 0;
    for (at, mine) in asks.iter().enumerate() {
        for (other_at, other) in asks.iter().enumerate() {
            let challenge = asked(&scene, mine);
            if at == other_at {
                assert_eq!(answer(&scene, mine, &challenge), Ok(()), "{mine:?}");
            } else {
                let refused = answer(&scene, other, &challenge);
                assert_eq!(refused, Err("second_factor_wrong"), "{mine:?} for {other:?}");
                swapped += 1;
            }
            // Right or wrong, it is used up.
            let again = answer(&scene, mine, &challenge);
            assert_eq!(again, Err("second_factor_wrong"), "{mine:?}");
        }
    }
    assert_eq!(swapped, 30 * 29);
}

#[test]
fn a_wrong_answer_uses_the_challenge_up_and_gets_another_one() {
    let (alice, scene) = (alice(), scene());
    let ask = Ask::of(&alice, Operation::SignIn, b"");
    let challenge = asked(&scene, &ask);
    let wrong = keyfob::ports::two_factor::Answer::new("000000");
    let refused = scene.demand(&ask.answered(&wrong).to_challenge(&challenge)).unwrap_err();
    let next = refused.question().unwrap().challenge.clone().unwrap();
    assert_ne!(next, challenge);
    assert_eq!(answer(&scene, &ask, &challenge), Err("second_factor_wrong"));
    assert_eq!(answer(&scene, &ask, &next), Ok(()));
}

#[test]
fn a_challenge_expires() {
    let (alice, scene) = (alice(), scene());
    let ask = Ask::of(&alice, Operation::SignIn, b"");
    let challenge = asked(&scene, &ask);
    scene.clock.advance(minutes(5) - chrono::TimeDelta::seconds(31));
    assert_eq!(answer(&scene, &ask, &challenge), Ok(()));
    let challenge = asked(&scene, &ask);
    scene.clock.advance(minutes(5) - chrono::TimeDelta::seconds(30));
    assert_eq!(answer(&scene, &ask, &challenge), Err("second_factor_wrong"));
}

#[test]
fn an_answer_that_names_no_challenge_or_a_made_up_one_is_refused() {
    let (alice, scene) = (alice(), scene());
    let ask = Ask::of(&alice, Operation::SignIn, b"");
    let code = scene.code(0);
    let required = scene.demand(&ask.answered(&code)).unwrap_err();
    assert!(matches!(required, StepUpError::Required(_)), "{required:?}");
    let real = asked(&scene, &ask);
    let (id, owner) = real.split_once('.').unwrap();
    let bobs = asked(&scene, &Ask::of(&bob(), Operation::SignIn, b""));
    let (_, other) = bobs.split_once('.').unwrap();
    for made_up in [
        String::new(),
        "x".to_owned(),
        id.to_owned(),
        format!("{id}."),
        format!("{id}.{owner}x"),
        format!("{id}.{other}"),
        format!(".{owner}"),
        format!("{}.{owner}", "y".repeat(26)),
        format!("{real}{real}"),
        "\u{0}".repeat(4000),
    ] {
        let real = asked(&scene, &ask);
        assert_eq!(answer(&scene, &ask, &made_up), Err("second_factor_wrong"), "{made_up:?}");
        // It was not compared, and did not touch the real one.
        assert_eq!(answer(&scene, &ask, &real), Ok(()));
    }
}

#[test]
fn a_change_of_factors_ends_the_challenges_from_before() {
    let (alice, scene) = (alice(), scene());
    let ask = Ask::of(&alice, Operation::SignIn, b"");
    let challenge = asked(&scene, &ask);
    let session = scene.session(&alice);
    let change = Ask::by(&session, Operation::ChangeFactors, b"regenerate backup_code alice");
    let named = asked(&scene, &change);
    scene.clock.advance(chrono::TimeDelta::seconds(30));
    let code = scene.code(0);
    let proof = block_on(scene.two_factor.demand(&change.answered(&code).to_challenge(&named)));
    let by = keyfob::By::token(&session);
    let changed = block_on(scene.backup.regenerate(&scene.two_factor, &alice, proof.unwrap(), by));
    assert_eq!(changed.unwrap().keep_tokens().len(), 12);
    assert_eq!(answer(&scene, &ask, &challenge), Err("second_factor_wrong"));
}

#[test]
fn eight_challenges_of_one_owner_wait_and_the_oldest_makes_place() {
    let (alice, scene) = (alice(), scene());
    let parameters: Vec<_> = (0..9_u8).map(|n| [n]).collect();
    let asks: Vec<_> = parameters.iter().map(|p| Ask::of(&alice, Operation::Host, p)).collect();
    let challenges: Vec<_> = asks.iter().map(|ask| asked(&scene, ask)).collect();
    assert_eq!(answer(&scene, &asks[0], &challenges[0]), Err("second_factor_wrong"));
    // What refused it asks anew, and so another one has made place.
    assert_eq!(answer(&scene, &asks[1], &challenges[1]), Err("second_factor_wrong"));
    assert_eq!(answer(&scene, &asks[8], &challenges[8]), Ok(()));
}

#[test]
fn where_nothing_needs_to_be_named_the_repeated_request_is_its_own_challenge() {
    let alice = alice();
    let scene = Scene::new(FactorPolicy::rocketchat()).with_totp(&alice);
    let session = scene.session(&alice);
    let ask = Ask::by(&session, Operation::IssueToken, b"name");
    let required = scene.demand(&ask).unwrap_err();
    let question = required.question().unwrap();
    assert_eq!((question.method, question.challenge.as_ref()), (method::TOTP, None));
    assert_eq!(scene.demand(&ask.answered(&scene.code(0))).unwrap(), answered("totp"));
}
