//! Appends of opaque entries, end to end: the log as a real process with one `raw` namespace, thousands of submitters over
//! HTTP with a token each time, deduplication and fsync on, the load on the same cores. Beside it in the same run: the same
//! store's bare batched insert of the same bytes, and one lone submitter.
//!
//! Only the ratios mean something on another machine. Run by `scripts/bench`; COUNTERMARK_BIN_DIR names the folder of the
//! programs. Linux only. `--entries N` appends so many, `--submitters N` at a time, `--size N` bytes each.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops at that line")]

#[path = "append/bare.rs"]
mod bare;
#[path = "append/load.rs"]
mod load;
#[path = "append/log.rs"]
mod log;

use std::time::Duration;

use load::Load;
use log::Log;

/// What is measured.
struct Arguments {
    entries: u64,
    submitters: usize,
    size: usize,
    lone: usize,
}

fn main() {
    let arguments = arguments();
    let mut log = Log::start();
    lone(&log, arguments.lone);
    let load = Load { submitters: arguments.submitters, size: arguments.size };
    log.until_published(u64::try_from(arguments.lone).unwrap());
    let before = log.size();
    let measured = load.append(&log, arguments.entries);
    log.until_published(before + arguments.entries);
    let appended = log.size() - before;
    assert_eq!(appended, arguments.entries, "every answer stands for an entry of its own");
    report(&arguments, &measured, &log);
    log.stop();
}

fn arguments() -> Arguments {
    let mut found = Arguments { entries: 1_000_000, submitters: 3_000, size: 200, lone: 1_000 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|text| text.parse::<u64>().ok()).expect("a number follows");
        match word.as_str() {
            // Cargo says so.
            "--bench" => {}
            "--quick" => (found.entries, found.submitters, found.lone) = (20_000, 500, 50),
            "--entries" => found.entries = number(),
            "--submitters" => found.submitters = usize::try_from(number()).unwrap(),
            "--size" => found.size = usize::try_from(number()).unwrap(),
            other => panic!("{other:?} is not known; --quick, --entries N, --submitters N, --size N"),
        }
    }
    found
}

/// One submitter alone: what stands between two durable commits and an answer.
fn lone(log: &Log, count: usize) {
    let load = Load { submitters: 1, size: 200 };
    let measured = load.append(log, u64::try_from(count).unwrap());
    println!("one submitter: p50 {}, p99 {}", ms(measured.quantile(0.5)), ms(measured.quantile(0.99)));
}

fn report(arguments: &Arguments, measured: &load::Measured, log: &Log) {
    let rate = measured.rate(arguments.entries);
    let bare = bare::insert(&log.folder().join("bare.sqlite"), arguments.entries.min(1_000_000), arguments.size);
    println!(
        "{} entries of {} bytes by {} submitters at a time",
        arguments.entries, arguments.size, arguments.submitters
    );
    println!(
        "appended over HTTP  {rate:>9.0}/s   p50 {}  p99 {}",
        ms(measured.quantile(0.5)),
        ms(measured.quantile(0.99))
    );
    println!("bare batched insert {bare:>9.0}/s   ratio {:.3}", rate / bare);
    println!("batches of          {:>9.0} entries on average", measured.entries_of_a_batch(log));
    let (cpu, peak) = log.used();
    let per_entry = cpu.as_secs_f64() * 1e6 / f64::from(u32::try_from(arguments.entries).unwrap());
    println!("the log's CPU       {per_entry:>9.1} µs for each entry; peak memory {peak} MiB");
    println!("the load's CPU      {:>9.1} µs for each entry", measured.own_cpu_us(arguments.entries));
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
