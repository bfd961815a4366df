//! How fast a fleet notices, waits and tidies up.

use std::time::Duration;

/// The times of a replica. All members of a fleet have the same.
///
/// openraft 0.9 has no pre-vote and draws a member's election timeout once, so the members' windows are disjoint
/// instead: the member with the index i (in the order of the numbers) waits `election_timeout + i * election_step`. A
/// follower that heard a leader before waits for this time twice, the lease and then the timeout: with the defaults a
/// fleet of three has a new leader about 1.3 s after the death of the old one, or 1.6 s if the first in line died with
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often a leader shows that it lives; also the most that one replication call may take, the follower's disk
    /// included. 150 ms.
    pub heartbeat: Duration,
    /// The election timeout of the first member. 600 ms; more than `heartbeat`.
    pub election_timeout: Duration,
    /// What each later member waits longer. 150 ms.
    pub election_step: Duration,
    /// The most that one part of a snapshot may take. 10 s.
    pub snapshot_timeout: Duration,
    /// How old another member's clock reading may be when the leader takes the median. 1 s; never more than 5 s.
    ///
    /// It bounds two things: by how much the fleet's time may be behind, and how long a leader that lost its majority
    /// proposes entries whose fate it will not learn.
    pub reading_age_max: Duration,
    /// How often a leader without commands looks whether something is due. 1 s.
    pub tick: Duration,
    /// After how many log entries a snapshot is taken. 5,000.
    pub snapshot_entries: u64,
    /// How many log entries are kept behind a snapshot, for members that lag a little. 500.
    pub kept_entries: u64,
}

impl Timing {
    /// The times of a fleet whose members are this far apart: elections follow from the heartbeat.
    ///
    /// One replication call, a new connection aside, has to fit into a heartbeat; on one site 150 ms do, between
    /// continents a second.
    #[must_use]
    pub fn of_heartbeat(heartbeat: Duration) -> Self {
        let standard = Self::default();
        Self {
            heartbeat,
            election_timeout: heartbeat.saturating_mul(4),
            election_step: heartbeat,
            reading_age_max: standard.reading_age_max.max(heartbeat.saturating_mul(4)),
            ..standard
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(150),
            election_timeout: Duration::from_millis(600),
            election_step: Duration::from_millis(150),
            snapshot_timeout: Duration::from_secs(10),
            reading_age_max: Duration::from_secs(1),
            tick: Duration::from_secs(1),
            snapshot_entries: 5_000,
            kept_entries: 500,
        }
    }
}
