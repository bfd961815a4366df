//! The back ends of the [`Store`](crate::ports::Store) port. Every one passes the same contract suite.

pub mod sqlite;

#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod memory;
