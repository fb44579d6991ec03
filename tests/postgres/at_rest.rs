//! What lies in the database, in its copies and in the server's log.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use keyfob::ports::factors::{AttemptLimit, FactorStore as _};
use keyfob::ports::store::{Lookup, TokenStore as _};
use keyfob::testing::sample;
use keyfob::{
    Access, Actor, AuthenticateError, By, Format, Keyring, OwnerId, RealmId, Rotation, StoreError,
    TokenId,
};
use libtest_mimic::Trial;

use super::cluster::{Cluster, ask};
use super::world::{Heard, World, rules, service};
use super::{RUNTIME, SERVERS, facts};

pub(crate) fn trials() -> Vec<Trial> {
    facts(
        "at_rest",
        &[
            ("dump_and_log_hold_no_secret_and_no_digest_that_could_be_tested", dump_and_log),
            ("a_row_that_was_moved_is_corrupt", moved_rows),
        ],
    )
}

fn dump_and_log() {
    let settings = "log_statement = 'all'\nlog_min_duration_statement = 0\n";
    let cluster = Cluster::start(SERVERS.programs.as_ref().unwrap(), settings);
    let database = cluster.database();
    let world = World::at(&cluster.url(&database), 3000);
    let texts = live(&world);
    let dump = cluster
        .programs()
        .command("pg_dump")
        .arg("-h")
        .arg(cluster.socket())
        .args(["-p", &cluster.port().to_string(), "-U", "keyfob", &database])
        .output()
        .unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    cluster.stop();
    let log = fs::read(cluster.log()).unwrap();
    let format = Format::new("acme").unwrap();
    for (place, bytes) in [("dump", &dump.stdout), ("log", &log)] {
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        // What must be found, so that what is not found says something.
        let presented = format.parse(texts.last().unwrap().as_bytes()).unwrap();
        let stored = rules().keyring.current_digest(&presented);
        assert!(holds(hex(stored.as_bytes()).as_bytes()), "the {place} is not read rightly");
        for text in &texts {
            // The id and the checksum around it are public.
            let secret = &text.as_bytes()[text.len() - 38..text.len() - 6];
            for part in secret.windows(8) {
                assert!(!holds(part), "a part of a secret is in the {place}");
            }
            let presented = format.parse(text.as_bytes()).unwrap();
            let plain = Keyring::unkeyed().current_digest(&presented);
            let plain = plain.as_bytes();
            assert!(!holds(plain), "an unkeyed digest is in the {place}");
            for written in [
                hex(plain),
                hex(plain).to_uppercase(),
                STANDARD_NO_PAD.encode(plain),
                URL_SAFE_NO_PAD.encode(plain),
            ] {
                assert!(!holds(written.as_bytes()), "an unkeyed digest is in the {place}");
            }
        }
    }
}

/// All that is done with tokens and factors; the texts that there were, a live one last.
fn live(world: &World) -> Vec<String> {
    let host = Actor::host();
    let (first, id) = world.token("alice");
    let (revoked, dead) = world.token("alice");
    let (kept, _) = world.token("bob");
    let format = Format::new("acme").unwrap();
    RUNTIME.block_on(async {
        let overlap = Rotation::with_overlap(TimeDelta::minutes(5));
        let (second, _) = world.tokens.rotate(id, overlap, By::Host(&host)).await.unwrap();
        let (third, _) =
            world.tokens.rotate(id, Rotation::at_once(), By::Host(&host)).await.unwrap();
        assert_eq!(world.revoke(dead).await, Heard::Done(()));
        let texts = [
            first,
            revoked,
            second.expose_secret().to_owned(),
            third.expose_secret().to_owned(),
            kept,
        ];
        for (text, live) in texts.iter().zip([false, false, false, true, true]) {
            assert_eq!(world.strictly(text).await, Ok(live));
            assert_eq!(world.verdict(text).await, Ok(live));
            let presented = format.parse(text.as_bytes()).unwrap();
            let digest = rules().keyring.digest(&presented);
            let by_digest = Lookup::Digest {
                scheme: digest.scheme,
                key: digest.key.clone(),
                digest: digest.digest,
            };
            world.store.find(&by_digest).await.unwrap();
        }
        let wrong = world.tokens.report_leaked(&texts[3]).await.unwrap();
        assert!(wrong, "a leaked token is revoked");
        world.tokens.flush_usage().await.unwrap();
        let (alice, limits) =
            (OwnerId::new("alice").unwrap(), [AttemptLimit { attempts: 2, within: None }]);
        assert!(world.store.set_factor(&alice, "totp", 0, Some(b"sealed")).await.unwrap());
        world.store.reserve_attempt(&alice, "totp", &limits, sample::start()).await.unwrap();
        assert!(world.store.raise_mark(&alice, "totp", 1).await.unwrap());
        texts.into()
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn moved_rows() {
    let url = SERVERS.cluster().url(&SERVERS.database());
    let world = World::at(&url, 3000);
    let id = |id: TokenId| format!("'\\x{}'", hex(id.as_bytes()));
    for change in ["owner = 'bob'", "owner_generation = 2", "kind = 'session'"] {
        let (text, moved) = world.token("alice");
        ask(&url, &format!("UPDATE keyfob.tokens SET {change} WHERE id = {}", id(moved))).unwrap();
        is_corrupt(&world, &text, change);
    }

    let (text, moved) = world.token("alice");
    let elsewhere = world.store.in_realm(RealmId::new("elsewhere").unwrap());
    let elsewhere = World { tokens: service(elsewhere.clone()), store: elsewhere };
    assert_eq!(RUNTIME.block_on(elsewhere.strictly(&text)), Ok(false));
    ask(&url, &format!("UPDATE keyfob.tokens SET realm = 'elsewhere' WHERE id = {}", id(moved)))
        .unwrap();
    is_corrupt(&elsewhere, &text, "realm");

    let (text, other) = world.token("alice");
    let (_, moved) = world.token("bob");
    let away = "decode(repeat('00', 16), 'hex')";
    ask(
        &url,
        &format!(
            "UPDATE keyfob.tokens SET id = {away} WHERE id = {};
             UPDATE keyfob.tokens SET id = {} WHERE id = {}",
            id(other),
            id(other),
            id(moved)
        ),
    )
    .unwrap();
    is_corrupt(&world, &text, "id");

    let (text, moved) = world.token("alice");
    let (_, other) = world.token("bob");
    let theirs = ask(
        &url,
        &format!(
            "UPDATE keyfob.tokens t SET digest = decode(repeat('00', 32), 'hex')
             FROM keyfob.tokens before WHERE t.number = before.number AND t.id = {}
             RETURNING before.digest",
            id(other)
        ),
    );
    let theirs = theirs.unwrap()[0][0].clone().unwrap();
    ask(&url, &format!("UPDATE keyfob.tokens SET digest = '{theirs}' WHERE id = {}", id(moved)))
        .unwrap();
    is_corrupt(&world, &text, "digest");
}

#[track_caller]
fn is_corrupt(world: &World, text: &str, moved: &str) {
    RUNTIME.block_on(async {
        for _ in 0..2 {
            let judged = world.tokens.authenticate(text, &Access::any()).await;
            let corrupt =
                matches!(judged, Err(AuthenticateError::Unavailable(StoreError::Corrupt(_))));
            assert!(corrupt, "{moved}: {judged:?}");
        }
    });
}
