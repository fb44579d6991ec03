//! Running the child under `strace`, and reading what it saw.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use crate::child::{ANSWERS, ARGUMENT, BEGUN};
use crate::world::DATABASE;

/// Why nothing can be swept here, if so.
pub(crate) fn obstacle() -> Option<&'static str> {
    let traced = Command::new("strace")
        .args(["-f", "--seccomp-bpf", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1"])
        .args(["-P", "/dev/null", "-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status();
    match traced {
        Err(_) => Some("no strace"),
        Ok(status) if !status.success() => Some("strace may not trace"),
        Ok(_) => None,
    }
}

/// One call that writes, by which `strace` can find it again.
#[derive(Debug)]
pub(crate) struct Point {
    /// The call's name.
    pub(crate) call: String,
    /// Which one, of those that its thread makes: `strace` counts for each thread.
    pub(crate) nth: usize,
    /// Whether it says an answer, instead of writing to the database.
    pub(crate) says: bool,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it said to standard error: nothing, unless it panicked.
    pub(crate) complaints: String,
    /// What `strace` wrote down.
    log: String,
}

impl Ended {
    /// Whether `strace` has killed it, or has made a call of it fail.
    pub(crate) fn was_hit(&self) -> bool {
        self.status.code().is_none() || self.log.contains("(INJECTED)")
    }

    /// Every call that writes, from the mark on.
    pub(crate) fn points(&self) -> Result<Vec<Point>, String> {
        let (mut counts, mut begun) = (BTreeMap::new(), false);
        let (mut points, mut seen) = (Vec::new(), Vec::new());
        for (thread, call, line) in self.log.lines().filter_map(call) {
            let nth: &mut usize = counts.entry((thread, call)).or_default();
            *nth = nth.saturating_add(1);
            seen.push((call, *nth));
            let says = line.contains(ANSWERS);
            let only_opens = call == "openat" && !line.contains("O_CREAT");
            if begun && !only_opens && !HARMLESS.contains(&call) {
                points.push(Point { call: call.to_owned(), nth: *nth, says });
            }
            begun |= says && line.contains(BEGUN);
        }
        for Point { call, nth, .. } in &points {
            if seen.iter().filter(|other| **other == (call.as_str(), *nth)).count() > 1 {
                return Err(format!("two threads make a {call} number {nth}:\n{}", self.log));
            }
        }
        Ok(points)
    }
}

/// The thread, the name of the call, and all that was written about it.
fn call(line: &str) -> Option<(&str, &str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let rest = rest.trim_start();
    // `<...` goes on about a call, `---` tells of a signal, `+++` of an end.
    let name = rest.split_once('(')?.0;
    name.chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        .then_some((thread, name, rest))
}

/// Calls that leave the files as they are. Whatever is not here counts as a write, so that one
/// that SQLite makes some day is swept without anybody thinking of it.
const HARMLESS: &[&str] = &[
    "access",
    "close",
    "faccessat",
    "faccessat2",
    "fcntl",
    "fstat",
    "getcwd",
    "getdents64",
    "lseek",
    "lstat",
    "mmap",
    "munmap",
    "newfstatat",
    "pread64",
    "read",
    "readlink",
    "readlinkat",
    "stat",
    "statx",
];

/// Runs the steps in this folder, and lets `companion` go once they begin.
pub(crate) fn run(
    folder: &Path,
    steps: &[&str],
    companion: Option<Companion>,
    injected: Option<(&str, &str)>,
) -> Ended {
    let (log, complaints) = (folder.join("log"), folder.join("complaints"));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-qq", "-o"]).arg(&log);
    for suffix in ["", "-wal", "-shm", "-journal"] {
        strace.arg("-P").arg(folder.join(format!("{DATABASE}{suffix}")));
    }
    strace.arg("-P").arg(folder).arg("-P").arg(folder.join(ANSWERS));
    match injected {
        None => strace.args(["-e", "trace=%file,%desc"]),
        Some((call, does)) => {
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{does}"));
            strace.args(["-e", &trace, "-e", &inject])
        }
    };
    // Stopping at no other call takes half the time. Where the kernel stops a process like that,
    // a signal is not delivered.
    if injected.is_none_or(|(_, does)| !does.starts_with("signal")) {
        strace.arg("--seccomp-bpf");
    }
    strace.arg(std::env::current_exe().unwrap());
    strace.stderr(File::create(&complaints).unwrap());
    let mut child = start(strace, folder, steps);
    let (mut go, mut ready) = pipes(&mut child);
    wait_for_line(&mut ready);
    drop(companion);
    // It may be gone already.
    let _ = go.write_all(b"\n");
    let status = child.wait().unwrap();
    let read = |path| fs::read_to_string(path).unwrap();
    Ended { status, complaints: read(complaints), log: read(log) }
}

/// Runs the steps in this folder, untouched.
pub(crate) fn run_freely(folder: &Path, steps: &[&str]) {
    let mut child = start(Command::new(std::env::current_exe().unwrap()), folder, steps);
    // Without a step that waits it may be gone already.
    let _ = pipes(&mut child).0.write_all(b"\n");
    assert!(child.wait().unwrap().success(), "{steps:?} failed untouched");
}

/// A process that keeps the database open, until it is dropped and thereby killed.
///
/// `strace` counts each thread's calls by themselves. With a companion, a child that opens the
/// database writes nothing, so that all that writes is the store's own writing thread.
pub(crate) struct Companion(Child);

impl Companion {
    pub(crate) fn beside(folder: &Path) -> Self {
        let command = Command::new(std::env::current_exe().unwrap());
        let mut child = start(command, folder, &["open", "hold"]);
        let ready = child.stdout.take().unwrap();
        wait_for_line(&mut BufReader::new(ready));
        Self(child)
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn start(mut command: Command, folder: &Path, steps: &[&str]) -> Child {
    command.arg(ARGUMENT).arg(folder).args(steps);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn pipes(child: &mut Child) -> (ChildStdin, BufReader<ChildStdout>) {
    (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()))
}

/// Returns at the end as well: a child that is dead says nothing.
fn wait_for_line(said: &mut BufReader<ChildStdout>) {
    said.read_line(&mut String::new()).unwrap();
}
