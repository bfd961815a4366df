//! A log that speaks TLS by itself: clients of ours and OpenSSL's over it, its renewal, and where tokens do not go.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::authority::{Authority, around_program, said};
use crate::log::{Log, poll, signal};

/// Everything that one of our programs says when it is run to its end, believing in `ca.pem` or in the system's CAs.
fn countermark(authority: &Authority, believes: bool, arguments: &[&str]) -> Output {
    let mut command = around_program(&[]);
    if believes {
        command.env("SSL_CERT_FILE", authority.path("ca.pem"));
    }
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let made = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "openssl {}\n{}", arguments.join(" "), said(&made));
}

/// A CA of its own, and a log with a certificate of it.
fn authority_with_tls() -> Authority {
    let authority = Authority::new();
    let folder = authority.folder.path();
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    openssl(folder, &[&new[..], &["-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"]].concat());
    certify(folder, "1001");
    let config = fs::read_to_string(authority.path("log.toml")).unwrap();
    let tls = "\n[tls]\ncertificate_file = \"tls.pem\"\nprivate_key_file = \"tls.key\"\n";
    // Beyond loopback by configuration: with TLS that is allowed.
    fs::write(authority.path("log.toml"), config.replace("127.0.0.1:0", "0.0.0.0:0") + tls).unwrap();
    authority
}

/// A new key for `localhost`, `tls.key`, and its certificate with a serial number, `tls.pem`.
fn certify(folder: &Path, serial: &str) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "new.key"];
    let request = ["req", "-new", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    openssl(folder, &[&request[..], &key, &["-out", "new.csr"]].concat());
    let sign = ["x509", "-req", "-in", "new.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-copy_extensions", "copy"];
    openssl(folder, &[&sign[..], &["-days", "1", "-set_serial", serial, "-out", "new.pem"]].concat());
    fs::rename(folder.join("new.key"), folder.join("tls.key")).unwrap();
    fs::rename(folder.join("new.pem"), folder.join("tls.pem")).unwrap();
}

/// What `openssl s_client` says about a handshake.
fn handshake(authority: &Authority, log: &Log, more: &[&str]) -> Output {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{}", log.address.port()), "-servername", "localhost"]);
    command.args(["-verify_return_error", "-verify_hostname", "localhost", "-CAfile"]).arg(authority.path("ca.pem"));
    command.args(more).stdin(Stdio::null()).output().unwrap()
}

/// The serial number of the certificate that is shown.
fn serial(authority: &Authority, log: &Log) -> String {
    let shown = handshake(authority, log, &[]);
    fs::write(authority.path("shown.pem"), &shown.stdout).unwrap();
    let read = ["x509", "-noout", "-serial", "-in", "shown.pem"];
    let read = Command::new("openssl").args(read).current_dir(authority.folder.path()).output().unwrap();
    assert!(read.status.success(), "{}{}", said(&shown), said(&read));
    String::from_utf8(read.stdout).unwrap().trim().trim_start_matches("serial=").to_owned()
}

#[test]
fn our_clients_speak_tls_with_a_log_under_a_ca_that_they_are_told() {
    let authority = authority_with_tls();
    let log = authority.serve();
    poll(|| log.said().contains("https").then_some(())).expect("it says that it speaks TLS");
    let url = format!("https://localhost:{}", log.address.port());
    let (trust, token) = (authority.path("trust.json"), authority.path("token"));
    let (trust, token) = (trust.to_str().unwrap(), token.to_str().unwrap());
    fs::write(token, &authority.token).unwrap();
    fs::write(authority.path("entry.json"), authority.evidence("over TLS")).unwrap();
    let entry = authority.path("entry.json");
    let submit = ["submit", "--log", &url, "--trust", trust, "--token-file", token, "--entry", entry.to_str().unwrap()];
    let verbs: [&[&str]; 4] = [
        &submit,
        &["status", "--log", &url, "--namespace", "backup"],
        &["audit", "--log", &url, "--trust", trust],
        &["log", "fsck", &url, "--namespace", "backup", "--trust", trust],
    ];
    for verb in verbs {
        let done = countermark(&authority, true, verb);
        assert!(done.status.success(), "{verb:?}: {}", said(&done));
        let stranger = countermark(&authority, false, verb);
        assert_eq!(stranger.status.code(), Some(21), "{verb:?} believes in any CA: {}", said(&stranger));
    }
    // The name in the certificate is checked.
    let other = url.replace("localhost", "127.0.0.1");
    let refused = countermark(&authority, true, &["status", "--log", &other, "--namespace", "backup"]);
    assert_eq!(refused.status.code(), Some(21), "{}", said(&refused));
    assert!(log.end().status.success());
}

#[test]
fn a_static_export_is_served_by_tls_too() {
    let authority = authority_with_tls();
    let log = authority.serve();
    let url = format!("https://localhost:{}", log.address.port());
    let wait = || {
        let ready = countermark(&authority, true, &["status", "--log", &url, "--namespace", "opaque"]);
        ready.status.success().then_some(())
    };
    poll(wait).expect("it answers");
    drop(log);
    let export = authority.path("export");
    let export = export.to_str().unwrap();
    let made = authority.verb(&["export", "--to", export, "--namespace", "opaque"]);
    assert!(made.status.success(), "{}", said(&made));
    let (certificate, key) = (authority.path("tls.pem"), authority.path("tls.key"));
    let files = ["--tls-certificate", certificate.to_str().unwrap(), "--tls-private-key", key.to_str().unwrap()];
    let arguments = ["log", "serve-static", "--from", export, "--listen", "127.0.0.1:0", "--exit-with-stdin"];
    let half = countermark(&authority, true, &[&arguments[..], &files[..2]].concat());
    assert_eq!(half.status.code(), Some(2), "a certificate needs its key: {}", said(&half));
    let log = Log::start_verb(&[&arguments[..], &files].concat()).unwrap();
    let url = format!("https://localhost:{}", log.address.port());
    let status = countermark(&authority, true, &["status", "--log", &url, "--namespace", "opaque"]);
    assert!(status.status.success(), "{}", said(&status));
    assert!(log.end().status.success());
}

#[test]
fn openssl_agrees_and_sees_a_renewal() {
    let authority = authority_with_tls();
    let folder = authority.folder.path();
    let log = authority.serve();
    let fine = handshake(&authority, &log, &["-alpn", "h2,http/1.1"]);
    let text = said(&fine);
    assert!(text.contains("Verify return code: 0 (ok)") && text.contains("ALPN protocol: h2"), "{text}");
    assert!(text.contains("TLSv1.3"), "{text}");
    let older = handshake(&authority, &log, &["-tls1_2", "-alpn", "http/1.1"]);
    let text = said(&older);
    assert!(text.contains("Verify return code: 0 (ok)") && text.contains("ALPN protocol: http/1.1"), "{text}");
    // OpenSSL itself must be told to speak what is refused here.
    let oldest = handshake(&authority, &log, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(!oldest.status.success(), "TLS 1.1: {}", said(&oldest));
    assert_eq!(serial(&authority, &log), "03E9");

    // A certificate that is no certificate changes nothing, and is complained about.
    fs::rename(folder.join("tls.pem"), folder.join("good.pem")).unwrap();
    fs::write(folder.join("tls.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    signal(log.pid(), "HUP");
    let complains = || log.said().contains("the new certificate is not used").then_some(());
    poll(complains).expect("a bad pair is complained about");
    assert_eq!(serial(&authority, &log), "03E9");

    certify(folder, "1002");
    signal(log.pid(), "HUP");
    poll(|| (serial(&authority, &log) == "03EA").then_some(())).expect("SIGHUP takes the new one");
    certify(folder, "1003");
    poll(|| (serial(&authority, &log) == "03EB").then_some(())).expect("it is found without being told, too");
    assert!(log.end().status.success());
}

#[test]
fn a_bad_pair_is_refused_by_check_config_and_by_serve() {
    let authority = authority_with_tls();
    let fine = authority.verb(&["check-config"]);
    assert!(fine.status.success(), "{}", said(&fine));
    fs::set_permissions(authority.path("tls.key"), Permissions::from_mode(0o644)).unwrap();
    let refused = authority.verb(&["check-config"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("tls.key is 0644"), "{}", said(&refused));
    let refused = Log::start(&authority, &[]).err().unwrap();
    assert!(refused.said.contains("tls.key is 0644"), "{refused}");
    fs::remove_file(authority.path("tls.pem")).unwrap();
    let refused = authority.verb(&["check-config"]);
    assert!(said(&refused).contains("tls.pem"), "{}", said(&refused));
}

#[test]
fn a_token_is_not_sent_in_the_clear_nor_to_where_a_redirect_points() {
    let authority = Authority::new();
    let path = |name: &str| authority.path(name).to_str().unwrap().to_owned();
    fs::write(path("token"), &authority.token).unwrap();
    fs::write(path("entry.json"), authority.evidence("nothing")).unwrap();
    let submit = |url: &str| {
        let (trust, token, entry) = (path("trust.json"), path("token"), path("entry.json"));
        let arguments = ["submit", "--log", url, "--trust", &trust, "--token-file", &token, "--entry", &entry];
        countermark(&authority, false, &arguments)
    };
    // 192.0.2.1 answers nobody: who connected would not end at once, and not with this.
    let refused = submit("http://192.0.2.1:7380");
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("in the clear to 192.0.2.1"), "{}", said(&refused));
    assert_eq!(submit("log.example").status.code(), Some(2));

    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let first = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (from, to) = (first.local_addr().unwrap(), elsewhere.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = first.accept().unwrap();
        let mut request = [0; 4_096];
        assert!(stream.read(&mut request).unwrap() > 0);
        let answer = format!("HTTP/1.1 307 away\r\nlocation: http://{to}/\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let refused = submit(&format!("http://{from}"));
    answering.join().unwrap();
    assert_eq!(refused.status.code(), Some(21), "{}", said(&refused));
    assert!(said(&refused).contains("redirects are not followed"), "{}", said(&refused));
    elsewhere.set_nonblocking(true).unwrap();
    assert!(elsewhere.accept().is_err(), "the token went elsewhere");
}
