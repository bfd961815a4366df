//! The store in memory, for tests: the same contract as the others, without durability.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use countermark_bundle::identity::Digest;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::LeafHash;
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::TileCoord;

use crate::ports::{
    CommitError, CreateNamespaceError, FreezeError, LogKind, PortFault, PortFuture, PortName, Store, StoreReader,
    StoredHead, StoredPublication, TakeWriterError, TileBytes, WriterEpoch, WriterId, WriterTaken,
};
use crate::stage::{SignedBatch, StagedEntry};

/// Many namespaces in memory.
#[derive(Default)]
pub(crate) struct MemoryStore {
    logs: Mutex<HashMap<Origin, Log>>,
}

#[derive(Clone)]
struct Log {
    kind: LogKind,
    frozen: bool,
    created_size: TreeSize,
    epoch: WriterEpoch,
    writer: WriterId,
    entries: Vec<StagedEntry>,
    full_tiles: HashMap<TileCoord, Vec<u8>>,
    partial_tiles: BTreeMap<u8, TileBytes>,
    heads: Vec<StoredHead>,
    publications: Vec<StoredPublication>,
}

#[derive(Debug, thiserror::Error)]
#[error("written twice: {what}")]
struct WrittenTwice {
    what: &'static str,
}

fn twice(what: &'static str) -> PortFault {
    PortFault { port: PortName::Store, action: "commit a batch", source: Box::new(WrittenTwice { what }) }
}

impl MemoryStore {
    /// A snapshot, as of a database that is restored later.
    pub(crate) fn snapshot(&self) -> Self {
        Self { logs: Mutex::new(self.logs.lock().unwrap().clone()) }
    }

    /// Puts a snapshot back in place.
    pub(crate) fn restore(&self, snapshot: Self) {
        *self.logs.lock().unwrap() = snapshot.logs.into_inner().unwrap();
    }

    /// Every head ever signed, oldest first.
    pub(crate) fn heads(&self, origin: &Origin) -> Vec<StoredHead> {
        self.read(origin, |log| log.heads.clone()).unwrap_or_default()
    }

    /// Changes a stored byte, as a broken disk would.
    pub(crate) fn flip(&self, origin: &Origin, what: Flip) {
        let mut logs = self.logs.lock().unwrap();
        let log = logs.get_mut(origin).unwrap();
        match what {
            Flip::Entry(index) => {
                let mut bytes = log.entries[index].bytes.to_vec();
                bytes[0] ^= 1;
                log.entries[index].bytes = bytes.into();
            }
            Flip::EntrySpace(index) => {
                let mut bytes = log.entries[index].bytes.to_vec();
                bytes.push(b' ');
                log.entries[index].bytes = bytes.into();
            }
            Flip::PartialTile => log.partial_tiles.first_entry().unwrap().get_mut().1[0] ^= 1,
            Flip::Checkpoint => *log.heads.last_mut().unwrap().checkpoint.last_mut().unwrap() ^= 1,
            Flip::Size => log.heads.last_mut().unwrap().size = TreeSize::new(77).unwrap(),
            Flip::Root => log.heads.last_mut().unwrap().root.0.0[0] ^= 1,
            Flip::LostEntry => {
                log.entries.pop();
            }
            Flip::ExtraEntry(bytes) => {
                let mut extra = log.entries.last().unwrap().clone();
                extra.bytes = bytes.into();
                log.entries.push(extra);
            }
            Flip::Publication => *log.publications.last_mut().unwrap().note.last_mut().unwrap() ^= 1,
        }
    }

    fn read<T>(&self, origin: &Origin, f: impl FnOnce(&Log) -> T) -> Option<T> {
        self.logs.lock().unwrap().get(origin).map(f)
    }

    fn add(&self, epoch: WriterEpoch, batch: &SignedBatch) -> Result<(), CommitError> {
        let mut logs = self.logs.lock().unwrap();
        let log = logs.get_mut(batch.origin()).unwrap();
        let found_size = log.heads.last().unwrap().size;
        if log.frozen {
            return Err(CommitError::Frozen { size: found_size });
        }
        if log.epoch != epoch || found_size != batch.old_size() {
            return Err(CommitError::Fenced {
                expected: epoch,
                expected_size: batch.old_size(),
                found: log.epoch,
                found_size,
            });
        }
        // All or nothing: a copy takes the batch first.
        let mut next = log.clone();
        next.take(batch)?;
        *log = next;
        Ok(())
    }
}

/// What a broken disk changes.
#[derive(Debug, Clone)]
pub(crate) enum Flip {
    Entry(usize),
    EntrySpace(usize),
    ExtraEntry(Vec<u8>),
    PartialTile,
    Checkpoint,
    Size,
    Root,
    LostEntry,
    Publication,
}

impl Log {
    fn take(&mut self, batch: &SignedBatch) -> Result<(), PortFault> {
        for entry in batch.entries() {
            if self.entries.iter().any(|old| old.identity == entry.identity) {
                return Err(twice("an identity"));
            }
            if entry.index.get() != u64::try_from(self.entries.len()).unwrap() {
                return Err(twice("an index"));
            }
            self.entries.push(entry.clone());
        }
        for (tile, bytes) in batch.full_tiles() {
            if self.full_tiles.insert(*tile, bytes.clone()).is_some() {
                return Err(twice("a full tile"));
            }
        }
        for level in batch.emptied_levels() {
            self.partial_tiles.remove(level);
        }
        for (tile, bytes) in batch.changed_partial_tiles() {
            self.partial_tiles.insert(tile.level(), (*tile, bytes.clone()));
        }
        self.heads.push(batch.head().clone());
        Ok(())
    }
}

impl Store for MemoryStore {
    fn create_namespace<'a>(
        &'a self,
        kind: LogKind,
        first: &'a SignedBatch,
    ) -> PortFuture<'a, Result<(), CreateNamespaceError>> {
        Box::pin(async move {
            let mut logs = self.logs.lock().unwrap();
            let origin = first.origin().clone();
            if logs.contains_key(&origin) {
                return Err(CreateNamespaceError::AlreadyExists { origin });
            }
            let mut log = Log {
                kind,
                frozen: false,
                created_size: first.head().size,
                epoch: WriterEpoch(0),
                writer: WriterId([0; 16]),
                entries: Vec::new(),
                full_tiles: HashMap::new(),
                partial_tiles: BTreeMap::new(),
                heads: Vec::new(),
                publications: vec![],
            };
            log.take(first)?;
            logs.insert(origin, log);
            Ok(())
        })
    }

    fn take_writer<'a>(
        &'a self,
        origin: &'a Origin,
        writer: WriterId,
        held: Option<WriterEpoch>,
    ) -> PortFuture<'a, Result<WriterTaken, TakeWriterError>> {
        Box::pin(async move {
            let mut logs = self.logs.lock().unwrap();
            let missing = || TakeWriterError::Missing { origin: origin.clone() };
            let log = logs.get_mut(origin).ok_or_else(missing)?;
            if let Some(expected) = held.filter(|_| log.writer != writer) {
                return Err(TakeWriterError::Fenced { expected, found: log.epoch });
            }
            log.epoch.0 += 1;
            log.writer = writer;
            Ok(WriterTaken {
                epoch: log.epoch,
                kind: log.kind,
                frozen: log.frozen,
                head: log.heads.last().unwrap().clone(),
                created_size: log.created_size,
            })
        })
    }

    fn commit<'a>(&'a self, epoch: WriterEpoch, batch: &'a SignedBatch) -> PortFuture<'a, Result<(), CommitError>> {
        Box::pin(async move { self.add(epoch, batch) })
    }

    fn freeze<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<TreeSize, FreezeError>> {
        Box::pin(async move {
            let mut logs = self.logs.lock().unwrap();
            let log = logs.get_mut(origin).ok_or_else(|| FreezeError::Missing { origin: origin.clone() })?;
            log.frozen = true;
            Ok(log.heads.last().unwrap().size)
        })
    }

    fn record_publication<'a>(
        &'a self,
        origin: &'a Origin,
        publication: &'a StoredPublication,
    ) -> PortFuture<'a, Result<(), PortFault>> {
        Box::pin(async move {
            if let Some(log) = self.logs.lock().unwrap().get_mut(origin) {
                log.publications.pop_if(|newest| newest.size == publication.size);
                if log.publications.last().is_none_or(|newest| newest.size < publication.size) {
                    log.publications.push(publication.clone());
                }
            }
            Ok(())
        })
    }
}

impl StoreReader for MemoryStore {
    fn entries<'a>(
        &'a self,
        origin: &'a Origin,
        from: LeafIndex,
        count: usize,
    ) -> PortFuture<'a, Result<Vec<Vec<u8>>, PortFault>> {
        let from = usize::try_from(from.get()).unwrap();
        let entries = self
            .read(origin, |log| log.entries.iter().skip(from).take(count).map(|entry| entry.bytes.to_vec()).collect());
        Box::pin(async move { Ok(entries.unwrap_or_default()) })
    }

    fn full_tile<'a>(
        &'a self,
        origin: &'a Origin,
        tile: TileCoord,
    ) -> PortFuture<'a, Result<Option<Vec<u8>>, PortFault>> {
        let bytes = self.read(origin, |log| log.full_tiles.get(&tile).cloned());
        Box::pin(async move { Ok(bytes.flatten()) })
    }

    fn partial_tiles<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<Vec<TileBytes>, PortFault>> {
        let tiles = self.read(origin, |log| log.partial_tiles.values().cloned().collect());
        Box::pin(async move { Ok(tiles.unwrap_or_default()) })
    }

    fn indexes_of_identities<'a>(
        &'a self,
        origin: &'a Origin,
        identities: &'a [Digest],
    ) -> PortFuture<'a, Result<Vec<Option<LeafIndex>>, PortFault>> {
        let find = |log: &Log, identity| log.entries.iter().find(|entry| entry.identity == identity).map(|e| e.index);
        let found = self.read(origin, |log| identities.iter().map(|identity| find(log, *identity)).collect());
        Box::pin(async move { Ok(found.unwrap_or_else(|| vec![None; identities.len()])) })
    }

    fn index_of_leaf_hash<'a>(
        &'a self,
        origin: &'a Origin,
        leaf_hash: LeafHash,
    ) -> PortFuture<'a, Result<Option<LeafIndex>, PortFault>> {
        let found = self.read(origin, |log| log.entries.iter().find(|e| e.leaf_hash == leaf_hash).map(|e| e.index));
        Box::pin(async move { Ok(found.flatten()) })
    }

    fn publications<'a>(
        &'a self,
        origin: &'a Origin,
        up_to: TreeSize,
        count: usize,
    ) -> PortFuture<'a, Result<Vec<StoredPublication>, PortFault>> {
        let found = self.read(origin, |log| {
            let heads = log.publications.iter().rev();
            heads.filter(|head| head.size <= up_to).take(count).cloned().collect()
        });
        Box::pin(async move { Ok(found.unwrap_or_default()) })
    }
}
