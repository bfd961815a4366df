//! The pipeline with real processes: from nothing to a bundle that a client verifies, interrupted everywhere.
//!
//! Needs the programs that `scripts/test` builds first; COUNTERMARK_BIN_DIR names their folder. Linux only.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "system/backup.rs"]
mod backup;
#[path = "system/command_line.rs"]
mod command_line;
#[path = "system/drilled.rs"]
mod drilled;
#[path = "system/exported.rs"]
mod exported;
#[path = "system/first_start.rs"]
mod first_start;
#[path = "system/fsck.rs"]
mod fsck;
#[path = "system/fuzzed.rs"]
mod fuzzed;
#[path = "system/killed.rs"]
mod killed;
#[path = "system/markers.rs"]
mod markers;
#[path = "system/operated.rs"]
mod operated;
#[path = "system/postgres.rs"]
mod postgres;
#[path = "system/service.rs"]
mod service;
#[path = "system/support.rs"]
mod support;
#[path = "system/upgraded.rs"]
mod upgraded;
#[path = "system/verifying.rs"]
mod verifying;
