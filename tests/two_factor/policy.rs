//! Which factors are asked for: the whole table, and what a missing method means.

use std::collections::BTreeSet;

use keyfob::core::factor::Grounds;
use keyfob::core::factor_policy::{Due, FactorPolicy, method};
use keyfob::ports::two_factor::Answer;
use keyfob::service::two_factor::error::StepUpError;
use keyfob::service::two_factor::{Ask, TwoFactor};
use keyfob::testing::block_on;
use keyfob::two_factor::{BackupCodes, EmailCode, Totp};
use keyfob::{Operation, OwnerId};

use crate::scene::{Scene, alice, answered};

const METHODS: [&str; 4] = [method::BACKUP_CODE, method::EMAIL, method::PASSWORD, method::TOTP];

/// Every set of enrolled methods.
fn subsets() -> impl Iterator<Item = Vec<&'static str>> {
    (0..16_u8).map(|bits| {
        (0..4).zip(METHODS).filter(|(at, _)| bits & (1 << at) != 0).map(|(_, name)| name).collect()
    })
}

fn policies() -> [(&'static str, FactorPolicy); 3] {
    [
        ("default", FactorPolicy::default()),
        ("strict", FactorPolicy::strict()),
        ("rocketchat", FactorPolicy::rocketchat()),
    ]
}

#[test]
fn no_set_of_factors_skips_one_that_is_enrolled() {
    let mut seen = 0;
    for (name, policy) in policies() {
        for operation in Operation::ALL {
            for enrolled in subsets() {
                let has = |method| enrolled.contains(&method);
                let due = policy.due(operation, &enrolled);
                let authenticator = has(method::TOTP) || has(method::BACKUP_CODE);
                let place = format!("{name}, {operation:?}, {enrolled:?}");
                match &due {
                    Due::Answer(methods) => {
                        assert!(!methods.is_empty(), "{place}");
                        assert!(methods.iter().all(|method| has(method)), "{place}");
                        // The strongest that there is, and nothing weaker beside it.
                        let is_strong = |m: &&str| [method::TOTP, method::BACKUP_CODE].contains(m);
                        assert_eq!(methods.iter().any(is_strong), authenticator, "{place}");
                        assert_eq!(methods.iter().all(is_strong), authenticator, "{place}");
                    }
                    Due::Nothing | Due::Refused => {
                        assert!(!authenticator, "{place}");
                        assert!(name == "strict" || !has(method::EMAIL), "{place}");
                    }
                }
                if name == "strict" {
                    assert_ne!(due, Due::Nothing, "{place}");
                    assert_ne!(due, Due::Answer(vec![method::EMAIL]), "{place}");
                }
                if operation == Operation::SignIn {
                    assert_ne!(due, Due::Answer(vec![method::PASSWORD]), "{place}");
                }
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 3 * 7 * 16);
}

/// With real factors: what is answered must be of the strongest, and any other answer, however
/// right it would be elsewhere, is refused.
#[test]
fn a_right_answer_of_a_weaker_method_is_refused() {
    let (alice, password) = (alice(), Answer::new("alice-password"));
    let scene = Scene::new(FactorPolicy::default()).with_totp(&alice).with_email(&alice);
    // It cannot even be sent for.
    let session = scene.session(&alice);
    let ask = Ask::by(&session, Operation::Host, b"rename");
    for method in [method::EMAIL, method::PASSWORD, "made up"] {
        let refused = scene.demand(&ask.answered(&password).with_method(method)).unwrap_err();
        let question = refused.question().unwrap();
        assert_eq!(refused.code(), "second_factor_wrong", "{method}");
        assert_eq!(question.methods, [method::TOTP], "{method}");
    }
    assert!(scene.host.mails().is_empty());
    // Refused before anything was compared: none of them counted.
    let right = scene.code(0);
    assert_eq!(scene.demand(&ask.answered(&right)).unwrap(), answered("totp"));
}

#[test]
fn owners_without_a_factor_do_what_the_policy_says_and_no_more() {
    let carol = OwnerId::new("carol").unwrap();
    let mut passed = BTreeSet::new();
    for (name, policy) in policies() {
        let scene = Scene::new(policy.clone());
        for operation in Operation::ALL {
            match scene.demand(&Ask::of(&carol, operation, b"")) {
                Ok(Grounds::NotAsked) => assert!(!policy.asked_for.contains(&operation)),
                Ok(grounds) => {
                    assert_eq!(grounds, Grounds::NothingEnrolled);
                    passed.insert((name, operation));
                }
                Err(error) => assert!(matches!(error, StepUpError::NothingEnrolled), "{error:?}"),
            }
        }
    }
    let of = |wanted| passed.iter().filter(|(name, _)| *name == wanted).count();
    assert_eq!((of("default"), of("strict"), of("rocketchat")), (2, 0, 7), "{passed:?}");
}

#[test]
fn a_method_that_is_missing_or_in_trouble_is_unavailable_and_never_not_required() {
    let (alice, scene) = (alice(), Scene::new(FactorPolicy::rocketchat()));
    let with = |missing: &str| {
        let mut two_factor =
            TwoFactor::new(scene.tokens.clone(), scene.vault.clone(), FactorPolicy::rocketchat());
        let methods: [(&str, std::sync::Arc<dyn keyfob::ports::two_factor::TwoFactorVerifier>); 3] = [
            (method::TOTP, scene.totp.clone() as std::sync::Arc<Totp>),
            (method::EMAIL, scene.email.clone() as std::sync::Arc<EmailCode>),
            (method::BACKUP_CODE, scene.backup.clone() as std::sync::Arc<BackupCodes>),
        ];
        for (name, method) in methods {
            if name != missing {
                two_factor = two_factor.with_shared(method);
            }
        }
        if missing != method::PASSWORD {
            let password = keyfob::two_factor::Password::new(scene.host.clone());
            two_factor = two_factor.with(password);
        }
        two_factor
    };
    for missing in METHODS {
        for operation in Operation::ALL {
            let found = block_on(with(missing).demand(&Ask::of(&alice, operation, b"")));
            assert!(matches!(found, Err(StepUpError::Unavailable(_))), "{missing}: {found:?}");
        }
    }
    // The directory and the passwords do not answer.
    let scene = Scene::new(FactorPolicy::rocketchat()).with_email(&alice);
    *scene.host.is_away.lock().unwrap() = true;
    for operation in Operation::ALL {
        let found = scene.demand(&Ask::of(&alice, operation, b""));
        assert!(matches!(found, Err(StepUpError::Unavailable(_))), "{operation:?}: {found:?}");
    }
}
