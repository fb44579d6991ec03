//! Mail that leaves this server: as files of a folder, or as lines for whoever looks at them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use keyfob::ports::mailer::{Mail, MailError, Mailer};
use serde_json::json;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// Where mail is put.
#[derive(Debug)]
pub(crate) enum Post {
    /// One file a mail, `DIR/NNNN.json`.
    Outbox(PathBuf),
    /// Standard error, since nobody said where.
    Printed(Mutex<()>),
}

impl Post {
    /// # Errors
    ///
    /// A sentence that names the folder.
    pub(crate) fn new(outbox: Option<PathBuf>) -> Result<Self, String> {
        let Some(outbox) = outbox else { return Ok(Self::Printed(Mutex::default())) };
        let named = |error: io::Error| format!("--outbox {}: {error}", outbox.display());
        fs::create_dir_all(&outbox).map_err(named)?;
        Ok(Self::Outbox(outbox))
    }
}

#[async_trait]
impl Mailer for Post {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let json = json!({"to": mail.to, "subject": mail.subject, "text": mail.text.as_str()});
        let json = Zeroizing::new(json.to_string());
        match self {
            Self::Outbox(outbox) => {
                let outbox = outbox.clone();
                let put = spawn_blocking(move || put(&outbox, json.as_bytes())).await;
                put.map_err(|error| MailError(error.into()))?.map_err(|e| MailError(e.into()))
            }
            Self::Printed(turn) => {
                // A mail is no log line: it goes where a person looks, and holds the code.
                let _turn = turn.lock();
                writeln!(io::stderr(), "mail {}", *json).map_err(|e| MailError(e.into()))
            }
        }
    }
}

/// Writes the next file: under another name first, so that whoever finds it finds all of it.
fn put(outbox: &Path, json: &[u8]) -> io::Result<()> {
    let unfinished = tempfile(outbox)?;
    let (mut file, path) = unfinished;
    let put = file.write_all(json).and_then(|()| link(outbox, &path));
    fs::remove_file(&path)?;
    put
}

fn tempfile(outbox: &Path) -> io::Result<(fs::File, PathBuf)> {
    let mut number = 0_u64;
    loop {
        let path = outbox.join(format!(".{}-{number}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match file {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number = number.saturating_add(1);
            }
            file => return file.map(|file| (file, path)),
        }
    }
}

/// Gives the file the first number that is free: other processes may put theirs there too.
fn link(outbox: &Path, unfinished: &Path) -> io::Result<()> {
    let mut number = last(outbox)?;
    loop {
        number = number.saturating_add(1);
        match fs::hard_link(unfinished, outbox.join(format!("{number:04}.json"))) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => return linked,
        }
    }
}

fn last(outbox: &Path) -> io::Result<u64> {
    let mut last = 0;
    for entry in fs::read_dir(outbox)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".json"));
        last = number.and_then(|number| number.parse().ok()).unwrap_or(0).max(last);
    }
    Ok(last)
}
