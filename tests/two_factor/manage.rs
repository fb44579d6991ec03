//! Enrolling factors and taking them away.

use keyfob::core::factor::Grounds;
use keyfob::core::factor_policy::{FactorPolicy, method};
use keyfob::ports::two_factor::Answer;
use keyfob::service::two_factor::error::FactorChangeError;
use keyfob::service::two_factor::{Ask, FactorsChanged};
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, block_on, sample};
use keyfob::two_factor::otp::{hotp, step};
use keyfob::two_factor::{Algorithm, Digits, Imported, OtpAuth};
use keyfob::{
    Access, By, EventKind, Grant, IssueRequest, Kind, Operation, OwnerId, TwoFactorProof, Verified,
};

use crate::scene::{HOST, Scene, alice, answered, bob, minutes};

/// The proof for a change that this token's owner answers with this.
fn proof(scene: &Scene, by: &Verified, change: &str, answer: &Answer) -> TwoFactorProof {
    let ask = Ask::by(by, Operation::ChangeFactors, change.as_bytes()).answered(answer);
    block_on(scene.two_factor.demand(&ask)).unwrap()
}

fn code_of(scene: &Scene, shown: &OtpAuth, by: i64) -> Answer {
    let seed = data_encoding::BASE32_NOPAD.decode(shown.expose_seed().as_bytes()).unwrap();
    assert!(seed.len() >= 20, "a seed of {} bytes", seed.len());
    let step = step(scene.tokens.now().timestamp()).saturating_add_signed(by);
    Answer::new(format!("{:06}", hotp(&seed, step, Algorithm::Sha1, Digits::Six)))
}

/// Alice has enrolled an authenticator, with her password.
fn enrolled(scene: &Scene) -> (Verified, OtpAuth) {
    let (alice, session) = (alice(), scene.session(&alice()));
    let password = Answer::new("alice-password");
    let proof = proof(scene, &session, "enable totp alice", &password);
    let by = By::token(&session);
    let shown = scene.totp.begin(&scene.two_factor, &alice, "alice@acme.example", proof, by);
    (session, block_on(shown).unwrap())
}

fn confirm(scene: &Scene, by: &Verified, code: &Answer) -> Result<(), FactorChangeError> {
    let alice = alice();
    let confirmed = scene.totp.confirm(&scene.two_factor, &alice, code, By::token(by));
    block_on(confirmed).map(drop_changed)
}

#[test]
fn an_authenticator_is_enrolled_confirmed_used_and_taken_away() {
    let (alice, scene) = (alice(), Scene::new(FactorPolicy::default()));
    let (session, shown) = enrolled(&scene);
    assert!(shown.expose_uri().starts_with("otpauth://totp/Acme:alice%40acme.example?secret="));
    assert!(shown.expose_qr_svg().unwrap().contains("<svg"));
    // Nothing is asked for until it is confirmed.
    assert_eq!(block_on(scene.two_factor.enrolled(&alice)).unwrap(), [method::PASSWORD]);
    let wrong = confirm(&scene, &session, &Answer::new("000000"));
    assert!(matches!(wrong, Err(FactorChangeError::WrongCode)), "{wrong:?}");
    let code = code_of(&scene, &shown, 0);
    confirm(&scene, &session, &code).unwrap();
    assert_eq!(scene.told(EventKind::FactorEnabled), 1);
    let again = confirm(&scene, &session, &code);
    assert!(matches!(again, Err(FactorChangeError::NotPending)), "{again:?}");
    // The code that confirmed it signs nobody in.
    assert_eq!(scene.sign_in(&alice, &code), Err("second_factor_wrong"));
    scene.clock.advance(chrono::TimeDelta::seconds(30));
    let next = code_of(&scene, &shown, 0);
    assert_eq!(scene.sign_in(&alice, &next), Ok(answered("totp")));

    scene.clock.advance(chrono::TimeDelta::seconds(30));
    let proof = proof(&scene, &session, "disable totp alice", &code_of(&scene, &shown, 0));
    let by = By::token(&session);
    block_on(scene.totp.disable(&scene.two_factor, &alice, proof, by)).unwrap().keep_tokens();
    assert_eq!(scene.told(EventKind::FactorDisabled), 1);
    let signed_in = scene.demand(&Ask::of(&alice, Operation::SignIn, b"")).unwrap();
    assert_eq!(signed_in, Grounds::NothingEnrolled);
}

#[test]
fn a_seed_waits_ten_minutes_to_be_confirmed_and_the_newest_alone() {
    let scene = Scene::new(FactorPolicy::default());
    let (session, first) = enrolled(&scene);
    let (_, second) = enrolled(&scene);
    let replaced = confirm(&scene, &session, &code_of(&scene, &first, 0));
    assert!(matches!(replaced, Err(FactorChangeError::WrongCode)), "{replaced:?}");
    scene.clock.advance(minutes(10));
    let late = confirm(&scene, &session, &code_of(&scene, &second, 0));
    assert!(matches!(late, Err(FactorChangeError::NotPending)), "{late:?}");
    let (session, third) = enrolled(&scene);
    scene.clock.advance(minutes(9));
    confirm(&scene, &session, &code_of(&scene, &third, 0)).unwrap();
}

#[test]
fn an_authenticator_replaces_the_former_one_only_with_a_code_of_that() {
    let alice = alice();
    let scene = Scene::new(FactorPolicy::default()).with_totp(&alice);
    let session = scene.session(&alice);
    let password = Answer::new("alice-password");
    let ask = Ask::by(&session, Operation::ChangeFactors, b"enable totp alice");
    let refused = scene.demand(&ask.answered(&password)).unwrap_err();
    assert_eq!(refused.code(), "second_factor_wrong");
    let proof = proof(&scene, &session, "enable totp alice", &scene.code(0));
    let by = By::token(&session);
    let shown = scene.totp.begin(&scene.two_factor, &alice, "alice", proof, by);
    let shown = block_on(shown).unwrap();
    // In the same step: the first code of the new seed is another one than the last of the old.
    confirm(&scene, &session, &code_of(&scene, &shown, 0)).unwrap();
    scene.clock.advance(chrono::TimeDelta::seconds(30));
    assert_eq!(scene.sign_in(&alice, &scene.code(0)), Err("second_factor_wrong"));
    assert_eq!(scene.sign_in(&alice, &code_of(&scene, &shown, 0)), Ok(answered("totp")));
}

#[test]
fn a_proof_for_one_change_makes_no_other_and_none_of_somebody_else() {
    let changes = [
        "enable totp",
        "disable totp",
        "enable email",
        "disable email",
        "regenerate backup_code",
        "disable backup_code",
        "reset",
    ];
    let password = Answer::new("alice-password");
    for made in changes {
        for tried in changes.iter().take(6) {
            for owner in [alice(), bob()] {
                let scene = Scene::new(FactorPolicy::default());
                let session = scene.session(&alice());
                let proof = proof(&scene, &session, &format!("{made} alice"), &password);
                let tried_it = change(&scene, tried, &owner, proof, By::token(&session));
                match tried_it {
                    Err(FactorChangeError::NotProved) => {
                        assert!(owner == alice() && made != *tried)
                    }
                    Err(FactorChangeError::Caller(_)) => assert_eq!(owner, bob()),
                    _ => assert!(owner == alice() && made == *tried, "{made}, {tried}"),
                }
            }
        }
        // Alice is no administrator, and says so herself.
        let scene = Scene::new(FactorPolicy::default());
        let session = scene.session(&alice());
        let proof = proof(&scene, &session, &format!("{made} alice"), &password);
        let by = By::token(&session);
        let reset = block_on(scene.two_factor.reset(&alice(), Some(proof), by)).map(drop_changed);
        assert!(matches!(reset, Err(FactorChangeError::Caller(_))), "{reset:?}");
    }
}

/// Makes the change with these parameters.
fn change(
    scene: &Scene,
    what: &str,
    owner: &OwnerId,
    proof: TwoFactorProof,
    by: By<'_>,
) -> Result<(), FactorChangeError> {
    let two_factor = &scene.two_factor;
    block_on(async {
        match what {
            "enable totp" => scene.totp.begin(two_factor, owner, "a", proof, by).await.map(drop),
            "disable totp" => {
                scene.totp.disable(two_factor, owner, proof, by).await.map(drop_changed)
            }
            "enable email" => {
                scene.email.enable(two_factor, owner, proof, by).await.map(drop_changed)
            }
            "disable backup_code" => {
                scene.backup.disable(two_factor, owner, proof, by).await.map(drop_changed)
            }
            "disable email" => {
                scene.email.disable(two_factor, owner, proof, by).await.map(drop_changed)
            }
            _ => {
                let codes = scene.backup.regenerate(two_factor, owner, proof, by).await?;
                drop(codes.keep_tokens());
                Ok(())
            }
        }
    })
}

fn drop_changed(changed: FactorsChanged<()>) {
    changed.keep_tokens();
}

#[test]
fn twelve_backup_codes_are_right_once_each_and_their_owners_alone() {
    let alice = alice();
    let scene = Scene::new(FactorPolicy::default()).with_totp(&alice);
    let session = scene.session(&alice);
    let proof = proof(&scene, &session, "regenerate backup_code alice", &scene.code(0));
    let by = By::token(&session);
    let codes = block_on(scene.backup.regenerate(&scene.two_factor, &alice, proof, by));
    let codes = codes.unwrap().keep_tokens();
    assert_eq!(codes.len(), 12);
    let scene = scene.with_totp(&bob());
    for (used, code) in codes.iter().enumerate() {
        let answer = Answer::new(code.expose_secret());
        assert_eq!(code.expose_secret().len(), 8);
        assert_eq!(scene.sign_in(&bob(), &answer), Err("second_factor_wrong"));
        assert_eq!(scene.sign_in(&alice, &answer), Ok(answered("backup_code")), "code {used}");
        assert_eq!(scene.sign_in(&alice, &answer), Err("second_factor_wrong"));
        assert_eq!(block_on(scene.backup.remaining(&alice)).unwrap(), 11 - used);
        scene.clock.advance(minutes(16));
    }
    // None is left, and the authenticator still counts.
    assert_eq!(block_on(scene.two_factor.enrolled(&alice)).unwrap(), ["totp", "password"]);
    assert_eq!(scene.sign_in(&alice, &scene.code(0)), Ok(answered("totp")));
}

#[test]
fn of_64_at_once_with_one_backup_code_one_is_accepted() {
    let alice = alice();
    let scene = Scene::new(FactorPolicy::default());
    let session = scene.session(&alice);
    let password = Answer::new("alice-password");
    let proof = proof(&scene, &session, "regenerate backup_code alice", &password);
    let by = By::token(&session);
    let codes = block_on(scene.backup.regenerate(&scene.two_factor, &alice, proof, by));
    for code in codes.unwrap().keep_tokens().iter().take(6) {
        let answer = Answer::new(code.expose_secret());
        let accepted: usize = std::thread::scope(|scope| {
            let one = || usize::from(scene.sign_in(&alice, &answer).is_ok());
            let all: Vec<_> = (0..64).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(accepted, 1);
        scene.clock.advance(minutes(16));
    }
}

#[test]
fn mailed_codes_are_enabled_for_verified_addresses_and_disabled() {
    let (alice, scene) = (alice(), Scene::new(FactorPolicy::default()));
    let session = scene.session(&alice);
    let by = By::token(&session);
    let password = Answer::new("alice-password");
    let enable = |scene: &Scene, proof| {
        block_on(scene.email.enable(&scene.two_factor, &alice, proof, by)).map(drop_changed)
    };
    let first = proof(&scene, &session, "enable email alice", &password);
    enable(&scene, first).unwrap();
    // From now on the mailbox is asked.
    let ask = Ask::by(&session, Operation::ChangeFactors, b"enable email alice");
    let _ = scene.demand(&ask).unwrap_err();
    let code = Answer::new(scene.host.last_code());
    let again = enable(&scene, proof(&scene, &session, "enable email alice", &code));
    assert!(matches!(again, Err(FactorChangeError::AlreadyEnabled)), "{again:?}");
    let ask = Ask::by(&session, Operation::ChangeFactors, b"disable email alice");
    let _ = scene.demand(&ask).unwrap_err();
    let code = Answer::new(scene.host.last_code());
    let proof = proof(&scene, &session, "disable email alice", &code);
    block_on(scene.email.disable(&scene.two_factor, &alice, proof, by)).map(drop_changed).unwrap();
    assert_eq!(block_on(scene.two_factor.enrolled(&alice)).unwrap(), ["password"]);

    let dora = OwnerId::new("dora").unwrap();
    let session = scene.session(&dora);
    let password = Answer::new("dora-password");
    let ask = Ask::by(&session, Operation::ChangeFactors, b"enable email dora").answered(&password);
    let proof = block_on(scene.two_factor.demand(&ask)).unwrap();
    let by = By::token(&session);
    let refused = block_on(scene.email.enable(&scene.two_factor, &dora, proof, by));
    assert!(matches!(refused, Err(FactorChangeError::NoAddress)), "{refused:?}");
}

#[test]
fn a_change_offers_to_end_the_owners_other_tokens() {
    let (alice, scene) = (alice(), Scene::new(FactorPolicy::default()));
    let (session, other) = (scene.session(&alice), scene.session(&alice));
    let request = IssueRequest::new(bob(), Grant::Full).of_kind(Kind::session());
    let (bobs, _) = block_on(scene.tokens.issue(request, HOST)).unwrap();
    let password = Answer::new("alice-password");
    let proof = proof(&scene, &session, "regenerate backup_code alice", &password);
    let by = By::token(&session);
    let changed = block_on(scene.backup.regenerate(&scene.two_factor, &alice, proof, by)).unwrap();
    let (codes, ended) = block_on(changed.end_tokens(&scene.tokens, Some(session.id()), by));
    assert_eq!((codes.len(), ended.unwrap()), (12, 1));
    let state = |token: &Verified| block_on(scene.tokens.find(token.id(), HOST)).unwrap().state;
    assert!(matches!(state(&session), keyfob::State::Active));
    assert!(matches!(state(&other), keyfob::State::Revoked(_)));
    assert!(block_on(scene.tokens.authenticate(bobs.expose_secret(), &Access::any())).is_ok());
}

#[test]
fn an_administrator_takes_all_factors_from_somebody_who_has_lost_them() {
    let (alice, bob) = (alice(), bob());
    let scene = Scene::new(FactorPolicy::default()).with_totp(&alice).with_email(&alice);
    let scene = scene.with_totp(&bob);
    let session = scene.session(&bob);
    let administrator = By::administrator(&session);
    let none = block_on(scene.two_factor.reset(&alice, None, administrator)).map(drop_changed);
    assert!(matches!(none, Err(FactorChangeError::NotProved)), "{none:?}");
    let proof = proof(&scene, &session, "reset alice", &scene.code(0));
    block_on(scene.two_factor.reset(&alice, Some(proof), administrator)).unwrap().keep_tokens();
    let event = scene.heard.events().pop().unwrap();
    assert_eq!(event.kind, EventKind::FactorsReset);
    assert_eq!((event.owner, event.by.owner), (Some(alice.clone()), Some(bob)));
    assert_eq!(block_on(scene.two_factor.enrolled(&alice)).unwrap(), ["password"]);
    // What the host brings at each start does not come back either.
    let seed = keyfob::two_factor::TotpSeed::from_base32(crate::scene::SEED).unwrap();
    assert_eq!(block_on(scene.totp.import(&alice, seed)).unwrap(), Imported::Differs);
    assert_eq!(block_on(scene.email.import(&alice)).unwrap(), Imported::Differs);
}

#[test]
fn an_administrators_proof_is_good_for_the_owner_that_it_names_and_no_other() {
    let (alice, bob) = (alice(), bob());
    let changes = [
        "enable totp",
        "disable totp",
        "enable email",
        "disable email",
        "regenerate backup_code",
        "disable backup_code",
    ];
    for what in changes {
        for named in [&alice, &bob] {
            let scene = Scene::new(FactorPolicy::default());
            let session = scene.session(&bob);
            let password = Answer::new("bob-password");
            let proof = proof(&scene, &session, &format!("{what} {named}"), &password);
            let made = change(&scene, what, &alice, proof, By::administrator(&session));
            let refused = matches!(made, Err(FactorChangeError::NotProved));
            assert_eq!(refused, named == &bob, "{what} {named}: {made:?}");
        }
    }
}

#[test]
fn an_administrator_unlocks_whom_somebody_else_has_locked_out_and_takes_nothing() {
    let (alice, bob) = (alice(), bob());
    let scene = Scene::new(FactorPolicy::default()).with_totp(&alice).with_totp(&bob);
    for _ in 0..5 {
        assert_eq!(scene.sign_in(&alice, &Answer::new("00000x")), Err("second_factor_wrong"));
    }
    assert_eq!(scene.sign_in(&alice, &scene.code(0)), Err("second_factor_locked"));
    let session = scene.session(&bob);
    let administrator = By::administrator(&session);
    let none = block_on(scene.two_factor.unlock(&alice, None, administrator));
    assert!(matches!(none, Err(FactorChangeError::NotProved)), "{none:?}");
    let own = block_on(scene.two_factor.unlock(&bob, None, By::token(&session)));
    assert!(matches!(own, Err(FactorChangeError::Caller(_))), "{own:?}");
    let proof = proof(&scene, &session, "unlock alice", &scene.code(0));
    block_on(scene.two_factor.unlock(&alice, Some(proof), administrator)).unwrap();
    assert_eq!(scene.told(EventKind::FactorsUnlocked), 1);
    assert_eq!(scene.sign_in(&alice, &scene.code(0)), Ok(answered("totp")));
}

#[test]
fn backup_codes_go_with_the_authenticator_that_they_stand_in_for() {
    let alice = alice();
    let scene = Scene::new(FactorPolicy::default()).with_totp(&alice);
    let session = scene.session(&alice);
    let by = By::token(&session);
    let first = proof(&scene, &session, "regenerate backup_code alice", &scene.code(0));
    let codes = block_on(scene.backup.regenerate(&scene.two_factor, &alice, first, by));
    let codes = codes.unwrap().keep_tokens();
    let code = Answer::new(codes[0].expose_secret());
    let second = proof(&scene, &session, "disable totp alice", &code);
    change(&scene, "disable totp", &alice, second, by).unwrap();
    assert_eq!(block_on(scene.two_factor.enrolled(&alice)).unwrap(), ["password"]);
    assert!(scene.demand(&Ask::of(&alice, Operation::SignIn, b"")).is_ok());
}

#[test]
fn a_seed_that_was_drawn_before_another_factor_was_enabled_is_not_confirmed() {
    let scene = Scene::new(FactorPolicy::default());
    let (session, shown) = enrolled(&scene);
    block_on(scene.email.import(&alice())).unwrap();
    let late = confirm(&scene, &session, &code_of(&scene, &shown, 0));
    assert!(matches!(late, Err(FactorChangeError::NotPending)), "{late:?}");
}

#[test]
fn a_token_that_was_revoked_elsewhere_changes_no_factor_before_that_is_heard_of_here() {
    let (store, clock) = (MemoryStore::default(), ManualClock::new(sample::start()));
    let node = |seed| Scene::on(store.clone(), clock.clone(), FactorPolicy::default(), seed);
    let (alice, here, elsewhere) = (alice(), node(1), node(2));
    let session = here.session(&alice);
    let password = Answer::new("alice-password");
    let proof = proof(&here, &session, "regenerate backup_code alice", &password);
    block_on(elsewhere.tokens.revoke(session.id(), HOST, None)).unwrap();
    let by = By::token(&session);
    let refused = change(&here, "regenerate backup_code", &alice, proof, by);
    assert!(matches!(refused, Err(FactorChangeError::Caller(_))), "{refused:?}");
}
