//! `add-checkpoint` of the real program over HTTP, for one log and for 10,000, beside what it cannot do without: one
//! Ed25519 verification and one durable commit for each request, one after the other.
//!
//! Prints a line for each: requests in a second, the ratio to the baseline, p50 and p99; and the most memory that the
//! program had. `--quick` shows in seconds that it runs; its figures are noise.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countermark_service::tls::install_provider;
use countermark_tlog::checkpoint::{Checkpoint, Origin};
use countermark_tlog::edge::RightEdge;
use countermark_tlog::hash::{Hash, leaf_hash};
use countermark_tlog::note::{KeyName, NoteSignature, SignatureType, SignedNote, VerifierKey};
use countermark_tlog::size::TreeSize;
use countermark_tlog::tree::{HashReader, NodeCoord, prove_consistency};
use countermark_tlog::witness_wire::AddCheckpointRequest;
use ed25519_dalek::{Signer as _, SigningKey};
use sqlx::Connection as _;
use tokio::task::JoinSet;

/// Connections that are kept open.
const CONNECTIONS: usize = 64;

struct Nodes(HashMap<NodeCoord, Hash>);

impl HashReader for Nodes {
    type Error = Infallible;

    fn read(&self, nodes: &[NodeCoord]) -> Result<Vec<Hash>, Infallible> {
        Ok(nodes.iter().map(|node| self.0[node]).collect())
    }
}

/// Requests of one log, each from one size to the next.
struct Log {
    vkey: String,
    requests: Vec<Vec<u8>>,
}

impl Log {
    fn new(number: usize, heads: usize) -> Self {
        let origin = Origin::new(&format!("log-{number}.example/bench")).unwrap();
        let key = SigningKey::from_bytes(&[7; 32]);
        let name = KeyName::new(origin.as_str()).unwrap();
        let vkey = VerifierKey::new(name, SignatureType::Ed25519, key.verifying_key().as_bytes()).unwrap();
        let (mut edge, mut nodes) = (RightEdge::empty(), Nodes(HashMap::new()));
        let mut requests = Vec::with_capacity(heads);
        for entry in 0..heads {
            let leaf = leaf_hash(format!("entry {entry}").as_bytes());
            edge.append(leaf, &mut |node, hash| {
                nodes.0.insert(node, hash);
            })
            .unwrap();
            let size = |entries: usize| TreeSize::new(u64::try_from(entries).unwrap()).unwrap();
            let (old, new) = (size(entry), size(entry + 1));
            let text = Checkpoint { origin: origin.clone(), size: new, root: edge.root() }.text();
            let line = NoteSignature::new(&vkey, &key.sign(text.as_bytes()).to_bytes());
            let checkpoint = SignedNote::new(&text, vec![line]).unwrap().to_bytes();
            let proof = prove_consistency(old, new, &nodes).unwrap();
            requests.push(AddCheckpointRequest { old, proof, checkpoint }.to_bytes());
        }
        Self { vkey: vkey.to_string(), requests }
    }
}

/// The program, and where it answers.
struct Witness {
    process: Child,
    url: String,
}

impl Witness {
    fn start(folder: &Path, logs: &[Log]) -> Self {
        let mut list = String::from("logs/v0\n");
        for log in logs {
            writeln!(list, "vkey {}\nqpd 1000000000\ncontact bench", log.vkey).unwrap();
        }
        std::fs::write(folder.join("logs"), list).unwrap();
        let config = folder.join("witness.toml");
        let text = "listen = \"127.0.0.1:0\"\nname = \"witness.example/bench\"\nkey_file = \"witness.key\"\n\
                    ml_dsa_44_key_file = \"ml-dsa.key\"\npassphrase_file = \"passphrase\"\nstate = \"state.sqlite\"\n\
                    log_lists = [\"logs\"]\n";
        std::fs::write(&config, text).unwrap();
        let program = env!("CARGO_BIN_EXE_countermark-witness");
        let made = Command::new(program).args(["init", "--config"]).arg(&config).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut command = Command::new(program);
        command.args(["serve", "--exit-with-stdin", "--config"]).arg(&config);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self { url: format!("http://{}/add-checkpoint", ready["address"].as_str().unwrap()), process }
    }

    /// The most memory that it had so far, in MiB.
    fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends every request, those of one log in turn, and gives the time of each.
async fn send(url: &str, logs: Arc<Vec<Log>>) -> (Duration, Vec<Duration>) {
    let (next, client) = (Arc::new(AtomicUsize::new(0)), reqwest::Client::new());
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..CONNECTIONS.min(logs.len()) {
        let (logs, next, client, url) = (Arc::clone(&logs), Arc::clone(&next), client.clone(), url.to_owned());
        tasks.spawn(async move {
            let mut times = Vec::new();
            while let Some(log) = logs.get(next.fetch_add(1, Ordering::Relaxed)) {
                for request in &log.requests {
                    let asked = Instant::now();
                    let answer = client.post(&url).body(request.clone()).send().await.unwrap();
                    assert_eq!(answer.status().as_u16(), 200, "{}", answer.text().await.unwrap());
                    answer.bytes().await.unwrap();
                    times.push(asked.elapsed());
                }
            }
            times
        });
    }
    let times = tasks.join_all().await.concat();
    (begun.elapsed(), times)
}

/// Verifications and durable commits in a second, one after the other.
async fn baseline(folder: &Path, count: usize) -> f64 {
    let file = format!("sqlite://{}?mode=rwc", folder.join("baseline.sqlite").display());
    let mut connection = sqlx::SqliteConnection::connect(&file).await.unwrap();
    for statement in
        ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE head (size INTEGER, note BLOB)"]
    {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let key = SigningKey::from_bytes(&[7; 32]);
    let (note, verifying) = ([9; 300], key.verifying_key());
    let signature = key.sign(&note);
    let begun = Instant::now();
    for size in 0..count {
        verifying.verify_strict(&note, &signature).unwrap();
        let insert = sqlx::query("INSERT INTO head VALUES (?, ?)").bind(i64::try_from(size).unwrap());
        insert.bind(note.as_slice()).execute(&mut connection).await.unwrap();
    }
    rate(count, begun.elapsed())
}

fn rate(count: usize, elapsed: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / elapsed.as_secs_f64()
}

#[tokio::main]
async fn main() {
    install_provider();
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let (single, many, each) = if is_quick { (50, 200, 2) } else { (5_000, 10_000, 3) };
    let folder = tempfile::tempdir().unwrap();
    let base = baseline(folder.path(), single).await;
    println!("baseline  {base:>8.0} /s   one Ed25519 verification and one durable commit, one after the other");
    for (logs, heads) in [(1, single), (many, each)] {
        let folder = tempfile::tempdir().unwrap();
        let logs = Arc::new((0..logs).map(|number| Log::new(number, heads)).collect::<Vec<_>>());
        let witness = Witness::start(folder.path(), &logs);
        let (elapsed, mut times) = send(&witness.url, Arc::clone(&logs)).await;
        times.sort();
        let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
        let found = rate(times.len(), elapsed);
        println!(
            "{:>6} logs {found:>6.0} /s   {:.2} of the baseline; p50 {:.2} ms, p99 {:.2} ms; {} MiB at most; both signature types",
            logs.len(),
            found / base,
            at(50),
            at(99),
            witness.peak_mib(),
        );
    }
}
