//! The rows of one batch, and the two statements that add them; taking a writer.

use countermark_tlog::checkpoint::Origin;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryScalar;
use sqlx::{Connection as _, PgConnection, Postgres};

use crate::ports::{LogKind, PortFault, TileBytes, WriterId};
use crate::stage::SignedBatch;
use crate::store::values::to_sql;

/// A statement that begins with the row of the log, and adds a batch to the log that this gave.
macro_rules! adding_a_batch {
    ($target:literal) => {
        concat!(
            "WITH target AS (",
            $target,
            "), new_entry AS ( \
                INSERT INTO countermark_log.entry (log_id, leaf_index, bytes) \
                SELECT log_id, $1::bigint + place - 1, bytes \
                FROM target, unnest($3::bytea[]) WITH ORDINALITY AS given (bytes, place) \
             ), new_key AS ( \
                INSERT INTO countermark_log.entry_key (log_id, key, leaf_index, is_identity, is_leaf_hash) \
                SELECT log_id, key, leaf_index, is_identity, is_leaf_hash \
                FROM target, unnest($4::bytea[], $5::bigint[], $6::boolean[], $7::boolean[]) \
                    AS given (key, leaf_index, is_identity, is_leaf_hash) \
             ), new_full_tile AS ( \
                INSERT INTO countermark_log.full_tile (log_id, level, tile_index, hashes) \
                SELECT log_id, level, tile_index, hashes \
                FROM target, unnest($8::smallint[], $9::bigint[], $10::bytea[]) AS given (level, tile_index, hashes) \
             ), emptied AS ( \
                DELETE FROM countermark_log.partial_tile AS kept USING target \
                WHERE kept.log_id = target.log_id AND kept.level = ANY ($11::smallint[]) \
             ), changed AS ( \
                INSERT INTO countermark_log.partial_tile (log_id, level, tile_index, hashes) \
                SELECT log_id, level, tile_index, hashes \
                FROM target, unnest($12::smallint[], $13::bigint[], $14::bytea[]) AS given (level, tile_index, hashes) \
                ON CONFLICT (log_id, level) DO UPDATE SET tile_index = excluded.tile_index, hashes = excluded.hashes \
             ), new_head AS ( \
                INSERT INTO countermark_log.signed_head (log_id, size, root, checkpoint) \
                SELECT log_id, $2::bigint, $15::bytea, $16::bytea FROM target \
             ) SELECT log_id FROM target"
        )
    };
}

/// The fence: a compare-and-swap on writer epoch and size of a log that is not frozen.
const COMMIT: &str = adding_a_batch!(
    "UPDATE countermark_log.log SET size = $2::bigint \
     WHERE origin = $17 AND writer_epoch = $18 AND size = $1::bigint AND NOT frozen RETURNING log_id"
);

/// The log's own row, unless there is one.
const CREATE: &str = adding_a_batch!(
    "INSERT INTO countermark_log.log (origin, kind, created_size, writer_epoch, writer_id, size) \
     VALUES ($17, $18, $2::bigint, 0, decode(repeat('00', 16), 'hex'), $2::bigint) \
     ON CONFLICT (origin) DO NOTHING RETURNING log_id"
);

/// Hash tiles as columns.
#[derive(Default)]
struct Tiles<'b> {
    levels: Vec<i16>,
    indexes: Vec<i64>,
    hashes: Vec<&'b [u8]>,
}

impl<'b> Tiles<'b> {
    fn of(tiles: &'b [TileBytes], action: &'static str) -> Result<Self, PortFault> {
        let mut columns = Self::default();
        for (tile, hashes) in tiles {
            columns.levels.push(i16::from(tile.level()));
            columns.indexes.push(to_sql(tile.index(), action)?);
            columns.hashes.push(hashes);
        }
        Ok(columns)
    }
}

/// Something that an entry is found by.
struct Key {
    bytes: [u8; 32],
    leaf_index: i64,
    is_identity: bool,
    is_leaf_hash: bool,
}

/// A batch as columns: an array for each, one element for each row.
pub(super) struct BatchRows<'b> {
    old_size: i64,
    new_size: i64,
    entries: Vec<&'b [u8]>,
    keys: Vec<Key>,
    full_tiles: Tiles<'b>,
    emptied_levels: Vec<i16>,
    changed_partial_tiles: Tiles<'b>,
    root: [u8; 32],
    checkpoint: &'b [u8],
}

/// A statement that gives the log's number if it did what it says.
type Adding<'q> = QueryScalar<'q, Postgres, i64, PgArguments>;

impl<'b> BatchRows<'b> {
    /// Refuses a number that SQL cannot write.
    pub(super) fn of(batch: &'b SignedBatch, action: &'static str) -> Result<Self, PortFault> {
        let head = batch.head();
        let mut keys = Vec::with_capacity(2 * batch.entries().len());
        for entry in batch.entries() {
            let leaf_index = to_sql(entry.index.get(), action)?;
            let (identity, leaf_hash) = (entry.identity.0, entry.leaf_hash.0.0);
            let is_one = identity == leaf_hash;
            keys.push(Key { bytes: leaf_hash, leaf_index, is_identity: is_one, is_leaf_hash: true });
            if !is_one {
                keys.push(Key { bytes: identity, leaf_index, is_identity: true, is_leaf_hash: false });
            }
        }
        // In the order of the index, neighbours land on one page.
        keys.sort_unstable_by_key(|key| key.bytes);
        Ok(Self {
            old_size: to_sql(batch.old_size().get(), action)?,
            new_size: to_sql(head.size.get(), action)?,
            entries: batch.entries().iter().map(|entry| &entry.bytes[..]).collect(),
            keys,
            full_tiles: Tiles::of(batch.full_tiles(), action)?,
            emptied_levels: batch.emptied_levels().iter().map(|level| i16::from(*level)).collect(),
            changed_partial_tiles: Tiles::of(batch.changed_partial_tiles(), action)?,
            root: head.root.0.0,
            checkpoint: &head.checkpoint,
        })
    }

    /// Adds the batch to its log if the fence holds.
    pub(super) fn commit<'q>(self, origin: &'q Origin, epoch: i64) -> Adding<'q>
    where
        'b: 'q,
    {
        self.bind(sqlx::query_scalar(COMMIT)).bind(origin.as_str()).bind(epoch)
    }

    /// Makes the log with the batch if there is none of this origin.
    pub(super) fn create<'q>(self, origin: &'q Origin, kind: LogKind) -> Adding<'q>
    where
        'b: 'q,
    {
        self.bind(sqlx::query_scalar(CREATE)).bind(origin.as_str()).bind(kind.as_str())
    }

    /// $1 to $16.
    fn bind<'q>(self, query: Adding<'q>) -> Adding<'q>
    where
        'b: 'q,
    {
        let keys = &self.keys;
        query
            .bind(self.old_size)
            .bind(self.new_size)
            .bind(self.entries)
            .bind(keys.iter().map(|key| key.bytes).collect::<Vec<_>>())
            .bind(keys.iter().map(|key| key.leaf_index).collect::<Vec<_>>())
            .bind(keys.iter().map(|key| key.is_identity).collect::<Vec<_>>())
            .bind(keys.iter().map(|key| key.is_leaf_hash).collect::<Vec<_>>())
            .bind(self.full_tiles.levels)
            .bind(self.full_tiles.indexes)
            .bind(self.full_tiles.hashes)
            .bind(self.emptied_levels)
            .bind(self.changed_partial_tiles.levels)
            .bind(self.changed_partial_tiles.indexes)
            .bind(self.changed_partial_tiles.hashes)
            .bind(self.root)
            .bind(self.checkpoint)
    }
}

/// What came of asking for the writer's place.
pub(super) enum Turn {
    /// There is no such log.
    Missing,
    /// Another run of a process writes.
    Other {
        /// Its epoch.
        epoch: i64,
    },
    /// It is the caller's.
    Taken(TakenRow),
}

/// What a new writer finds.
pub(super) struct TakenRow {
    pub(super) epoch: i64,
    pub(super) kind: String,
    pub(super) frozen: bool,
    pub(super) created_size: i64,
    pub(super) size: i64,
    pub(super) root: Vec<u8>,
    pub(super) checkpoint: Vec<u8>,
}

/// Makes `writer` the writer; with `only_own`, only if it is already.
///
/// Each question has the row's lock before it is asked: in one statement the head would be read as it was before the wait
/// for the lock, and could be older than the log's size.
pub(super) async fn take_writer(
    connection: &mut PgConnection,
    origin: &Origin,
    writer: WriterId,
    only_own: bool,
) -> Result<Turn, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let row: Option<(i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT log_id, writer_epoch, writer_id FROM countermark_log.log WHERE origin = $1 FOR NO KEY UPDATE",
    )
    .bind(origin.as_str())
    .fetch_optional(&mut *transaction)
    .await?;
    let Some((log_id, epoch, found)) = row else {
        transaction.rollback().await?;
        return Ok(Turn::Missing);
    };
    if only_own && found != writer.0 {
        transaction.rollback().await?;
        return Ok(Turn::Other { epoch });
    }
    sqlx::query("UPDATE countermark_log.log SET writer_epoch = writer_epoch + 1, writer_id = $2 WHERE log_id = $1")
        .bind(log_id)
        .bind(writer.0)
        .execute(&mut *transaction)
        .await?;
    let (epoch, kind, frozen, created_size, size, root, checkpoint) = sqlx::query_as(
        "SELECT writer_epoch, kind, frozen, created_size, head.size, root, checkpoint \
         FROM countermark_log.log JOIN countermark_log.signed_head AS head USING (log_id, size) WHERE log_id = $1",
    )
    .bind(log_id)
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Turn::Taken(TakenRow { epoch, kind, frozen, created_size, size, root, checkpoint }))
}
