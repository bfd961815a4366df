//! How values stand in SQL, and what a stored value must be to be believed.

use countermark_tlog::hash::HASH_BYTES;
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::TileCoord;
use thiserror::Error;

use crate::ports::{LogKind, PortFault, PortName};

/// Why a stored value is not one that the program wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum ValueError {
    /// A number outside of the range that SQL and the program share.
    #[error("a stored number is out of range")]
    OutOfRange,
    /// A blob of the wrong length.
    #[error("a stored hash has {found} bytes, not 32")]
    HashLength {
        /// Its length.
        found: usize,
    },
    /// A kind of log that this release does not know.
    #[error("a stored kind of log is not known")]
    Kind,
}

/// Names what failed.
pub(super) fn fault<E: std::error::Error + Send + Sync + 'static>(action: &'static str) -> impl Fn(E) -> PortFault {
    move |source| PortFault { port: PortName::Store, action, source: Box::new(source) }
}

/// SQL's integers are signed.
pub(super) fn to_sql(number: u64, action: &'static str) -> Result<i64, PortFault> {
    i64::try_from(number).map_err(|_| fault(action)(ValueError::OutOfRange))
}

pub(super) fn from_sql(number: i64, action: &'static str) -> Result<u64, PortFault> {
    u64::try_from(number).map_err(|_| fault(action)(ValueError::OutOfRange))
}

pub(super) fn tree_size(number: i64, action: &'static str) -> Result<TreeSize, PortFault> {
    TreeSize::new(from_sql(number, action)?).ok_or_else(|| fault(action)(ValueError::OutOfRange))
}

pub(super) fn leaf_index(number: i64, action: &'static str) -> Result<LeafIndex, PortFault> {
    LeafIndex::new(from_sql(number, action)?).ok_or_else(|| fault(action)(ValueError::OutOfRange))
}

pub(super) fn bytes32(bytes: &[u8], action: &'static str) -> Result<[u8; 32], PortFault> {
    bytes.try_into().map_err(|_| fault(action)(ValueError::HashLength { found: bytes.len() }))
}

pub(super) fn log_kind(text: &str, action: &'static str) -> Result<LogKind, PortFault> {
    LogKind::parse(text).ok_or_else(|| fault(action)(ValueError::Kind))
}

/// The place and width of a stored partial tile.
pub(super) fn tile_coord(level: i64, index: i64, hashes: &[u8], action: &'static str) -> Result<TileCoord, PortFault> {
    let out_of_range = || fault(action)(ValueError::OutOfRange);
    let level = u8::try_from(level).map_err(|_| out_of_range())?;
    let width = u16::try_from(hashes.len() / HASH_BYTES).map_err(|_| out_of_range())?;
    TileCoord::new(level, from_sql(index, action)?, width).map_err(|_| out_of_range())
}
