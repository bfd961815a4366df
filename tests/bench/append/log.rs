//! The log as a real process with one `raw` namespace that asks no witness.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The namespace.
pub const NAMESPACE: &str = "digests";

/// Longer than publishing may take.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Log {
    folder: TempDir,
    process: Child,
    address: String,
    token: String,
}

impl Log {
    pub fn start() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        configure(folder.path());
        let config = folder.path().join("log.toml");
        run(&["log", "create", "--config", config.to_str().unwrap()]);
        let token = token(folder.path());
        let mut process = Command::new(program())
            .args(["log", "serve", "--exit-with-stdin", "--config", config.to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("log.log")).unwrap())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let address = ready["address"].as_str().unwrap().to_owned();
        Self { folder, process, address, token }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// The published size.
    pub fn size(&self) -> u64 {
        self.status()["size"].as_u64().unwrap()
    }

    pub fn until_published(&self, size: u64) {
        let end = Instant::now() + PATIENCE;
        while self.size() < size {
            assert!(Instant::now() < end, "{} of {size} are published", self.size());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The number of heads that were signed.
    pub fn heads(&self) -> u64 {
        let path = self.folder.path().join(format!("databases/{NAMESPACE}.sqlite"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let heads: i64 = runtime.block_on(async {
            use sqlx::ConnectOptions as _;
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).read_only(true);
            let mut connection = options.connect().await.unwrap();
            sqlx::query_scalar("SELECT count(*) FROM signed_head").fetch_one(&mut connection).await.unwrap()
        });
        heads.try_into().unwrap()
    }

    /// CPU time so far, and the most memory, in MiB.
    pub fn used(&self) -> (Duration, u64) {
        cpu_and_peak(&self.process.id().to_string())
    }

    pub fn stop(&mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }

    fn status(&self) -> Value {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(&self.address).unwrap();
        let request = format!("GET /v1/{NAMESPACE}/status HTTP/1.1\r\nhost: log\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// CPU time and peak memory in MiB of a process, `self` for this one.
pub fn cpu_and_peak(process: &str) -> (Duration, u64) {
    const TICKS_PER_SECOND: u64 = 100;
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    (Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND), peak / 1024)
}

pub fn program() -> PathBuf {
    let folder = std::env::var_os("COUNTERMARK_BIN_DIR").expect("COUNTERMARK_BIN_DIR names the folder of the programs");
    Path::new(&folder).join("countermark")
}

pub fn run(arguments: &[&str]) -> String {
    let output = Command::new(program()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn key(folder: &Path, role: &str, name: Option<&str>) -> Value {
    let (file, passphrase) = (folder.join(format!("{role}.key")), folder.join("passphrase"));
    let mut arguments = vec!["keys", "new", "--json", "--role", role];
    arguments.extend(["--key-file", file.to_str().unwrap(), "--passphrase-file", passphrase.to_str().unwrap()]);
    arguments.extend(name.into_iter().flat_map(|name| ["--name", name]));
    serde_json::from_str(&run(&arguments)).unwrap()
}

fn configure(folder: &Path) {
    let log = key(folder, "log", Some("log.example/digests"));
    let policy = format!("log {}\nquorum none\n", log["vkey"].as_str().unwrap());
    fs::write(folder.join("policy"), policy).unwrap();
    let issuer = key(folder, "token-issuer", None);
    let keys = folder.join("token-keys.json");
    let public_key = issuer["public_key"].as_str().unwrap();
    run(&["token", "keyset", "--issuer", "load", "--public-key", public_key, "--out", keys.to_str().unwrap()]);
    let text = format!(
        "listen = \"127.0.0.1:0\"\nauthority = \"log.example\"\ntoken_keys = \"token-keys.json\"\n\
         database_folder = \"databases\"\nregister_folder = \"register\"\n\n[[namespace]]\nname = \"{NAMESPACE}\"\n\
         kind = \"raw\"\nwitness_policy = \"policy\"\nlog_key_file = \"log.key\"\npassphrase_file = \"passphrase\"\n"
    );
    fs::write(folder.join("log.toml"), text).unwrap();
}

fn token(folder: &Path) -> String {
    let (key, passphrase) = (folder.join("token-issuer.key"), folder.join("passphrase"));
    let files = ["--key-file", key.to_str().unwrap(), "--passphrase-file", passphrase.to_str().unwrap()];
    let mut arguments = vec!["token", "new", "--issuer", "load", "--subject", "load", "--audience", "log.example"];
    arguments.extend(["--namespace", NAMESPACE, "--scope", "entries", "--ttl-seconds", "86400"]);
    arguments.extend(files);
    run(&arguments).trim().to_owned()
}
