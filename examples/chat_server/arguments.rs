//! The command line.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::tokens::Place;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) listen: String,
    pub(crate) store: Place,
    pub(crate) accounts: Option<PathBuf>,
    pub(crate) outbox: Option<PathBuf>,
    pub(crate) secret_key: Option<PathBuf>,
    pub(crate) import_awx: Option<PathBuf>,
    pub(crate) import_mattermost: Option<PathBuf>,
    pub(crate) import_rocketchat: Option<PathBuf>,
    pub(crate) trusted_proxies: Vec<IpNet>,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Serve(Box<Arguments>),
}

pub(crate) const HELP: &str = "\
A small chat server whose tokens are keyfob's.

Usage: chat_server [OPTIONS]

  --listen ADDR         where to listen; default 127.0.0.1:8065, port 0 picks a free one
  --store URL           where tokens are kept: sqlite:PATH (made if absent), memory: or
                        postgres://USER@HOST:PORT/DATABASE; default sqlite:chat_server.db
  --accounts FILE       accounts and settings, as JSON; default: a few demo accounts
  --outbox DIR          where mail is to be put
  --secret-key FILE     keys for digests, one `key-id:hex` line each, the first is current;
                        made if absent; default PATH.key beside a SQLite file, none
                        with postgres: and with memory: a fresh key for this process
  --trusted-proxy CIDR  whose X-Forwarded-For counts; may be given several times
  --import-awx FILE     rows of AWX's main_oauth2accesstoken, as JSON: their tokens work here
  --import-mattermost FILE
                        rows of Mattermost's useraccesstokens, likewise
  --import-rocketchat FILE
                        users of Rocket.Chat, as mongoexport writes them. All may be
                        given at every start; what was taken over once is left as it is
  --help                prints this
";

/// Reads the arguments behind the program's name.
///
/// # Errors
///
/// A sentence that names the argument.
pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut read = Read::default();
    let mut arguments = arguments.map(|argument| {
        argument.into_string().map_err(|argument| format!("{argument:?} is not UTF-8"))
    });
    while let Some(argument) = arguments.next() {
        let argument = argument?;
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        if matches!(name, "--help" | "-h") && value.is_none() {
            return Ok(Command::Help);
        }
        if !OPTIONS.contains(&name) {
            return Err(format!("there is no option {name}; --help lists those that there are"));
        }
        let value = match value {
            Some(value) => value,
            None => arguments.next().ok_or_else(|| format!("{name} needs a value"))??,
        };
        if value.is_empty() {
            return Err(format!("{name} needs a value"));
        }
        read.take(name, value)?;
    }
    Ok(Command::Serve(Box::new(Arguments {
        listen: read.listen.unwrap_or_else(|| "127.0.0.1:8065".to_owned()),
        store: Place::parse(read.store.as_deref().unwrap_or("sqlite:chat_server.db"))?,
        accounts: read.accounts.map(PathBuf::from),
        outbox: read.outbox.map(PathBuf::from),
        secret_key: read.secret_key.map(PathBuf::from),
        import_awx: read.import_awx.map(PathBuf::from),
        import_mattermost: read.import_mattermost.map(PathBuf::from),
        import_rocketchat: read.import_rocketchat.map(PathBuf::from),
        trusted_proxies: read.trusted_proxies,
    })))
}

const OPTIONS: [&str; 9] = [
    "--listen",
    "--store",
    "--accounts",
    "--outbox",
    "--secret-key",
    "--import-awx",
    "--import-mattermost",
    "--import-rocketchat",
    "--trusted-proxy",
];

#[derive(Default)]
struct Read {
    listen: Option<String>,
    store: Option<String>,
    accounts: Option<String>,
    outbox: Option<String>,
    secret_key: Option<String>,
    import_awx: Option<String>,
    import_mattermost: Option<String>,
    import_rocketchat: Option<String>,
    trusted_proxies: Vec<IpNet>,
}

impl Read {
    fn take(&mut self, name: &str, value: String) -> Result<(), String> {
        let place = match name {
            "--listen" => &mut self.listen,
            "--store" => &mut self.store,
            "--accounts" => &mut self.accounts,
            "--outbox" => &mut self.outbox,
            "--secret-key" => &mut self.secret_key,
            "--import-awx" => &mut self.import_awx,
            "--import-mattermost" => &mut self.import_mattermost,
            "--import-rocketchat" => &mut self.import_rocketchat,
            _ => {
                self.trusted_proxies.push(network(name, &value)?);
                return Ok(());
            }
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(format!("{name} is given twice")),
        }
    }
}

fn network(name: &str, value: &str) -> Result<IpNet, String> {
    let address = || value.parse::<IpAddr>().map(IpNet::from);
    value
        .parse()
        .or_else(|_| address())
        .map_err(|_| format!("{name} {value:?} is no network such as 10.0.0.0/8"))
}
