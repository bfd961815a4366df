//! What a witness may cost: memory, with as many logs as it follows at most.

use std::fmt::Write as _;
use std::fs;

use crate::binary::{Served, init};
use crate::log::TestLog;
use crate::support::{self, Home};

/// The most logs of a witness.
const LOGS: usize = 10_000;
/// The most memory of a witness that follows so many, in MiB; RUNBOOK.md promises it.
const MEMORY_MIB_MAX: u64 = 128;

#[tokio::test]
async fn a_witness_of_ten_thousand_logs_stays_within_its_memory() {
    let home = Home::new(&[]);
    let mut list = "logs/v0\n".to_owned();
    for number in 0..LOGS {
        let vkey = TestLog::new(&format!("log-{number}.example/l")).vkey();
        write!(list, "vkey {vkey}\nqpd 86400\ncontact nobody\n").unwrap();
    }
    fs::write(home.path("logs"), list).unwrap();
    let config = fs::read_to_string(home.path("witness.toml")).unwrap();
    fs::write(home.path("witness.toml"), format!("log_lists = [\"logs\"]\n{config}")).unwrap();
    init(&home);
    let served = Served::start(&home);
    // A part of them, spread: what is kept of each is on the disk.
    for number in (0..LOGS).step_by(50) {
        let log = TestLog::new(&format!("log-{number}.example/l"));
        assert_eq!(support::post(served.address, log.request(0, 3)).await.status, 200);
    }
    let status = fs::read_to_string(format!("/proc/{}/status", served.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kib / 1024 <= MEMORY_MIB_MAX, "{} MiB", kib / 1024);
}
