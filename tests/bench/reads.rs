//! What reads cost: inclusion proofs from trees of three sizes, tiles and checkpoints, and what readers cost the writer.
//!
//! Everything is asked of real `countermark log serve` processes over kept HTTP/1.1 connections, each of which waits for its
//! answer before it asks again; the load runs on the same cores. Beside a tile and a checkpoint, in the same run, stand a
//! constant of the same size from the same server (its policy text, padded), and one from a bare axum server in a process
//! of its own.
//!
//! The logs are filled past the store, in the order of its tables, and kept below `target/tmp` for the next run. Only the
//! ratios mean something on another machine. Run by `scripts/bench`; COUNTERMARK_BIN_DIR names the folder of the programs.
//! Linux only.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops at that line")]

#[expect(dead_code, reason = "the benchmark of appends says more of what it measured")]
#[path = "append/load.rs"]
mod append;
#[path = "reads/bare.rs"]
mod bare;
#[path = "reads/client.rs"]
mod client;
#[path = "reads/fill.rs"]
mod fill;
#[expect(dead_code, reason = "the benchmark of appends asks more of its log")]
#[path = "append/log.rs"]
mod log;
#[path = "reads/served.rs"]
mod served;
#[path = "reads/writer.rs"]
mod writer;

use std::time::Duration;

use bare::Bare;
use client::{Reader, Sample};
use countermark_tlog::hash::leaf_hash;
use served::Served;

/// How many different requests a connection has ready; it begins again behind the last.
const REQUESTS: u64 = 20_000;

/// What is measured.
struct Arguments {
    sizes: [u64; 3],
    each: Duration,
    appended: u64,
}

fn main() {
    if let Some(sizes) = bare::sizes_of_this_process() {
        return bare::serve(&sizes);
    }
    let arguments = arguments();
    let served = Served::start(&arguments.sizes);
    proofs(&served, &arguments);
    constants(&served, &arguments);
    served.stop();
    writer::measure(arguments.appended);
}

fn arguments() -> Arguments {
    let mut found = Arguments { sizes: [1_000, 100_000, 10_000_000], each: Duration::from_secs(4), appended: 200_000 };
    for word in std::env::args().skip(1) {
        match word.as_str() {
            // Cargo says so.
            "--bench" => {}
            "--quick" => {
                let sizes = [1_000, 100_000, 1_000_000];
                found = Arguments { sizes, each: Duration::from_millis(300), appended: 20_000 };
            }
            other => panic!("{other:?} is not known; --quick measures for moments only, and a million entries at most"),
        }
    }
    found
}

fn proofs(served: &Served, arguments: &Arguments) {
    println!("\nInclusion proofs of random entries");
    println!(
        "  {:<26} {:>11} {:>7} {:>10} {:>10} {:>10} {:>10} {:>12}",
        "", "connections", "hashes", "a second", "p50", "p99", "p99.9", "server's CPU"
    );
    for size in arguments.sizes {
        let path = |index: u64| format!("/v1/{}/proofs/inclusion?index={index}", served::name(size));
        let hashes = served.hashes_of_proofs(size, 200);
        for connections in [1, 8] {
            let reader = Reader { connections, each: arguments.each };
            let sample = reader.measure(served, &mut |number| path(random(number) % size));
            proof_row(&format!("{size} entries, by index"), connections, hashes, &sample);
        }
        let by_hash = |index: u64| {
            let hash = hex::encode(leaf_hash(&fill::entry(size, index)).0.0);
            format!("/v1/{}/proofs/inclusion?leaf_hash={hash}", served::name(size))
        };
        for connections in [1, 8] {
            let reader = Reader { connections, each: arguments.each };
            let sample = reader.measure(served, &mut |number| by_hash(random(number) % size));
            proof_row(&format!("{size} entries, by leaf hash"), connections, hashes, &sample);
        }
    }
}

fn proof_row(what: &str, connections: usize, hashes: f64, sample: &Sample) {
    println!(
        "  {what:<26} {connections:>11} {hashes:>7.1} {:>10.0} {:>10} {:>10} {:>10} {:>9.1} µs",
        sample.rate(),
        ms(sample.quantile(0.5)),
        ms(sample.quantile(0.99)),
        ms(sample.quantile(0.999)),
        sample.server_cpu_us(),
    );
}

/// Tiles and checkpoints beside constants of the same size.
fn constants(served: &Served, arguments: &Arguments) {
    let [small, _, large] = arguments.sizes.map(served::name);
    let checkpoint = served.length(&format!("/{small}/checkpoint"));
    let bare = Bare::start(&[8_192, checkpoint]);
    let full = arguments.sizes[2] / 256;
    let tile = |index: u64| format!("/{large}/tile/0/{}", tile_index(index));
    println!("\nAgainst constants of the same size, 8 connections; a ratio is of answers in a second");
    println!(
        "  {:<34} {:>10} {:>10} {:>14} {:>16} {:>12}",
        "", "a second", "p99", "/ same server", "/ bare, the same", "server's CPU"
    );
    let reader = Reader { connections: 8, each: arguments.each };
    for (what, path, length, constant) in [
        ("one full tile", &(&|_| tile(7)) as &dyn Fn(u64) -> String, 8_192, &large),
        ("full tiles, 1,000 of them", &|number| tile(random(number) % 1_000.min(full)), 8_192, &large),
        ("full tiles at random, of all", &|number| tile(random(number) % full), 8_192, &large),
        ("checkpoint", &|_| format!("/{small}/checkpoint"), checkpoint, &small),
    ] {
        let policy = format!("/v1/{constant}/policy");
        assert_eq!(served.length(&policy), length, "the constant has the same size");
        let mut rounds = Vec::new();
        // Turn by turn, so that what else this machine does meets all three.
        for _ in 0..3 {
            let ours = reader.measure(served, &mut |number| path(number));
            let same = reader.measure(served, &mut |_| policy.clone());
            let bare = reader.measure(&bare, &mut |_| format!("/{length}"));
            rounds.push((ours, same, bare));
        }
        rounds.sort_by(|one, other| (one.0.rate() / one.1.rate()).total_cmp(&(other.0.rate() / other.1.rate())));
        let (ours, same, bare) = &rounds[1];
        println!(
            "  {what:<34} {:>10.0} {:>10} {:>14.2} {:>16.2} {:>9.1} µs",
            ours.rate(),
            ms(ours.quantile(0.99)),
            ours.rate() / same.rate(),
            ours.rate() / bare.rate(),
            ours.server_cpu_us(),
        );
    }
}

/// `1234567` as `x001/x234/567`.
fn tile_index(index: u64) -> String {
    let mut path = format!("{:03}", index % 1_000);
    let mut rest = index / 1_000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1_000);
        rest /= 1_000;
    }
    path
}

/// The same numbers in every run (splitmix64).
fn random(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn ms(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}
