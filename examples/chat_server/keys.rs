//! The file with the keys of digests.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use keyfob::os::SystemEntropy;
use keyfob::ports::entropy::Entropy as _;
use keyfob::{Key, KeyId, Keyring};
use zeroize::Zeroizing;

/// A fresh key, which lives as long as the process.
///
/// # Errors
///
/// A sentence.
pub(crate) fn fresh() -> Result<Keyring, String> {
    parse(&fresh_line()?)
}

/// The keys of a file, which is made with a fresh one if it is not there; and whether it was made.
///
/// # Errors
///
/// A sentence that names the file.
pub(crate) fn read_or_make(path: &Path) -> Result<(Keyring, bool), String> {
    match read(path)? {
        Some(keyring) => Ok((keyring, false)),
        None => make(path).map(|keyring| (keyring, true)),
    }
}

/// The keys of a file, if it is there.
///
/// # Errors
///
/// A sentence that names the file.
fn read(path: &Path) -> Result<Option<Keyring>, String> {
    let named = |what: String| format!("the key file {}: {what}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(error.to_string())),
    };
    // Asked of the open file, so that what is read is what was judged.
    let about = file.metadata().map_err(|error| named(error.to_string()))?;
    if !about.is_file() {
        return Err(named("it is no file".to_owned()));
    }
    if about.permissions().mode() & 0o077 != 0 {
        return Err(named("others than its owner may use it; chmod 600 helps".to_owned()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST_FILE).read_to_string(&mut text).map_err(|error| named(error.to_string()))?;
    parse(&text).map(Some).map_err(named)
}

/// Makes a file with a fresh key, or reads the one that another process has made meanwhile.
///
/// # Errors
///
/// A sentence that names the file. Nothing is left behind then.
fn make(path: &Path) -> Result<Keyring, String> {
    let line = fresh_line()?;
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    let unfinished = Path::new(&unfinished);
    let named = |path: &Path, error: io::Error| format!("the key file {}: {error}", path.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(unfinished)
        .map_err(|error| named(unfinished, error))?;
    let made = file
        .write_all(line.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(unfinished, path));
    let removed = fs::remove_file(unfinished);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(named(path, error));
        }
        Ok(()) | Err(_) => removed.map_err(|error| named(unfinished, error))?,
    }
    read(path)?.ok_or_else(|| format!("the key file {}: it is gone again", path.display()))
}

fn fresh_line() -> Result<Zeroizing<String>, String> {
    let mut bytes = Zeroizing::new([0; Key::SHORTEST]);
    SystemEntropy::new().fill(&mut *bytes).map_err(|error| error.to_string())?;
    let mut line = Zeroizing::new(String::with_capacity(LINE_LENGTH));
    line.push_str("k1:");
    for byte in bytes.iter() {
        for digit in [byte >> 4, byte & 15] {
            line.extend(char::from_digit(digit.into(), 16));
        }
    }
    line.push('\n');
    Ok(line)
}

/// One `key-id:hex` line for each key, the first one current.
fn parse(text: &str) -> Result<Keyring, String> {
    let mut keyring: Option<Keyring> = None;
    let mut ids = Vec::new();
    for (number, line) in (1_u32..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let key = key(line).map_err(|what| format!("line {number}: {what}"))?;
        if ids.contains(key.id()) {
            return Err(format!("line {number}: the key id {} stands there twice", key.id()));
        }
        ids.push(key.id().clone());
        keyring = Some(match keyring {
            None => Keyring::new(key),
            Some(keyring) => keyring.with_previous(key),
        });
    }
    keyring.ok_or_else(|| "it holds no key".to_owned())
}

/// The errors hold nothing of the line: it may be a key that lacks its id.
fn key(line: &str) -> Result<Key, String> {
    let (id, hex) = line.split_once(':').ok_or("it is not key-id:hex")?;
    let id = KeyId::new(id).map_err(|error| error.to_string())?;
    let bytes = bytes(hex).ok_or("what follows the colon is not hexadecimal")?;
    Key::new(id, &bytes).map_err(|error| error.to_string())
}

fn bytes(hex: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(hex.len()));
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    for [high, low] in pairs {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = digit(*high)?.checked_mul(16)?.checked_add(digit(*low)?)?;
        bytes.push(u8::try_from(byte).ok()?);
    }
    Some(bytes)
}

/// Hundreds of keys.
const LONGEST_FILE: u64 = 64 * 1024;

const LINE_LENGTH: usize = "k1:\n".len() + 2 * Key::SHORTEST;
