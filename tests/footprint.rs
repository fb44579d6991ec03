//! What is kept for each of very many: counted, so that the machine's mood is no part of it.
#![expect(clippy::disallowed_macros, reason = "a test says what it found")]

use keyfob::service::live::Live;
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, SeededRandomness, block_on, sample};
use keyfob::{Access, Actor, Builder, By, Grant, IssueRequest, OwnerId, ReadWrite, Tokens};

/// Each token with one connection, four tokens to an owner, in no order.
#[test]
fn a_hundred_thousand_live_connections_take_less_than_two_hundred_bytes_each() {
    const MANY: usize = 100_000;
    let clock = ManualClock::new(sample::start());
    let builder =
        Builder::new(MemoryStore::default(), sample::rules(), clock, SeededRandomness::new(1));
    let tokens: Tokens<ReadWrite> = builder.build();
    let verified: Vec<_> = (0..MANY)
        .map(|number| {
            let owner = OwnerId::new(format!("owner-{}", number / 4)).unwrap();
            let request = IssueRequest::new(owner, Grant::Full);
            let issued = block_on(tokens.issue(request, By::Host(&Actor::host())));
            let (secret, _) = issued.unwrap();
            block_on(tokens.authenticate(secret.expose_secret(), &Access::any())).unwrap()
        })
        .collect();
    let mut guards: Vec<Live> = Vec::with_capacity(MANY);
    let opened = allocation_counter::measure(|| {
        for one in &verified {
            guards.push(block_on(tokens.live(one)).unwrap());
        }
    });
    let each = opened.bytes_current / 100_000 + i64::try_from(size_of::<Live>()).unwrap();
    println!("{each} bytes for each connection, its guard of {} included", size_of::<Live>());
    assert!(each < 200, "{each}");
    let frames = allocation_counter::measure(|| {
        assert!(guards.iter().all(Live::is_live));
    });
    assert_eq!(frames.count_total, 0);
    let closed = allocation_counter::measure(|| guards.clear());
    let kept = opened.bytes_current + closed.bytes_current;
    assert!(kept < 1000, "{kept} bytes are kept of them");
}
