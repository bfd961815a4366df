//! The sessions that are open at this member, in memory: a bounded number, each for a bounded time.
//!
//! A session is out of the table while it works. A second request meanwhile ends it: its frames come one after the
//! other, so whoever sends two at once is not its client alone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use countermark_vault_core::noise::SessionId;
use tokio::time::Instant;

/// The most sessions at one time.
pub(crate) const SESSIONS_MAX: usize = 4096;
/// How long a session waits for its next request.
pub(crate) const IDLE_MAX: Duration = Duration::from_mins(1);
/// How long it waits once its client asked as often as clients do: nothing more is expected of it.
pub(crate) const DONE_IDLE_MAX: Duration = Duration::from_secs(1);
/// How long it waits before its client said who it is: strangers hold places for a short time only.
pub(crate) const STRANGER_IDLE_MAX: Duration = Duration::from_secs(10);

/// The table.
#[derive(Debug)]
pub(crate) struct SessionTable<Session> {
    slots: Mutex<HashMap<SessionId, Slot<Session>>>,
    sessions_max: usize,
}

#[derive(Debug)]
enum Slot<Session> {
    Waiting { session: Session, until: Instant },
    Working { ended: bool },
}

/// What stands under an identifier.
#[derive(Debug)]
pub(crate) enum Taken<Session> {
    /// A session that waits for this request.
    Session(Session),
    /// It waited too long, and is no longer in the table.
    Expired(Session),
    /// Nothing that goes on.
    Unknown,
}

/// There is no room for another session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for another session")]
pub(crate) struct TableFull;

impl<Session> SessionTable<Session> {
    pub(crate) fn new(sessions_max: usize) -> Self {
        Self { slots: Mutex::default(), sessions_max }
    }

    /// Whether there is room for another session right now.
    pub(crate) fn has_room(&self) -> bool {
        self.locked(|slots| slots.len() < self.sessions_max)
    }

    /// Takes a new session in, which waits until `until`.
    pub(crate) fn insert(&self, id: SessionId, session: Session, until: Instant) -> Result<(), TableFull> {
        self.locked(|slots| {
            if slots.len() >= self.sessions_max {
                return Err(TableFull);
            }
            slots.insert(id, Slot::Waiting { session, until });
            Ok(())
        })
    }

    /// Takes a session out for work. Its place stays, until [`SessionTable::put_back`] or [`SessionTable::remove`].
    pub(crate) fn take(&self, id: SessionId, now: Instant) -> Taken<Session> {
        self.locked(|slots| match slots.insert(id, Slot::Working { ended: false }) {
            Some(Slot::Waiting { session, until }) if now < until => Taken::Session(session),
            Some(Slot::Waiting { session, .. }) => {
                slots.remove(&id);
                Taken::Expired(session)
            }
            Some(Slot::Working { .. }) => {
                slots.insert(id, Slot::Working { ended: true });
                Taken::Unknown
            }
            None => {
                slots.remove(&id);
                Taken::Unknown
            }
        })
    }

    /// Puts a session back that worked, to wait until `until`; gives it back if it was ended meanwhile.
    pub(crate) fn put_back(&self, id: SessionId, session: Session, until: Instant) -> Option<Session> {
        self.locked(|slots| match slots.remove(&id) {
            Some(Slot::Working { ended: false }) => {
                slots.insert(id, Slot::Waiting { session, until });
                None
            }
            Some(Slot::Working { ended: true } | Slot::Waiting { .. }) | None => Some(session),
        })
    }

    /// Forgets a session that worked.
    pub(crate) fn remove(&self, id: SessionId) {
        self.locked(|slots| slots.remove(&id));
    }

    /// Takes out whatever waited too long.
    pub(crate) fn expire(&self, now: Instant) -> Vec<Session> {
        let is_due = |slot: &mut Slot<Session>| matches!(slot, Slot::Waiting { until, .. } if *until <= now);
        self.locked(|slots| {
            let expired = slots.extract_if(|_, slot| is_due(slot)).map(|(_, slot)| slot);
            let session = |slot| match slot {
                Slot::Waiting { session, .. } => Some(session),
                Slot::Working { .. } => None,
            };
            expired.filter_map(session).collect()
        })
    }

    /// Nothing waits under this lock, and every change of the map is one call.
    fn locked<T>(&self, work: impl FnOnce(&mut HashMap<SessionId, Slot<Session>>) -> T) -> T {
        work(&mut self.slots.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> SessionId {
        SessionId::from([number; 16])
    }

    fn unknown(taken: &Taken<u8>) -> bool {
        matches!(taken, Taken::Unknown)
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_waits_works_and_waits_again() {
        let (table, now) = (SessionTable::new(1), Instant::now());
        assert!(unknown(&table.take(id(1), now)) && table.has_room());
        table.insert(id(1), 7, now + IDLE_MAX).unwrap();
        for _ in 0..3 {
            assert!(matches!(table.take(id(1), now), Taken::Session(7)));
            assert_eq!(table.put_back(id(1), 7, now + IDLE_MAX), None);
        }
        assert!(matches!(table.take(id(1), now), Taken::Session(7)));
        table.remove(id(1));
        assert!(unknown(&table.take(id(1), now)) && table.has_room());
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_request_ends_a_session_that_works() {
        let (table, now) = (SessionTable::new(1), Instant::now());
        table.insert(id(1), 7, now + IDLE_MAX).unwrap();
        assert!(matches!(table.take(id(1), now), Taken::Session(7)));
        assert!(unknown(&table.take(id(1), now)));
        assert!(unknown(&table.take(id(1), now)));
        assert_eq!(table.put_back(id(1), 7, now + IDLE_MAX), Some(7));
        assert!(unknown(&table.take(id(1), now)) && table.has_room());
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_room_for_so_many_and_working_ones_count() {
        let (table, now) = (SessionTable::new(2), Instant::now());
        table.insert(id(1), 1, now + IDLE_MAX).unwrap();
        table.insert(id(2), 2, now + IDLE_MAX).unwrap();
        assert!(matches!(table.take(id(1), now), Taken::Session(1)));
        assert!(!table.has_room());
        assert_eq!(table.insert(id(3), 3, now + IDLE_MAX), Err(TableFull));
        table.remove(id(1));
        table.insert(id(3), 3, now + IDLE_MAX).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_too_long_is_taken_out_and_what_works_is_not() {
        let (table, now) = (SessionTable::new(3), Instant::now());
        for number in 1..=3 {
            table.insert(id(number), number, now + IDLE_MAX).unwrap();
        }
        assert!(matches!(table.take(id(1), now), Taken::Session(1)));
        let late = now + IDLE_MAX;
        assert!(table.expire(now + IDLE_MAX / 2).is_empty());
        assert!(matches!(table.take(id(2), late), Taken::Expired(2)));
        assert_eq!(table.expire(late), [3]);
        assert_eq!(table.put_back(id(1), 1, late + IDLE_MAX), None);
        assert!(matches!(table.take(id(1), late), Taken::Session(1)));
    }
}
