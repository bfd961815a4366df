//! The snapshot's rows: one snapshot, in parts.

use redb::{ReadTransaction, ReadableTable as _, ReadableTableMetadata as _, WriteTransaction};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::error::{StorageFault, StoragePart};
use super::rows::{SNAPSHOT, SNAPSHOT_ROW_BYTES, SnapshotHead};
use super::seal::{Place, Sealer};
use crate::raft_types::SnapshotMeta;

/// Puts a snapshot in the place of the one before.
pub(super) fn write(
    transaction: &WriteTransaction,
    sealer: &Sealer,
    generation: u64,
    meta: &SnapshotMeta,
    bytes: &[u8],
) -> Result<SnapshotHead, StorageFault> {
    let mut table = transaction.open_table(SNAPSHOT)?;
    table.retain(|_, _| false)?;
    for (part, content) in (0..).zip(bytes.chunks(SNAPSHOT_ROW_BYTES)) {
        let row = sealer.seal(Place::Snapshot { generation, part }, content)?;
        table.insert(part, row.as_slice())?;
    }
    let length = u64::try_from(bytes.len()).map_err(|_| StorageFault::Exhausted)?;
    Ok(SnapshotHead { meta: meta.clone(), generation, bytes: length, digest: Sha256::digest(bytes).into() })
}

/// Reads and verifies a snapshot: the head names its digest, and no other rows are there.
pub(super) fn read(
    transaction: &ReadTransaction,
    sealer: &Sealer,
    head: Option<&SnapshotHead>,
) -> Result<Option<Zeroizing<Vec<u8>>>, StorageFault> {
    let table = transaction.open_table(SNAPSHOT)?;
    let Some(head) = head else {
        return if table.is_empty()? { Ok(None) } else { Err(CHANGED) };
    };
    // Reserved at once, so that no copy of the secrets stays behind when the buffer grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(head.bytes).map_err(|_| CHANGED)?));
    for (expected, row) in (0..).zip(table.iter()?) {
        let (part, row) = row?;
        if part.value() != expected {
            return Err(CHANGED);
        }
        let content = sealer
            .unseal(Place::Snapshot { generation: head.generation, part: expected }, row.value())
            .map_err(|error| StorageFault::unsealing(error, StoragePart::Snapshot))?;
        bytes.extend_from_slice(&content);
    }
    let digest: [u8; 32] = Sha256::digest(bytes.as_slice()).into();
    if digest == head.digest { Ok(Some(bytes)) } else { Err(CHANGED) }
}

const CHANGED: StorageFault = StorageFault::Changed(StoragePart::Snapshot);
