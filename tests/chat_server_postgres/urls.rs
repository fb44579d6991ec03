//! Every way to name a server, and the password that a URL may hold.

use std::os::unix::fs::symlink;

use keyfob::RealmId;
use keyfob::store::postgres::{PostgresOptions, PostgresStore};

use super::chat_server::PASSWORD;
use super::cluster::Cluster;
use super::{NamedTest, Nodes, made, status};

pub(crate) const TRIALS: &[NamedTest] = &[
    ("every_form_of_a_url_works", every_form_of_a_url_works),
    ("no_line_tells_a_password_or_a_token", no_line_tells_a_password_or_a_token),
    ("a_connected_store_shows_no_password", a_connected_store_shows_no_password),
];

fn every_form_of_a_url_works(cluster: &Cluster) {
    let nodes = Nodes::new("urls", cluster);
    let (socket, port) = (cluster.socket(), cluster.port());
    // So that a URL may leave the port out.
    let usual = socket.join(".s.PGSQL.5432");
    symlink(socket.join(format!(".s.PGSQL.{port}")), usual).unwrap();
    let database = nodes.url.rsplit('/').next().unwrap();
    let folder = socket.to_str().unwrap();
    let encoded = folder.replace('/', "%2F");
    let first = nodes.start("url", "info");
    let session = first.sign_in("bob", PASSWORD);
    for url in [
        format!("postgres://keyfob@{encoded}/{database}"),
        format!("postgres://keyfob@{encoded}:{port}/{database}"),
        format!("postgres://keyfob@/{database}?host={folder}"),
        format!("postgres://keyfob@/{database}?host={encoded}&port={port}"),
        format!("postgres:///{database}?host={folder}&user=keyfob"),
        format!("postgres://keyfob@127.0.0.1:{port}/{database}"),
        format!("postgresql://keyfob@localhost:{port}/{database}?sslmode=disable"),
        cluster.tcp_url(database),
    ] {
        let node = Nodes { url, key: nodes.key.clone() }.start("url_node", "info");
        let (token, _) = made(&node, &session, "x");
        assert_eq!((status(&first, &token), status(&node, &session)), (200, 200));
    }
}

fn no_line_tells_a_password_or_a_token(cluster: &Cluster) {
    let database = cluster.database();
    let url = cluster.tcp_url(&database).replace("keyfob@", "keyfob:p4ssw0rd-of-the-url@");
    let nodes = Nodes { url, ..Nodes::new("told", cluster) };
    let server = nodes.start("told", "trace");
    let session = server.sign_in("bob", PASSWORD);
    let (token, id) = made(&server, &session, "x");
    assert_eq!(status(&server, &token), 200);
    // Its connections end, and what is told of that is told too.
    cluster.admin(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
    ));
    assert_eq!(status(&server, &token), 200);
    let output = server.stop();
    let lines = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(lines.contains(&id), "at `trace` the log tells of tokens by their ids");
    for secret in [session, token, format!("_{PASSWORD}"), "_p4ssw0rd-of-the-url".to_owned()] {
        let (_, secret) = secret.rsplit_once('_').unwrap();
        for slice in secret.as_bytes().windows(8) {
            let slice = std::str::from_utf8(slice).unwrap();
            assert!(!lines.contains(slice), "a part of a secret in the output");
        }
    }
}

fn a_connected_store_shows_no_password(cluster: &Cluster) {
    let url = cluster.tcp_url(&cluster.database()).replace("keyfob@", "keyfob:hunter2@");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = PostgresOptions::from_url(&url).unwrap();
    let store = runtime.block_on(PostgresStore::connect(options, RealmId::default())).unwrap();
    let shown = format!("{store:?} {store:#?}");
    assert!(shown.contains("127.0.0.1") && !shown.contains("hunter2"), "{shown}");
}
