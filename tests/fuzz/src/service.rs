//! Services in this process, so that the fuzzer sees the code behind HTTP: a true log and a true witness that are asked
//! anything, and a false log that answers anything.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};

use countermark_bundle::identity::{Name, Timestamp};
use countermark_bundle::{Namespace, PublicKey};
use countermark_client::fetch::{LogReader, Timeouts};
use countermark_keys::{KeyFile, Role, create_passphrase_file};
use countermark_log::command::{Command, CreateArgs};
use countermark_log::config::Config;
use countermark_signer_policy::access_token::{Audience, Claims, Issuer, KeySet, Scope, TokenKey, mint};
use countermark_tlog::note::{KeyName, SignatureType, VerifierKey};
use tokio::runtime::{Builder, Runtime};

const CONFIGURATION: &str = r#"
listen = "127.0.0.1:0"
authority = "fuzz.example"
token_keys = "token-keys.json"
database_folder = "databases"
register_folder = "register"
scrub_entries_per_second = 0

[[namespace]]
name = "digests"
kind = "raw"
witness_policy = "digests.policy"
log_key_file = "log.key"
passphrase_file = "passphrase"
"#;

const WITNESS_CONFIGURATION: &str = r#"
listen = "127.0.0.1:0"
name = "fuzz.example"
key_file = "witness.key"
passphrase_file = "passphrase"
state = "witness.sqlite"

[[log]]
origin = "log.example/backup"
vkeys = ["log.example/backup+550e6e5a+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"]
"#;

/// A log of opaque entries that runs until the process ends.
pub struct Log {
    token: String,
    connection: Connection,
}

impl Log {
    /// The one of this process.
    pub fn running() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let token = prepare();
            let (ready, address) = channel();
            thread::spawn(move || {
                let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
                let config = Config::load(&crate::folder("log").join("log.toml")).unwrap();
                let on_ready = |address| ready.send(address).unwrap();
                runtime.block_on(countermark_log::serve::serve(config, on_ready, std::future::pending())).unwrap();
            });
            let connection = Connection::to(address.recv().unwrap());
            // Before its first head a log says 503.
            while connection.ask("GET", "/digests/checkpoint", None, &[]) != 200 {
                thread::sleep(Duration::from_millis(10));
            }
            Self { token, connection }
        })
    }

    /// How it is reached.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A token that is good for everything here.
    pub fn token(&self) -> &str {
        &self.token
    }
}

/// A witness of the examples' log that runs until the process ends.
pub fn witness() -> &'static Connection {
    static WITNESS: OnceLock<Connection> = OnceLock::new();
    WITNESS.get_or_init(|| {
        let (ready, address) = channel();
        thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let config = countermark_witness::Config::parse(WITNESS_CONFIGURATION, &crate::folder("witness")).unwrap();
            let on_ready = |address| ready.send(address).unwrap();
            runtime.block_on(async {
                countermark_witness::init(&config).await.unwrap();
                countermark_witness::serve(config, on_ready, std::future::pending()).await.unwrap();
            });
        });
        Connection::to(address.recv().unwrap())
    })
}

/// A connection that is kept between two requests.
pub struct Connection {
    address: SocketAddr,
    stream: Mutex<Option<BufReader<TcpStream>>>,
}

impl Connection {
    const fn to(address: SocketAddr) -> Self {
        Self { address, stream: Mutex::new(None) }
    }

    /// Asks, and gives the status of the answer. A connection that the log closed is opened once more.
    pub fn ask(&self, method: &str, target: &str, token: Option<&str>, body: &[u8]) -> u16 {
        let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let length = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\nhost: log\r\n{bearer}content-length: {length}\r\n\r\n");
        let request = [head.as_bytes(), body].concat();
        let mut connection = self.stream.lock().unwrap();
        for _ in 0..2 {
            let stream = connection.get_or_insert_with(|| {
                let stream = TcpStream::connect(self.address).unwrap();
                stream.set_nodelay(true).unwrap();
                BufReader::new(stream)
            });
            match exchange(stream, &request) {
                Some((status, true)) => return status,
                Some((status, false)) => {
                    *connection = None;
                    return status;
                }
                None => *connection = None,
            }
        }
        panic!("no answer to {method} {target}");
    }
}

/// The status, and whether the connection goes on; `None` if it was closed before an answer.
fn exchange(stream: &mut BufReader<TcpStream>, request: &[u8]) -> Option<(u16, bool)> {
    stream.get_mut().write_all(request).ok()?;
    let mut line = String::new();
    if stream.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let (mut length, mut goes_on) = (0, true);
    loop {
        line.clear();
        stream.read_line(&mut line).ok()?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        goes_on &= header != "connection: close";
    }
    std::io::copy(&mut stream.take(length), &mut std::io::sink()).ok()?;
    Some((status, goes_on))
}

/// Makes the log, and a token for it.
fn prepare() -> String {
    let folder = crate::folder("log");
    let passphrase = folder.join("passphrase");
    create_passphrase_file(&passphrase).unwrap();
    let log = KeyFile::create(&folder.join("log.key"), Role::Log, &passphrase).unwrap();
    let key = hex(&log.public_key);
    let vkey = VerifierKey::new(KeyName::new("fuzz.example/digests").unwrap(), SignatureType::Ed25519, &key).unwrap();
    fs::write(folder.join("digests.policy"), format!("log {vkey}\nquorum none\n")).unwrap();
    let issuer_file = folder.join("issuer.key");
    KeyFile::create(&issuer_file, Role::TokenIssuer, &passphrase).unwrap();
    let signer = KeyFile::open_signer(&issuer_file, Role::TokenIssuer, &passphrase).unwrap();
    let issuer = Issuer::new("operator").unwrap();
    let key = PublicKey::ed25519(signer.public_key()).unwrap();
    let keys = KeySet::new(vec![TokenKey { issuer: issuer.clone(), key }]).unwrap();
    fs::write(folder.join("token-keys.json"), keys.write()).unwrap();
    let config = folder.join("log.toml");
    fs::write(&config, CONFIGURATION).unwrap();
    let create = Command::Create(CreateArgs { config, if_absent: false, owner_url_file: None });
    Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(countermark_log::command::run(create))
        .unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = Claims {
        issuer,
        subject: Name::parse("fuzzer").unwrap(),
        audience: Audience::new("fuzz.example").unwrap(),
        issued_at: Timestamp::from_unix(now).unwrap(),
        expires_at: Timestamp::from_unix(now + 86_400).unwrap(),
        token_id: None,
        namespaces: BTreeSet::from([Namespace::parse("digests").unwrap()]),
        scopes: Scope::ALL.into(),
    };
    mint(signer.as_ref(), &claims).unwrap()
}

fn hex(digits: &str) -> Vec<u8> {
    digits.as_bytes().chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// A server that says the same to whatever it is asked.
pub struct AnyAnswer {
    said: Mutex<Vec<u8>>,
    reader: OnceLock<LogReader>,
    runtime: OnceLock<Runtime>,
}

impl AnyAnswer {
    /// The one of this process.
    pub fn running() -> &'static Self {
        static ANSWERS: AnyAnswer =
            AnyAnswer { said: Mutex::new(Vec::new()), reader: OnceLock::new(), runtime: OnceLock::new() };
        ANSWERS.reader.get_or_init(|| {
            // Somebody else may have been first, with the same one.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let stream = stream.unwrap();
                    thread::spawn(move || ANSWERS.answer(stream));
                }
            });
            LogReader::new(&address, &Namespace::parse("backup").unwrap(), Timeouts::default()).unwrap()
        });
        &ANSWERS
    }

    /// A client of it.
    pub fn reader(&self) -> &LogReader {
        self.reader.get().expect("made with the server")
    }

    /// Waits for what a client does.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        self.runtime.get_or_init(runtime).block_on(work)
    }

    /// What is said from now on: the body of a success, or of a refusal.
    pub fn say(&self, refused: bool, body: &[u8]) {
        let status = if refused { "404 Not Found" } else { "200 OK" };
        let kind = if refused { "application/problem+json" } else { "application/octet-stream" };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
        *self.said.lock().unwrap() = [head.as_bytes(), body].concat();
    }

    fn answer(&self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        loop {
            line.clear();
            // None of the requests has a body: an empty line ends it.
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line == "\r\n" => {
                    let said = self.said.lock().unwrap().clone();
                    if reader.get_mut().write_all(&said).is_err() {
                        return;
                    }
                }
                Ok(_) => {}
            }
        }
    }
}
