//! A member's folder with its vendor's beside it, a running member, and the smallest HTTP client.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use countermark_bundle::identity::{Digest, Timestamp};
use countermark_bundle::key::PublicKey;
use countermark_keys::{KeyFile, Role, create_passphrase_file};
use countermark_vault::endorse::Endorsement;
use countermark_vault::{Config, ServeError, serve};
use countermark_vault_core::member::{UntrustedMemberReport, VerifiedMemberReport};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A folder with the configuration of a member, and its vendor's key.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        create_passphrase_file(&home.path("vendor.passphrase")).unwrap();
        KeyFile::create(&home.path("vendor.key"), Role::Vendor, &home.path("vendor.passphrase")).unwrap();
        home.write_config("127.0.0.1:0");
        home
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn config(&self) -> Config {
        Config::load(&self.path("member.toml")).unwrap()
    }

    /// The key under which this member takes attestations.
    pub fn vendor_key(&self) -> PublicKey {
        let info = KeyFile::public(&self.path("vendor.key")).unwrap();
        let json = format!(r#"{{"algorithm":"ed25519","public_key":"{}"}}"#, info.public_key);
        serde_json::from_str(&json).unwrap()
    }

    pub fn write_config(&self, listen: &str) {
        let vendor = KeyFile::public(&self.path("vendor.key")).unwrap().public_key;
        let text = format!(
            "listen = {listen:?}\norigin = \"log.example/backup\"\nfleet_id = \"fleet-1\"\n\
             member_id = \"member-1\"\nfailure_domain = \"site-1\"\nidentity_key_file = \"identity.key\"\n\
             session_key_file = \"session.key\"\npassphrase_file = \"passphrase\"\n\
             attestation_file = \"attestation.json\"\n\
             vendor_keys = [{{ algorithm = \"ed25519\", public_key = \"{vendor}\" }}]\n"
        );
        fs::write(self.path("member.toml"), text).unwrap();
    }

    /// What this home's vendor is told to do about the member at an address.
    pub fn endorsement(&self, address: SocketAddr, software_sha256: Digest) -> Endorsement {
        Endorsement {
            member: format!("http://{address}"),
            vendor_key_file: self.path("vendor.key"),
            passphrase_file: self.path("vendor.passphrase"),
            software_sha256,
            now: Timestamp::from_unix(1_795_253_400).unwrap(),
        }
    }
}

/// A member that serves inside this process.
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

    pub async fn report(&self) -> VerifiedMemberReport {
        report(self.address).await
    }
}

/// The report of the member at an address, verified.
pub async fn report(address: SocketAddr) -> VerifiedMemberReport {
    let answer = exchange(address, "GET /v1/member", &[]).await;
    assert_eq!(answer.status, 200);
    UntrustedMemberReport::parse(answer.body.as_bytes()).unwrap().verify().unwrap()
}

pub async fn put_attestation(address: SocketAddr, attestation: &[u8]) -> Answer {
    exchange(address, "PUT /v1/attestation", attestation).await
}

pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// One request on a connection of its own.
pub async fn exchange(address: SocketAddr, line: &str, body: &[u8]) -> Answer {
    read_answer(send(address, line, body).await).await
}

pub struct BytesAnswer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// One request on a connection of its own, answered in octets.
pub async fn exchange_bytes(address: SocketAddr, line: &str, body: &[u8]) -> BytesAnswer {
    let mut answer = Vec::new();
    send(address, line, body).await.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    BytesAnswer { status, body: answer.split_off(end + 4) }
}

async fn send(address: SocketAddr, line: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("{line} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream
}

/// The answer on a connection, to its end.
pub async fn read_answer(mut stream: TcpStream) -> Answer {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, body: body.to_owned() }
}
