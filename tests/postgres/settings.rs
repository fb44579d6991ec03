//! Databases whose settings are not what the store needs.

use keyfob::ports::factors::{AttemptLimit, FactorStore as _, Reservation};
use keyfob::testing::sample;
use libtest_mimic::Trial;

use super::cluster::ask;
use super::world::{Heard, World, count, no_transaction_is_left_open, options};
use super::{RUNTIME, SERVERS, facts};

pub(crate) fn trials() -> Vec<Trial> {
    facts(
        "settings",
        &[
            ("a_serializable_database_works_on_connections_of_our_own", serializable),
            ("a_serializable_database_behind_a_pooler_is_refused", serializable_and_pooled),
            ("every_change_waits_for_the_disk", durable),
            ("a_callers_rollback_forgets_no_attempt_and_no_mark", rolled_back),
        ],
    )
}

/// A host that asks in the middle of a transaction of its own, and gives that up.
fn rolled_back() {
    let url = SERVERS.cluster().url(&SERVERS.database());
    let world = World::new(options(&url));
    let (owner, limits) = (sample::owner(1), [AttemptLimit { attempts: 1, within: None }]);
    RUNTIME.block_on(async {
        let (mut host, connection) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let transaction = host.transaction().await.unwrap();
        transaction.batch_execute("CREATE TABLE public.signing_in (name text)").await.unwrap();
        let reserve =
            || world.store.reserve_attempt(&owner, "second_factor", &limits, sample::start());
        assert_eq!(reserve().await.unwrap(), Reservation::Granted);
        assert!(world.store.raise_mark(&owner, "totp", 7).await.unwrap());
        transaction.rollback().await.unwrap();
        assert_eq!(reserve().await.unwrap(), Reservation::Locked { until: None });
        assert!(!world.store.raise_mark(&owner, "totp", 7).await.unwrap());
    });
}

/// A database with a setting that every session begins with.
fn database(setting: &str) -> (String, String) {
    let database = SERVERS.database();
    SERVERS.cluster().admin(&format!("ALTER DATABASE {database} SET {setting}"));
    let url = SERVERS.cluster().url(&database);
    (database, url)
}

const SERIALIZABLE: &str = "default_transaction_isolation = 'serializable'";

fn serializable() {
    let (database, url) = database(SERIALIZABLE);
    let world = World::at(&url, 3000);
    let (text, id) = world.token("alice");
    assert_eq!(RUNTIME.block_on(world.revoke(id)), Heard::Done(()));
    assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(false));
    world.is_well_again();
    no_transaction_is_left_open(SERVERS.cluster(), &database);
}

fn serializable_and_pooled() {
    let (database, url) = database(SERIALIZABLE);
    let world = World::new(options(&url).pooled());
    let refused = RUNTIME.block_on(world.issue("alice", "key"));
    let Heard::Unavailable(reason) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("READ COMMITTED, not serializable"), "{reason}");
    for table in ["tokens", "events", "issued", "owners", "realms"] {
        assert_eq!(count(&url, &format!("SELECT FROM keyfob.{table}")), 0, "{table}");
    }
    no_transaction_is_left_open(SERVERS.cluster(), &database);
}

/// Writes down with what setting each change of these tables commits.
const WITNESS: &str = "
    CREATE TABLE public.seen (place text, durable text);
    CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.seen VALUES (TG_TABLE_NAME, current_setting('synchronous_commit'));
        RETURN NULL;
    END $$;
    DO $$ DECLARE place text; BEGIN
        FOREACH place IN ARRAY '{tokens,states,owners,factors,attempts,marks}'::text[] LOOP
            EXECUTE format('CREATE CONSTRAINT TRIGGER see AFTER INSERT OR UPDATE OR DELETE
                ON keyfob.%I DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION public.see()', place);
        END LOOP;
    END $$";

fn durable() {
    let (_, url) = database("synchronous_commit = off");
    for options in [options(&url), options(&url).pooled()] {
        ask(&url, WITNESS).unwrap();
        let world = World::new(options);
        let (_, id) = world.token("alice");
        assert_eq!(RUNTIME.block_on(world.revoke(id)), Heard::Done(()));
        let owner = sample::owner(1);
        let limits = [AttemptLimit { attempts: 9, within: None }];
        RUNTIME.block_on(async {
            let store = &world.store;
            for _ in 0..2 {
                let reserved = store.reserve_attempt(&owner, "totp", &limits, sample::start());
                assert_eq!(reserved.await.unwrap(), Reservation::Granted);
            }
            store.clear_attempts(&owner, "totp").await.unwrap();
            assert!(store.set_factor(&owner, "totp", 0, Some(b"sealed")).await.unwrap());
            assert!(store.set_factor(&owner, "totp", 1, None).await.unwrap());
            assert!(store.raise_mark(&owner, "totp", 1).await.unwrap());
        });
        let seen = ask(&url, "SELECT place, count(*) FROM public.seen GROUP BY 1 ORDER BY 1");
        let seen: Vec<String> = seen.unwrap().into_iter().flatten().flatten().collect();
        assert_eq!(
            seen,
            [
                "attempts", "3", "factors", "2", "marks", "1", "owners", "2", "states", "2",
                "tokens", "1"
            ]
        );
        assert_eq!(count(&url, "SELECT FROM public.seen WHERE durable <> 'on'"), 0);
        ask(
            &url,
            "DROP TABLE public.seen; DROP FUNCTION public.see CASCADE;
             TRUNCATE keyfob.factors, keyfob.attempts, keyfob.marks, keyfob.owners,
                 keyfob.states, keyfob.tokens",
        )
        .unwrap();
    }
}
