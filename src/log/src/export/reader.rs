//! Reads an export as a store is read: the same port, without a writer and without a database.
//!
//! It verifies nothing by itself: [`super::follow`] looks at a checkpoint, and only what it found good is shown here. What
//! is read from tiles and bundles is proved to clients, not believed.
//!
//! Invariant: the size that is shown never shrinks, and every leaf hash up to it is in the index.

use std::sync::{Arc, PoisonError, RwLock};

use countermark_bundle::identity::{Digest, Namespace};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::entry_bundle::{self, EntryBundleError};
use countermark_tlog::hash::{HASH_BYTES, Hash, LeafHash};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::{TILE_BYTES_MAX, TILE_WIDTH, TileCoord, TileError, tiles_of};
use thiserror::Error;

use super::index::LeafHashes;
use crate::objects::{Objects, ObjectsFault};
use crate::ports::{LogKind, PortFault, PortFuture, PortName, StoreReader, StoredPublication, TileBytes};

/// The most bytes of an entry bundle: 256 entries of 65,535 bytes, and the length of each.
const BUNDLE_BYTES_MAX: usize = 256 * (65_535 + 2);
const WIDTH: u64 = TILE_WIDTH as u64;

/// Why something of an export could not be read.
#[derive(Debug, Error)]
pub(crate) enum ExportReadError {
    /// The folder or bucket failed.
    #[error(transparent)]
    Objects(#[from] ObjectsFault),
    /// The export lacks what its checkpoint has.
    #[error("the export lacks {key:?}")]
    Missing {
        /// The object.
        key: String,
    },
    /// A tile of another length than its place has.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// A bundle is malformed.
    #[error(transparent)]
    Bundle(#[from] EntryBundleError),
    /// Identities of a `fleet-keys` log are a writer's business; nothing that is read asks for them.
    #[error("an export has no index of identities")]
    NoIdentities,
}

/// What is shown of an export.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) size: TreeSize,
    pub(crate) note: Arc<[u8]>,
}

/// One log of an export.
#[derive(Debug)]
pub(crate) struct ExportReader {
    kind: LogKind,
    namespace: String,
    objects: Arc<dyn Objects>,
    shown: RwLock<Shown>,
    leaf_hashes: RwLock<LeafHashes>,
}

impl ExportReader {
    /// A reader that shows nothing yet.
    pub(crate) fn new(kind: LogKind, namespace: &Namespace, objects: Arc<dyn Objects>) -> Self {
        let shown = RwLock::new(Shown { size: TreeSize::ZERO, note: Arc::new([]) });
        Self { kind, namespace: namespace.to_string(), objects, shown, leaf_hashes: RwLock::default() }
    }

    pub(crate) fn shown(&self) -> Shown {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shows a larger tree, whose new leaf hashes these are; or another note of the same tree.
    pub(crate) fn show(&self, next: Shown, new_leaf_hashes: &[LeafHash]) {
        let first = self.shown().size.get();
        self.leaf_hashes.write().unwrap_or_else(PoisonError::into_inner).extend(first, new_leaf_hashes);
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// An object of this log, bounded.
    pub(crate) async fn object(&self, path: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, ExportReadError> {
        let found = self.objects.get(&format!("{}/{path}", self.namespace), bytes_max).await?;
        Ok(found.map(|object| object.bytes))
    }

    /// A tile at least as wide as asked for, cut to that: the full one where an exporter has removed the partial one.
    pub(crate) async fn tile(&self, tile: TileCoord) -> Result<Vec<u8>, ExportReadError> {
        let expected = tile.byte_count();
        let mut bytes = self.either(tile.path(), tile.full().path(), TILE_BYTES_MAX).await?;
        if bytes.len() < expected {
            return Err(TileError::ByteCount { expected, found: bytes.len() }.into());
        }
        bytes.truncate(expected);
        Ok(bytes)
    }

    /// The leaf hashes of a tree of `size` in the place of a level 0 tile.
    pub(crate) async fn leaf_hashes_at(&self, index: u64, size: TreeSize) -> Result<Vec<LeafHash>, ExportReadError> {
        let bytes = self.tile(place(index, size)?).await?;
        // The length of a tile is a multiple of a hash's.
        Ok(bytes.chunks(HASH_BYTES).filter_map(|hash| Hash::from_slice(hash).ok()).map(LeafHash).collect())
    }

    /// The entries of a tree of `size` in the place of a level 0 tile.
    pub(crate) async fn bundle(&self, index: u64, size: TreeSize) -> Result<Vec<Vec<u8>>, ExportReadError> {
        let bundle = place(index, size)?;
        let partial = self.object(&bundle.entries_path(), BUNDLE_BYTES_MAX).await?;
        let (bytes, width) = match partial {
            Some(bytes) => (bytes, bundle.width()),
            None => (self.either_missing(bundle.full().entries_path()).await?, TILE_WIDTH),
        };
        let mut entries: Vec<Vec<u8>> = entry_bundle::decode(&bytes, width)?.into_iter().map(<[u8]>::to_vec).collect();
        entries.truncate(usize::from(bundle.width()));
        Ok(entries)
    }

    async fn either(&self, path: String, or_else: String, bytes_max: usize) -> Result<Vec<u8>, ExportReadError> {
        if let Some(bytes) = self.object(&path, bytes_max).await? {
            return Ok(bytes);
        }
        match self.object(&or_else, bytes_max).await? {
            Some(bytes) => Ok(bytes),
            None => Err(ExportReadError::Missing { key: path }),
        }
    }

    async fn either_missing(&self, path: String) -> Result<Vec<u8>, ExportReadError> {
        self.object(&path, BUNDLE_BYTES_MAX).await?.ok_or(ExportReadError::Missing { key: path })
    }

    async fn read_entries(&self, from: LeafIndex, count: usize) -> Result<Vec<Vec<u8>>, ExportReadError> {
        let size = self.shown().size;
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let end = from.get().saturating_add(count).min(size.get());
        let mut found = Vec::new();
        let mut next = from.get();
        while next < end {
            let index = next / WIDTH;
            let skipped = usize::try_from(next % WIDTH).unwrap_or(usize::MAX);
            let wanted = usize::try_from(end - next).unwrap_or(usize::MAX);
            found.extend(self.bundle(index, size).await?.into_iter().skip(skipped).take(wanted));
            next = index.saturating_add(1).saturating_mul(WIDTH);
        }
        Ok(found)
    }

    async fn find(&self, leaf_hash: LeafHash) -> Result<Option<LeafIndex>, ExportReadError> {
        let candidates = self.leaf_hashes.read().unwrap_or_else(PoisonError::into_inner).candidates(leaf_hash);
        let size = self.shown().size;
        for candidate in candidates.into_iter().filter(|candidate| candidate.is_in(size)) {
            let hashes = self.leaf_hashes_at(candidate.get() / WIDTH, size).await?;
            let position = usize::try_from(candidate.get() % WIDTH).unwrap_or(usize::MAX);
            if hashes.get(position) == Some(&leaf_hash) {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// The partial tiles of a tree of this size.
    pub(crate) async fn right_edge(&self, size: TreeSize) -> Result<Vec<TileBytes>, ExportReadError> {
        let mut found = Vec::new();
        for tile in tiles_of(size).into_iter().filter(|tile| !tile.is_full()) {
            found.push((tile, self.tile(tile).await?));
        }
        Ok(found)
    }
}

/// The level 0 tile of this index, as wide as it is in a tree of this size.
fn place(index: u64, size: TreeSize) -> Result<TileCoord, TileError> {
    let rest = size.get().saturating_sub(index.saturating_mul(WIDTH));
    TileCoord::new(0, index, u16::try_from(rest.min(WIDTH)).unwrap_or(TILE_WIDTH))
}

fn fault(action: &'static str) -> impl Fn(ExportReadError) -> PortFault {
    move |source| PortFault { port: PortName::Store, action, source: Box::new(source) }
}

impl StoreReader for ExportReader {
    fn entries<'a>(
        &'a self,
        _origin: &'a Origin,
        from: LeafIndex,
        count: usize,
    ) -> PortFuture<'a, Result<Vec<Vec<u8>>, PortFault>> {
        Box::pin(async move { self.read_entries(from, count).await.map_err(fault("read exported entries")) })
    }

    fn full_tile<'a>(
        &'a self,
        _origin: &'a Origin,
        tile: TileCoord,
    ) -> PortFuture<'a, Result<Option<Vec<u8>>, PortFault>> {
        Box::pin(async move {
            let found = self.object(&tile.path(), TILE_BYTES_MAX).await;
            found.map_err(fault("read an exported tile"))
        })
    }

    fn partial_tiles<'a>(&'a self, _origin: &'a Origin) -> PortFuture<'a, Result<Vec<TileBytes>, PortFault>> {
        Box::pin(async move { self.right_edge(self.shown().size).await.map_err(fault("read the exported right edge")) })
    }

    fn indexes_of_identities<'a>(
        &'a self,
        _origin: &'a Origin,
        identities: &'a [Digest],
    ) -> PortFuture<'a, Result<Vec<Option<LeafIndex>>, PortFault>> {
        Box::pin(async move {
            let mut found = Vec::with_capacity(identities.len());
            for identity in identities {
                // The identity of an opaque entry is its leaf hash.
                let index = match self.kind {
                    LogKind::Raw => self.find(LeafHash(Hash(identity.0))).await,
                    LogKind::FleetKeys => Err(ExportReadError::NoIdentities),
                };
                found.push(index.map_err(fault("look up identities"))?);
            }
            Ok(found)
        })
    }

    fn index_of_leaf_hash<'a>(
        &'a self,
        _origin: &'a Origin,
        leaf_hash: LeafHash,
    ) -> PortFuture<'a, Result<Option<LeafIndex>, PortFault>> {
        Box::pin(async move { self.find(leaf_hash).await.map_err(fault("look up a leaf hash")) })
    }

    /// An export has the newest head alone.
    fn publications<'a>(
        &'a self,
        _origin: &'a Origin,
        up_to: TreeSize,
        count: usize,
    ) -> PortFuture<'a, Result<Vec<StoredPublication>, PortFault>> {
        let Shown { size, note } = self.shown();
        let newest = (!note.is_empty() && size <= up_to).then(|| StoredPublication { size, note: note.to_vec() });
        Box::pin(async move { Ok(newest.into_iter().take(count).collect()) })
    }
}
