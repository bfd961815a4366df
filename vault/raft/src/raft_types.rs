//! What openraft's type parameters are here.

use std::io::Cursor;

use countermark_vault_core::machine::{Batch, Response};

use crate::member_number::MemberNumber;

openraft::declare_raft_types!(
    /// An entry is a batch, its answer the machine's responses, and a member is only a number: who it is and where it
    /// is reached is the node's to know.
    pub(crate) Types:
        D = Batch,
        R = Vec<Response>,
        NodeId = MemberNumber,
        Node = openraft::EmptyNode,
        Entry = openraft::Entry<Types>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = openraft::TokioRuntime,
);

pub(crate) type Entry = openraft::Entry<Types>;
pub(crate) type LogId = openraft::LogId<MemberNumber>;
pub(crate) type Vote = openraft::Vote<MemberNumber>;
pub(crate) type StorageError = openraft::StorageError<MemberNumber>;
pub(crate) type StorageIOError = openraft::StorageIOError<MemberNumber>;
pub(crate) type Membership = openraft::StoredMembership<MemberNumber, openraft::EmptyNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<MemberNumber, openraft::EmptyNode>;
pub(crate) type Snapshot = openraft::Snapshot<Types>;
pub(crate) type Raft = openraft::Raft<Types>;
pub(crate) type ServerMetrics = openraft::metrics::RaftServerMetrics<MemberNumber, openraft::EmptyNode>;
