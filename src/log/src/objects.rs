//! Named bytes in a folder or in a bucket of an S3-compatible store: what an export and a head register elsewhere stand on.
//!
//! It knows nothing of logs: a key is a path, an object is bytes. What the back ends promise is in [`Objects`]; nobody
//! believes what is read, it is verified by whoever asked.
//!
//! Invariant: an object is there whole or not at all, whatever crashes; "not there" is `Ok(None)`, "could not look" is an
//! [`ObjectsFault`], after which nobody knows whether it was done.

pub(crate) mod access;
pub(crate) mod bucket;
pub(crate) mod folder;
pub mod location;

#[cfg(test)]
pub(crate) mod contract;

use std::fmt;
use std::io;

use thiserror::Error;

use crate::ports::PortFuture;

/// Where bytes with names are.
pub(crate) trait Objects: fmt::Debug + Send + Sync {
    /// The object of this key, of at most `bytes_max` bytes; more are a fault.
    fn get<'a>(&'a self, key: &'a str, bytes_max: usize) -> PortFuture<'a, Result<Option<Object>, ObjectsFault>>;

    /// Writes an object, whole, over what is there. It is durable after the next [`Objects::settle`].
    fn put<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> PortFuture<'a, Result<(), ObjectsFault>>;

    /// Makes everything durable that was put before, names included.
    fn settle(&self) -> PortFuture<'_, Result<(), ObjectsFault>>;

    /// Writes an object, whole and durable, if what is there carries `expected`, or nothing is there and nothing expected.
    fn swap<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a Tag>,
        bytes: Vec<u8>,
    ) -> PortFuture<'a, Result<(), SwapError>>;

    /// Removes every object whose key begins with `folder` and a slash. Where none is, that is success.
    fn remove_folder<'a>(&'a self, folder: &'a str) -> PortFuture<'a, Result<(), ObjectsFault>>;

    /// The first parts of all keys that have more than one.
    fn folders(&self) -> PortFuture<'_, Result<Vec<String>, ObjectsFault>>;
}

/// An object as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) bytes: Vec<u8>,
    pub(crate) tag: Tag,
}

/// Tells one content of an object from another: an entity tag of the server, or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag(String);

impl Tag {
    /// The tag of no content.
    pub(crate) fn of_nothing() -> Self {
        Self(format!("\"{}\"", "0".repeat(32)))
    }
}

/// Why an object was not swapped.
#[derive(Debug, Error)]
pub(crate) enum SwapError {
    /// Another content is there; nothing was changed.
    #[error("the object is another one than expected")]
    Conflict,
    /// The outcome is unknown.
    #[error(transparent)]
    Fault(#[from] ObjectsFault),
}

/// Fault: the object store failed and may or may not have done what it was asked.
#[derive(Debug, Error)]
#[error("failed to {action} {key:?}")]
pub struct ObjectsFault {
    /// What it was asked to do.
    pub action: &'static str,
    /// With which object.
    pub key: String,
    /// What happened.
    pub source: ObjectsFaultCause,
}

/// What happened to a call of an object store.
#[derive(Debug, Error)]
pub enum ObjectsFaultCause {
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server failed, or could not be reached, or refused.
    #[error(transparent)]
    Server(#[from] object_store::Error),
    /// More bytes than such an object ever has.
    #[error("the object has more than {bytes_max} bytes")]
    TooLarge {
        /// The most that is read.
        bytes_max: usize,
    },
    /// No answer in time.
    #[error("there was no answer within {seconds} seconds")]
    DeadlinePassed {
        /// How long was waited.
        seconds: u64,
    },
    /// The server names no entity tag, so nothing of it can be compared.
    #[error("the server sent no entity tag")]
    NoTag,
    /// The blocking task was cancelled with the runtime.
    #[error("the runtime is shutting down")]
    Cancelled,
    /// A test wants it so.
    #[cfg(test)]
    #[error("the test wants it so")]
    Wanted,
}
