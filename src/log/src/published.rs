//! What readers see: the committed head and the published one, each with the namespace's state as of its size.
//!
//! It is not a store: it holds the newest of each, in memory, and is made again at every start.
//!
//! Invariant: views only grow. A reader that saw a size never sees a smaller one from the same process. Both views are
//! swapped only after what they show is durable in the database, and for a signed head in the head register too.

use std::sync::Arc;

use countermark_bundle::identity::Timestamp;
use countermark_tlog::checkpoint::{CheckpointError, SignedCheckpoint};
use countermark_tlog::hash::RootHash;
use countermark_tlog::note::KeyName;
use countermark_tlog::policy::PolicyError;
use countermark_tlog::size::TreeSize;
use thiserror::Error;
use tokio::sync::watch;

use crate::foundation::LogState;
use crate::ports::StoredHead;
use crate::sequencer::OwnerState;
use crate::stage::Tree;

/// The newest head that met the witness quorum.
#[derive(Debug, Clone)]
pub struct Published {
    /// The size of the tree.
    pub size: TreeSize,
    /// Its root.
    pub root: RootHash,
    /// The signed note: the log's signature and every valid cosignature of the policy's witnesses that we have.
    pub note: Vec<u8>,
    /// The greatest time such that cosignatures of that time or later alone meet the quorum; where the policy asks for no
    /// cosignature, when this process published it.
    pub head_time: Timestamp,
    /// The policy's witnesses whose cosignatures are in the note.
    pub cosigners: Vec<KeyName>,
    /// The namespace as of `size`.
    pub state: LogState,
}

impl Published {
    /// Makes the view of a note that meets the quorum of the policy in force at its size.
    pub(crate) fn verify(note: &[u8], state: LogState, now: Timestamp) -> Result<Self, PublishError> {
        let signed = SignedCheckpoint::parse(note)?;
        let witnessed = state.policy().verify(&signed)?;
        let head = witnessed.checkpoint();
        if head.size != state.size() {
            return Err(PublishError::OtherSize { expected: state.size(), found: head.size });
        }
        let head_time = match witnessed.time() {
            Some(seconds) => Timestamp::from_unix(seconds).ok_or(PublishError::NoTime)?,
            None if state.policy().quorum_met(&|_| false) => now,
            None => return Err(PublishError::NoTime),
        };
        let cosigners = witnessed.witnesses();
        Ok(Self { size: head.size, root: head.root, note: note.to_vec(), head_time, cosigners, state })
    }
}

/// Why a note is not published.
#[derive(Debug, Error)]
pub enum PublishError {
    /// Not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The quorum is not met, or a cosignature spoils the note.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The note is of another size than the state.
    #[error("the note is of size {found}, the state of size {expected}")]
    OtherSize {
        /// The state's size.
        expected: TreeSize,
        /// The note's size.
        found: TreeSize,
    },
    /// No quorum of cosignatures says when.
    #[error("no quorum of cosignatures says when")]
    NoTime,
}

/// The newest head that is durable in the database and in the head register.
#[derive(Debug, Clone)]
pub(crate) struct Committed {
    /// What was signed.
    pub(crate) head: StoredHead,
    /// The namespace as of the head's size.
    pub(crate) state: LogState,
    /// The right edge of the tree.
    pub(crate) tree: Tree,
}

/// The sending ends of the views, held by the tasks that may move them.
#[derive(Debug)]
pub(crate) struct ViewSenders {
    pub(crate) owner: watch::Sender<OwnerState>,
    pub(crate) committed: watch::Sender<Arc<Committed>>,
    pub(crate) witnessed: watch::Sender<TreeSize>,
    pub(crate) published: watch::Sender<Option<Arc<Published>>>,
}

/// The receiving ends of the views.
#[derive(Debug, Clone)]
pub(crate) struct Views {
    pub(crate) owner: watch::Receiver<OwnerState>,
    pub(crate) committed: watch::Receiver<Arc<Committed>>,
    /// The largest size that met the quorum; 0 before the first.
    pub(crate) witnessed: watch::Receiver<TreeSize>,
    pub(crate) published: watch::Receiver<Option<Arc<Published>>>,
}

/// The views of a namespace as it was read from the store.
pub(crate) fn views(
    state: OwnerState,
    committed: Arc<Committed>,
    published: Option<Arc<Published>>,
) -> (ViewSenders, Views) {
    let witnessed = published.as_ref().map_or(TreeSize::ZERO, |published| published.size);
    let (owner_sender, owner) = watch::channel(state);
    let (committed_sender, committed) = watch::channel(committed);
    let (witnessed_sender, witnessed) = watch::channel(witnessed);
    let (published_sender, published) = watch::channel(published);
    let senders = ViewSenders {
        owner: owner_sender,
        committed: committed_sender,
        witnessed: witnessed_sender,
        published: published_sender,
    };
    let views = Views { owner, committed, witnessed, published };
    (senders, views)
}

/// Ends when the namespace is asked to stop, or nobody is left who could ask.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}
