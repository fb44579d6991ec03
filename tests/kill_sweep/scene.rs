//! What is swept, from which files, and beside whom.

use std::fs;

use tempfile::TempDir;

use crate::fault::Fault;
use crate::operation::{self, OPENING, Operation};
use crate::strace::{self, Companion, Ended};

/// A database with a write-ahead log that nobody has closed.
pub(crate) struct Prepared(TempDir);

impl Prepared {
    pub(crate) fn new() -> Self {
        let folder = folder();
        strace::run_freely(folder.path(), &["prepare"]);
        assert!(folder.path().join("tokens.db-wal").exists());
        Self(folder)
    }

    fn copy(&self) -> TempDir {
        let copy = folder();
        for entry in fs::read_dir(self.0.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        copy
    }
}

/// In memory, where the system has such a place: the calls are the same and take no time.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[derive(Clone, Copy)]
pub(crate) enum Scene {
    /// A file is made.
    Opening,
    /// A file is opened that somebody who was killed has left behind.
    Reopening,
    /// An operation on a file that is open.
    Operation(&'static Operation),
}

impl Scene {
    /// What undisturbed changes are seen.
    pub(crate) const fn changes(&self) -> &'static [&'static str] {
        match self {
            // Whoever looks opens the file too.
            Self::Opening | Self::Reopening => &[],
            Self::Operation(operation) => operation.changes,
        }
    }

    /// The steps that may be found done or not.
    pub(crate) fn acts(&self, fault: &Fault) -> Vec<&'static str> {
        let Self::Operation(operation) = self else { return vec![OPENING] };
        let then = fault.then.iter().filter(|step| operation::named(step).is_some());
        [operation.name].into_iter().chain(then.copied()).collect()
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Reopening => "reopening",
            Self::Operation(operation) => operation.name,
        }
    }

    /// Takes the steps under `strace`.
    pub(crate) fn run(
        &self,
        prepared: &Prepared,
        fault: &Fault,
        injected: Option<(&str, &str)>,
    ) -> (TempDir, Ended) {
        let folder = self.folder(prepared);
        let ended = match self {
            Self::Opening | Self::Reopening => {
                strace::run(folder.path(), &["begin", OPENING], None, injected)
            }
            Self::Operation(operation) => {
                let steps = [&["open", "begin", operation.name], fault.then].concat();
                let companion = Companion::beside(folder.path());
                strace::run(folder.path(), &steps, Some(companion), injected)
            }
        };
        (folder, ended)
    }

    /// Takes some of the steps, without anybody watching.
    pub(crate) fn run_undisturbed(&self, prepared: &Prepared, acts: &[&str]) -> TempDir {
        let folder = self.folder(prepared);
        match self {
            Self::Opening | Self::Reopening => strace::run_freely(folder.path(), acts),
            Self::Operation(_) => {
                strace::run_freely(folder.path(), &[&["open"], acts, &["close"]].concat());
            }
        }
        folder
    }

    fn folder(&self, prepared: &Prepared) -> TempDir {
        match self {
            Self::Opening => folder(),
            Self::Reopening | Self::Operation(_) => prepared.copy(),
        }
    }
}
