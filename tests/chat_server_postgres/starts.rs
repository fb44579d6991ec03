//! Starts that fail: in one sentence, in time, and with nothing left behind.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use super::chat_server::{PASSWORD, folder, refusal, write_key};
use super::cluster::{Cluster, ask};
use super::{NamedTest, Nodes, made};

pub(crate) const TRIALS: &[NamedTest] = &[
    ("a_start_without_a_key_is_refused", a_start_without_a_key_is_refused),
    ("a_start_without_a_database_is_refused_in_time", a_start_without_a_database_is_refused),
    ("a_start_with_a_key_that_does_not_fit_is_refused", a_start_with_another_key_is_refused),
];

fn a_start_without_a_key_is_refused(cluster: &Cluster) {
    let home = folder("keyless");
    let url = cluster.url(&cluster.database());
    let told = refusal(&home, &["--listen", "127.0.0.1:0", "--store", &url]);
    assert!(told.contains("--secret-key"), "{told}");
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
    let schema = ask(&url, "SELECT FROM pg_namespace WHERE nspname = 'keyfob'").unwrap();
    assert!(schema.is_empty());
}

fn a_start_without_a_database_is_refused(cluster: &Cluster) {
    let home = folder("unreachable");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // The kernel takes connections that this never hears of.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = cluster.socket().to_str().unwrap();
    for url in [
        format!("postgres://user:hunter2@{nobody}/db"),
        format!("postgres://user:hunter2@{}/db", silent.local_addr().unwrap()),
        "postgres://user:hunter2@/db?host=/nowhere/at/all".to_owned(),
        "postgres://user:hunter2@nowhere.invalid/db".to_owned(),
        format!("postgres://keyfob:hunter2@/no_such_db?host={socket}&port={}", cluster.port()),
    ] {
        let started = Instant::now();
        refused(&home, &url, home.join("made.key").to_str().unwrap());
        assert!(started.elapsed() < Duration::from_secs(10), "{url}: {:?}", started.elapsed());
        assert_eq!(fs::read_dir(&home).unwrap().count(), 0, "{url}");
    }
}

fn a_start_with_another_key_is_refused(cluster: &Cluster) {
    let nodes = Nodes::new("refitted", cluster);
    let first = nodes.start("refitted", "info");
    made(&first, &first.sign_in("bob", PASSWORD), "kept");
    first.stop();
    let home = folder("refitted_home");
    let other = write_key(&home, "other.key");
    let told = refused(&home, &nodes.url, &other);
    assert!(told.contains("key file"), "{told}");
    let told = refused(&home, &nodes.url, home.join("fresh.key").to_str().unwrap());
    assert!(told.contains("key file"), "{told}");
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1, "what it did not make, it leaves");
    nodes.start("refitted", "info").stop();
}

/// What a node with this store and key says, which does not start.
#[track_caller]
fn refused(home: &Path, url: &str, key: &str) -> String {
    let told = refusal(home, &["--listen", "127.0.0.1:0", "--store", url, "--secret-key", key]);
    assert!(told.contains("--store postgres: "), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    told
}
