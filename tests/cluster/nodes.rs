//! The nodes as processes: started, stopped, killed, made to stand still, and read.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::history::Operation;
use crate::node::ARGUMENT;
use crate::record;

/// Of all nodes. Short, so that much that lasts longer fits into a run.
pub(crate) const BOUND: Duration = Duration::from_secs(1);

pub(crate) struct Nodes {
    folder: PathBuf,
    pace: f64,
    running: Vec<Running>,
}

struct Running {
    url: String,
    life: u32,
    child: Child,
    stdin: ChildStdin,
}

impl Nodes {
    /// One for each URL; all of them together revoke so many in a second.
    pub(crate) fn start(folder: &Path, urls: Vec<String>, pace: f64) -> Self {
        let mut nodes = Self { folder: folder.into(), pace, running: Vec::new() };
        let of = urls.len();
        for (number, url) in urls.into_iter().enumerate() {
            let running = nodes.run(number, of, url, 0);
            nodes.running.push(running);
        }
        nodes
    }

    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    fn run(&self, number: usize, of: usize, url: String, life: u32) -> Running {
        let pace = self.pace / of as f64;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([ARGUMENT, &url, self.folder.to_str().unwrap()])
            .args([number.to_string(), of.to_string(), pace.to_string(), life.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        Running { url, life, child, stdin }
    }

    /// Kills a node and starts it again.
    pub(crate) fn restart(&mut self, number: usize) {
        let of = self.count();
        let killed = &mut self.running[number];
        killed.child.kill().unwrap();
        killed.child.wait().unwrap();
        let (url, life) = (killed.url.clone(), killed.life + 1);
        self.running[number] = self.run(number, of, url, life);
    }

    pub(crate) fn signal(&self, number: usize, signal: &str) {
        let process = self.running[number].child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &process]).status().unwrap();
        assert!(sent.success());
    }

    /// Whether every node has revoked all that was its part.
    pub(crate) fn have_revoked(&self, tokens: u32) -> bool {
        let of = u32::try_from(self.count()).unwrap();
        (0..self.count()).all(|number| {
            let front = std::fs::read_to_string(self.folder.join(format!("front-{number}")));
            let front: u32 = front.ok().and_then(|front| front.parse().ok()).unwrap_or(0);
            front * of >= tokens * 96 / 100
        })
    }

    /// How many operations were written down so far.
    pub(crate) fn operations(&self) -> u64 {
        let books = (0..self.count()).map(|number| self.folder.join(format!("book-{number}")));
        books.map(|book| std::fs::metadata(book).map_or(0, |book| book.len()) / 24).sum()
    }

    /// Tells all nodes to stop, and reads what they did.
    pub(crate) fn stop(self) -> Vec<Operation> {
        let mut history = Vec::new();
        for (number, running) in self.running.into_iter().enumerate() {
            drop(running.stdin);
            let mut child = running.child;
            assert!(child.wait().unwrap().success(), "node {number} failed");
            let book = self.folder.join(format!("book-{number}"));
            history.extend(record::read(&book, u16::try_from(number).unwrap()));
        }
        history
    }
}
