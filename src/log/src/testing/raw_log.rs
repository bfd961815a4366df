//! A `raw` log without witnesses that is signed and stored as it grows, and no more: what an export is made from.

use std::ops::Range;
use std::sync::Arc;

use countermark_bundle::identity::{Digest, Namespace};
use countermark_keys::Role;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::note::SignatureType;
use countermark_tlog::policy::Policy;

use super::TestSigner;
use crate::export::{ExportHead, ExportedLog};
use crate::foundation::{Foundation, RawFoundation};
use crate::ports::{LogKind, Store as _, WriterEpoch, WriterId};
use crate::recover::HeadName;
use crate::sequencer::Identity;
use crate::stage::{LogKey, NewEntry, Tree, stage};
use crate::store::memory::MemoryStore;

/// A log and its store.
pub(crate) struct RawLog {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) identity: Identity,
    signer: TestSigner,
    tree: Tree,
    epoch: WriterEpoch,
}

/// The entry of this number.
pub(crate) fn entry(number: u64) -> Vec<u8> {
    format!("entry {number} {}", "x".repeat(usize::try_from(number % 37).unwrap())).into_bytes()
}

impl RawLog {
    /// An empty log, and its first head.
    pub(crate) async fn new(seed: u8) -> (Self, ExportHead) {
        let origin = Origin::new("log.example/digests").unwrap();
        let signer = TestSigner::new(Role::Log, seed);
        let text = format!("log {}\nquorum none\n", signer.vkey(origin.as_str(), SignatureType::Ed25519));
        let policy = Arc::new(Policy::parse(text.as_bytes()).unwrap());
        let foundation = Foundation::Raw(RawFoundation { text, policy, max_head_age_seconds: 86_400 });
        let namespace = Namespace::parse("digests").unwrap();
        let identity = Identity { origin, namespace, foundation };
        let store = Arc::new(MemoryStore::default());
        let (tree, epoch) = (Tree::empty(), WriterEpoch(0));
        let mut log = Self { store, identity, signer, tree, epoch };
        let head = log.add(0..0).await;
        (log, head)
    }

    /// The log grown to so many entries.
    pub(crate) async fn grow_to(&mut self, size: u64) -> ExportHead {
        self.add(self.tree.size().get()..size).await
    }

    /// Commits the entries of these numbers.
    pub(crate) async fn add(&mut self, numbers: Range<u64>) -> ExportHead {
        let origin = &self.identity.origin;
        let new_entry = |number| NewEntry::new(Digest::of(&entry(number)), entry(number).into());
        let key = self.signer.vkey(origin.as_str(), SignatureType::Ed25519);
        let staged = stage(origin, &self.tree, numbers.map(new_entry).collect()).unwrap();
        let batch = staged.sign(&[LogKey { signer: &self.signer, vkey: &key }]).unwrap();
        if self.epoch == WriterEpoch(0) {
            self.store.create_namespace(LogKind::Raw, &batch).await.unwrap();
            self.epoch = self.store.take_writer(origin, WriterId([1; 16]), None).await.unwrap().epoch;
        } else {
            self.store.commit(self.epoch, &batch).await.unwrap();
        }
        self.tree = batch.tree().clone();
        let head = batch.head();
        ExportHead { name: HeadName::from(head), note: head.checkpoint.clone() }
    }

    pub(crate) fn exported(&self) -> ExportedLog {
        ExportedLog::of(&self.identity).unwrap()
    }
}
