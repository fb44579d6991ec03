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
use serde_json::{Value, json};

use self::chat_server::{Server, folder};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = [
        ("awxkit goes through a token's life", "awx.py", Setting::Usual),
        ("awxkit takes texts of its product", "awx.py", Setting::ProductTexts),
        ("ansible-tower-cli signs in and is somebody", "awx_tower.py", Setting::Usual),
        ("tokens of AWX's table work in its client", "awx_imported.py", Setting::Imported),
        ("mattermostdriver goes through a token's life", "mattermost.py", Setting::Usual),
        ("mattermostautodriver goes through a token's life", "mattermost_typed.py", Setting::Usual),
        ("@mattermost/client goes through a token's life", "mattermost.js", Setting::Usual),
        ("rocketchat_API goes through a token's life", "rocketchat.py", Setting::Usual),
        ("@rocket.chat/api-client goes through a token's life", "rocketchat.js", Setting::Usual),
        ("zitadel-client goes through a token's life", "zitadel.py", Setting::Usual),
        ("zitadel-client takes texts of its product", "zitadel.py", Setting::ProductTexts),
        ("apprise notifies by a token", "notify.py", Setting::Usual),
        ("mattermostdriver takes texts of its product", "mattermost.py", Setting::ProductTexts),
        ("rocketchat_API takes texts of its product", "rocketchat.py", Setting::ProductTexts),
        (
            "@rocket.chat/api-client takes texts of its product",
            "rocketchat.js",
            Setting::ProductTexts,
        ),
        ("imported tokens work in the clients that had them", "imported.py", Setting::Imported),
    ];
    let trials = trials.map(|(name, script, setting)| {
        let trial = Trial::test(name, move || run(script, setting));
        match Language::of(script).place() {
            Ok(_) => trial,
            Err(reason) => trial.with_kind(reason).with_ignored_flag(true),
        }
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// How the server is started.
#[derive(Clone, Copy, Debug)]
enum Setting {
    /// With tokens of the products' own tables.
    Imported,
    /// Giving out texts as the products do.
    ProductTexts,
    Usual,
}

#[derive(Clone, Copy)]
enum Language {
    Node,
    Python,
    /// With the clients of AWX, which go with older packages than all others.
    PythonOfAwx,
}

impl Language {
    fn of(script: &str) -> Self {
        match script {
            _ if script.ends_with(".js") => Self::Node,
            _ if script.starts_with("awx") => Self::PythonOfAwx,
            _ => Self::Python,
        }
    }

    /// Where its clients are installed.
    fn place(self) -> Result<PathBuf, String> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("clients");
        let (place, sign) = match self {
            Self::Node => (target.join("node"), "installed.json"),
            Self::Python => (target.join("python"), "requirements.txt"),
            Self::PythonOfAwx => (target.join("python_of_awx"), "requirements.txt"),
        };
        if place.join(sign).exists() {
            Ok(place)
        } else {
            Err("tests/clients/install was not run".to_owned())
        }
    }
}

/// Runs a script against a server of its own; what it says is shown if it fails.
fn run(script: &str, setting: Setting) -> Result<(), Failed> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let name = format!("{script}_{setting:?}");
    let outbox = folder(&format!("{name}_outbox"));
    let file = |name: &str| source.join(name).to_str().unwrap().to_owned();
    let mut arguments = vec!["--outbox".to_owned(), outbox.to_str().unwrap().to_owned()];
    let mut accounts = file("accounts.json");
    match setting {
        Setting::Imported => {
            arguments.extend(["--import-awx".to_owned(), file("oauth2accesstokens.json")]);
            arguments.extend(["--import-mattermost".to_owned(), file("useraccesstokens.json")]);
            arguments.extend(["--import-rocketchat".to_owned(), file("users.json")]);
        }
        Setting::ProductTexts => {
            let mut all: Value = serde_json::from_str(&std::fs::read_to_string(accounts)?)?;
            let texts = json!({"token_format": "product"});
            all["settings"] =
                json!({"awx": texts, "mattermost": texts, "rocketchat": texts, "zitadel": texts});
            let path = folder(&name).join("accounts.json");
            std::fs::write(&path, all.to_string())?;
            accounts = path.to_str().unwrap().to_owned();
        }
        Setting::Usual => {}
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let server = Server::start_with(&name, &arguments, "warn", &["--accounts", &accounts]);
    let language = Language::of(script);
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
        Language::Python | Language::PythonOfAwx => {
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
