//! What a submission takes, end to end: the authority as real processes, fleet statements over one kept connection, and
//! beside them in the same run the bare durable write, the bare database commit and the bare signatures.
//!
//! Only the ratios mean something on another machine. Run by `scripts/bench`; COUNTERMARK_BIN_DIR names the folder of the
//! programs. Linux only.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops at that line")]

#[path = "submit/authority.rs"]
#[expect(dead_code, reason = "shared with the benchmark of logins")]
mod authority;
#[path = "submit/bare.rs"]
mod bare;
#[path = "submit/connection.rs"]
mod connection;
#[path = "submit/figures.rs"]
mod figures;
#[path = "submit/operator.rs"]
mod operator;

use std::time::{Duration, Instant};

use authority::{Authority, NAMESPACE};
use bare::{Bare, SIGNATURES_COMMITTED, SIGNATURES_WITNESSED, Signatures};
use connection::{Answer, Connection};
use figures::{Row, Sample};
use operator::Operator;
use serde_json::Value;

/// Statements of each level; a p99 of fewer than 100 would be the maximum.
const STATEMENTS: usize = 200;
/// Statements of each level where it is only shown that everything runs.
const STATEMENTS_QUICK: usize = 12;

/// How far an entry must have come before the answer.
#[derive(Clone, Copy)]
enum Wait {
    Committed,
    Witnessed,
    Published,
}

impl Wait {
    const ALL: [Self; 3] = [Self::Committed, Self::Witnessed, Self::Published];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Witnessed => "witnessed",
            Self::Published => "published",
        }
    }
}

/// What was measured of one authority.
struct Measured {
    /// By level, in the order of [`Wait::ALL`].
    levels: [Vec<Duration>; 3],
    /// Once after the statements of each round.
    bare: Bare,
    /// Entries that the countersigner logged in between.
    activations: u64,
}

fn main() {
    let count = statements_of_each_level();
    let authority = Authority::start();
    authority.pause_countersigner();
    let alone = measure(&authority, count);
    drop(authority);
    let authority = Authority::start();
    let beside = measure(&authority, count);
    drop(authority);

    report("Statement to answer, the countersigner asleep", &alone);
    let activations = beside.activations;
    report(&format!("Statement to answer, the countersigner logging {activations} activations in between"), &beside);
    report_growth(&alone);
}

fn statements_of_each_level() -> usize {
    let mut count = STATEMENTS;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            // Cargo says so.
            "--bench" => {}
            "--quick" => count = STATEMENTS_QUICK,
            other => panic!("{other:?} is not known; --quick measures a few statements only"),
        }
    }
    count
}

fn measure(authority: &Authority, count: usize) -> Measured {
    eprintln!("submitting {} statements", 3 * count);
    let mut connection = Connection::open(authority.address());
    let first = connection.get(&format!("/v1/{NAMESPACE}/statements/1"));
    assert_eq!(first.status, 200, "{}", first.text());
    let mut operator = Operator::open(authority.data(), &first.body);
    let mut bare = Bare::new(authority.data());
    let mut levels = Wait::ALL.map(|_| Vec::with_capacity(count));
    let mut indexes = Vec::new();
    for _ in 0..count {
        for (level, times) in Wait::ALL.into_iter().zip(&mut levels) {
            let body = operator.next_statement();
            let (time, index) = submit(&mut connection, &operator, &body, level);
            times.push(time);
            indexes.push(index);
        }
        bare.measure();
    }
    let passed = indexes.last().unwrap() - indexes.first().unwrap() + 1;
    Measured { levels, bare, activations: passed - u64::try_from(indexes.len()).unwrap() }
}

/// Submits a statement and times it from the first byte that is sent to the last that is read, then lets it be published.
fn submit(connection: &mut Connection, operator: &Operator, body: &[u8], wait: Wait) -> (Duration, u64) {
    let path = |wait: Wait| format!("/v1/{NAMESPACE}/statements?wait={}", wait.as_str());
    let request = connection.post(&path(wait), operator.token(), body);
    let begun = Instant::now();
    let answer = connection.exchange(&request);
    let time = begun.elapsed();
    let index = accepted(&answer, wait, false);
    // The same statement again finds its entry. Without this the next one would pay for the witness round of this one.
    let again = connection.post(&path(Wait::Published), operator.token(), body);
    assert_eq!(accepted(&connection.exchange(&again), Wait::Published, true), index);
    (time, index)
}

/// The entry's index. Whatever else the log says ends the benchmark.
fn accepted(answer: &Answer, level: Wait, duplicate: bool) -> u64 {
    assert_eq!(answer.status, 200, "the log did not take the statement:\n{}", answer.text());
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["level"], level.as_str(), "{said}");
    assert_eq!(said["duplicate"], duplicate, "{said}");
    said["index"].as_u64().unwrap()
}

fn report(title: &str, measured: &Measured) {
    let Measured { levels, bare, .. } = measured;
    let [committed, witnessed, published] = levels.each_ref().map(|times| Sample::of(times));
    let [write, commit, to_committed, to_witnessed] =
        [&bare.writes, &bare.commits, &bare.signatures_committed, &bare.signatures_witnessed]
            .map(|times| Sample::of(times));
    let signatures = |Signatures { made, checked }| format!("bare: {made} signatures made, {checked} checked");
    let rows = [
        Row::over("committed", committed, &to_committed),
        Row::over("witnessed", witnessed, &to_witnessed),
        Row::over("published", published, &to_witnessed),
        Row::alone("bare: 4 KiB written, fdatasync", Sample::of(&bare.writes)),
        Row::alone("bare: 1 row, SQLite, WAL, FULL", Sample::of(&bare.commits)),
        Row::alone(&signatures(SIGNATURES_COMMITTED), to_committed),
        Row::alone(&signatures(SIGNATURES_WITNESSED), to_witnessed),
    ];
    figures::table(title, &rows, &write, &commit);
}

/// Whether a submission takes longer the more statements there are.
fn report_growth(Measured { levels: [committed, ..], bare, .. }: &Measured) {
    let part = committed.len() / 4;
    let (first, last) = (&committed[..part], &committed[committed.len() - part..]);
    let rows = [
        Row::alone(&format!("committed, first {part}"), Sample::of(first)),
        Row::alone(&format!("committed, last {part}"), Sample::of(last)),
    ];
    let title = format!("As the log grows by {} statements", 3 * committed.len());
    figures::table(&title, &rows, &Sample::of(&bare.writes), &Sample::of(&bare.commits));
}
