//! What readers cost the writer: the same appends alone and beside readers at a fixed rate, turn by turn.
//!
//! Writer, load and readers share the cores, so readers without a limit would measure who gets the processor. The readers
//! ask for a fixed number of answers in a second instead, many times what auditors and clients of one log ask.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::append::Load;
use crate::client::{Connection, request};
use crate::log::{Log, NAMESPACE};

/// Answers in a second that the readers ask for together.
const READS_PER_SECOND: u32 = 2_000;
const READERS: u32 = 4;
const ROUNDS: usize = 3;
const SUBMITTERS: usize = 500;
const ENTRY_BYTES: usize = 200;

pub fn measure(appended: u64) {
    let mut log = Log::start();
    let load = Load { submitters: SUBMITTERS, size: ENTRY_BYTES };
    // Entries to read, and a writer that is warm.
    load.append(&log, 20_000);
    let mut rounds: Vec<(f64, f64, f64)> = Vec::new();
    for _ in 0..ROUNDS {
        let alone = load.append(&log, appended).rate(appended);
        let (beside, reads) = beside_readers(&log, || load.append(&log, appended).rate(appended));
        rounds.push((alone, beside, reads));
    }
    log.stop();
    rounds.sort_by(|one, other| (one.1 / one.0).total_cmp(&(other.1 / other.0)));
    let (alone, beside, reads) = rounds[ROUNDS / 2];
    println!(
        "\nAppends of {ENTRY_BYTES} bytes by {SUBMITTERS} submitters, beside readers of tiles, proofs and checkpoints"
    );
    println!("  alone               {alone:>9.0}/s");
    println!("  beside {reads:>5.0} reads/s {beside:>9.0}/s   ratio {:.3}", beside / alone);
}

/// Runs `work` while readers read, and says how many answers they got in a second.
fn beside_readers(log: &Log, work: impl FnOnce() -> f64) -> (f64, f64) {
    let (ended, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    let pace = Duration::from_secs(1) * READERS / READS_PER_SECOND;
    let begun = Instant::now();
    let done = thread::scope(|scope| {
        for reader in 0..READERS {
            let (ended, answers) = (&ended, &answers);
            scope.spawn(move || {
                let mut connection = Connection::open(log.address());
                let mut due = Instant::now();
                for number in (0..).map(|turn: u64| turn * u64::from(READERS) + u64::from(reader)) {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    connection.exchange(&request(&path(number)));
                    answers.fetch_add(1, Ordering::Relaxed);
                    due += pace;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            });
        }
        let done = work();
        ended.store(true, Ordering::Relaxed);
        done
    });
    let count = u32::try_from(answers.load(Ordering::Relaxed)).unwrap();
    (done, f64::from(count) / begun.elapsed().as_secs_f64())
}

/// A tile, a proof, a checkpoint, in turn, of what was appended at the beginning.
fn path(number: u64) -> String {
    let some = crate::random(number);
    match number / u64::from(READERS) % 3 {
        0 => format!("/{NAMESPACE}/tile/0/{:03}", some % 78),
        1 => format!("/v1/{NAMESPACE}/proofs/inclusion?index={}", some % 20_000),
        _ => format!("/{NAMESPACE}/checkpoint"),
    }
}
