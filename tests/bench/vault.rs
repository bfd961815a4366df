//! What a login takes: three members as real processes on this machine, full sessions over HTTP, and beside them in the
//! same run the bare arithmetic that OPAQUE costs a server. And how long nobody is served after the leader was killed.
//!
//! The password is stretched as little as possible here: Argon2id runs on the phone, and would be all that is measured.
//! Only the ratios mean something on another machine. Run by `scripts/bench`; COUNTERMARK_BIN_DIR names the folder of the
//! programs. Linux only.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops at that line")]

#[path = "submit/authority.rs"]
#[expect(dead_code, reason = "shared with the benchmark of submissions")]
mod authority;
#[path = "vault/bare.rs"]
mod bare;
#[path = "vault/fleet.rs"]
mod fleet;
#[path = "vault/phone.rs"]
mod phone;

use std::sync::Arc;
use std::time::{Duration, Instant};

use authority::Authority;
use fleet::Fleet;
use phone::Phone;

/// Users, each with a record.
const USERS: usize = 64;
/// How long logins are counted.
const COUNTED: Duration = Duration::from_secs(8);
/// How often the leader is killed.
const KILLS: usize = 5;

#[tokio::main]
async fn main() {
    // The HTTP client wants to know, also where it speaks without TLS.
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (counted, kills) = if quick { (Duration::from_secs(1), 1) } else { (COUNTED, KILLS) };
    let authority = Authority::start();
    let mut fleet = Fleet::of(&authority);
    let phones: Vec<Arc<Phone>> = (0..USERS).map(|number| Arc::new(Phone::new(&authority, &fleet, number))).collect();
    for (number, phone) in phones.iter().enumerate() {
        phone.register(&fleet.member(number)).await;
    }

    let bare = bare::login(if quick { 20 } else { 400 });
    println!("\nLogins at three members, whole sessions of {} exchanges", countermark_vault_core::session::EXCHANGES);
    println!("  {:<44} {:>10} {:>10} {:>10} {:>14}", "", "logins/s", "p50", "p99", "/ bare, per s");
    println!("  {:<44} {:>10.0} {:>10} {:>10} {:>14}", "bare OPAQUE server arithmetic, one core", bare, "", "", "1");
    for (sessions, padded) in [(1, true), (16, true), (64, true), (64, false)] {
        let times = log_in_for(&phones, &fleet, sessions, padded, counted).await;
        report(sessions, padded, &times, counted, bare);
    }

    println!("\nService after the leader was killed, until a login succeeds at another member");
    authority.freeze();
    for _ in 0..kills {
        let leader = fleet.leader().await;
        fleet.kill(leader);
        let begun = Instant::now();
        let other = fleet.member((leader + 1) % 3);
        while !phones[0].log_in(&other, true).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        println!("  {:>7} ms", begun.elapsed().as_millis());
        fleet.restart(leader).await;
    }
}

/// So many sessions at a time, each with its own users, for a while: how long each login took.
async fn log_in_for(
    phones: &[Arc<Phone>],
    fleet: &Fleet,
    sessions: usize,
    padded: bool,
    counted: Duration,
) -> Vec<Duration> {
    let end = Instant::now() + counted;
    let tasks: Vec<_> = (0..sessions)
        .map(|lane| {
            let (phone, members) =
                (Arc::clone(&phones[lane % phones.len()]), [0, 1, 2].map(|n| fleet.member(n + lane)));
            tokio::spawn(async move {
                let mut times = Vec::new();
                for turn in 0.. {
                    let begun = Instant::now();
                    assert!(phone.log_in(&members[turn % 3], padded).await, "a login failed");
                    if Instant::now() > end {
                        break;
                    }
                    times.push(begun.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    times.sort_unstable();
    times
}

fn report(sessions: usize, padded: bool, times: &[Duration], counted: Duration, bare: f64) {
    let count = f64::from(u32::try_from(times.len()).unwrap());
    let rate = count / counted.as_secs_f64();
    let percentile = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
    let what = format!("{sessions} at a time{}", if padded { "" } else { ", not filled up with idle exchanges" });
    let cells = [percentile(50), percentile(99)].map(|time| format!("{:.2} ms", time.as_secs_f64() * 1000.0));
    println!("  {what:<44} {rate:>10.0} {:>10} {:>10} {:>14.3}", cells[0], cells[1], rate / bare);
}
