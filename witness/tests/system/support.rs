//! A witness's folder, a running witness, and the smallest HTTP client.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use countermark_tlog::cosignature::Cosignature;
use countermark_tlog::note::{KeyName, SignatureType, VerifierKey};
use countermark_tlog::witness_wire::parse_cosignature_lines;
use countermark_witness::{Config, ServeError, serve};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::log::TestLog;

/// A folder with the configuration of a witness that follows these logs.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new(logs: &[&TestLog]) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        let logs: Vec<_> = logs.iter().map(|log| (log.origin.as_str(), log.vkey())).collect();
        home.write_config("127.0.0.1:0", &logs);
        home
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn config(&self) -> Config {
        Config::load(&self.path("witness.toml")).unwrap()
    }

    /// The configuration with a log whose Ed25519 key is these bytes.
    pub fn config_following(&self, origin: &str, key: &[u8]) -> Config {
        let vkey = VerifierKey::new(KeyName::new(origin).unwrap(), SignatureType::Ed25519, key).unwrap();
        self.write_config("127.0.0.1:0", &[(origin, vkey)]);
        self.config()
    }

    pub fn write_config(&self, listen: &str, logs: &[(&str, VerifierKey)]) {
        let sections: Vec<String> = logs
            .iter()
            .map(|(origin, vkey)| format!("\n[[log]]\norigin = {origin:?}\nvkeys = [\"{vkey}\"]\n"))
            .collect();
        let sections = sections.concat();
        let text = format!(
            "listen = {listen:?}\nname = \"witness.example/w1\"\nkey_file = \"witness.key\"\n\
             passphrase_file = \"witness.passphrase\"\nstate = \"witness.sqlite\"\n{sections}"
        );
        fs::write(self.path("witness.toml"), text).unwrap();
    }
}

/// A witness that serves inside this process.
pub struct Running {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    pub async fn start(config: Config) -> Self {
        let (ready, is_ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move {
            let shutdown = async { stopped.await.unwrap() };
            serve(config, |address| ready.send(address).unwrap(), shutdown).await
        });
        Self { address: is_ready.await.unwrap(), stop, served }
    }

    pub async fn stop(self) -> Result<(), ServeError> {
        self.stop.send(()).unwrap();
        self.served.await.unwrap()
    }

    pub async fn post(&self, body: Vec<u8>) -> Answer {
        post(self.address, body).await
    }
}

pub struct Answer {
    pub status: u16,
    pub body: String,
}

pub async fn post(address: SocketAddr, body: Vec<u8>) -> Answer {
    exchange(address, "POST /add-checkpoint", body).await
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    exchange(address, &format!("GET /{path}"), Vec::new()).await
}

/// `None` if the process is gone before it has answered.
pub async fn try_post(address: SocketAddr, body: Vec<u8>) -> Option<Answer> {
    try_exchange(address, "POST /add-checkpoint", body).await
}

pub async fn exchange(address: SocketAddr, line: &str, body: Vec<u8>) -> Answer {
    try_exchange(address, line, body).await.unwrap()
}

/// One request on a connection of its own.
async fn try_exchange(address: SocketAddr, line: &str, body: Vec<u8>) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let head =
        format!("{line} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(&body).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

/// Verifies the one cosignature line in `lines` over `text`.
pub fn verify_cosignature(lines: &str, key: &VerifierKey, text: &str) {
    let lines = parse_cosignature_lines(lines.as_bytes()).unwrap();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].is_of(key));
    Cosignature::from_note_signature(&lines[0]).unwrap().verify(key, text).unwrap();
}
