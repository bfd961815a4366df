//! A whole vault in this process, made of the real core: no clock, no disk, no majority but the one that a test says. And
//! members that misbehave.

mod fleet;
mod keys;
mod member;
mod server;

pub(super) use fleet::*;
pub(super) use keys::*;
pub(super) use member::*;
pub(super) use server::*;
