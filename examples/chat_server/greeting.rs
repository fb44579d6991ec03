//! What the server prints once it listens: for programs the first two lines, the rest for people.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use crate::accounts_file::{AccountEntry, AccountsFile};
use crate::messages::TOWN_SQUARE;

/// Accounts whose passwords may be shown, since everybody can read them in this example's folder.
#[derive(Debug)]
pub(crate) struct DemoAccounts {
    lines: String,
}

impl DemoAccounts {
    pub(crate) fn of(file: &AccountsFile) -> Self {
        Self { lines: file.accounts.iter().map(line).collect() }
    }
}

fn line(entry: &AccountEntry) -> String {
    let AccountEntry { username, password, name, .. } = entry;
    let password = password.as_ref().map_or("(none)", |password| password.expose_secret());
    let remark = match (&entry.two_factor, entry.roles.iter().any(|role| role == "admin")) {
        (Some(_), _) => ", with a second factor, whose seed is in demo_accounts.json",
        (None, true) => ", administrator",
        (None, false) => "",
    };
    format!("  {username:<12} {password:<16} {name}{remark}\n")
}

/// Prints it. Nobody may be reading any more, and that is no reason not to serve.
pub(crate) fn print(address: SocketAddr, demo: Option<&DemoAccounts>) {
    let mut text = format!("listening on http://{address}\ntown-square {TOWN_SQUARE}\n\n");
    let (username, password) = match demo {
        Some(DemoAccounts { lines }) => {
            text.push_str("Accounts, with their passwords:\n");
            text.push_str(lines);
            text.push('\n');
            ("bob", "bob-password")
        }
        None => ("USERNAME", "PASSWORD"),
    };
    text.push_str(&format!(
        r#"Sign in, make a token, and say something; or open http://{address} in a browser:
SESSION=$(curl -s http://{address}/login --json '{{"username":"{username}","password":"{password}"}}' | grep -o 'chatses_[A-Za-z0-9_]*')
TOKEN=$(curl -s http://{address}/tokens --oauth2-bearer "$SESSION" --json '{{"name":"my first token","scopes":["write"]}}' | grep -o 'chatpat_[A-Za-z0-9_]*')
curl -s http://{address}/messages --oauth2-bearer "$TOKEN" --json '{{"text":"hello from a token"}}'
"#
    ));
    let _ = io::stdout().write_all(text.as_bytes());
}
