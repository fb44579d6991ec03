//! Starting: on an empty database, on a wrong one, with few rights, and on a later schema.

use std::fs;
use std::time::{Duration, Instant};

use keyfob::RealmId;
use keyfob::store::postgres::{PostgresOptions, PostgresStore};
use libtest_mimic::Trial;

use super::cluster::{Cluster, ask};
use super::world::{Heard, World, count, no_transaction_is_left_open, options, refusal};
use super::{RUNTIME, SERVERS, facts};

pub(crate) fn trials() -> Vec<Trial> {
    facts(
        "starts",
        &[
            ("many_that_start_at_once_make_one_schema", at_once),
            ("a_schema_of_another_program_is_left_alone", foreign),
            ("a_newer_schema_is_refused_and_both_versions_named", newer),
            ("a_role_with_these_grants_works_and_one_without_is_told", roles),
            ("a_wrong_address_is_refused_without_the_password", wrong_address),
            ("a_standby_is_refused", standby),
            ("a_read_only_database_is_refused", read_only),
            ("two_that_start_with_the_next_version_at_once_take_one_step", next_at_once),
            ("a_step_that_is_killed_leaves_the_version_before_or_after", killed_steps),
        ],
    )
}

fn at_once() {
    let cluster = SERVERS.cluster();
    for many in [2, 8] {
        let database = cluster.database();
        let url = cluster.url(&database);
        start_at_once(many, &url, &[]);
        assert_eq!(ask(&url, VERSION).unwrap(), [[Some("1".into())]]);
        World::at(&url, 3000).is_well_again();
        no_transaction_is_left_open(cluster, &database);
    }
}

/// So many starts, none of which may fail.
#[track_caller]
fn start_at_once(many: usize, url: &str, further: &'static [&'static str]) {
    let starts = Vec::from_iter((0..many).map(|_| RUNTIME.spawn(later(options(url), further))));
    for start in starts {
        RUNTIME.block_on(start).unwrap().unwrap();
    }
}

async fn later(
    options: PostgresOptions,
    further: &[&str],
) -> Result<PostgresStore, keyfob::StoreError> {
    PostgresStore::connect_later(options, RealmId::default(), further).await
}

const VERSION: &str = "SELECT version FROM keyfob.schema_version";

fn foreign() {
    let cluster = SERVERS.cluster();
    let url = cluster.url(&cluster.database());
    ask(&url, "CREATE SCHEMA keyfob; CREATE TABLE keyfob.theirs AS SELECT 1 AS x").unwrap();
    let reason = refusal(options(&url));
    assert!(reason.contains("another program's"), "{reason}");
    let tables = "SELECT relname FROM pg_class WHERE relnamespace = 'keyfob'::regnamespace";
    assert_eq!(ask(&url, tables).unwrap(), [[Some("theirs".into())]]);
    assert_eq!(count(&url, "SELECT FROM keyfob.theirs"), 1);
}

fn newer() {
    let url = SERVERS.cluster().url(&SERVERS.database());
    ask(&url, "UPDATE keyfob.schema_version SET version = 99").unwrap();
    let reason = refusal(options(&url));
    assert!(reason.contains("version 99") && reason.contains("knows 1"), "{reason}");
    assert_eq!(ask(&url, VERSION).unwrap(), [[Some("99".into())]]);
}

/// What a role needs that may use the schema and not change it. Functions are everybody's.
const GRANTS: &str = "
    GRANT USAGE ON SCHEMA keyfob TO worker;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA keyfob TO worker;
    GRANT USAGE ON SEQUENCE keyfob.numbers TO worker";

fn roles() {
    let cluster = SERVERS.cluster();
    let database = SERVERS.database();
    let url = cluster.url(&database);
    cluster.admin("CREATE ROLE worker LOGIN; CREATE ROLE stranger LOGIN");
    ask(&url, GRANTS).unwrap();
    let world = World::at(&url.replace("keyfob@", "worker@"), 3000);
    let (text, id) = world.token("alice");
    assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(true));
    assert_eq!(RUNTIME.block_on(world.revoke(id)), Heard::Done(()));
    assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(false));
    world.is_well_again();
    let stranger = refusal(options(&url.replace("keyfob@", "stranger@")));
    assert!(stranger.contains("permission denied for schema keyfob"), "{stranger}");
    let empty = cluster.database();
    let maker = refusal(options(&cluster.url(&empty).replace("keyfob@", "stranger@")));
    assert!(maker.contains(&format!("permission denied for database {empty}")), "{maker}");
    no_transaction_is_left_open(cluster, &database);
    no_transaction_is_left_open(cluster, &empty);
}

fn wrong_address() {
    let cluster = SERVERS.cluster();
    let database = SERVERS.database();
    cluster.admin("CREATE ROLE careful LOGIN SUPERUSER PASSWORD 'the-right-password'");
    let rules = cluster.socket().join("data/pg_hba.conf");
    let before = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("host all careful all scram-sha-256\n{before}")).unwrap();
    cluster.admin("SELECT pg_reload_conf()");
    let at = |user: &str, host: &str, database: &str| {
        let url = cluster.tcp_url(database).replace("keyfob@", &format!("{user}@"));
        options(&url.replace("127.0.0.1", host))
    };
    let (right, wrong) = ("careful:the-right-password", "careful:the-wrong-password");
    // The server reads its rules a moment later.
    let patience = Instant::now() + Duration::from_secs(10);
    let connected = || {
        let wrong = at(wrong, "127.0.0.1", &database);
        RUNTIME.block_on(PostgresStore::connect(wrong, RealmId::default())).is_ok()
    };
    while connected() {
        assert!(Instant::now() < patience, "every password is right");
    }
    World::new(at(right, "127.0.0.1", &database));
    for (wrong, named) in [
        (at(wrong, "127.0.0.1", &database), "careful"),
        (at(right, "127.0.0.1", "nowhere"), "nowhere"),
        (at(right, "no-such-host.invalid", &database), ""),
        // Nobody listens there.
        (options("postgres://careful:the-right-password@127.0.0.1:1/x"), "refused"),
    ] {
        let shown = format!("{wrong:?}");
        let reason = refusal(wrong);
        assert!(reason.contains(named), "{reason}");
        assert!(!reason.contains("-password") && !shown.contains("-password"), "{reason} {shown}");
    }
    let unread = PostgresOptions::from_url("postgres://careful:the-right-password@:x:y/z");
    assert!(!format!("{:?}", unread.unwrap_err()).contains("-password"));
}

fn standby() {
    let primary = Cluster::start(SERVERS.programs.as_ref().unwrap(), "");
    let database = primary.database();
    World::at(&primary.url(&database), 3000).token("alice");
    let standby = primary.standby();
    assert_eq!(count(&standby.url(&database), "SELECT FROM keyfob.tokens"), 1);
    let reason = refusal(options(&standby.url(&database)));
    assert!(reason.contains("does not allow writes"), "{reason}");
}

fn read_only() {
    let cluster = SERVERS.cluster();
    let database = SERVERS.database();
    cluster.admin(&format!("ALTER DATABASE {database} SET default_transaction_read_only = on"));
    let reason = refusal(options(&cluster.url(&database)));
    assert!(reason.contains("does not allow writes"), "{reason}");
}

/// A next version, as tests have one.
const NEXT: &str = "
    ALTER TABLE keyfob.tokens ADD COLUMN colour text NOT NULL DEFAULT 'none';
    CREATE TABLE keyfob.colours (colour text PRIMARY KEY);
    INSERT INTO keyfob.colours SELECT DISTINCT colour FROM keyfob.tokens;
    CREATE INDEX tokens_by_colour ON keyfob.tokens (realm, colour)";

fn next_at_once() {
    let cluster = SERVERS.cluster();
    let database = SERVERS.database();
    let url = cluster.url(&database);
    let older = World::at(&url, 3000);
    let (text, _) = older.token("alice");
    start_at_once(2, &url, &[NEXT]);
    assert_eq!(ask(&url, VERSION).unwrap(), [[Some("2".into())]]);
    assert_eq!(count(&url, "SELECT FROM keyfob.colours"), 1);
    // What runs already works on; the older program does not start again.
    assert_eq!(RUNTIME.block_on(older.strictly(&text)), Ok(true));
    let reason = refusal(options(&url));
    assert!(reason.contains("version 2") && reason.contains("knows 1"), "{reason}");
    assert_eq!(ask(&url, VERSION).unwrap(), [[Some("2".into())]]);
    no_transaction_is_left_open(cluster, &database);
}

fn killed_steps() {
    let cluster = SERVERS.cluster();
    let database = SERVERS.database();
    let url = cluster.url(&database);
    let texts = {
        let world = World::at(&url, 3000);
        [world.token("alice").0, world.token("bob").0]
    };
    let statements: Vec<&str> = NEXT.split(';').collect();
    let mut deaths: Vec<String> = (0..=statements.len())
        .map(|k| {
            let mut step = statements.clone();
            step.insert(k, "SELECT pg_terminate_backend(pg_backend_pid())");
            step.join(";")
        })
        .collect();
    // And the last thing that can be undone: the commit itself.
    deaths.push(format!(
        "{NEXT}; CREATE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
         CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON keyfob.schema_version
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.die()"
    ));
    for step in &deaths {
        let killed = RUNTIME.block_on(later(options(&url), &[step]));
        assert!(killed.is_err(), "{step}");
        assert_eq!(ask(&url, VERSION).unwrap(), [[Some("1".into())]], "{step}");
        assert_eq!(count(&url, "SELECT FROM keyfob.tokens"), 2);
        let added = "SELECT FROM pg_class WHERE relname IN ('colours', 'tokens_by_colour')";
        assert_eq!(count(&url, added), 0, "{step}");
        no_transaction_is_left_open(cluster, &database);
    }
    RUNTIME.block_on(later(options(&url), &[NEXT])).unwrap();
    assert_eq!(ask(&url, VERSION).unwrap(), [[Some("2".into())]]);
    assert_eq!(count(&url, "SELECT FROM keyfob.tokens WHERE colour = 'none'"), 2);
    let store = RUNTIME.block_on(later(options(&url), &[NEXT])).unwrap();
    let world = World { tokens: super::world::service(store.clone()), store };
    for text in &texts {
        assert_eq!(RUNTIME.block_on(world.strictly(text)), Ok(true));
    }
    println!("{} places to die at", deaths.len());
}
