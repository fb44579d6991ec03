//! A small chat server whose authentication is keyfob and nothing else.
//!
//! ```text
//! cargo run --release --example chat_server -- --help
//! ```
//!
//! It owns what a host owns (accounts, passwords, messages, a page) and takes the rest from the
//! library through its public API: every token, and every verdict about one.

mod accounts;
mod accounts_file;
mod arguments;
mod attempts;
mod awx;
mod factors;
mod forwarded;
mod greeting;
mod imports;
mod keys;
mod live;
mod mail;
mod mattermost;
mod messages;
mod page;
mod passwords;
mod people;
mod rocketchat;
mod routes;
mod serve;
mod session;
mod settings;
mod sign_in;
mod stream;
mod tokens;
mod websocket;
mod zitadel;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use keyfob::http::Answers;
use keyfob::os::TokioTimer;
use keyfob::wire::awx::Awx;
use keyfob::wire::mattermost::{self as mattermost_wire, Mattermost};
use keyfob::wire::native::{Native, Needs};
use keyfob::wire::rocketchat::RocketChat;
use keyfob::wire::zitadel::{self as zitadel_wire, Zitadel};
use keyfob::{Kind, ReadWrite, Tokens};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};
use tracing_subscriber::EnvFilter;

use crate::accounts::Accounts;
use crate::accounts_file::AccountsFile;
use crate::arguments::{Arguments, Command};
use crate::attempts::Attempts;
use crate::factors::Factors;
use crate::greeting::DemoAccounts;
use crate::imports::Imports;
use crate::live::Connections;
use crate::mail::Post;
use crate::messages::Messages;
use crate::passwords::Passwords;
use crate::tokens::Opened;

/// What the routes share.
#[derive(Debug)]
struct Host {
    accounts: Arc<Accounts>,
    attempts: Attempts,
    awx: Awx<ReadWrite>,
    connections: Connections,
    factors: Factors,
    mattermost: Mattermost<ReadWrite>,
    messages: Messages,
    passwords: Arc<Passwords>,
    rocketchat: Arc<RocketChat<ReadWrite>>,
    tokens: Tokens<ReadWrite>,
    /// Where it is reached, as it calls itself.
    url: String,
    zitadel: Zitadel<ReadWrite>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match arguments::read(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            let _ = io::stdout().write_all(arguments::HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve(arguments)) => run(*arguments).await,
        Err(what) => Err(what),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            let _ = writeln!(io::stderr(), "chat_server: {what}");
            ExitCode::from(2)
        }
    }
}

/// Starts, serves until a signal says to stop, and writes down what is left.
///
/// All that can fail is read and tried before anything is made, so that a start that fails leaves
/// nothing behind.
async fn run(arguments: Arguments) -> Result<(), String> {
    log();
    let (accounts, demo) = accounts(arguments.accounts.as_deref())?;
    let outbox = arguments.outbox.as_ref();
    if let Some(outbox) = outbox.filter(|outbox| outbox.exists() && !outbox.is_dir()) {
        return Err(format!("--outbox {}: it is no directory", outbox.display()));
    }
    let listen = |error: io::Error| format!("--listen {}: {error}", arguments.listen);
    let listener = TcpListener::bind(&arguments.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let stop = stop_signal().map_err(|error| format!("signals cannot be awaited: {error}"))?;
    let key_file = arguments.secret_key.as_deref();
    let bound = accounts.settings().revocation_bound();
    let imports = Imports::read(&arguments)?;
    let settings = accounts.settings();
    let issued = [
        settings.awx_shape(),
        settings.mattermost_shape(),
        settings.rocketchat_shape(),
        settings.zitadel_shape(),
    ];
    let shapes = issued.into_iter().flatten().chain(imports.shapes());
    let opened = tokens::open(&arguments.store, key_file, bound, shapes.collect());
    let Opened { tokens, vault } = opened.await?;
    let accounts = Arc::new(accounts);
    // Before anybody is deactivated: what is theirs is then taken over, and blocked.
    imports.take_over(&tokens, &accounts).await?;
    accounts.seed(&tokens).await?;
    let post = Post::new(arguments.outbox)?;
    let passwords = Arc::new(Passwords::new().map_err(|error| error.to_string())?);
    let factors = Factors::new(&tokens, &vault, &accounts, &passwords, post);
    factors.seed(&accounts).await?;
    let needs = Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
    let answers = Answers::new("chat").map_err(|error| error.to_string())?;
    let native = Native::new(tokens.clone(), Arc::<Accounts>::clone(&accounts), needs);
    let mut native = native.with_answers(answers).issued_by([Kind::session()]);
    if arguments.store.is_shared() {
        // Within the bound the index would do, and answer 200 for as long after the store is gone:
        // this server promises 503 then. The live connections have the bound.
        native = native.strict();
    }
    let gate = native.layer().clone();
    let settings = accounts.settings();
    let (reading, managing) = (ReadWrite::Read, ReadWrite::Write);
    let directory = || Arc::<Accounts>::clone(&accounts);
    let needs = mattermost_wire::Needs { reading, managing };
    let mattermost = Mattermost::new(gate.clone(), directory(), needs, settings.mattermost());
    let mattermost = mattermost.in_shape(settings.mattermost_shape());
    let needs = zitadel_wire::Needs { reading, managing };
    let zitadel = Zitadel::new(gate.clone(), directory(), needs, settings.zitadel());
    let zitadel = zitadel.in_shape(settings.zitadel_shape());
    let two_factor = factors.rocketchat.clone();
    let rocketchat = RocketChat::new(gate.clone(), directory(), two_factor, reading, managing);
    let rocketchat = rocketchat.in_shape(settings.rocketchat_shape());
    let rocketchat = Arc::new(rocketchat.profile(settings.rocketchat_profile()));
    let host = Arc::new_cyclic(|host| Host {
        attempts: Attempts::new(Arc::clone(tokens.clock())),
        awx: awx::face(gate, &accounts, host.clone()),
        connections: Connections::default(),
        factors,
        mattermost,
        messages: Messages::default(),
        passwords: Arc::clone(&passwords),
        rocketchat,
        tokens: tokens.clone(),
        url: format!("http://{address}"),
        zitadel,
        accounts: Arc::clone(&accounts),
    });
    let router = routes::router(Arc::clone(&host), &native);

    greeting::print(address, demo.as_ref());
    let own = accounts.all().filter_map(|entry| entry.password.clone()).collect();
    tokio::spawn(async move { passwords.digest_all(own).await });
    tokio::spawn(tokens.clone().upkeep(Arc::new(TokioTimer::new())));
    tokio::spawn(forget_dead_tokens(tokens.clone()));
    let proxies = arguments.trusted_proxies.into();
    serve::serve(listener, router, proxies, &host.connections, stop).await;
    if timeout(LAST_WORDS, tokens.flush_usage()).await.is_err() {
        tracing::warn!("the last uses of some tokens were not written down");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Log lines go to standard error: those that `RUST_LOG` asks for, and else what an operator
/// wants to see.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false);
    lines.with_env_filter(filter).init();
}

fn accounts(path: Option<&Path>) -> Result<(Accounts, Option<DemoAccounts>), String> {
    let Some(path) = path else {
        let file = AccountsFile::parse(include_str!("demo_accounts.json"))?;
        let demo = DemoAccounts::of(&file);
        return Ok((Accounts::new(file)?, Some(demo)));
    };
    let named = |what: String| format!("the accounts file {}: {what}", path.display());
    let text = fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    let accounts = AccountsFile::parse(&text).and_then(Accounts::new).map_err(named)?;
    Ok((accounts, None))
}

/// Resolves when the server is to stop.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Tokens that have been dead for a month are of no interest to anybody.
async fn forget_dead_tokens(tokens: Tokens<ReadWrite>) {
    loop {
        sleep(FORGET_EVERY).await;
        let Some(long_ago) = tokens.now().checked_sub_signed(REMEMBERED_FOR) else { continue };
        if let Err(error) = tokens.store().prune(long_ago, FORGOTTEN_AT_ONCE).await {
            tracing::warn!(%error, "dead tokens were not forgotten");
        }
    }
}

const REMEMBERED_FOR: TimeDelta = TimeDelta::days(30);

const FORGET_EVERY: Duration = Duration::from_secs(600);

const FORGOTTEN_AT_ONCE: u32 = 1000;

/// With the three seconds that requests have to finish, it stays below five.
const LAST_WORDS: Duration = Duration::from_secs(1);
