//! What happens inside of a session, after the handshake: one request and one answer at a time, each in one frame of a
//! fixed size.
//!
//! * [`message`]: requests, answers, refusals and their encoding.
//! * [`server`]: a member's side, without I/O: it says what to check and what to commit, and goes on with the outcome.
//! * [`client`]: a client's side, without I/O.
//!
//! Invariants:
//! * a password is evaluated only after its charge was committed, and what it opens leaves only after its success was;
//! * whatever goes on inside, the relay sees frames of one size, and as many of them from every client of ours.

pub mod client;
pub mod message;
pub mod server;

/// The exchanges of every session of our clients: the longest one, a change of the password, needs seven.
pub const EXCHANGES: u32 = 8;
/// The most exchanges that a member answers in one session.
pub const EXCHANGES_MAX: u32 = 16;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
