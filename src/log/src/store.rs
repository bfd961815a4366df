//! The back ends of the [`Store`](crate::ports::Store) port. Every one passes the same contract suite.

pub mod postgres;
pub mod sqlite;
mod values;

#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod memory;
