//! The log as a real process, in every trouble that can be made: killed at random moments, with a file system that fails,
//! with a full disk, with witnesses that hang and lie, with a database of yesterday, and with a second writer.
//!
//! After each: everything that was acknowledged is there under its index, and everything that was ever signed and left the
//! process is a head of the one log, recomputed from its entries.
//!
//! Needs the programs that `scripts/test` builds first; COUNTERMARK_BIN_DIR names their folder. Linux only, with `strace`.
//! COUNTERMARK_LONG=1 makes the loops long.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "faults/alarms.rs"]
mod alarms;
#[path = "faults/audit.rs"]
mod audit;
#[path = "faults/authority.rs"]
mod authority;
#[path = "faults/hostile.rs"]
mod hostile;
#[path = "faults/http.rs"]
mod http;
#[path = "faults/injected.rs"]
mod injected;
#[path = "faults/killed.rs"]
mod killed;
#[path = "faults/log.rs"]
mod log;
#[path = "faults/no_space.rs"]
mod no_space;
#[path = "faults/restored.rs"]
mod restored;
#[path = "faults/submitter.rs"]
mod submitter;
#[path = "faults/tls.rs"]
mod tls;
#[path = "faults/two_writers.rs"]
mod two_writers;
#[path = "faults/witness.rs"]
mod witness;
#[path = "faults/witnesses.rs"]
mod witnesses;

/// Whether the long form of the loops was asked for.
fn is_long() -> bool {
    std::env::var_os("COUNTERMARK_LONG").is_some_and(|value| value == "1")
}
