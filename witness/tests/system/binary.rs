//! The program itself: `init`, `serve`, `vkey`, and how it ends.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use countermark_tlog::note::VerifierKey;
use countermark_tlog::witness_wire::monitoring_path;

use crate::log::TestLog;
use crate::support::{self, Home};

/// How long a process may take to end.
const DEADLINE: Duration = Duration::from_secs(30);

fn program(home: &Home, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countermark-witness"));
    command.arg(verb).arg("--config").arg(home.path("witness.toml"));
    command
}

/// Runs a verb that ends by itself.
fn output(home: &Home, verb: &str) -> Output {
    program(home, verb).stdin(Stdio::null()).output().unwrap()
}

pub fn init(home: &Home) -> VerifierKey {
    let output = output(home, "init");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8(output.stdout).unwrap();
    VerifierKey::parse(line.strip_suffix('\n').unwrap()).unwrap()
}

/// A witness process; killed when dropped.
pub struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

impl Served {
    pub fn start(home: &Home) -> Self {
        Self::spawn(program(home, "serve"))
    }

    /// One that is told of a write over its limit instead of being killed for it.
    pub fn start_tolerant(home: &Home) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_countermark-witness")]);
        command.args(["serve", "--config"]).arg(home.path("witness.toml"));
        Self::spawn(command)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it in good order.
    pub fn end(&mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .arg("--exit-with-stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line
            .strip_prefix(r#"{"ready":true,"address":""#)
            .and_then(|rest| rest.strip_suffix("\"}\n"))
            .unwrap_or_else(|| panic!("no ready line: {line:?}"))
            .parse()
            .unwrap();
        Self { child, stdout, address }
    }

    /// Waits for the end and expects that nothing more was printed.
    fn wait(mut self) -> ExitStatus {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < DEADLINE, "it does not end");
            thread::yield_now();
        };
        let mut rest = String::new();
        self.stdout.read_line(&mut rest).unwrap();
        assert_eq!(rest, "");
        status
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_killed_witness_goes_on_from_what_it_had_stored() {
    let log = TestLog::new("log.example/a");
    let home = Home::new(&[&log]);
    let own_key = init(&home);

    let first = Served::start(&home);
    let answer = support::post(first.address, log.request(0, 5)).await;
    assert_eq!(answer.status, 200);
    support::verify_cosignature(&answer.body, &own_key, &log.text(5));
    first.signal("KILL");
    assert!(!first.wait().success());

    let second = Served::start(&home);
    let answer = support::post(second.address, log.request(0, 5)).await;
    assert_eq!((answer.status, answer.body.as_str()), (409, "5\n"));
    let monitored = support::get(second.address, &monitoring_path(&log.origin())).await;
    assert_eq!(monitored.status, 200);
    assert!(monitored.body.starts_with(&log.checkpoint(5)));
    let answer = support::post(second.address, log.request(5, 9)).await;
    support::verify_cosignature(&answer.body, &own_key, &log.text(9));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_over_a_real_connection() {
    let home = Home::new(&[]);
    init(&home);
    let served = Served::start(&home);
    assert_eq!(support::post(served.address, vec![b'\n'; 65_537]).await.status, 413);
    assert_eq!(support::get(served.address, "healthz").await.body, "ok");
}

#[test]
fn it_ends_with_its_standard_input() {
    let home = Home::new(&[]);
    init(&home);
    let mut served = Served::start(&home);
    drop(served.child.stdin.take());
    assert!(served.wait().success());
}

#[test]
fn it_ends_at_sigterm_and_at_ctrl_c_while_its_standard_input_is_open() {
    for name in ["TERM", "INT"] {
        let home = Home::new(&[]);
        init(&home);
        let served = Served::start(&home);
        served.signal(name);
        assert!(served.wait().success(), "{name}");
    }
}

#[test]
fn vkey_prints_what_init_printed() {
    let home = Home::new(&[]);
    let own_key = init(&home);
    let output = output(&home, "vkey");
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{own_key}\n"));
}

#[test]
fn what_goes_wrong_is_said_on_standard_error_with_an_exit_code() {
    type Break = fn(&Home);
    let cases: [(&str, &str, Break, i32, &str); 5] = [
        ("no configuration", "serve", |h| std::fs::remove_file(h.path("witness.toml")).unwrap(), 2, "configuration"),
        ("an unknown field", "vkey", |h| std::fs::write(h.path("witness.toml"), "x = 1").unwrap(), 2, "malformed"),
        ("init twice", "init", |_| {}, 1, "exists already"),
        ("no state", "serve", |h| std::fs::remove_file(h.path("witness.sqlite")).unwrap(), 1, "retired"),
        ("no key", "vkey", |h| std::fs::remove_file(h.path("witness.key")).unwrap(), 1, "witness.key"),
    ];
    for (case, verb, break_it, code, expect) in cases {
        let home = Home::new(&[]);
        init(&home);
        break_it(&home);
        let output = output(&home, verb);
        assert_eq!(output.status.code(), Some(code), "{case}");
        assert_eq!(output.stdout, b"", "{case}");
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.contains(expect), "{case}: {log}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let home = Home::new(&[]);
    init(&home);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    home.write_config(&address, &[]);
    let output = output(&home, "serve");
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains(&address) && log.contains("taken"), "{log}");
}
