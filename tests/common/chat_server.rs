//! The example chat server: found, started, spoken to byte by byte, and stopped.
//!
//! `cargo test` builds the example before it runs a test of it; so does `cargo build --examples`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A running server. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    pub(crate) first_lines: Vec<String>,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Server {
    /// A server with the accounts of these tests.
    pub(crate) fn start(name: &str, arguments: &[&str], log: &str) -> Self {
        let accounts = folder(name).join("accounts.json");
        fs::write(&accounts, ACCOUNTS).unwrap();
        let accounts = ["--accounts", accounts.to_str().unwrap()];
        Self::start_with(name, arguments, log, &accounts)
    }

    pub(crate) fn start_with(name: &str, arguments: &[&str], log: &str, accounts: &[&str]) -> Self {
        let mut child = Command::new(binary())
            .current_dir(folder(&format!("{name}_home")))
            .args(["--listen", "127.0.0.1:0"])
            .args(if arguments.contains(&"--store") { &[][..] } else { &["--store", "memory:"] })
            .args(accounts)
            .args(arguments)
            .env("RUST_LOG", log)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).unwrap();
            text
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first_lines = Vec::new();
        while first_lines.last().is_none_or(|line: &String| !line.starts_with("curl ")) {
            let mut line = String::new();
            if stdout.read_line(&mut line).unwrap() == 0 {
                let told = String::from_utf8_lossy(&stderr.join().unwrap()).into_owned();
                panic!("the server ended: {told}");
            }
            first_lines.push(line.trim_end().to_owned());
        }
        let said = first_lines.join("\n").into_bytes();
        let stdout = thread::spawn(move || {
            let mut text = said;
            stdout.read_to_end(&mut text).unwrap();
            text
        });
        let address = first_lines[0].strip_prefix("listening on http://").unwrap().to_owned();
        let (stdout, stderr) = (Some(stdout), Some(stderr));
        Self { child, address, first_lines, stdout, stderr }
    }

    pub(crate) fn stop(self) -> Output {
        self.stop_with("TERM")
    }

    pub(crate) fn stop_with(mut self, signal: &str) -> Output {
        let asked = Instant::now();
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if asked.elapsed() > Duration::from_secs(5) => panic!("it does not end"),
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        let stdout = self.stdout.take().unwrap().join().unwrap();
        let stderr = self.stderr.take().unwrap().join().unwrap();
        Output { status, stdout, stderr }
    }

    pub(crate) fn sign_in(&self, username: &str, password: &str) -> String {
        let answer = self.try_to_sign_in(username, password).is(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.json()["expires_at"].is_string());
        text(&answer.json()["token"])
    }

    pub(crate) fn try_to_sign_in(&self, username: &str, password: &str) -> Answer {
        let body = json!({"username": username, "password": password});
        self.call("POST", "/login", "", Some(&body))
    }

    /// One request on a connection of its own.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n");
        if !token.is_empty() {
            request.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            request.push_str("Content-Type: application/json\r\n");
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.exchange(request.as_bytes()).unwrap_or_else(|| panic!("{method} {path}: no answer"))
    }

    /// The answer to these bytes, unless the server closes the connection without one.
    pub(crate) fn exchange(&self, request: &[u8]) -> Option<Answer> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // A server that has read enough closes, and the rest cannot be sent.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no end of the answer")
            }
            _ => Answer::parse(&answer),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A test that fails says what the server had to say about it.
        let told = self.stderr.take().filter(|_| thread::panicking()).map(JoinHandle::join);
        if let Some(Ok(told)) = told {
            let _ = std::io::stderr().write_all(&[b"the server's log:\n", &*told].concat());
        }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some(Self { status, head: head.to_owned(), body: body.to_owned() })
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// The example beside this test's own folder.
pub(crate) fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let built = own.ancestors().nth(2).unwrap().join("examples/chat_server");
    assert!(built.exists(), "{} is missing: cargo build --examples", built.display());
    built
}

/// What a start says that fails, which is one line, and that is all that comes of it.
#[track_caller]
pub(crate) fn refusal(home: &Path, arguments: &[&str]) -> String {
    let output = Command::new(binary()).current_dir(home).args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert_eq!(told.lines().count(), 1, "{arguments:?}: {told}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    told
}

/// A key file that no server made.
pub(crate) fn write_key(home: &Path, name: &str) -> String {
    let path = home.join(name);
    fs::write(&path, format!("k9:{}\n", "cd".repeat(32))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// An empty folder.
pub(crate) fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

pub(crate) const BOB: &str = "bobbobbobbobbobbobbobbobb2";

pub(crate) const PASSWORD: &str = "correct horse battery staple";

const ACCOUNTS: &str = r#"{
  "accounts": [
    {"id": "adminadminadminadminadmin1", "number": 1, "username": "admin",
     "password": "the administrator's password", "roles": ["system_admin"]},
    {"id": "bobbobbobbobbobbobbobbobb2", "number": 2, "username": "bob",
     "password": "correct horse battery staple"},
    {"id": "tinatinatinatinatinatinat3", "number": 3, "username": "tina",
     "password": "correct horse battery staple",
     "two_factor": {"totp": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}},
    {"id": "gonegonegonegonegonegoneg4", "number": 4, "username": "gone",
     "password": "correct horse battery staple", "active": false},
    {"id": "deploydeploydeploydeploy55", "number": 5, "username": "deploy",
     "password": "correct horse battery staple", "kind": "machine"}
  ],
  "settings": {"rocketchat": {"wire": "legacy"}, "revocation_bound_ms": 500}
}"#;
