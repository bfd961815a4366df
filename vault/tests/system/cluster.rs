//! Three members as processes, and a log that states them: a small HTTP server with bundles from memory.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use countermark_bundle::entry::Entry;
use countermark_bundle::identity::{Digest, Name};
use countermark_bundle::key::PublicKey;
use countermark_bundle::statement::{AttestationRef, KeyRole, Member, MemberKey};
use countermark_bundle::testing::{World, at};
use countermark_bundle::validation_bundle::ValidationBundle;
use countermark_vault::status::MemberStatus;
use countermark_vault::{Config, Existing, PublicKeys, init};
use ed25519_dalek::SigningKey;
use tempfile::TempDir;

use crate::support::exchange_bytes;

/// How long anything may take.
pub const DEADLINE: Duration = Duration::from_mins(1);
/// The seed of the key that account tokens are signed with.
pub const ISSUER: [u8; 32] = [77; 32];

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_countermark-vault");

pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// The log: what it would answer, if it answers.
pub struct TestLog {
    pub world: Mutex<World>,
    certified: Mutex<Option<u64>>,
}

impl TestLog {
    fn new() -> Self {
        let mut world = World::new();
        world.trust.issued_at = at(now() - 1000);
        Self { world: Mutex::new(world), certified: Mutex::new(None) }
    }

    /// Certifies and activates the next statement: a fleet of these members.
    pub fn state(&self, members: &[PublicKeys]) {
        let mut world = self.world.lock().unwrap();
        let epoch = world.state.newest_certified().map_or(1, |newest| newest.statement.statement().epoch.get() + 1);
        let mut statement = world.statement(epoch);
        statement.issued_at = at(now());
        statement.not_before = at(now() - 10);
        statement.not_after = at(now() + 86_400);
        statement.fleets[0].members = (1..).zip(members).map(|(number, keys)| stated(number, keys)).collect();
        let certified = world.certified(&statement.write(), epoch);
        let index = world.push(&Entry::CertifiedStatement(certified));
        world.activate(epoch);
        *self.certified.lock().unwrap() = Some(index);
    }

    fn bundle(&self) -> Option<Vec<u8>> {
        let certified = (*self.certified.lock().unwrap())?;
        let world = self.world.lock().unwrap();
        let len = world.entries.len();
        let records = (certified..u64::try_from(len).unwrap()).map(|index| world.record(index, len)).collect();
        Some(ValidationBundle::new(world.checkpoint(len, now(), &[0, 1, 2]), records).write())
    }

    fn link(&self, from: usize) -> Vec<u8> {
        let world = self.world.lock().unwrap();
        world.link(from, world.entries.len()).write()
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/v1/backup/bundles/newest", get(newest))
            .route("/v1/backup/links", get(link))
            .with_state(self)
    }
}

fn stated(number: usize, keys: &PublicKeys) -> Member {
    let (from, to) = (at(now() - 10), at(now() + 86_400));
    let mut stated = vec![
        MemberKey::new(KeyRole::Session, &keys.session, from, to),
        MemberKey::new(KeyRole::Identity, &keys.identity, from, to),
    ];
    stated.sort_by_key(|key| key.key_id);
    Member {
        member_id: Name::parse(&format!("member-{number}")).unwrap(),
        failure_domain: Name::parse(&format!("site-{number}")).unwrap(),
        keys: stated,
        attestation: AttestationRef::to(b"attestation"),
    }
}

async fn newest(State(log): State<Arc<TestLog>>) -> Result<Vec<u8>, StatusCode> {
    log.bundle().ok_or(StatusCode::NOT_FOUND)
}

#[derive(serde::Deserialize)]
struct From {
    from: usize,
}

async fn link(State(log): State<Arc<TestLog>>, Query(query): Query<From>) -> Vec<u8> {
    log.link(query.from)
}

/// The folders of three members with their keys made, a log, and whichever members run.
pub struct Cluster {
    folder: TempDir,
    pub log: Arc<TestLog>,
    log_task: tokio::task::JoinHandle<()>,
    pub keys: Vec<PublicKeys>,
    pub peer_addresses: Vec<SocketAddr>,
    pub running: Vec<Option<Running>>,
}

impl Cluster {
    pub async fn new() -> Self {
        let log = Arc::new(TestLog::new());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let log_address = listener.local_addr().unwrap();
        let router = Arc::clone(&log).router();
        let log_task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let folder = tempfile::tempdir().unwrap();
        // All at once, so that they differ; free again when the members come.
        let free: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let peer_addresses: Vec<SocketAddr> = free.iter().map(|listener| listener.local_addr().unwrap()).collect();
        drop(free);
        let mut cluster =
            Self { folder, log, log_task, keys: Vec::new(), peer_addresses, running: vec![None, None, None] };
        for number in 1..=3 {
            fs::create_dir_all(cluster.path(number, "")).unwrap();
            fs::create_dir_all(cluster.device(number, "")).unwrap();
            fs::write(cluster.path(number, "trust.json"), cluster.log.world.lock().unwrap().trust.write()).unwrap();
            cluster.write_config(number, log_address);
            let config = Config::load(&cluster.path(number, "member.toml")).unwrap();
            cluster.keys.push(init(&config, Existing::Refuse).unwrap());
        }
        cluster
    }

    /// Three members that serve.
    pub async fn serving() -> Self {
        let mut cluster = Self::new().await;
        cluster.log.state(&cluster.keys);
        for number in 1..=3 {
            cluster.start(number);
        }
        for number in 1..=3 {
            cluster.wait_for(number, |status| status.stapled.is_some()).await;
        }
        cluster
    }

    /// Takes the log away.
    pub async fn stop_log(&mut self) {
        self.log_task.abort();
        let _ = (&mut self.log_task).await;
    }

    pub fn path(&self, number: usize, file: &str) -> PathBuf {
        self.folder.path().join(format!("member-{number}")).join(file)
    }

    /// What stands for the device: outside of the member's folder.
    pub fn device(&self, number: usize, file: &str) -> PathBuf {
        self.folder.path().join(format!("device-{number}")).join(file)
    }

    fn write_config(&self, number: usize, log: SocketAddr) {
        let hex = |key: &[u8]| hex::encode(key);
        let issuer = hex(SigningKey::from_bytes(&ISSUER).verifying_key().as_bytes());
        let vendor =
            hex(PublicKey::ed25519(SigningKey::from_bytes(&[1; 32]).verifying_key().as_bytes()).unwrap().bytes());
        let peers = (1..)
            .zip(&self.peer_addresses)
            .map(|(peer, address)| format!("{{ member_id = \"member-{peer}\", address = \"{address}\" }}"));
        let peers = peers.collect::<Vec<_>>().join(", ");
        let text = format!(
            "listen = \"127.0.0.1:0\"\norigin = \"log.example/backup\"\nfleet_id = \"fleet-1\"\n\
             member_id = \"member-{number}\"\nfailure_domain = \"site-{number}\"\n\
             identity_key_file = \"identity.key\"\nsession_key_file = \"session.key\"\npassphrase_file = \"passphrase\"\n\
             attestation_file = \"attestation.json\"\n\
             vendor_keys = [{{ algorithm = \"ed25519\", public_key = \"{vendor}\" }}]\n\
             peer_listen = \"{own}\"\npeers = [{peers}]\nlog_url = \"http://{log}\"\ntrust = \"trust.json\"\n\
             data_folder = \"data\"\ncounter_file = \"../device-{number}/counter\"\n\
             sealing_key_file = \"../device-{number}/sealing.key\"\n\
             account_issuers = [{{ issuer = \"accounts.example\", public_key = \"{issuer}\" }}]\n\
             cool_off_seconds = 3600\nwrite_deadline_ms = 4000\nbundle_poll_interval_ms = 100\n",
            own = self.peer_addresses[number - 1],
        );
        fs::write(self.path(number, "member.toml"), text).unwrap();
    }

    fn command(&self, number: usize) -> Command {
        let mut command = Command::new(EXECUTABLE);
        command.arg("serve").arg("--config").arg(self.path(number, "member.toml")).arg("--exit-with-stdin");
        command
    }

    pub fn start(&mut self, number: usize) {
        let log = fs::File::options().create(true).append(true).open(self.path(number, "stderr")).unwrap();
        let child = self.command(number).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let running = Running::ready(child).unwrap_or_else(|| panic!("no ready line: {}", self.stderr(number)));
        self.running[number - 1] = Some(running);
    }

    /// A start that has to fail: the exit code, and what is said on standard error.
    pub fn refuses_to_start(&self, number: usize) -> (Option<i32>, String) {
        let output = self.command(number).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.stdout, b"");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    pub fn stderr(&self, number: usize) -> String {
        fs::read_to_string(self.path(number, "stderr")).unwrap_or_default()
    }

    pub fn kill(&mut self, number: usize) {
        self.running[number - 1].take().unwrap().end("KILL");
    }

    pub fn stop(&mut self, number: usize) {
        let status = self.running[number - 1].take().unwrap().end("TERM");
        assert!(status.success(), "{}", self.stderr(number));
    }

    pub fn address(&self, number: usize) -> SocketAddr {
        self.running[number - 1].as_ref().unwrap().address
    }

    pub async fn status(&self, number: usize) -> MemberStatus {
        let answer = exchange_bytes(self.address(number), "GET /v1/status", &[]).await;
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Asks until the status is as wanted.
    pub async fn wait_for(&self, number: usize, wanted: impl Fn(&MemberStatus) -> bool) -> MemberStatus {
        let begun = Instant::now();
        loop {
            let status = self.status(number).await;
            if wanted(&status) {
                return status;
            }
            assert!(begun.elapsed() < DEADLINE, "{status:?}\n{}", self.stderr(number));
            tokio::task::yield_now().await;
        }
    }

    /// The member that leads, as all that run see it.
    pub async fn leader(&self) -> usize {
        let runs: Vec<usize> = (1..=3).filter(|number| self.running[number - 1].is_some()).collect();
        let begun = Instant::now();
        loop {
            let mut leaders = Vec::new();
            for number in &runs {
                leaders.push(self.status(*number).await.replica.and_then(|replica| replica.leader));
            }
            let of_running =
                |leader: &String| runs.iter().find(|number| *leader == format!("member-{number}")).copied();
            let first = leaders[0].as_ref().and_then(of_running);
            if let Some(leader) = first.filter(|_| leaders.iter().all(|it| *it == leaders[0])) {
                return leader;
            }
            assert!(begun.elapsed() < DEADLINE, "{leaders:?}");
            tokio::task::yield_now().await;
        }
    }

    /// The statement that a member has adopted, and its keys.
    pub async fn adopted(&self, number: usize) -> Digest {
        Digest::from_hex(&self.status(number).await.stapled.unwrap().statement).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            for number in 1..=3 {
                eprintln!("member {number}:\n{}", self.stderr(number));
            }
        }
    }
}

/// A member process; killed when dropped.
pub struct Running {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

impl Running {
    fn ready(mut child: Child) -> Option<Self> {
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.strip_prefix(r#"{"ready":true,"address":""#)?.strip_suffix("\"}\n")?.parse().unwrap();
        Some(Self { child, _stdout: stdout, address })
    }

    fn end(mut self, signal: &str) -> ExitStatus {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < DEADLINE, "it does not end");
            thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A copy of a folder and of everything in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
