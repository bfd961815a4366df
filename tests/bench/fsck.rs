//! What the recomputation of a whole log takes: `countermark log fsck` of an exported folder as a real process, beside bare
//! SHA-256 of the same bytes on as many threads.
//!
//! The folder is read from the system's cache: the disk is not what is measured. Only the ratio means something on another
//! machine. Run by `scripts/bench`; COUNTERMARK_BIN_DIR names the folder of the program. Linux only.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops at that line")]

#[path = "fsck/bare.rs"]
mod bare;
#[path = "fsck/export.rs"]
mod export;

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use export::{ENTRY_BYTES, Export};
use serde_json::Value;

/// Entries of the log.
const ENTRIES: u64 = 1_000_000;
/// Entries where it is only shown that everything runs.
const ENTRIES_QUICK: u64 = 20_000;
/// Runs of each, of which the median counts.
const RUNS: usize = 3;

fn main() {
    let entries = entries();
    let threads = thread::available_parallelism().unwrap().get();
    eprintln!("exporting {entries} entries of {ENTRY_BYTES} bytes");
    let export = Export::of(entries);
    let bundles = export.bundles();
    let bare = median((0..RUNS).map(|_| timed(|| assert_eq!(bare::root(&bundles, threads), export.root().0.0))));
    drop(bundles);
    let runs: Vec<(Duration, u64)> = (0..RUNS).map(|_| fsck(&export, threads)).collect();
    let ours = median(runs.iter().map(|(time, _)| *time));
    let peak = runs.iter().map(|(_, peak)| *peak).max().unwrap();

    println!("\nA log of {entries} entries of {ENTRY_BYTES} bytes, recomputed on {threads} threads");
    println!("  {:<36} {:>11} {:>13} {:>9} {:>10}", "", "p50", "entries/s", "/ bare", "peak RSS");
    row("bare: SHA-256 of leaves and nodes", bare, entries, bare, None);
    row("countermark log fsck", ours, entries, bare, Some(peak));
}

fn entries() -> u64 {
    let mut entries = ENTRIES;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            // Cargo says so.
            "--bench" => {}
            "--quick" => entries = ENTRIES_QUICK,
            other => panic!("{other:?} is not known; --quick measures a few entries only"),
        }
    }
    entries
}

fn row(what: &str, time: Duration, entries: u64, bare: Duration, peak_kib: Option<u64>) {
    let per_second = u128::from(entries) * 1_000_000_000 / time.as_nanos().max(1);
    let (time_ms, ratio) = (time.as_secs_f64() * 1000.0, time.as_secs_f64() / bare.as_secs_f64());
    let peak = peak_kib.map_or_else(String::new, |kib| format!("{} MiB", kib / 1024));
    let line = format!("  {what:<36} {time_ms:>8.1} ms {per_second:>13} {ratio:>9.2} {peak:>10}");
    println!("{}", line.trim_end());
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Runs the command: how long the process took from start to end, and its largest resident set in KiB.
fn fsck(export: &Export, jobs: usize) -> (Duration, u64) {
    let folder = PathBuf::from(std::env::var_os("COUNTERMARK_BIN_DIR").expect("COUNTERMARK_BIN_DIR is not set"));
    let begun = Instant::now();
    let mut process = Command::new(folder.join("countermark"))
        .args(["log", "fsck", "--json", "--vkey", &export.vkey().to_string(), "--jobs", &jobs.to_string()])
        .arg(export.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status_file = format!("/proc/{}/status", process.id());
    // The system forgets it with the process, so it is read until then; it only ever grows.
    let mut peak = 0;
    while process.try_wait().unwrap().is_none() {
        peak = peak.max(peak_kib(&fs::read_to_string(&status_file).unwrap_or_default()).unwrap_or(0));
        thread::sleep(Duration::from_millis(2));
    }
    let took = begun.elapsed();
    let mut said = String::new();
    process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(process.wait().unwrap().success(), "{said}");
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["entries_hashed"], export.entries(), "{said}");
    (took, peak)
}

fn peak_kib(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}
