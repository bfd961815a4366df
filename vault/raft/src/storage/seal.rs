//! Sealing rows, each for its place: a row of another member, another table or another key does not open.

use std::sync::Arc;

use countermark_vault_core::device::{DeviceFault, SealedStore, UnsealError};
use zeroize::Zeroizing;

/// A row's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The head after this durable transaction.
    Head { generation: u64 },
    /// The entry with this index. Which of the entries that ever had it, the chain says.
    Log { index: u64 },
    /// A part of the snapshot that was written by this durable transaction.
    Snapshot { generation: u64, part: u64 },
}

/// Seals for one member.
pub(super) struct Sealer {
    store: Arc<dyn SealedStore>,
    identity: [u8; 32],
}

impl Sealer {
    /// Seals for the member with this identity key.
    pub(super) fn new(store: Arc<dyn SealedStore>, identity: [u8; 32]) -> Self {
        Self { store, identity }
    }

    pub(super) fn seal(&self, place: Place, plaintext: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        self.store.seal(&self.context(place), plaintext)
    }

    pub(super) fn unseal(&self, place: Place, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        self.store.unseal(&self.context(place), sealed)
    }

    /// A table's byte and two numbers behind a prefix of fixed length: two places never have the same context.
    fn context(&self, place: Place) -> Vec<u8> {
        let (table, first, second) = match place {
            Place::Head { generation } => (0, generation, 0),
            Place::Log { index } => (1, index, 0),
            Place::Snapshot { generation, part } => (2, generation, part),
        };
        let mut context = b"countermark/vault-storage/v1\n".to_vec();
        context.extend_from_slice(&self.identity);
        context.push(table);
        context.extend_from_slice(&u64::to_be_bytes(first));
        context.extend_from_slice(&u64::to_be_bytes(second));
        context
    }
}
