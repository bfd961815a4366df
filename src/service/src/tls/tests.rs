use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use axum::Router;
use axum::routing::get;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

use super::*;
use crate::server::Server;
use crate::server::limits::Limits;

/// A folder with pairs of certificate and key, each its own CA.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes `<name>.pem` and `<name>.key` for `localhost`.
    fn pair(&self, name: &str) -> TlsFiles {
        let files =
            TlsFiles { certificate_file: format!("{name}.pem").into(), private_key_file: format!("{name}.key").into() };
        let files = files.below(self.0.path());
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(&files.private_key_file)
            .arg("-out")
            .arg(&files.certificate_file)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        files
    }
}

/// A client that believes in one certificate and speaks this protocol first.
fn client(believed: &TlsFiles, alpn: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let text = fs::read(&believed.certificate_file).unwrap();
    roots.add(CertificateDer::from_pem_slice(&text).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn connect(address: SocketAddr, client: &TlsConnector) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    client.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

async fn begin(tls: &Tls) -> (Server, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(|| async { "here" }));
    (Server::begin(listener, Some(tls.clone()), router, Limits::default()), address)
}

#[tokio::test]
async fn what_is_asked_by_tls_is_answered_by_tls() {
    let folder = Folder::new();
    let (files, other) = (folder.pair("a"), folder.pair("b"));
    let tls = Tls::open(files.clone()).unwrap();
    assert_eq!(tls.chain().len(), 1);
    let (_server, address) = begin(&tls).await;
    let mut stream = connect(address, &client(&files, &[b"http/1.1"])).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
    let stream = connect(address, &client(&files, &[b"h2", b"http/1.1"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert!(connect(address, &client(&other, &[])).await.is_err(), "another CA");
    // Plain HTTP gets no HTTP.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An alert, or just the end.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn a_new_pair_is_taken_and_a_bad_one_is_not() {
    let folder = Folder::new();
    let (files, new, third) = (folder.pair("a"), folder.pair("b"), folder.pair("c"));
    let old = client(&files, &[]);
    let tls = Tls::open(files.clone()).unwrap();
    let (_server, address) = begin(&tls).await;
    assert!(matches!(tls.pair.look(false), Look::Unchanged));
    connect(address, &old).await.unwrap();

    // Half of a renewal: the certificate alone.
    fs::rename(&new.certificate_file, &files.certificate_file).unwrap();
    assert!(matches!(tls.pair.look(false), Look::Kept(TlsError::OtherKey { .. })));
    assert!(matches!(tls.pair.look(false), Look::Unchanged), "an error is said once");
    connect(address, &old).await.unwrap();

    // The other half.
    let renewed = client(&files, &[]);
    fs::rename(&new.private_key_file, &files.private_key_file).unwrap();
    assert!(matches!(tls.pair.look(false), Look::Renewed));
    connect(address, &renewed).await.unwrap();
    assert!(connect(address, &old).await.is_err());

    // Away for a moment, and then another pair: no look is needed in between.
    fs::remove_file(&files.private_key_file).unwrap();
    assert!(matches!(tls.pair.look(false), Look::Kept(TlsError::Read { .. })));
    fs::rename(&third.private_key_file, &files.private_key_file).unwrap();
    fs::rename(&third.certificate_file, &files.certificate_file).unwrap();
    assert!(matches!(tls.pair.look(false), Look::Renewed));
    connect(address, &client(&files, &[])).await.unwrap();
    assert!(matches!(tls.pair.look(true), Look::Renewed), "SIGHUP asks for it");
}

#[tokio::test]
async fn every_bad_pair_is_named() {
    let folder = Folder::new();
    let (good, other) = (folder.pair("a"), folder.pair("b"));
    let mut number = 0;
    let mut check = |certificate: &[u8], key: &[u8], is_expected: fn(&TlsError) -> bool| {
        number += 1;
        let name = |kind: &str| folder.path(&format!("bad-{number}.{kind}"));
        let files = TlsFiles { certificate_file: name("pem"), private_key_file: name("key") };
        fs::write(&files.certificate_file, certificate).unwrap();
        fs::write(&files.private_key_file, key).unwrap();
        fs::set_permissions(&files.private_key_file, Permissions::from_mode(0o600)).unwrap();
        let error = files.check().unwrap_err();
        assert!(is_expected(&error), "{number}: {error:?}");
        let said = with_causes(&error);
        assert!(said.contains(&format!("bad-{number}")), "{said}");
        assert!(Tls::open(files).is_err());
    };
    let read = |path: &PathBuf| fs::read(path).unwrap();
    let (certificate, key) = (read(&good.certificate_file), read(&good.private_key_file));
    check(b"", &key, |error| matches!(error, TlsError::NoCertificate { .. }));
    check(&key, &key, |error| matches!(error, TlsError::NoCertificate { .. }));
    check(b"-----BEGIN CERTIFICATE-----\n", &key, |error| matches!(error, TlsError::Certificate { .. }));
    check(&certificate, b"", |error| matches!(error, TlsError::NoPrivateKey { .. }));
    check(&certificate, &certificate, |error| matches!(error, TlsError::NoPrivateKey { .. }));
    check(&certificate, &read(&other.private_key_file), |error| matches!(error, TlsError::OtherKey { .. }));
    let nonsense = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(nonsense, &key, |error| matches!(error, TlsError::Refused { .. }));
    let large = vec![b'#'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
    check(&large, &key, |error| matches!(error, TlsError::TooLarge { .. }));
    check(&certificate, &large, |error| matches!(error, TlsError::TooLarge { .. }));

    let with = |certificate: &Path, key: &Path| {
        TlsFiles { certificate_file: certificate.to_owned(), private_key_file: key.to_owned() }.check()
    };
    let missing = folder.path("missing");
    for files in [with(&missing, &good.private_key_file), with(&good.certificate_file, &missing)] {
        assert!(matches!(files, Err(TlsError::Read { path, .. }) if path == missing));
    }
    let refused = with(folder.0.path(), &good.private_key_file);
    assert!(matches!(refused, Err(TlsError::NotRegular { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_key_that_others_may_touch_is_refused_also_behind_a_link() {
    let folder = Folder::new();
    let files = folder.pair("a");
    let link = folder.path("link.key");
    symlink(&files.private_key_file, &link).unwrap();
    let linked = TlsFiles { private_key_file: link, ..files.clone() };
    linked.check().unwrap();
    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&files.private_key_file, Permissions::from_mode(mode)).unwrap();
        for files in [&files, &linked] {
            let refused = files.check().unwrap_err();
            assert!(matches!(refused, TlsError::Permissions { mode: found, .. } if found == mode), "{refused:?}");
        }
    }
}
