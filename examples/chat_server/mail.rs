//! Mail that leaves this server: as files of a folder, or as lines for whoever looks at them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use keyfob::ports::mailer::{Mail, MailError, Mailer};
use serde::Serialize;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// Where mail is put.
#[derive(Debug)]
pub(crate) enum Post {
    /// One file a mail, `DIR/NNNN.json`.
    Outbox(PathBuf),
    /// Standard error, since nobody said where.
    Printed,
}

impl Post {
    /// # Errors
    ///
    /// A sentence that names the folder.
    pub(crate) fn new(outbox: Option<PathBuf>) -> Result<Self, String> {
        let Some(outbox) = outbox else { return Ok(Self::Printed) };
        let named = |error: io::Error| format!("--outbox {}: {error}", outbox.display());
        fs::create_dir_all(&outbox).map_err(named)?;
        Ok(Self::Outbox(outbox))
    }
}

/// A mail as it is written.
#[derive(Serialize)]
struct Written<'a> {
    to: &'a str,
    subject: &'a str,
    text: &'a str,
}

#[async_trait]
impl Mailer for Post {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let Mail { to, subject, text, .. } = mail;
        let json = serde_json::to_string(&Written { to, subject, text });
        let json = Zeroizing::new(json.map_err(|error| MailError(error.into()))?);
        let outbox = match self {
            Self::Outbox(outbox) => Some(outbox.clone()),
            Self::Printed => None,
        };
        // Files and pipes keep their writers waiting.
        let put = spawn_blocking(move || match outbox {
            Some(outbox) => put(&outbox, json.as_bytes()),
            // It is no log line: it goes where a person looks, and holds the code.
            None => io::stderr().write_all(format!("mail {}\n", *json).as_bytes()),
        });
        let put = put.await.map_err(|error| MailError(error.into()))?;
        put.map_err(|error| MailError(error.into()))
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
