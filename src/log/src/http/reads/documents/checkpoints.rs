//! Published heads.

use countermark_tlog::checkpoint::SignedCheckpoint;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ports::StoredPublication;

/// A part of the history of published heads, the largest first.
#[derive(Serialize, ToSchema)]
#[schema(as = Checkpoints)]
pub(in crate::http) struct CheckpointsDocument<'a> {
    /// The log.
    pub(in crate::http) origin: &'a str,
    /// Published heads.
    pub(in crate::http) checkpoints: Vec<CheckpointDocument>,
    /// What `before` must be to get the ones that follow; null at the end.
    pub(in crate::http) next: Option<u64>,
}

/// A published head.
#[derive(Serialize, ToSchema)]
#[schema(as = Checkpoint)]
pub(in crate::http) struct CheckpointDocument {
    pub(in crate::http) size: u64,
    /// In base64.
    root: String,
    /// The signed note: the log's signature and every cosignature that it had at last.
    note: String,
}

impl CheckpointDocument {
    /// `None` if what was stored is no checkpoint of its size.
    pub(in crate::http) fn of(stored: &StoredPublication) -> Option<Self> {
        let signed = SignedCheckpoint::parse(&stored.note).ok()?;
        let head = signed.checkpoint();
        let note = String::from_utf8(stored.note.clone()).ok()?;
        (head.size == stored.size).then(|| Self { size: head.size.get(), root: head.root.0.to_base64(), note })
    }
}
