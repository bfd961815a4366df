//! What a server bounds, and how many connections the process can have.
//!
//! A bound on connections alone would let a few callers shut everybody else out, and a bound on time alone would let many
//! of them hold as much memory as they like. Both together are honest only with an order: whoever has waited longest
//! without asking anything goes first.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// The most connections of a process.
pub const CONNECTIONS_MAX: usize = 8_192;
/// The most connections of a listener that few programs ask: a page of status, or of figures.
pub const CONNECTIONS_ASIDE_MAX: usize = 64;
/// The most requests under way, before the handlers' own bounds: each is a task.
pub const REQUESTS_MAX: usize = 16_384;
/// The most requests whose bodies are arriving.
pub const UPLOADS_MAX: usize = 1_024;
/// The most bytes of a body that arrive before a handler is called: 256 KiB, as much as any handler takes.
pub const UPLOAD_BYTES_MAX: usize = 256 << 10;
/// How long they may take.
pub const UPLOAD_TIME_MAX: Duration = Duration::from_secs(20);
/// The most bytes of answers that are not sent yet: 256 MiB. Answers of at most [`PIECE_BYTES_MAX`] do not wait for room.
pub const ANSWER_BYTES_MAX: usize = 256 << 20;
/// The most bytes of an answer that are handed to a connection at once: 64 KiB.
pub const PIECE_BYTES_MAX: usize = 64 << 10;
/// How long a TLS handshake, and then the head of an HTTP/1 request from its first byte, may take.
pub const HEAD_MAX: Duration = Duration::from_secs(10);
/// How long a connection may stay open without a request.
pub const IDLE_MAX: Duration = Duration::from_mins(1);
/// How long an answer may wait for its reader to take the next piece.
pub const STALL_MAX: Duration = Duration::from_secs(30);
/// How long it may wait when [`ANSWER_BYTES_MAX`] is reached.
pub const STALL_WHEN_FULL_MAX: Duration = Duration::from_secs(2);
/// How often overdue connections are looked for.
pub const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The bounds of one server. The defaults are the constants; tests have shorter ones.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections.
    pub connections_max: usize,
    /// The most requests under way.
    pub requests_max: usize,
    /// The most requests whose bodies are arriving.
    pub uploads_max: usize,
    /// For the body of a request to arrive.
    pub upload_time_max: Duration,
    /// The most bytes of answers that are not sent yet.
    pub answer_bytes_max: usize,
    /// For a TLS handshake, and for the head of a request.
    pub head_max: Duration,
    /// For a connection without a request.
    pub idle_max: Duration,
    /// For the next piece of an answer.
    pub stall_max: Duration,
    /// For the next piece of an answer while too much is unsent.
    pub stall_when_full_max: Duration,
    /// How often overdue connections are looked for.
    pub sweep_every: Duration,
}

impl Limits {
    /// The bounds of a service's own listener: half of the files that the process may open are for connections, at most
    /// [`CONNECTIONS_MAX`]. The other half is for databases, exports, and the other listeners.
    #[must_use]
    pub fn of_process() -> Self {
        Self { connections_max: connections_for(getrlimit(Resource::Nofile).current), ..Self::default() }
    }

    /// The bounds of a listener beside the service's own.
    #[must_use]
    pub fn aside() -> Self {
        Self { connections_max: CONNECTIONS_ASIDE_MAX, ..Self::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            requests_max: REQUESTS_MAX,
            uploads_max: UPLOADS_MAX,
            upload_time_max: UPLOAD_TIME_MAX,
            answer_bytes_max: ANSWER_BYTES_MAX,
            head_max: HEAD_MAX,
            idle_max: IDLE_MAX,
            stall_max: STALL_MAX,
            stall_when_full_max: STALL_WHEN_FULL_MAX,
            sweep_every: SWEEP_EVERY,
        }
    }
}

/// `None` is no limit.
fn connections_for(files_max: Option<u64>) -> usize {
    let half = files_max.and_then(|files| usize::try_from(files / 2).ok()).unwrap_or(CONNECTIONS_MAX);
    half.clamp(1, CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_of_a_process_are_for_connections() {
        for (files_max, expect) in [
            (None, CONNECTIONS_MAX),
            (Some(u64::MAX), CONNECTIONS_MAX),
            (Some(1_048_576), CONNECTIONS_MAX),
            (Some(1_024), 512),
            (Some(1), 1),
            (Some(0), 1),
        ] {
            assert_eq!(connections_for(files_max), expect, "{files_max:?}");
        }
        assert!((1..=CONNECTIONS_MAX).contains(&Limits::of_process().connections_max));
    }
}
