//! What is done to factors stands in the store's own list of events.

use keyfob::core::factor_policy::FactorPolicy;
use keyfob::ports::store::EventQuery;
use keyfob::ports::two_factor::Answer;
use keyfob::service::two_factor::Ask;
use keyfob::store::memory::MemoryStore;
use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::{block_on, sample};
use keyfob::{By, EventKind, Operation};

use crate::factor_events::go_together;
use crate::scene::{HOST, Scene, alice};

#[test]
fn changes_and_their_events_go_together() {
    block_on(go_together(&MemoryStore::default()));
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("tokens.db"), sample::realm()).unwrap();
    block_on(go_together(&store));
}

#[test]
fn every_change_of_an_owners_factors_is_in_the_list_with_whoever_made_it() {
    let (alice, scene) = (alice(), Scene::new(FactorPolicy::default()));
    let session = scene.session(&alice);
    let by = By::token(&session);
    let password = Answer::new("alice-password");
    let ask = Ask::by(&session, Operation::ChangeFactors, b"regenerate backup_code alice");
    let proof = block_on(scene.two_factor.demand(&ask.answered(&password))).unwrap();
    let codes = block_on(scene.backup.regenerate(&scene.two_factor, &alice, proof, by)).unwrap();
    let mut codes = codes.keep_tokens().into_iter();
    let mut proof = |change: &str| {
        let answer = Answer::new(codes.next().unwrap().expose_secret());
        let ask = Ask::by(&session, Operation::ChangeFactors, change.as_bytes());
        block_on(scene.two_factor.demand(&ask.answered(&answer))).unwrap()
    };
    let (two_factor, enable, disable) =
        (&scene.two_factor, proof("enable email alice"), proof("disable email alice"));
    block_on(scene.email.enable(two_factor, &alice, enable, by)).unwrap().keep_tokens();
    block_on(scene.email.disable(two_factor, &alice, disable, by)).unwrap().keep_tokens();
    block_on(two_factor.reset(&alice, None, HOST)).unwrap().keep_tokens();
    let mut events = block_on(scene.tokens.events(&EventQuery::after(0, 100))).unwrap();
    events.retain(|stored| stored.event.token.is_none());
    let told: Vec<_> = events
        .iter()
        .map(|stored| {
            let event = &stored.event;
            assert_eq!(event.owner.as_ref(), Some(&alice));
            let by_session = event.by.token == Some(session.id());
            (event.kind, event.why.as_ref().map_or("", |why| why.as_str()), by_session)
        })
        .collect();
    assert_eq!(
        told,
        [
            (EventKind::FactorEnabled, "backup_code", true),
            (EventKind::FactorEnabled, "email", true),
            (EventKind::FactorDisabled, "email", true),
            (EventKind::FactorsReset, "", false),
        ]
    );
    // Whoever listens has heard the same.
    let mut heard = scene.heard.events();
    heard.retain(|event| event.token.is_none());
    assert_eq!(heard, events.into_iter().map(|stored| stored.event).collect::<Vec<_>>());
}
