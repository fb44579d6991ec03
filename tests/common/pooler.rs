//! A PgBouncer of the test's own, in transaction mode, in front of a test's cluster.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, other_user, signal, unprivileged};

/// Where PgBouncer is installed, or that it is not.
pub(crate) fn find() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.exists())
        .ok_or_else(|| "no PgBouncer is installed".into())
}

/// A pooler that gives each transaction whichever connection is free.
pub(crate) struct Pooler {
    _folder: tempfile::TempDir,
    port: u16,
    process: Mutex<Child>,
}

impl Pooler {
    pub(crate) fn start(program: &Path, cluster: &Cluster) -> Self {
        let folder = tempfile::Builder::new().prefix("keyfob-pooler").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = folder.path().join("pgbouncer.ini");
        fs::write(
            &file,
            format!(
                "[databases]\n* = host={} port={} user=keyfob\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
                 max_client_conn = 1000\ndefault_pool_size = 4\n",
                cluster.socket().display(),
                cluster.port(),
            ),
        )
        .unwrap();
        if let Some((user, group)) = other_user() {
            for path in [folder.path(), &file] {
                std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
            }
        }
        let process = unprivileged(program)
            .arg("-q")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let patience = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "the pooler does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { _folder: folder, port, process: Mutex::new(process) }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://keyfob@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn stop(&self) {
        let mut process = self.process.lock().unwrap();
        if process.try_wait().unwrap().is_none() {
            // It goes by QUIT as its parent did: not at all where a shell started that in the background.
            signal("KILL", process.id());
            process.wait().unwrap();
        }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.stop();
    }
}
