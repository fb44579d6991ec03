//! How long do other crates take to verify one token, beside this one?
//!
//! Each peer is used as its documentation says, from the text that a request brings to "yes, and it
//! may read": 1,000 tokens in turn, one thread, everything in memory. Before anything is measured,
//! each has accepted all of its tokens, refused one that was altered and one that somebody else
//! issued, and, if it can revoke, one that was revoked.
//!
//! All are measured in turns, round after round; ratios are medians over the rounds. In each round a
//! peer verifies as much once more before it is measured: what is asked is what a token in use costs.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml [-- --smoke]
//! ```

mod kept;
mod peer;
#[expect(dead_code, reason = "other benches use more of it")]
#[path = "../../rounds/mod.rs"]
mod rounds;
mod signed;

use std::time::Duration;

use rounds::{Measured, figure};

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let (rounds, slice) =
        if smoke { (3, Duration::from_micros(300)) } else { (61, Duration::from_millis(2)) };
    let peers = [
        kept::keyfob(false),
        kept::keyfob(false),
        kept::keyfob(true),
        kept::latchkey(),
        kept::prefixed_api_key(),
        kept::tower_sessions(),
        kept::authrs(),
        kept::plain(),
        kept::hexadecimal(),
        signed::hs256(),
        signed::eddsa(),
        signed::macaroon(),
        signed::paseto_local(),
        signed::paseto_public(),
        signed::biscuit(),
    ];
    for peer in &peers {
        peer.is_honest();
    }
    let calls: Vec<usize> = peers.iter().map(|peer| peer.calls_in(slice)).collect();
    println!(
        "one verification, {} tokens, one thread; medians of {rounds} interleaved rounds of {} us each",
        peer::TOKENS,
        slice.as_micros()
    );
    let measured = Measured::in_turns(peers.len(), rounds, |case, round| {
        peers[case].nanos(round * 389, calls[case])
    });

    println!("{:<40} {:>8} {:>8} {:>8}  {:<18} checks", "", "version", "ns", "ratio", "revokes");
    for (case, peer) in peers.iter().enumerate() {
        let name = if case == AGAIN { "keyfob, once more (A/A)" } else { peer.name };
        println!(
            "{name:<40} {:>8} {:>8.0} {:>8.2}  {:<18} {}",
            peer.version(),
            measured.median(case),
            measured.ratio(case, OURS),
            peer.revokes,
            peer.checks
        );
    }
    println!();
    for (case, peer) in peers.iter().enumerate().filter(|(case, _)| *case != AGAIN) {
        let version = peer.package.map_or(String::new(), |_| format!(" {}", peer.version()));
        // A bar of the guide's plot.
        println!("~ {}{version} | {:.1} | {}", peer.name, measured.median(case), peer.revokes);
    }
    let noise = measured.ratio(AGAIN, OURS);
    for (case, least) in [(SESSIONS, 3.0), (AUTHRS, 15.0), (LATCHKEY, 1.0)] {
        let what = format!("time of {} beside keyfob's", peers[case].name);
        figure(&what, measured.ratio(case, OURS), &format!("at least {least}"), noise);
    }
    let rivals = (KEYED + 1..peers.len()).map(|case| (measured.ratio(case, OURS), case));
    let (ratio, fastest) = rivals.min_by(|one, other| one.0.total_cmp(&other.0)).unwrap();
    figure(
        &format!("time of the fastest of all, {}, beside keyfob's", peers[fastest].name),
        ratio,
        "more than 1",
        noise,
    );
}

/// Where they stand in the list.
const OURS: usize = 0;
const AGAIN: usize = 1;
const KEYED: usize = 2;
const LATCHKEY: usize = 3;
const SESSIONS: usize = 5;
const AUTHRS: usize = 6;
