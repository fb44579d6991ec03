//! Schemathesis, as it is installed from PyPI, against each router of the example.
//!
//! A thousand cases a router, ten thousand in a long run. Where it is not installed each test is
//! reported as ignored, with the reason. Not among the tests that `cargo test` runs by itself:
//!
//! ```text
//! tests/fuzz/install && cargo build --examples && cargo test --test fuzz
//! ```
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong, tells what it did, and waits for others"
)]

#[expect(dead_code, reason = "others need more of it")]
#[path = "../common/chat_server.rs"]
mod chat_server;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

use self::chat_server::{Server, folder};

const ROUTERS: [&str; 5] = ["awx", "mattermost", "native", "rocketchat", "zitadel"];

/// The same for everybody, so that what fails once fails again.
const SEED: &str = "20261129";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = ROUTERS.map(|router| {
        let name = format!("{router} answers as it is described, and no other way unnoticed");
        let trial = Trial::test(name, move || run(router));
        match python() {
            Ok(_) => trial,
            Err(reason) => trial.with_kind(reason).with_ignored_flag(true),
        }
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// Where schemathesis is installed.
fn python() -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let place = target.join("fuzz/python");
    if place.join("requirements.txt").exists() {
        Ok(place.join("bin/python"))
    } else {
        Err("tests/fuzz/install was not run".to_owned())
    }
}

/// Runs against a server of its own. What it counts is shown, since that is the result.
fn run(router: &str) -> Result<(), Failed> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let (accounts, outbox) = (source.join("accounts.json"), folder(&format!("{router}_outbox")));
    let arguments = ["--outbox", outbox.to_str().unwrap()];
    let accounts = ["--accounts", accounts.to_str().unwrap()];
    let server = Server::start_with(router, &arguments, "warn", &accounts);
    let is_long = std::env::var("KEYFOB_LONG").is_ok_and(|set| set == "1");
    let output = Command::new(python()?)
        .arg("-B")
        .arg(source.join("routers.py"))
        .arg(router)
        .env("SERVER", format!("http://{}", server.address))
        .env("CASES", if is_long { "10000" } else { "1000" })
        .env("SEED", SEED)
        .env("PYTHONHASHSEED", "0")
        .env_remove("PYTHONPATH")
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        println!("{told}");
        return Ok(());
    }
    let lines = server.stop().stderr;
    let all = [output.stdout, output.stderr, lines].concat();
    Err(String::from_utf8_lossy(&all).into_owned().into())
}
