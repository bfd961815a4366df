//! A connection for one call, with the call's deadline.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use thiserror::Error;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use crate::ports::PortFault;
use crate::store::values::fault;

/// The server gave no answer in time. What it was asked to do may yet happen.
#[derive(Debug, Error)]
#[error("the database gave no answer within {} ms", deadline.as_millis())]
struct NoAnswer {
    deadline: Duration,
}

/// A connection that goes back to its pool only after an answer. One that was given up, by a deadline or because the
/// caller went away, is closed: a late answer must not be taken for that of the next call, and a server that hangs must
/// not keep a place in the pool.
pub(super) struct Lease {
    /// `None` only while it is given back.
    connection: Option<PoolConnection<Postgres>>,
    deadline: Duration,
    until: Instant,
    action: &'static str,
}

impl Lease {
    /// Waits for a connection; the call's deadline begins here.
    pub(super) async fn take(pool: &PgPool, deadline: Duration, action: &'static str) -> Result<Self, PortFault> {
        let until = Instant::now() + deadline;
        let connection = tokio::time::timeout_at(until, pool.acquire())
            .await
            .map_err(|_| fault(action)(NoAnswer { deadline }))?
            .map_err(fault(action))?;
        Ok(Self { connection: Some(connection), deadline, until, action })
    }

    /// When the call must have ended.
    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    /// The connection.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("it is given back by `settle` alone, which takes the lease")
    }

    /// Gives the connection back if the server answered, and closes it if not.
    pub(super) fn settle<T>(mut self, done: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, PortFault> {
        match done {
            Ok(answer) => {
                // The pool looks whether it still lives.
                drop(self.connection.take());
                answer.map_err(fault(self.action))
            }
            Err(Elapsed { .. }) => Err(fault(self.action)(NoAnswer { deadline: self.deadline })),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // Out of the pool, and closed without a word.
            drop(connection.detach());
        }
    }
}
