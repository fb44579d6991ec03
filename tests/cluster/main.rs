//! Several processes on one store, their ways to it cut, their minds stopped, and what they said
//! about tokens meanwhile judged by the revocation contract.
//!
//! This program starts itself anew for each node. All nodes tell time by the machine's one steady
//! clock, so that "before" and "after" are exact. A node writes down what it did where its death
//! does not reach: in a file.
//!
//! Where PostgreSQL is not installed its trial is reported as ignored, with the reason. With
//! `KEYFOB_LONG` set it goes on until 100,000 tokens were revoked.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong, waits for other processes, and says what it found"
)]

#[expect(dead_code, reason = "others need more of it")]
#[path = "../common/cluster.rs"]
mod cluster;
#[expect(dead_code, reason = "others need more of it")]
#[path = "../common/history.rs"]
mod history;
mod lag;
mod nemesis;
mod node;
mod nodes;
#[expect(dead_code, reason = "others need more of it")]
#[path = "../common/proxy.rs"]
mod proxy;
mod record;
mod tokens;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use self::cluster::Programs;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(node::ARGUMENT) {
        node::run(&arguments.collect::<Vec<_>>());
        return ExitCode::SUCCESS;
    }
    let programs = Programs::find();
    let on_postgres = |name: &str, test: fn(&Programs) -> Result<(), Failed>| {
        let found = programs.clone();
        let test = move || test(&found.unwrap());
        let trial = Trial::test(name, test);
        match &programs {
            Ok(_) => trial,
            Err(reason) => trial.with_ignored_flag(true).with_kind(reason.clone()),
        }
    };
    let trials = vec![
        on_postgres("nodes_on_postgres_keep_the_contract", nemesis::on_postgres),
        Trial::test("processes_on_a_sqlite_file_keep_the_contract", nemesis::on_sqlite),
        on_postgres("a_revocation_is_heard_of_in_milliseconds_on_postgres", lag::on_postgres),
        Trial::test("a_revocation_is_heard_of_in_milliseconds_on_sqlite", lag::on_sqlite),
    ];
    libtest_mimic::run(&Arguments { test_threads: Some(1), ..Arguments::from_args() }, trials)
        .exit_code()
}
