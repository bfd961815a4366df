//! File-system calls of a real process fail one by one: `strace` makes the n-th such call of every thread return an error,
//! for n = 1, 2, … until no thread makes that many during a fixed little job.
//!
//! After each the process has answered with a fault and recovered, or said why it ended; then, with nothing injected, it
//! starts, everything acknowledged is there, and the audit passes.

use std::fs;
use std::process::Command;

use crate::audit::audit;
use crate::authority::{Authority, NAMESPACES, said};
use crate::is_long;
use crate::log::{Log, Refused, poll};
use crate::submitter::{Ledger, Outcome};

/// More than any thread makes in the job.
const MOST: usize = 1_000;

/// After so many faults it is left at that: the log has replaced the connection that failed, and strace counts the calls
/// of the new one's thread from the beginning, so that its n-th fails as well.
const PATIENCE: usize = 20;

/// Calls that fail together, and how.
#[derive(Clone, Copy)]
struct Injection {
    calls: &'static str,
    error: &'static str,
    nth: usize,
}

impl Injection {
    /// The command line before the log's own.
    fn around(self, authority: &Authority) -> Vec<String> {
        let Self { calls, error, nth } = self;
        let trace = authority.path("trace").to_str().unwrap().to_string();
        let (traced, injected) = (format!("trace={calls}"), format!("inject={calls}:error={error}:when={nth}"));
        ["strace", "-f", "-qq", "-o", &trace, "-e", &traced, "-e", &injected].map(ToString::to_string).into()
    }

    /// Whether a call failed since the last time that this was asked.
    fn struck(authority: &Authority) -> bool {
        let trace = fs::read_to_string(authority.path("trace")).unwrap();
        fs::remove_file(authority.path("trace")).unwrap();
        trace.contains("(INJECTED)")
    }
}

/// Fails, and says why, where nothing can be injected.
fn check_strace() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(&trace).args(["-e", "inject=getcwd:error=EIO", "--", "/bin/pwd", "-P"]);
    let tried = tried_by(&mut strace);
    let trace = fs::read_to_string(trace).unwrap_or_default();
    assert!(
        trace.contains("(INJECTED)"),
        "strace cannot make calls fail here (is ptrace forbidden?): {tried}\n{trace}"
    );
}

fn tried_by(command: &mut Command) -> String {
    match command.output() {
        Ok(output) => said(&output),
        Err(error) => format!("strace does not run: {error}; install the Debian package strace"),
    }
}

/// An end that nobody asked for has a reason, and is no panic and no signal.
fn is_named(ended: &Refused, injection: Injection) {
    let Injection { calls, error, nth } = injection;
    // 127: the dynamic loader could not open a library, and says so.
    assert!(matches!(ended.status.code(), Some(1 | 2 | 127)), "{calls} {error} {nth}: {ended}");
    assert!(ended.said.to_ascii_lowercase().contains("error"), "{calls} {error} {nth}: {ended}");
    assert!(!ended.said.contains("panicked"), "{calls} {error} {nth}: {ended}");
}

/// How far a process came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// It refused to start, by a named reason.
    Nowhere,
    /// It served, and ended by itself, by a named reason.
    Stopped,
    /// It served, answered some submissions with a fault, so many, and recovered.
    Through(usize),
}

/// Serves under the injection, submits a few entries, ends.
fn job(authority: &Authority, ledger: &Ledger, injection: Injection) -> Came {
    let mut faults = 0;
    let Injection { calls, error, nth } = injection;
    let mut log = match Log::start(authority, &injection.around(authority)) {
        Ok(log) => log,
        Err(refused) => {
            is_named(&refused, injection);
            return Came::Nowhere;
        }
    };
    for number in 0..3 {
        for namespace in NAMESPACES {
            let text = format!("{calls} {error} {nth}: {number}");
            let taken = poll(|| match ledger.submit(authority, log.address, namespace, &text) {
                Outcome::Acknowledged(_) => Some(true),
                Outcome::Problem(answer) => {
                    assert!(answer.status == 503 && answer.has_retry_after(), "{text}: {answer:?} {}", answer.text());
                    faults += 1;
                    (faults >= PATIENCE).then_some(true)
                }
                // A connection may break where a call fails that the network needs; an end is judged below.
                Outcome::Broken => (!log.is_running()).then_some(false),
            });
            match taken {
                Some(true) => {}
                Some(false) => {
                    is_named(&log.wait(), injection);
                    return Came::Stopped;
                }
                None => panic!("{text}: it did not recover:\n{}", log.said()),
            }
        }
    }
    let ended = log.end();
    if !ended.status.success() {
        is_named(&ended, injection);
    }
    assert!(!ended.said.contains("panicked"), "{ended}");
    Came::Through(faults)
}

/// Which n are tried: all of them, or in the short form with growing gaps (1, 2, 3, 5, 8, …).
fn numbers() -> impl Iterator<Item = usize> {
    let (mut one, mut next) = (1, 2);
    std::iter::from_fn(move || {
        let number = one;
        (one, next) = if is_long() { (one + 1, next) } else { (next, one + next) };
        (number <= MOST).then_some(number)
    })
}

/// Makes the n-th call of every thread fail while the log serves.
fn serving(calls: &'static str, error: &'static str) {
    check_strace();
    let (authority, ledger) = (Authority::new(), Ledger::default());
    let mut struck_while_serving = 0;
    for nth in numbers() {
        let injection = Injection { calls, error, nth };
        let came = job(&authority, &ledger, injection);
        let struck = Injection::struck(&authority);
        println!("{calls} {error} {nth}: {came:?}, struck: {struck}");
        let log = authority.serve();
        for namespace in NAMESPACES {
            ledger.must(&authority, log.address, namespace, &format!("{calls} {error} {nth}: afterwards"));
        }
        let ended = log.end();
        assert!(ended.status.success(), "{ended}");
        audit(&authority, &ledger, &[]);
        if !struck {
            assert!(struck_while_serving > 0, "{calls}: no call failed while the log served");
            return;
        }
        struck_while_serving += usize::from(came != Came::Nowhere);
    }
    panic!("{calls}: more than {MOST} calls of a thread");
}

#[test]
fn a_log_survives_that_what_it_wrote_does_not_reach_the_disk() {
    serving("fsync,fdatasync", "EIO");
}

#[test]
fn a_log_survives_that_a_write_finds_no_space() {
    serving("pwrite64,ftruncate,fallocate", "ENOSPC");
}

#[test]
fn a_log_survives_that_a_file_gets_no_name() {
    serving("rename,renameat,renameat2,link,linkat,unlink,unlinkat", "EIO");
}

#[test]
fn a_log_survives_that_a_file_is_not_opened() {
    serving("open,openat", "EMFILE");
}

#[test]
fn a_log_survives_that_a_file_is_not_read_or_locked() {
    serving("pread64,flock", "EIO");
}

#[test]
fn making_a_log_can_be_repeated_after_any_call_that_failed() {
    check_strace();
    let calls = "fsync,fdatasync,pwrite64,ftruncate,rename,renameat,renameat2,link,linkat,unlink,mkdir,flock";
    for nth in numbers() {
        let authority = Authority::unmade(1, 1);
        let injection = Injection { calls, error: "EIO", nth };
        let made = authority.verb_around(&injection.around(&authority), &["create"]);
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            is_named(&Refused { status: made.status, said }, injection);
        }
        let struck = Injection::struck(&authority);
        let again = authority.verb(&["create", "--if-absent"]);
        assert!(again.status.success(), "{nth}: {}", said(&again));
        let ledger = Ledger::default();
        let log = authority.serve();
        for namespace in NAMESPACES {
            ledger.must(&authority, log.address, namespace, "after it was made");
        }
        assert!(log.end().status.success());
        audit(&authority, &ledger, &[]);
        if !struck {
            return;
        }
    }
    panic!("more than {MOST} calls of a thread");
}
