//! A PostgreSQL server of a test's own: in a temporary folder, on a socket and a port of its own, gone with the test.
//!
//! It is a real server with `fsync` on. What `initdb` makes is kept as an archive below the target folder and unpacked for
//! each server, so that one starts in a fraction of a second.

use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::root;

/// The superuser of every server.
pub const SUPERUSER: &str = "postgres";

/// The longest that starting or stopping may take before a test fails.
const DEADLINE: Duration = Duration::from_mins(1);

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// What to do where there is no PostgreSQL.
const MISSING: &str = "PostgreSQL is missing: install the Debian package `postgresql` (scripts/test does)";

/// A running server. It is killed when dropped.
pub struct PostgresServer {
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
    owner: Option<Owner>,
    process: Option<Child>,
}

/// Who runs the server: it refuses to run as root.
#[derive(Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
}

impl PostgresServer {
    /// Starts a new, empty server.
    ///
    /// # Panics
    /// Where PostgreSQL is missing or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a new, empty server with more settings, each `name=value`.
    ///
    /// # Panics
    /// Where PostgreSQL is missing or does not start.
    #[must_use]
    pub fn start_with(settings: &[&str]) -> Self {
        let owner = owner();
        let folder = tempfile::Builder::new().prefix("countermark-pg-").tempdir().expect("a temporary folder");
        give(folder.path(), owner);
        unpack_template(folder.path(), owner);
        let settings = settings.iter().map(ToString::to_string).collect();
        let mut server = Self { folder, port: free_port(), settings, owner, process: None };
        server.run();
        server
    }

    /// A URL over the socket.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://{user}@{folder}:{}/{database}", self.port)
    }

    /// A URL over the loopback.
    #[must_use]
    pub fn tcp_url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Kills every process of the server at once. What it had on its disk stays, and what the system had for it.
    ///
    /// # Panics
    /// Where they do not end.
    pub fn kill(&mut self) {
        let Some(mut postmaster) = self.process.take() else { return };
        let backends = children(postmaster.id());
        let _ = postmaster.kill();
        let _ = postmaster.wait();
        signal("KILL", &backends);
        let end = Instant::now() + DEADLINE;
        while backends.iter().any(|pid| is_running(*pid)) {
            assert!(Instant::now() < end, "processes of a killed server go on");
            sleep(PAUSE);
        }
    }

    /// Starts it again after [`PostgresServer::kill`], at the same address.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn run(&mut self) {
        let end = Instant::now() + DEADLINE;
        loop {
            let log = self.folder.path().join("log");
            let output = File::options().create(true).append(true).open(&log).expect("the server's log");
            let mut command = as_owner(&program("postgres"), self.owner);
            command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
            command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
            for setting in &self.settings {
                command.args(["-c", setting]);
            }
            let errors = output.try_clone().expect("a second handle");
            let mut process = command.stdout(output).stderr(errors).spawn().expect("postgres runs");
            if self.is_ready(&mut process, end) {
                self.process = Some(process);
                return;
            }
            // The port was taken meanwhile, or the killed one's memory is still attached.
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < end, "PostgreSQL does not start:\n{said}");
            sleep(PAUSE);
        }
    }

    /// Stops it in order and starts it again: what an administrator does.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn restart(&mut self) {
        if let Some(mut postmaster) = self.process.take() {
            signal("INT", &[postmaster.id()]);
            let _ = postmaster.wait();
        }
        self.run();
    }

    /// Stops every process of the server where it stands: it takes connections and never answers.
    pub fn pause(&self) {
        signal("STOP", &self.processes());
    }

    /// Lets it go on.
    pub fn resume(&self) {
        signal("CONT", &self.processes());
    }

    fn processes(&self) -> Vec<u32> {
        let postmaster = self.process.as_ref().map(Child::id);
        postmaster.into_iter().flat_map(|pid| [vec![pid], children(pid)].concat()).collect()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Waits until this very process says that it takes connections; false if it ended.
    fn is_ready(&self, process: &mut Child, end: Instant) -> bool {
        while Instant::now() < end {
            if process.try_wait().expect("a child of ours").is_some() {
                return false;
            }
            // The first line is the process, the eighth its state. A killed server leaves an older file behind.
            let state = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let lines: Vec<&str> = state.lines().map(str::trim).collect();
            if lines.first() == Some(&process.id().to_string().as_str()) && lines.get(7) == Some(&"ready") {
                return true;
            }
            sleep(PAUSE);
        }
        false
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.resume();
        self.kill();
    }
}

/// A port that nobody listens on at this moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// Nobody in particular where we are not root; else the user of Debian's package, or `nobody`.
fn owner() -> Option<Owner> {
    let us = fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own));
    if us.ok() != Some(0) {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let find = |name: &str| {
        let mut fields = users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').skip(2);
        Some(Owner { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    };
    Some(
        find("postgres").or_else(|| find("nobody")).expect("root cannot run PostgreSQL, and there is no user `nobody`"),
    )
}

fn as_owner(program: &Path, owner: Option<Owner>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env("LC_ALL", "C").current_dir("/");
    if let Some(Owner { user, group }) = owner {
        command.gid(group).uid(user);
    }
    command
}

fn give(folder: &Path, owner: Option<Owner>) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("a folder of ours");
    if let Some(Owner { user, group }) = owner {
        chown(folder, Some(user), Some(group)).expect("root may give folders away");
    }
}

/// A program of PostgreSQL: of the path, or of the newest version below Debian's folder.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev().map(|(_, folder)| folder));
    // Debian links some programs into the path; they find their files from where they really are.
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|program| program.is_file());
    found.expect(MISSING).canonicalize().expect("a file that is there")
}

/// Unpacks what `initdb` makes into `folder/data`. The first process to come makes the archive, the others wait for it.
fn unpack_template(folder: &Path, owner: Option<Owner>) {
    let mut archive = template(owner).expect("the archive of an empty database");
    archive.rewind().expect("an open file");
    let mut tar = as_owner(Path::new("tar"), owner);
    let status = tar.args(["-x", "-C"]).arg(folder).stdin(archive).status().expect("tar runs");
    assert!(status.success(), "tar: {status}");
}

fn template(owner: Option<Owner>) -> io::Result<File> {
    let cache = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("tmp");
    fs::create_dir_all(&cache)?;
    let lock = File::create(cache.join("postgres-template.lock"))?;
    lock.lock()?;
    let initdb = program("initdb");
    let version = Command::new(&initdb).arg("--version").output()?;
    let version: String =
        String::from_utf8_lossy(&version.stdout).chars().filter(char::is_ascii_alphanumeric).collect();
    let path = cache.join(format!("postgres-template-{version}.tar"));
    if !path.exists() {
        make_template(&initdb, &path, owner)?;
    }
    File::open(path)
}

/// The archive appears under its name whole or not at all.
fn make_template(initdb: &Path, path: &Path, owner: Option<Owner>) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    give(folder.path(), owner);
    let mut command = as_owner(initdb, owner);
    command.arg("-D").arg(folder.path().join("data")).args(["-U", SUPERUSER, "--auth=trust", "--no-sync"]);
    // A small first segment: most servers of tests write less.
    command.args(["--encoding=UTF8", "--no-locale", "--wal-segsize=4"]);
    let output = command.output()?;
    assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    let draft = path.with_extension("draft");
    let mut tar = as_owner(Path::new("tar"), owner);
    let status = tar.args(["-c", "-C"]).arg(folder.path()).arg("data").stdout(File::create(&draft)?).status()?;
    assert!(status.success(), "tar: {status}");
    fs::rename(draft, path)
}

/// The direct children of a process.
fn children(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        if stat(pid).is_some_and(|(_, of)| of == parent) {
            found.push(pid);
        }
    }
    found
}

/// A process's state and its parent.
fn stat(pid: u32) -> Option<(String, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may contain anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// A zombie does not run.
fn is_running(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z")
}

fn signal(name: &str, pids: &[u32]) {
    if pids.is_empty() {
        return;
    }
    // A process that ended meanwhile is no failure.
    let pids = pids.iter().map(ToString::to_string);
    let _ = Command::new("kill").arg(format!("-{name}")).args(pids).stderr(Stdio::null()).status();
}
