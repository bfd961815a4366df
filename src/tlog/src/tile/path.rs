//! The one path of each tile and entry bundle.
//!
//! Source: <https://c2sp.org/tlog-tiles>, Merkle Tree and Log entries.

use alloc::format;
use alloc::string::String;

use super::{TileCoord, TileError};
use crate::size::parse_decimal_u64;

/// The bytes of the longest path: six groups of an index below 2^55, and more than that is refused unread.
const PATH_BYTES_MAX: usize = 64;

/// What a path below a log's prefix names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TilePath {
    /// A tile of hashes.
    Hashes(TileCoord),
    /// An entry bundle, at level 0.
    Entries(TileCoord),
}

impl TileCoord {
    /// The path of the hash tile, without a slash in front: `tile/0/x001/067.p/5`.
    #[must_use]
    pub fn path(self) -> String {
        format!("tile/{}/{}", self.level, self.index_and_width())
    }

    /// The path of the entry bundle of the same index and width, whatever the level: `tile/entries/x001/067.p/5`.
    #[must_use]
    pub fn entries_path(self) -> String {
        format!("tile/entries/{}", self.index_and_width())
    }

    /// Reads a path without a slash in front. Only the form that [`Self::path`] and [`Self::entries_path`] write is
    /// read.
    ///
    /// Errors: [`TileError::Level`], [`TileError::Index`] and [`TileError::Width`] for numbers out of range,
    /// [`TileError::Path`] for all else.
    pub fn parse_path(path: &str) -> Result<TilePath, TileError> {
        if path.len() > PATH_BYTES_MAX {
            return Err(TileError::Path);
        }
        let (kind, rest) = path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(TileError::Path)?;
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, decimal(width)?),
            None => (rest, u64::from(super::TILE_WIDTH)),
        };
        let index = parse_index(index)?;
        let width = u16::try_from(width).map_err(|_| TileError::Width { found: width })?;
        let (parsed, written) = if kind == "entries" {
            let coord = Self::new(0, index, width)?;
            (TilePath::Entries(coord), coord.entries_path())
        } else {
            let level = decimal(kind)?;
            let level = u8::try_from(level).map_err(|_| TileError::Level { found: level })?;
            let coord = Self::new(level, index, width)?;
            (TilePath::Hashes(coord), coord.path())
        };
        // Two paths for one resource would be two cache entries and two answers; `.p/256` and `x000/` end here.
        if written == path { Ok(parsed) } else { Err(TileError::Path) }
    }

    fn index_and_width(self) -> String {
        // SPEC: C2SP tlog-tiles, Merkle Tree: 3-digit path elements, all but the last begin with an x.
        let mut text = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            text = format!("x{:03}/{text}", rest % 1000);
            rest /= 1000;
        }
        if self.is_full() { text } else { format!("{text}.p/{}", self.width) }
    }
}

/// The number in the groups of an index; whether they stand in the one right form is seen by writing it again.
fn parse_index(text: &str) -> Result<u64, TileError> {
    text.split('/').try_fold(0_u64, |index, group| {
        let digits = group.strip_prefix('x').unwrap_or(group);
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(TileError::Path);
        }
        let group: u64 = digits.parse().map_err(|_| TileError::Path)?;
        index.checked_mul(1000).and_then(|index| index.checked_add(group)).ok_or(TileError::Path)
    })
}

fn decimal(text: &str) -> Result<u64, TileError> {
    parse_decimal_u64(text).map_err(|_| TileError::Path)
}
