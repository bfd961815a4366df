use std::fs;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::config::house::{House, PATIENCE, register_file};
use crate::create::create;
use countermark_migrations::{Database, Open, OpenError, open_sqlite};

/// A service that is running in a task of its own.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    async fn begin(house: &House) -> Result<Self, ServeError> {
        Self::begin_with(house, house.config()).await
    }

    async fn begin_with(house: &House, config: Config) -> Result<Self, ServeError> {
        let (ready, is_ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let outside = house.outside();
        let task = tokio::spawn(async move {
            let on_ready = |address| ready.send(address).unwrap();
            serve_with(config, &outside, on_ready, async { stopped.await.unwrap() }).await
        });
        match timeout(PATIENCE, is_ready).await.unwrap() {
            Ok(address) => Ok(Self { address, stop, task }),
            Err(_) => Err(task.await.unwrap().unwrap_err()),
        }
    }

    /// Sends a request and reads until the server closes.
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: log\r\nconnection: close\r\n\r\n")).await
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

async fn made(namespaces: &[&str]) -> House {
    let house = House::new(namespaces);
    create(&house.config(), None, false, &house.outside()).await.unwrap();
    house
}

#[tokio::test]
async fn a_log_that_was_made_is_served_and_served_again() {
    let house = made(&["backup", "keys"]).await;
    for _ in 0..2 {
        let running = Running::begin(&house).await.unwrap();
        assert_ne!(running.address.port(), 0);
        for name in ["backup", "keys"] {
            let status = running.get(&format!("/v1/{name}/status")).await;
            assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        }
        running.end().await;
    }
}

#[tokio::test]
async fn a_log_whose_register_a_crash_kept_from_being_written_is_registered_by_serving_it() {
    let house = made(&["backup"]).await;
    fs::remove_file(register_file(&house, "backup")).unwrap();
    Running::begin(&house).await.unwrap().end().await;
    assert!(register_file(&house, "backup").exists());
}

#[tokio::test]
async fn a_taken_address_is_named_and_the_one_who_has_it_goes_on() {
    let house = made(&["backup"]).await;
    let running = Running::begin(&house).await.unwrap();
    let mut config = house.config();
    config.listen = running.address;
    let refused = Running::begin_with(&house, config).await.err().unwrap();
    assert!(
        matches!(refused, ServeError::Bind(BindError::AddressInUse { address }) if address == running.address),
        "{refused}"
    );
    let status = running.get("/v1/backup/status").await;
    assert!(status.contains("\"state\":\"serving\""), "the writer was not fenced off: {status}");
    running.end().await;
}

#[tokio::test]
async fn an_address_of_another_machine_cannot_be_listened_on() {
    let house = made(&["backup"]).await;
    let mut config = house.config();
    config.listen = "192.0.2.1:80".parse().unwrap();
    let refused = Running::begin_with(&house, config).await.err().unwrap();
    assert!(matches!(refused, ServeError::Bind(BindError::Refused { .. })), "{refused}");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let house = made(&["backup"]).await;
    let mut config = house.config();
    config.token_keys = Some(house.path("none.json"));
    let refused = Running::begin_with(&house, config).await.err().unwrap();
    assert!(matches!(refused, ServeError::TokenKeys(_)), "{refused}");
    fs::rename(house.path("register"), house.path("moved")).unwrap();
    let refused = Running::begin(&house).await.err().unwrap();
    assert!(matches!(refused, ServeError::Register(_)), "{refused}");
    fs::rename(house.path("moved"), house.path("register")).unwrap();
    let config = house.config();
    fs::remove_file(house.path("backup/log.key")).unwrap();
    let refused = Running::begin_with(&house, config).await.err().unwrap();
    let ServeError::Namespace { namespace, source } = refused else { panic!("{refused}") };
    assert_eq!(namespace, "backup");
    assert!(matches!(*source, ServeNamespaceError::Open(_)), "{source}");
}

#[tokio::test]
async fn a_namespace_that_does_not_start_stops_the_others_again() {
    let house = made(&["backup", "keys"]).await;
    let lost = house.path("databases/keys.sqlite");
    fs::rename(&lost, house.path("keys.sqlite")).unwrap();
    let refused = Running::begin(&house).await.err().unwrap();
    let ServeError::Namespace { namespace, source } = refused else { panic!("{refused}") };
    assert_eq!(namespace, "keys");
    assert!(
        matches!(*source, ServeNamespaceError::Database(OpenStoreError::File(OpenError::Missing { .. }))),
        "{source}"
    );
    fs::rename(house.path("keys.sqlite"), &lost).unwrap();
    Running::begin(&house).await.unwrap().end().await;
}

#[tokio::test]
async fn a_database_that_forgot_what_was_signed_is_not_served() {
    let house = made(&["backup"]).await;
    let path = house.path("databases/backup.sqlite");
    fs::remove_file(&path).unwrap();
    for sidecar in ["-wal", "-shm"] {
        let _ = fs::remove_file(house.path(&format!("databases/backup.sqlite{sidecar}")));
    }
    open_sqlite(&path, Database::Log, Open::CreateNew).await.unwrap().close().await;
    let refused = Running::begin(&house).await.err().unwrap();
    let ServeError::Namespace { source, .. } = refused else { panic!("{refused}") };
    assert!(matches!(*source, ServeNamespaceError::Start(_)), "{source}");
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_end() {
    let house = made(&["backup"]).await;
    let running = Running::begin(&house).await.unwrap();
    let address = running.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Half a request: the server has it, and waits for the rest.
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: log\r\n").await.unwrap();
    let mut other = TcpStream::connect(address).await.unwrap();
    other.write_all(b"POST /v1/backup/entries HTTP/1.1\r\nhost: log\r\ncontent-length: 5\r\n\r\n12").await.unwrap();
    // An answer on a third connection shows that both have been read.
    assert!(running.get("/healthz").await.contains("\"up\":true"));
    running.stop.send(()).unwrap();
    other.write_all(b"345").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, other.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.contains("submissions-closed"), "{answer}");
    drop(stream);
    timeout(PATIENCE, running.task).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let house = made(&["backup"]).await;
    let keys = crate::testing::TestSigner::new(countermark_keys::Role::TokenIssuer, 50);
    let token_file = house.path("keys.json");
    let bearer = crate::auth::tests::issue(&token_file, &keys, "backup");
    let mut config = house.config();
    config.token_keys = Some(token_file);
    let running = Running::begin_with(&house, config).await.unwrap();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head = format!(
        "POST /v1/backup/entries HTTP/1.1\r\nhost: log\r\nauthorization: {bearer}\r\ncontent-length: 9\r\n\r\n12"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.contains("body-unreadable"), "{answer}");
    running.end().await;
}
