//! Processes that come, go, and share a database.

use std::thread;

use super::chat_server::{BOB, PASSWORD, Server};
use super::cluster::Cluster;
use super::factors::accepted_of_64;
use super::{NamedTest, Nodes, made, status};

pub(crate) const TRIALS: &[NamedTest] = &[
    ("a_restart_loses_nothing", |cluster| {
        outlives(cluster, "restarted", |server| assert_eq!(server.stop().status.code(), Some(0)));
    }),
    // Whoever drops a server kills it.
    ("a_process_that_is_killed_loses_nothing", |cluster| outlives(cluster, "killed", drop)),
    ("two_nodes_on_one_database_are_one_server", two_nodes_are_one_server),
    ("of_64_sign_ins_at_once_with_one_code_on_two_nodes_one_succeeds", |cluster| {
        let nodes = Nodes::new("codes", cluster);
        let (one, other) = (nodes.start("one_code", "warn"), nodes.start("other_code", "warn"));
        assert_eq!(accepted_of_64(&[&one, &other]), 1);
    }),
];

fn outlives(cluster: &Cluster, name: &str, end: fn(Server)) {
    let nodes = Nodes::new(name, cluster);
    let first = nodes.start(name, "info");
    let session = first.sign_in("deploy", PASSWORD);
    let ((kept, _), (blocked, blocked_id), (revoked, revoked_id)) = (
        made(&first, &session, "kept"),
        made(&first, &session, "blocked"),
        made(&first, &session, "revoked"),
    );
    let (bobs, _) = made(&first, &first.sign_in("bob", PASSWORD), "of bob");
    first.call("POST", &format!("/tokens/{blocked_id}/deactivate"), &session, None).is(200);
    first.call("DELETE", &format!("/tokens/{revoked_id}"), &session, None).is(204);
    let administrator = first.sign_in("admin", "the administrator's password");
    first.call("POST", &format!("/owners/{BOB}/deactivate"), &administrator, None).is(200);
    end(first);

    let second = nodes.start(name, "info");
    let works = |token: &str| status(&second, token);
    assert_eq!((works(&session), works(&kept), works(&administrator)), (200, 200, 200));
    assert_eq!((works(&blocked), works(&revoked), works(&bobs)), (401, 401, 401));
    second.try_to_sign_in("bob", PASSWORD).is(401);
    second.call("POST", &format!("/tokens/{revoked_id}/reactivate"), &session, None).is(409);
    second.call("POST", &format!("/tokens/{blocked_id}/reactivate"), &session, None).is(200);
    second.call("POST", &format!("/owners/{BOB}/reactivate"), &administrator, None).is(200);
    assert_eq!((works(&blocked), works(&revoked), works(&bobs)), (200, 401, 200));
}

fn two_nodes_are_one_server(cluster: &Cluster) {
    let nodes = Nodes::new("nodes", cluster);
    // At once: one makes the key and the schema, and the other finds them made.
    let (one, other) = thread::scope(|scope| {
        let [one, other] =
            ["one_node", "other_node"].map(|name| scope.spawn(|| nodes.start(name, "info")));
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!(one.first_lines[1], other.first_lines[1], "the channel");
    let both = |token: &str| (status(&one, token), status(&other, token));
    let session = one.sign_in("bob", PASSWORD);
    let administrator = other.sign_in("admin", "the administrator's password");
    assert_eq!((both(&session), both(&administrator)), ((200, 200), (200, 200)));

    let (token, id) = made(&other, &session, "x");
    assert_eq!(both(&token), (200, 200));
    one.call("POST", &format!("/tokens/{id}/deactivate"), &session, None).is(200);
    assert_eq!(both(&token), (401, 401));
    other.call("POST", &format!("/tokens/{id}/reactivate"), &session, None).is(200);
    assert_eq!(both(&token), (200, 200));
    one.call("POST", &format!("/owners/{BOB}/deactivate"), &administrator, None).is(200);
    assert_eq!((both(&token), both(&session)), ((401, 401), (401, 401)));
    other.try_to_sign_in("bob", PASSWORD).is(401);
    other.call("POST", &format!("/owners/{BOB}/reactivate"), &administrator, None).is(200);
    assert_eq!((both(&token), both(&session)), ((200, 200), (200, 200)));
    other.call("DELETE", &format!("/tokens/{id}"), &session, None).is(204);
    assert_eq!(both(&token), (401, 401));
    one.call("DELETE", "/tokens/current", &session, None).is(204);
    assert_eq!(both(&session), (401, 401));
}
