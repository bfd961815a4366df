//! One file a verb.

pub mod approve;
pub mod audit;
pub mod backup;
pub mod fleet;
pub mod gossip;
pub mod keys;
pub mod log;
pub mod openssl;
pub mod prove;
pub mod services;
pub mod status;
pub mod submit;
pub mod token;
pub mod trust;
pub mod verify;
