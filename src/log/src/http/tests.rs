//! The whole surface over a real sequencer, a real SQLite file and witnesses in memory; requests never touch a socket.

mod adding;
mod audits;
mod bench;
mod caching;
mod described;
mod exported;
mod history;
mod limits;
mod overview;
mod reading;
mod receipts;
mod submitting;
mod tiling;
mod tokens;

use bench::{Answer, Bench};
