//! A PostgreSQL server of the test's own: found, started in a temporary folder, stopped at the end.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::{Config, NoTls};

/// The programs of a server that is installed, or why there are none.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// The newest that can be found: on the path, or where Debian puts them.
    pub(crate) fn find() -> Result<Self, String> {
        let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
            .map(|path| std::env::split_paths(&path).collect())
            .unwrap_or_default();
        let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
            .unwrap_or_default();
        debian.sort();
        debian.reverse();
        folders.splice(0..0, debian);
        let folder = folders
            .into_iter()
            .find(|folder| ["initdb", "postgres"].iter().all(|name| folder.join(name).exists()));
        folder
            .map(|folder| Self { folder })
            .ok_or_else(|| "no PostgreSQL server is installed".into())
    }

    /// A command that does not run as root, which the server refuses.
    pub(crate) fn command(&self, program: &str) -> Command {
        unprivileged(&self.folder.join(program))
    }
}

/// A server on a free port and a socket of its own.
pub(crate) struct Cluster {
    programs: Programs,
    folder: tempfile::TempDir,
    port: u16,
    server: Mutex<Option<Child>>,
    databases: AtomicU32,
}

impl Cluster {
    /// Makes a new one and waits until it answers. `settings` are lines of its configuration.
    pub(crate) fn start(programs: &Programs, settings: &str) -> Self {
        // Flushing is not what most tests are about, and memory does it at once.
        let memory = PathBuf::from("/dev/shm");
        let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
        Self::start_in(place, programs, settings)
    }

    /// The same, in a folder of this place.
    pub(crate) fn start_in(place: PathBuf, programs: &Programs, settings: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("keyfob-postgres").tempdir_in(place).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        if let Some((user, group)) = other_user() {
            chown(&data, Some(user), Some(group)).unwrap();
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let made = programs
            .command("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-A", "trust", "-U", "keyfob", "-E", "UTF8", "--locale=C", "--no-sync"])
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let configuration = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
             max_connections = 300\nmax_wal_size = '128MB'\n{settings}\n",
            folder.path().display()
        );
        let file = data.join("postgresql.auto.conf");
        fs::write(&file, configuration).unwrap();
        let cluster = Self {
            programs: programs.clone(),
            folder,
            port,
            server: Mutex::default(),
            databases: AtomicU32::new(0),
        };
        cluster.resume();
        cluster
    }

    /// A server that follows this one, and answers readers only.
    pub(crate) fn standby(&self) -> Self {
        let beside = self.folder.path().parent().unwrap();
        let folder = tempfile::Builder::new().prefix("keyfob-standby").tempdir_in(beside).unwrap();
        if let Some((user, group)) = other_user() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = folder.path().join("data");
        let copied = self
            .programs
            .command("pg_basebackup")
            .args(["-R", "-c", "fast", "--no-sync", "-U", "keyfob", "-h"])
            .arg(self.socket())
            .args(["-p", &self.port.to_string(), "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = data.join("postgresql.auto.conf");
        let copied = fs::read_to_string(&file).unwrap();
        // The last line of a name counts.
        let socket = folder.path().display();
        let own = format!("port = {port}\nunix_socket_directories = '{socket}'\n");
        fs::write(&file, copied + &own).unwrap();
        let standby = Self {
            programs: self.programs.clone(),
            folder,
            port,
            server: Mutex::default(),
            databases: AtomicU32::new(0),
        };
        standby.resume();
        standby
    }

    /// Starts the server again after [`Cluster::stop`].
    pub(crate) fn resume(&self) {
        let log = fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let data = self.folder.path().join("data");
        let server = self
            .programs
            .command("postgres")
            .arg("-D")
            .arg(data)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.server.lock().unwrap() = Some(server);
        let patience = Instant::now() + Duration::from_secs(60);
        while self.try_admin("SELECT 1").is_err() {
            let ended = self.server.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < patience,
                "the server does not start: {}",
                fs::read_to_string(self.log()).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server as a power cut would.
    pub(crate) fn stop(&self) {
        if let Some(mut server) = self.server.lock().unwrap().take() {
            signal("QUIT", server.id());
            server.wait().unwrap();
        }
    }

    /// Lets every process of the server stand still.
    pub(crate) fn freeze(&self) {
        // It first, so that no backend is born meanwhile.
        signal("STOP", self.process());
        for backend in self.backends() {
            signal("STOP", backend);
        }
    }

    /// Lets them go on after [`Cluster::freeze`].
    pub(crate) fn thaw(&self) {
        for process in self.backends().into_iter().chain([self.process()]) {
            signal("CONT", process);
        }
    }

    fn backends(&self) -> Vec<u32> {
        let process = self.process();
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
        children.unwrap().split_whitespace().map(|child| child.parse().unwrap()).collect()
    }

    /// Stops the server and removes its folder: what is static is not dropped by itself.
    pub(crate) fn discard(&self) {
        self.stop();
        fs::remove_dir_all(self.folder.path()).unwrap();
    }

    /// What the server wrote about itself.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// The folder of the server's socket.
    pub(crate) fn socket(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) const fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The process that all backends are children of.
    pub(crate) fn process(&self) -> u32 {
        self.server.lock().unwrap().as_ref().unwrap().id()
    }

    /// A database that nobody has used yet.
    pub(crate) fn database(&self) -> String {
        self.copy("template1")
    }

    /// A copy of a database that nobody is connected to.
    pub(crate) fn copy(&self, original: &str) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.admin(&format!("CREATE DATABASE {name} TEMPLATE {original}"));
        name
    }

    /// How to reach a database through the server's socket.
    pub(crate) fn url(&self, database: &str) -> String {
        let socket = self.socket().to_str().unwrap().replace('/', "%2F");
        format!("postgres://keyfob@{socket}:{}/{database}", self.port)
    }

    /// How to reach a database through the loopback network.
    pub(crate) fn tcp_url(&self, database: &str) -> String {
        format!("postgres://keyfob@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs a statement in the server's own database.
    #[track_caller]
    pub(crate) fn admin(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.try_admin(sql).unwrap()
    }

    fn try_admin(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
        ask(&self.url("postgres"), sql)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a statement on a connection of its own, outside of any runtime.
pub(crate) fn ask(url: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
    let config: Config = url.parse().unwrap();
    let sql = sql.to_owned();
    let asking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (client, connection) = config.connect(NoTls).await?;
            let carrying = tokio::spawn(connection);
            let answer = client.simple_query(&sql).await?;
            drop(client);
            let _ended = carrying.await;
            let rows = answer.into_iter().filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|column| row.get(column).map(Into::into)).collect())
                }
                _ => None,
            });
            Ok(rows.collect())
        })
    });
    asking.join().unwrap()
}

/// Sends a signal to a process.
pub(crate) fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -s {name} {process}");
}

/// A command that does not run as root.
pub(crate) fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = other_user() {
        // A folder that the other user may not enter would be the command's.
        command.uid(user).gid(group).current_dir("/");
    }
    command
}

/// The user and group to run as, if this is root: `postgres` where there is one, else `nobody`.
pub(crate) fn other_user() -> Option<(u32, u32)> {
    let me = fs::metadata("/proc/self").ok()?;
    if std::os::unix::fs::MetadataExt::uid(&me) != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody"))
}
