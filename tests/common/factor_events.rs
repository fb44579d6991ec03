//! Changes of factors and the events that tell of them go together, on whatever store.

use keyfob::ports::factors::FactorStore;
use keyfob::ports::store::{Epoch, EventQuery};
use keyfob::testing::sample;
use keyfob::{Actor, Event, EventKind, TokenStore};

/// Needs a realm of its own.
pub(crate) async fn go_together<S: TokenStore + FactorStore>(store: &S) {
    let (owner, other) = (sample::owner(1), sample::owner(2));
    let event = |kind| {
        let by = Actor::account(other.clone());
        Event::new(kind, by, sample::start()).about_owner(owner.clone())
    };
    let (on, off) = (event(EventKind::FactorEnabled), event(EventKind::FactorDisabled));
    let told = async || {
        let events = store.events(&EventQuery::after(0, 100)).await.unwrap();
        let sequences: Vec<_> = events.iter().map(|stored| stored.sequence).collect();
        assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
        events.into_iter().map(|stored| stored.event).collect::<Vec<_>>()
    };
    let before = store.invalidations(Epoch(0)).await.unwrap().epoch;
    let change = async |expects, sealed: Option<&[u8]>, event| {
        store.change_factor(&owner, "totp", expects, sealed, event).await.unwrap()
    };
    let kept = async || store.factor(&owner, "totp").await.unwrap().map(|kept| kept.sealed);

    // What is refused changes nothing, and tells of nothing.
    assert!(!change(1, Some(b"a"), &on).await && !change(1, None, &off).await);
    assert_eq!((kept().await, told().await), (None, vec![]));
    // There is nothing to take away: that is so, and is told.
    assert!(change(0, None, &off).await);
    assert_eq!((kept().await, told().await), (None, vec![off.clone()]));
    assert!(change(0, Some(b"a"), &on).await);
    assert!(!change(0, Some(b"b"), &on).await && !change(0, None, &off).await);
    assert_eq!(kept().await, Some(b"a".to_vec()));
    assert_eq!(told().await, [off.clone(), on.clone()]);
    let version = store.factor(&owner, "totp").await.unwrap().unwrap().version;
    assert!(change(version, None, &off).await);
    assert!(!change(version, Some(b"c"), &on).await);
    assert_eq!((kept().await, told().await.len()), (None, 3));
    // A version never comes back.
    assert!(change(0, Some(b"d"), &on).await);
    let later = store.factor(&owner, "totp").await.unwrap().unwrap().version;
    assert!(later > version + 1, "{later} after {version}");
    // Nobody's token is concerned.
    assert_eq!(store.invalidations(Epoch(0)).await.unwrap().epoch, before);
    let mut of_owner = EventQuery::after(0, 100);
    of_owner.owner = Some(owner.clone());
    assert_eq!(store.events(&of_owner).await.unwrap().len(), 4);
}
