//! Secrets are planted everywhere, every service says all that it can say, and nothing that any of them writes or answers has
//! one of them: passphrases, keys, tokens that count and tokens that do not, passwords of users and of databases.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countermark_bundle::identity::{Name, Namespace, Timestamp};
use countermark_keys::{KeyFile, Role};
use countermark_signer_policy::access_token::{Audience, Claims, Issuer, Scope, mint};
use countermark_tests::s3_server::{BUCKET, S3Server};
use serde_json::Value;

use crate::support::{DEADLINE, Home, program, text};

#[path = "markers/secret.rs"]
mod secret;

use secret::Secret;

const PASSWORD: &str = "planted: the password of a user, \u{e4}\"/+";
const WRONG_PASSPHRASE: &str = "planted-passphrase-that-opens-nothing-at-all";
const POSTGRES_PASSWORD: &str = "planted-password-of-postgresql";
const S3_SECRET: &str = "planted-secret-key-of-a-bucket";
const S3_SESSION: &str = "planted-session-token-of-a-bucket";
const BASIC: &str = "planted-user:planted-password";

/// What was planted, and everything that was written or answered.
#[derive(Default)]
struct Book {
    secrets: Vec<Secret>,
    written: Vec<(String, String)>,
}

impl Book {
    fn plant(&mut self, what: &str, bytes: &[u8]) {
        self.secrets.push(Secret::new(what, bytes));
    }

    fn keep(&mut self, from: impl Into<String>, bytes: &[u8]) {
        self.written.push((from.into(), text(bytes)));
    }

    /// Runs a verb at RUST_LOG=trace, and keeps all that it prints. Whether it succeeded.
    fn run(&mut self, arguments: &[&str]) -> bool {
        let mut command = Command::new(program("countermark"));
        let output = command.args(arguments).env("RUST_LOG", "trace").stdin(Stdio::null()).output().unwrap();
        let name = format!("countermark {} {}", arguments[0], arguments[1]);
        self.keep(format!("{name}, standard output"), &output.stdout);
        self.keep(format!("{name}, standard error"), &output.stderr);
        output.status.success()
    }

    /// One request, whatever the answer. Its status.
    fn ask(&mut self, url: &str, method: &str, path: &str, authorization: &[&str], body: &[u8]) -> u16 {
        let address = url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let headers =
            authorization.iter().map(|value| format!("authorization: {value}\r\n")).collect::<Vec<_>>().concat();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.0\r\nhost: {address}\r\n{headers}content-length: {length}\r\n\r\n")
            .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        self.keep(format!("the answer to {method} at {address}"), &answer);
        text(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// Every secret that stands somewhere, and where.
    fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (from, written) in &self.written {
            for secret in &self.secrets {
                if let Some(form) = secret.is_in(written) {
                    let line = written.lines().find(|line| line.contains(form)).unwrap_or_default();
                    let line: String = line.chars().take(300).collect();
                    found.push(format!("{} stands in {from}: {line}", secret.what));
                }
            }
        }
        found
    }
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Every passphrase below a folder, and every private key that one of them opens.
fn plant_keys(book: &mut Book, folder: &Path) {
    let mut paths = Vec::new();
    files(folder, &mut paths);
    let named = |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains("passphrase"));
    let passphrases: Vec<String> =
        paths.iter().filter(named).map(|path| fs::read_to_string(path).unwrap().trim().to_owned()).collect();
    for passphrase in &passphrases {
        book.plant("a passphrase", passphrase.as_bytes());
    }
    let mut keys = 0;
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "key")) {
        let document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let sealed = STANDARD.decode(document["sealed"].as_str().unwrap()).unwrap();
        let plain = passphrases.iter().find_map(|passphrase| open(&sealed, passphrase));
        let plain: Value =
            serde_json::from_slice(&plain.unwrap_or_else(|| panic!("{} does not open", path.display()))).unwrap();
        let seed = hex::decode(plain["secret"].as_str().unwrap()).unwrap();
        book.plant(&format!("the key {}", path.file_name().unwrap().display()), &seed);
        keys += 1;
    }
    assert!(passphrases.len() >= 8 && keys >= 14, "{} passphrases, {keys} keys", passphrases.len());
}

fn open(sealed: &[u8], passphrase: &str) -> Option<Vec<u8>> {
    let identity = age::scrypt::Identity::new(age::secrecy::SecretString::from(passphrase));
    let decryptor = age::Decryptor::new_buffered(sealed).ok()?;
    let mut plain = Vec::new();
    decryptor.decrypt(std::iter::once::<&dyn age::Identity>(&identity)).ok()?.read_to_end(&mut plain).ok()?;
    Some(plain)
}

fn now() -> Timestamp {
    Timestamp::from_unix(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

/// A token of the operator's issuer that was made so many seconds ago and lives an hour.
fn token(home: &Home, seconds_ago: u64) -> String {
    let folder = home.data().join("operator");
    let signer =
        KeyFile::open_signer(&folder.join("token-issuer.key"), Role::TokenIssuer, &folder.join("passphrase")).unwrap();
    let issued_at = Timestamp::from_unix(now().unix() - seconds_ago).unwrap();
    let claims = Claims {
        issuer: Issuer::new("operator").unwrap(),
        subject: Name::parse("planted").unwrap(),
        audience: Audience::new("countermark.localhost").unwrap(),
        issued_at,
        expires_at: issued_at.plus(3_600),
        token_id: None,
        namespaces: BTreeSet::from([Namespace::parse("backup").unwrap()]),
        scopes: BTreeSet::from(Scope::ALL),
    };
    mint(signer.as_ref(), &claims).unwrap()
}

/// Submits with tokens that count and tokens that do not, in every wrong place.
fn submit(book: &mut Book, home: &Home) {
    let (valid, expired) = (token(home, 5), token(home, 86_400));
    // Another signature of the same length.
    let (signed, signature) = valid.rsplit_once('.').unwrap();
    let other = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    let malformed = format!("{valid}.planted-fourth-segment");
    let basic = STANDARD.encode(BASIC);
    for (what, token) in [("a token", &valid), ("an expired token", &expired), ("a forged token", &other)] {
        book.secrets.extend(Secret::token(what, token));
    }
    book.plant("a malformed token", malformed.as_bytes());
    book.plant("a password of another scheme", BASIC.as_bytes());
    let log = home.log_url();
    let entry = home.get("/v1/backup/entries/2");
    let bearer = |token: &str| format!("Bearer {token}");
    let post = "/v1/backup/entries";
    for (authorization, status) in [
        (vec![bearer(&valid)], 200),
        (vec![bearer(&expired)], 401),
        (vec![bearer(&other)], 401),
        (vec![bearer(&malformed)], 401),
        (vec![valid.clone()], 401),
        (vec![format!("Basic {basic}")], 401),
        (vec![format!("bearer  {valid}")], 401),
        (vec![bearer(&valid), bearer(&expired)], 401),
    ] {
        let authorization: Vec<&str> = authorization.iter().map(String::as_str).collect();
        assert_eq!(book.ask(&log, "POST", post, &authorization, &entry), status, "{authorization:?}");
    }
    assert_eq!(book.ask(&log, "POST", "/v1/backup/statements", &[&bearer(&valid)], b"{}"), 400);
    assert_eq!(book.ask(&log, "POST", post, &[&bearer(&valid)], valid.as_bytes()), 400, "a token as a body");
    assert_eq!(book.ask(&log, "POST", &format!("{post}?wait={valid}"), &[], b""), 400);
    assert_eq!(book.ask(&log, "POST", "/v1/other/entries", &[&bearer(&valid)], b""), 404);
    assert_eq!(book.ask(&log, "DELETE", post, &[&bearer(&valid)], b""), 405);
    for path in ["/v1/backup/status", "/v1/status", "/readyz", "/nothing"] {
        book.ask(&log, "GET", path, &[&bearer(&valid)], b"");
        book.ask(&log, "GET", &format!("{path}?access_token={valid}"), &[], b"");
    }
}

/// The same tokens at services that take none.
fn stray(book: &mut Book, home: &Home) {
    let token = token(home, 10);
    book.secrets.extend(Secret::token("a stray token", &token));
    let journal: Value = serde_json::from_slice(&fs::read(home.data().join("countermark-up.json")).unwrap()).unwrap();
    let port = |value: &Value| format!("http://127.0.0.1:{value}");
    let ports = &journal["ports"];
    let authorization = format!("Bearer {token}");
    for (url, path) in [
        (port(&ports["witnesses"][0]), "/add-checkpoint"),
        (port(&ports["countersigner"]), "/v1/status"),
        (home.member_url(0), "/v1/sessions"),
    ] {
        for method in ["GET", "POST"] {
            book.ask(&url, method, path, &[&authorization], token.as_bytes());
            book.ask(&url, method, &format!("{path}?token={token}"), &[&authorization], b"");
        }
    }
}

/// A user's session with the fleet: a password that is right, one that is wrong.
fn recover(book: &mut Book, home: &Home) {
    let path = |name: &str| home.path(name).to_str().unwrap().to_owned();
    let [key, passphrase, account] = ["proof.key", "proof.passphrase", "account.jwt"].map(path);
    assert!(book.run(&[
        "keys",
        "new",
        "--role",
        "account-proof",
        "--key-file",
        &key,
        "--passphrase-file",
        &passphrase
    ]));
    let public: Value = serde_json::from_slice(&fs::read(&key).unwrap()).unwrap();
    let public = public["public_key"].as_str().unwrap().to_owned();
    let accounts = home.data().join("accounts");
    let [issuer, opens] = ["account-issuer.key", "passphrase"].map(|name| accounts.join(name).display().to_string());
    let origin = "countermark.localhost/backup";
    assert!(book.run(&[
        "token",
        "account",
        "--key-file",
        &issuer,
        "--passphrase-file",
        &opens,
        "--issuer",
        "accounts.localhost",
        "--subject",
        "planted-user",
        "--origin",
        origin,
        "--fleet",
        "fleet-1",
        "--proof-public-key",
        &public,
        "--out",
        &account,
    ]));
    book.plant("an account token", fs::read_to_string(&account).unwrap().trim().as_bytes());
    let wrong = format!("{PASSWORD}, but wrong");
    for (name, password) in [("right", PASSWORD), ("wrong", &wrong)] {
        book.plant("a user's password", password.as_bytes());
        fs::write(home.path(name), password).unwrap();
    }
    let (trust, floor, out) = (home.trust("client"), path("floor.json"), path("out.age"));
    fs::write(home.path("plain"), "what is encrypted").unwrap();
    for (verb, password, plain, succeeds) in
        [("register", "right", true, true), ("recover", "right", false, true), ("recover", "wrong", false, false)]
    {
        let (member, password, file, recovered) =
            (home.member_url(1), path(password), path("plain"), path("recovered"));
        let mut arguments = vec![
            "backup",
            verb,
            "--member",
            &member,
            "--trust",
            &trust,
            "--floor",
            &floor,
            "--account-token",
            &account,
            "--proof-key-file",
            &key,
            "--passphrase-file",
            &passphrase,
            "--password-file",
            &password,
        ];
        if plain {
            arguments.extend(["--encrypt", &file, "--out", &out]);
        } else {
            arguments.extend(["--decrypt", &out, "--out", &recovered, "--replace"]);
        }
        let succeeded = book.run(&arguments);
        assert_eq!(succeeded, succeeds, "{verb}: {:?}", book.written.last());
    }
}

/// What is wrong with passphrases, databases and buckets is said without them.
fn misconfigure(book: &mut Book, home: &Home) {
    let path = |name: &str| home.path(name).to_str().unwrap().to_owned();
    let write = |name: &str, text: &str| {
        fs::write(home.path(name), text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(home.path(name), mode).unwrap();
    };
    book.plant("a wrong passphrase", WRONG_PASSPHRASE.as_bytes());
    write("wrong.passphrase", WRONG_PASSPHRASE);
    let authority = home.data().join("authority");
    let config = fs::read_to_string(authority.join("log.toml")).unwrap();
    let absolute = |text: &str| text.replace("= \"", &format!("= \"{}/", authority.display()));
    // Only the paths, which stand alone on their lines, become absolute.
    let is_path = |line: &str| {
        let field = line.split(' ').next().unwrap_or_default();
        field.ends_with("_file") || field.ends_with("_folder") || matches!(field, "trust" | "token_keys" | "policy")
    };
    let lines: Vec<String> =
        config.lines().map(|line| if is_path(line) { absolute(line) } else { line.to_owned() }).collect();
    let config = lines.join("\n");
    let passphrase_line = lines.iter().find(|line| line.starts_with("passphrase_file")).unwrap();
    let wrong = config.replace(passphrase_line, &format!("passphrase_file = \"{}\"", path("wrong.passphrase")));
    write("wrong.toml", &wrong);
    assert!(!book.run(&["log", "check-config", "--config", &path("wrong.toml")]));
    book.plant("the password of PostgreSQL", POSTGRES_PASSWORD.as_bytes());
    // Nobody listens on port 1.
    for url in [
        format!("postgres://user:{POSTGRES_PASSWORD}@127.0.0.1:1/log"),
        format!("postgres://user:{POSTGRES_PASSWORD}@127.0.0.1:1/log?unknown={POSTGRES_PASSWORD}"),
        format!("postgres//user:{POSTGRES_PASSWORD}@127.0.0.1"),
    ] {
        write("postgres.url", &url);
        write("good.toml", &config);
        let (config, url) = (path("good.toml"), path("postgres.url"));
        assert!(!book.run(&[
            "log",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--config",
            &config,
            "--postgres-url-file",
            &url
        ]));
        assert!(!book.run(&[
            "log",
            "migrate",
            "--config",
            &config,
            "--postgres-url-file",
            &url,
            "--owner-url-file",
            &url
        ]));
    }
    let mut server = S3Server::start();
    book.plant("the secret key of a bucket", S3_SECRET.as_bytes());
    book.plant("the session token of a bucket", S3_SESSION.as_bytes());
    write(
        "s3.toml",
        &format!(
            "access_key_id = \"planted-access-key\"\nsecret_access_key = \"{S3_SECRET}\"\nsession_token = \"{S3_SESSION}\"\n\
             endpoint_url = \"{}\"\n",
            server.endpoint()
        ),
    );
    let to = format!("s3://{BUCKET}/planted");
    let (config, credentials) = (path("good.toml"), path("s3.toml"));
    let export = ["log", "export", "--config", &config, "--to", &to, "--credentials", &credentials];
    assert!(book.run(&export), "{:?}", book.written.last());
    server.kill();
    assert!(!book.run(&export));
    write("s3.toml", &format!("secret_access_key = \"{S3_SECRET}\"\nnot_a_field = \"{S3_SESSION}\"\n"));
    assert!(!book.run(&export));
}

#[test]
fn nothing_that_a_service_writes_or_answers_has_a_secret() {
    let home = Home::new();
    let mut up = home.up_traced();
    assert!(up.says("Try"), "{}", home.logs());
    let mut book = Book::default();
    plant_keys(&mut book, &home.data());
    submit(&mut book, &home);
    stray(&mut book, &home);
    recover(&mut book, &home);
    misconfigure(&mut book, &home);
    let (_, said) = up.interrupt();
    book.keep("what `up` said", said.as_bytes());
    let mut logs = Vec::new();
    files(&home.data().join("logs"), &mut logs);
    for path in &logs {
        book.keep(path.file_name().unwrap().display().to_string(), &fs::read(path).unwrap());
    }
    assert_eq!(logs.len(), 9, "{logs:?}");
    // They were told to say everything, and those that have something to say below `info` did.
    for name in ["log.log", "witness-1.log"] {
        let traced = book.written.iter().any(|(from, text)| from == name && text.contains("DEBUG countermark"));
        assert!(traced, "{name} said nothing of what RUST_LOG=trace asks for");
    }
    let found = book.found();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
