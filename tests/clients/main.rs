//! Clients of other people, as they are installed from PyPI and npm, against the example.
//!
//! Where they are not installed each test is reported as ignored, with the reason.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong, and waits for other processes"
)]

#[expect(dead_code, reason = "others need more of it")]
#[path = "../common/chat_server.rs"]
mod chat_server;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

use self::chat_server::{Server, folder};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = [
        ("mattermostdriver", "mattermost.py", Language::Python),
        ("rocketchat_API", "rocketchat.py", Language::Python),
        ("@rocket.chat/api-client", "rocketchat.js", Language::Node),
    ];
    let trials = trials.map(|(client, script, language)| {
        let trial = Trial::test(format!("{client} goes through a token's life"), move || {
            run(script, language)
        });
        match language.place() {
            Ok(_) => trial,
            Err(reason) => trial.with_kind(reason).with_ignored_flag(true),
        }
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

#[derive(Clone, Copy)]
enum Language {
    Node,
    Python,
}

impl Language {
    /// Where its clients are installed.
    fn place(self) -> Result<PathBuf, String> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("clients");
        let (place, sign) = match self {
            Self::Node => (target.join("node"), "installed.json"),
            Self::Python => (target.join("python"), "requirements.txt"),
        };
        if place.join(sign).exists() {
            Ok(place)
        } else {
            Err("tests/clients/install was not run".to_owned())
        }
    }
}

/// Runs a script against a server of its own; what it says is shown if it fails.
fn run(script: &str, language: Language) -> Result<(), Failed> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let outbox = folder(&format!("{script}_outbox"));
    let accounts = source.join("accounts.json");
    let arguments = ["--outbox", outbox.to_str().unwrap()];
    let accounts = ["--accounts", accounts.to_str().unwrap()];
    let server = Server::start_with(script, &arguments, "warn", &accounts);
    let place = language.place()?;
    let mut command = match language {
        Language::Node => {
            // A module finds packages beside itself.
            let copy = place.join(script);
            std::fs::copy(source.join(script), &copy)?;
            let mut command = Command::new("node");
            command.arg(copy);
            command
        }
        Language::Python => {
            let mut command = Command::new(place.join("bin/python"));
            command.arg(source.join(script));
            command
        }
    };
    let output = command
        .env("SERVER", format!("http://{}", server.address))
        .env("OUTBOX", &outbox)
        .env_remove("PYTHONPATH")
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let told = [output.stdout, output.stderr].concat();
    Err(format!("{}\n{}", String::from_utf8_lossy(&told), server_lines(server)).into())
}

fn server_lines(server: Server) -> String {
    String::from_utf8_lossy(&server.stop().stderr).into_owned()
}
