//! The whole surface over a real sequencer, a real SQLite file and witnesses in memory; requests never touch a socket.

mod adding;
mod audits;
mod bench;
mod exported;
mod limits;
mod reading;
mod submitting;
mod tiling;
mod tokens;

use bench::{Answer, Bench};
