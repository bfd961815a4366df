//! A log in PostgreSQL with the real program: made by the owner, served by the service, restarted in the middle.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use countermark_tests::postgres::{PostgresServer, SUPERUSER};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use crate::support::{DEADLINE, ends_with, json, program, request, signal};

const ORIGIN: &str = "log.example/digests";

/// Everything that a raw log without witnesses is configured with.
struct Place {
    folder: TempDir,
    server: PostgresServer,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), server: PostgresServer::start() };
        place.sql("postgres", "CREATE ROLE owner LOGIN CREATEROLE");
        place.sql("postgres", "CREATE DATABASE countermark OWNER owner");
        let log = place.key("log", &["--name", ORIGIN]);
        let policy = format!("log {}\nquorum none\n", log["vkey"].as_str().unwrap());
        fs::write(place.path("witnesses.policy"), policy).unwrap();
        fs::write(place.path("owner.url"), place.server.url("owner", "countermark")).unwrap();
        fs::write(place.path("service.url"), place.server.tcp_url("service", "countermark")).unwrap();
        let config = "listen = \"127.0.0.1:0\"\nauthority = \"log.example\"\n\
             register_folder = \"register\"\n\n[postgres]\nurl_file = \"service.url\"\n\n\
             [[namespace]]\nname = \"digests\"\nkind = \"raw\"\nwitness_policy = \"witnesses.policy\"\n\
             log_key_file = \"log.key\"\npassphrase_file = \"passphrase\"\n";
        fs::write(place.path("log.toml"), config).unwrap();
        place
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_string()
    }

    fn key(&self, role: &str, more: &[&str]) -> Value {
        let (file, passphrase) = (self.path(&format!("{role}.key")), self.path("passphrase"));
        let new = ["keys", "new", "--role", role, "--key-file", &file, "--passphrase-file", &passphrase];
        json(&[&new, more].concat())
    }

    fn sql(&self, database: &str, sql: &str) {
        let url = self.server.url(SUPERUSER, database);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    fn serve(&self) -> Served {
        let mut process = Command::new(program("countermark"))
            .args(["log", "serve", "--config", &self.path("log.toml")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.path("log.stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let said = || fs::read_to_string(self.path("log.stderr")).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it did not start: {}", said()));
        Served { process, _stdout: stdout, address: ready["address"].as_str().unwrap().to_string() }
    }
}

struct Served {
    process: Child,
    _stdout: BufReader<ChildStdout>,
    address: String,
}

impl Served {
    /// The published size, as soon as there is one.
    fn size(&self) -> u64 {
        let end = Instant::now() + DEADLINE;
        loop {
            let status = request(&self.address, "GET", "/v1/digests/status", &[]);
            let status: Value = serde_json::from_slice(&status).unwrap();
            if let Some(size) = status["size"].as_u64() {
                return size;
            }
            assert!(Instant::now() < end, "{status}");
            std::thread::yield_now();
        }
    }

    fn end(mut self) {
        signal(self.process.id(), "TERM");
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_log_in_postgresql_is_made_served_and_goes_on_after_its_server_was_restarted() {
    let mut place = Place::new();
    let config = place.path("log.toml");
    let create = ["log", "create", "--config", &config];
    // The service cannot even log in before the owner has made what it is a member of.
    let said = ends_with(1, &create);
    assert!(said.contains("database countermark at 127.0.0.1"), "{said}");
    let owner = place.path("owner.url");
    let said = ends_with(0, &["log", "migrate", "--config", &config, "--owner-url-file", &owner]);
    assert!(said.contains("the schema is up to date"), "{said}");
    place.sql("countermark", "CREATE ROLE service LOGIN IN ROLE countermark_log_service");
    let said = ends_with(0, &[&create[..], &["--owner-url-file", &owner]].concat());
    assert!(said.contains("log.example/digests: made, size 0"), "{said}");
    let said = ends_with(1, &create);
    assert!(said.contains("holds the log log.example/digests already"), "{said}");

    let served = place.serve();
    assert_eq!(served.size(), 0);
    place.server.restart();
    assert_eq!(served.size(), 0, "it goes on without its server");
    // Another process takes the log over from the database; nothing was forked by the one that it takes it from.
    let second = place.serve();
    assert_eq!(second.size(), 0);
    served.end();
    second.end();
    place.server.kill();
    place.server.run();
    let again = place.serve();
    assert_eq!(again.size(), 0);
    again.end();
    place.sql("countermark", "GRANT DELETE ON countermark_log.entry TO service");
    let said = ends_with(1, &["log", "serve", "--config", &config]);
    assert!(said.contains("may change or delete rows of entry"), "{said}");
}
