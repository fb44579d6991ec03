//! Tokens that pass where a second factor is due: where they do not, and how they lose that.

use keyfob::core::factor::Grounds;
use keyfob::core::factor_policy::FactorPolicy;
use keyfob::service::error::IssueFailure;
use keyfob::service::two_factor::Ask;
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, block_on, sample};
use keyfob::{
    Access, By, EventKind, Grant, IssueError, IssueRequest, Kind, KindPolicy, Operation, Policy,
    ReadWrite, Rotation, TokenName, Tokens, TwoFactorProof, Verified,
};

use crate::scene::{HOST, Scene, alice, answered};

fn request(name: &str) -> IssueRequest<ReadWrite> {
    IssueRequest::new(alice(), Grant::Full).named(TokenName::new(name).unwrap())
}

/// The proof of alice, by this token, for this request.
fn proved(
    scene: &Scene,
    by: &Verified,
    operation: Operation,
    request: &IssueRequest<ReadWrite>,
) -> TwoFactorProof {
    scene.clock.advance(chrono::TimeDelta::seconds(30));
    let (code, parameters) = (scene.code(0), request.parameters());
    let ask = Ask::by(by, operation, &parameters).answered(&code);
    block_on(scene.two_factor.demand(&ask)).unwrap()
}

/// A token that bypasses, made as the policy says.
fn bypassing(scene: &Scene) -> (String, Verified) {
    let session = scene.session(&alice());
    let request = request("robot");
    let proof = proved(scene, &session, Operation::IssueBypassingToken, &request);
    let request = request.bypassing_two_factor(proof);
    let (secret, row) = block_on(scene.tokens.issue(request, By::token(&session))).unwrap();
    assert!(row.bypasses_two_factor);
    let text = secret.expose_secret().to_owned();
    let verified = block_on(scene.tokens.authenticate(&text, &Access::any())).unwrap();
    (text, verified)
}

fn scene() -> Scene {
    Scene::new(FactorPolicy::rocketchat()).with_totp(&alice())
}

#[test]
fn a_bypass_is_used_where_the_host_gates_and_each_use_is_told() {
    let scene = scene();
    let (_, token) = bypassing(&scene);
    for operation in [Operation::Host, Operation::RevokeToken] {
        let before = scene.told(EventKind::FactorBypassed);
        assert_eq!(scene.demand(&Ask::by(&token, operation, b"x")).unwrap(), Grounds::Bypassed);
        assert_eq!(scene.told(EventKind::FactorBypassed), before + 1);
        let event = scene.heard.events().pop().unwrap();
        assert_eq!((event.token, event.owner), (Some(token.id()), Some(alice())));
    }
}

#[test]
fn a_bypass_makes_no_token_no_secret_no_session_and_changes_no_factor() {
    let scene = scene();
    let (_, token) = bypassing(&scene);
    for operation in Operation::ALL {
        let found = scene.demand(&Ask::by(&token, operation, b"x"));
        let passed = matches!(found, Ok(Grounds::Bypassed));
        assert_eq!(passed, operation.may_be_bypassed(), "{operation:?}: {found:?}");
        let gives_more = !matches!(operation, Operation::Host | Operation::RevokeToken);
        assert_eq!(passed, !gives_more, "{operation:?}");
    }
}

#[test]
fn a_proof_by_bypass_is_worth_nothing_for_issuing_whatever_it_claims() {
    let scene = scene();
    let (_, token) = bypassing(&scene);
    let request = request("another");
    let ask = request.parameters();
    let proof = block_on(scene.two_factor.demand(&Ask::by(&token, Operation::Host, &ask))).unwrap();
    assert_eq!(proof.grounds(), &Grounds::Bypassed);
    let refused = block_on(scene.tokens.issue(request.proved_by(proof), HOST)).unwrap_err();
    assert!(matches!(refused, IssueFailure::Request(IssueError::NotProved)), "{refused:?}");
}

#[test]
fn a_proof_fits_the_request_that_it_was_made_for_and_no_other() {
    let scene = scene();
    let (alice, session) = (alice(), scene.session(&alice()));
    let other = scene.session(&alice);
    let mut fitting = 0;
    let changed: [fn(IssueRequest<ReadWrite>) -> IssueRequest<ReadWrite>; 6] = [
        |request| request,
        |request| request.named(TokenName::new("other").unwrap()),
        |request| request.expires_in(chrono::TimeDelta::days(1)),
        |mut request| {
            request.grant = Grant::only([ReadWrite::Read]).unwrap();
            request
        },
        |request| request.of_kind(Kind::new("robot").unwrap()),
        |mut request| {
            request.constraints.addresses = vec!["192.0.2.0/24".parse().unwrap()];
            request
        },
    ];
    for operation in [Operation::IssueToken, Operation::IssueBypassingToken] {
        for change in changed {
            for by in [&session, &other] {
                let proof = proved(&scene, &session, operation, &request("robot"));
                let asked = change(request("robot"));
                let asked = match operation {
                    Operation::IssueToken => asked.proved_by(proof),
                    _ => asked.bypassing_two_factor(proof),
                };
                let issued = block_on(scene.tokens.issue(asked, By::token(by)));
                fitting += usize::from(issued.is_ok());
            }
        }
    }
    // For each operation the same request by the same token.
    assert_eq!(fitting, 2);
    // The one for a token is none for a token that bypasses.
    let proof = proved(&scene, &session, Operation::IssueToken, &request("robot"));
    let asked = request("robot").bypassing_two_factor(proof);
    let refused = block_on(scene.tokens.issue(asked, By::token(&session))).unwrap_err();
    assert!(matches!(refused, IssueFailure::Request(IssueError::BypassNotProved)));
}

/// The store's time is known to within the time that an answer takes, so it may go back where the
/// next answer comes sooner, and a proof seem to be from a time to come.
#[test]
fn a_proof_is_taken_where_the_time_has_gone_back_a_moment_since() {
    let scene = scene();
    // Here the store has told the time, and it is a lease's time before it must again.
    let session = scene.session(&alice());
    scene.clock.advance(chrono::TimeDelta::milliseconds(300));
    let (code, parameters) = (scene.code(0), request("robot").parameters());
    let ask = Ask::by(&session, Operation::IssueToken, &parameters).answered(&code);
    let proof = block_on(scene.two_factor.demand(&ask)).unwrap();
    let proved_at = scene.tokens.now();
    // So far that the lease ends, and the next one goes by the date.
    scene.clock.advance(chrono::TimeDelta::milliseconds(-200));
    let asked = request("robot").proved_by(proof);
    let (_, row) = block_on(scene.tokens.issue(asked, By::token(&session))).unwrap();
    assert!(row.created_at < proved_at);
}

#[test]
fn where_the_kind_takes_a_proof_nothing_is_issued_or_rotated_without_one_or_with_an_old_one() {
    let scene = scene();
    let session = scene.session(&alice());
    let by = By::token(&session);
    for by in [by, HOST] {
        let refused = block_on(scene.tokens.issue(request("robot"), by)).unwrap_err();
        assert!(matches!(refused, IssueFailure::Request(IssueError::NotProved)), "{refused:?}");
    }
    let proof = proved(&scene, &session, Operation::IssueToken, &request("robot"));
    scene.clock.advance(TwoFactorProof::FRESH_FOR + chrono::TimeDelta::seconds(1));
    let late = block_on(scene.tokens.issue(request("robot").proved_by(proof), by)).unwrap_err();
    assert!(matches!(late, IssueFailure::Request(IssueError::NotProved)), "{late:?}");

    let proof = proved(&scene, &session, Operation::IssueToken, &request("robot"));
    let (_, row) = block_on(scene.tokens.issue(request("robot").proved_by(proof), by)).unwrap();
    let rotation = Rotation::at_once();
    for by in [by, HOST] {
        let refused = block_on(scene.tokens.rotate(row.id, rotation, by)).unwrap_err();
        assert_eq!(refused.code(), "second_factor_not_proved");
    }
    let parameters = rotation.parameters(row.id);
    scene.clock.advance(chrono::TimeDelta::seconds(30));
    let code = scene.code(0);
    let ask = Ask::by(&session, Operation::RotateToken, &parameters).answered(&code);
    let proof = block_on(scene.two_factor.demand(&ask)).unwrap();
    assert_eq!(proof.grounds(), &answered("totp"));
    let rotated = block_on(scene.tokens.rotate_proved(row.id, rotation, Some(proof), by)).unwrap();
    assert_eq!(rotated.1.generation, 2);
}

#[test]
fn a_policy_that_withdraws_bypass_is_gone_by_at_once_and_everywhere_within_the_bound() {
    let (store, clock) = (MemoryStore::default(), ManualClock::new(sample::start()));
    let node = |seed| Scene::on(store.clone(), clock.clone(), FactorPolicy::rocketchat(), seed);
    let (one, other) = (node(1).with_totp(&alice()), node(2));
    let (text, here) = bypassing(&one);
    let there = block_on(other.tokens.authenticate(&text, &Access::any())).unwrap();
    let passes = |scene: &Scene, token: &Verified| {
        scene.demand(&Ask::by(token, Operation::Host, b"x")).is_ok()
    };
    assert!(passes(&one, &here) && passes(&other, &there));

    // A policy without it, on a node that is started with one.
    let mut strict = FactorPolicy::rocketchat();
    strict.bypass = false;
    let third = Scene::on(store.clone(), clock.clone(), strict, 3);
    let third_token = block_on(third.tokens.authenticate(&text, &Access::any())).unwrap();
    assert!(!passes(&third, &third_token));

    // The policy of the kind, likewise: a service that does not let it counts none.
    let mut rules = one.tokens.rules().clone();
    rules =
        rules.with_policy(Policy::default().with_kind(Kind::personal(), KindPolicy::personal()));
    let random = keyfob::testing::SeededRandomness::new(50);
    let plain: Tokens<ReadWrite> =
        keyfob::Builder::new(store.clone(), rules, clock.clone(), random).build();
    let seen = block_on(plain.authenticate(&text, &Access::any())).unwrap();
    assert!(!plain.bypasses_two_factor(&seen));

    // Withdrawn in the store: here at once, and elsewhere after the bound.
    assert_eq!(block_on(one.tokens.withdraw_bypass(HOST)).unwrap(), 1);
    let here = block_on(one.tokens.authenticate(&text, &Access::any())).unwrap();
    assert!(!passes(&one, &here));
    clock.advance(chrono::TimeDelta::seconds(2));
    let there = block_on(other.tokens.authenticate(&text, &Access::any())).unwrap();
    assert!(!passes(&other, &there));
    assert_eq!(block_on(one.tokens.withdraw_bypass(HOST)).unwrap(), 0);
}
