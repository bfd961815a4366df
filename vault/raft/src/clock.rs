//! The clocks of a majority, and the time that follows from them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countermark_vault_core::machine::ReplicatedTime;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::member_number::MemberNumber;

/// The most that [`crate::Timing::reading_age_max`] means, whatever stands there.
const READING_AGE_LIMIT: Duration = Duration::from_secs(5);

/// What tells this member the time.
pub trait Clock: Send + Sync {
    /// The time now. It may be wrong, and it may jump: the fleet takes a majority's word.
    fn now(&self) -> ReplicatedTime;
}

/// This member's clock and what it last heard of the others'.
pub(crate) struct Clocks {
    own: Arc<dyn Clock>,
    others: Mutex<BTreeMap<MemberNumber, Reading>>,
    members: usize,
    age_max: Duration,
    heard: Notify,
}

#[derive(Clone, Copy)]
struct Reading {
    time: ReplicatedTime,
    /// When the call began that brought it: the reading is at most this old.
    asked_at: Instant,
}

impl Clocks {
    /// Clocks of a fleet of so many members.
    pub(crate) fn new(own: Arc<dyn Clock>, members: usize, age_max: Duration) -> Self {
        Self { own, others: Mutex::default(), members, age_max: age_max.min(READING_AGE_LIMIT), heard: Notify::new() }
    }

    /// This member's own clock.
    pub(crate) fn own(&self) -> ReplicatedTime {
        self.own.now()
    }

    /// Another member's clock, heard in the answer to a call that began at `asked_at`.
    pub(crate) fn heard(&self, member: MemberNumber, time: ReplicatedTime, asked_at: Instant) {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = others.entry(member).or_insert(Reading { time, asked_at });
        // Answers may overtake each other.
        if reading.asked_at <= asked_at {
            *reading = Reading { time, asked_at };
        }
        drop(others);
        self.heard.notify_waiters();
    }

    /// Waits until the next reading.
    pub(crate) async fn changed(&self) {
        self.heard.notified().await;
    }

    /// The fleet's time now; `None` without fresh clocks of a majority.
    ///
    /// It is the median of all members' clocks, where a clock that was not heard counts as the earliest time. So fewer
    /// wrong clocks than half of the members cannot move it past every honest one, also if exactly a majority was heard
    /// and most of those are wrong; they can make it stand still, which makes what waits wait longer.
    pub(crate) fn median(&self) -> Option<ReplicatedTime> {
        let now = Instant::now();
        let fresh = |reading: &&Reading| now.saturating_duration_since(reading.asked_at) <= self.age_max;
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clocks: Vec<ReplicatedTime> = others.values().filter(fresh).map(|reading| reading.time).collect();
        drop(others);
        clocks.push(self.own.now());
        if clocks.len() <= self.members / 2 {
            return None;
        }
        clocks.resize(self.members.max(clocks.len()), ReplicatedTime::START);
        ReplicatedTime::median(&mut clocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u64);

    impl Clock for Fixed {
        fn now(&self) -> ReplicatedTime {
            ReplicatedTime::from_unix(self.0)
        }
    }

    fn check(members: usize, own: u64, others: &[u64], expect: Option<u64>) {
        let clocks = Clocks::new(Arc::new(Fixed(own)), members, Duration::from_secs(1));
        for (member, time) in (1..).zip(others) {
            clocks.heard(MemberNumber::from(member), ReplicatedTime::from_unix(*time), Instant::now());
        }
        assert_eq!(clocks.median(), expect.map(ReplicatedTime::from_unix), "{members} members: {own}, {others:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_minority_of_clocks_does_not_move_the_time_past_every_honest_one() {
        check(1, 7, &[], Some(7));
        check(3, 7, &[], None);
        check(3, 7, &[9], Some(7));
        check(3, u64::MAX, &[9], Some(9));
        check(3, u64::MAX, &[9, 8], Some(9));
        check(3, 0, &[9, 8], Some(8));
        check(4, 7, &[8], None);
        check(4, u64::MAX, &[8, 9], Some(8));
        check(5, u64::MAX, &[u64::MAX], None);
        check(5, u64::MAX, &[u64::MAX, 9], Some(9));
        check(5, u64::MAX, &[u64::MAX, 9, 8], Some(9));
        check(5, u64::MAX, &[u64::MAX, 9, 8, 7], Some(9));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_ages_from_the_beginning_of_its_call() {
        let clocks = Clocks::new(Arc::new(Fixed(5)), 3, Duration::from_mins(1));
        let asked_at = Instant::now();
        tokio::time::advance(Duration::from_secs(4)).await;
        clocks.heard(MemberNumber::from(1), ReplicatedTime::from_unix(6), asked_at);
        assert_eq!(clocks.median(), Some(ReplicatedTime::from_unix(5)));
        tokio::time::advance(Duration::from_millis(1_001)).await;
        assert_eq!(clocks.median(), None, "a reading older than five seconds counted");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_was_overtaken_does_not_replace_the_later_one() {
        let clocks = Clocks::new(Arc::new(Fixed(9)), 3, Duration::from_secs(2));
        let early = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        clocks.heard(MemberNumber::from(1), ReplicatedTime::from_unix(6), Instant::now());
        clocks.heard(MemberNumber::from(1), ReplicatedTime::from_unix(3), early);
        assert_eq!(clocks.median(), Some(ReplicatedTime::from_unix(6)));
    }
}
