//! C2SP tlog-tiles: checkpoint, hash tiles, entry bundles. Source: <https://c2sp.org/tlog-tiles>.
//!
//! Tiles are served at any width that the published tree has: a partial tile is the beginning of the full one and
//! changes no more than that does.

use axum::body::Bytes;
use axum::http::Uri;
use axum::response::Response;
use countermark_tlog::size::TreeSize;
use countermark_tlog::tile::{TILE_HEIGHT, TILE_WIDTH, TileCoord, TilePath};

use super::answer::{self, Freshness};
use super::extract::{NoQuery, Shown};
use super::problem::{Problem, ProblemKind};

/// `GET /{ns}/checkpoint`: the newest head that met the quorum.
pub(super) async fn checkpoint(_: NoQuery, Shown { published, .. }: Shown) -> Result<Response, Problem> {
    Ok(answer::text(published.note.clone(), Freshness::Head))
}

/// `GET /{ns}/tile/<L>/<N>[.p/W]` and `/{ns}/tile/entries/<N>[.p/W]`.
pub(super) async fn tile(_: NoQuery, Shown { served, published }: Shown, uri: Uri) -> Result<Response, Problem> {
    let path = uri.path().trim_start_matches('/');
    let path = path.split_once('/').map_or("", |(_, rest)| rest);
    let tile = TileCoord::parse_path(path).map_err(|error| Problem::new(ProblemKind::MalformedTilePath, error))?;
    let (TilePath::Hashes(coord) | TilePath::Entries(coord)) = tile;
    if !has_tile(published.size, coord) {
        let detail = format!("a tree of {} entries has no {path}", published.size);
        return Err(Problem::new(ProblemKind::BeyondPublishedHead, detail));
    }
    let bytes = match tile {
        TilePath::Hashes(coord) => served.handle.tile(coord).await?,
        TilePath::Entries(coord) => served.handle.entry_bundle(coord).await?,
    };
    let bytes = bytes.ok_or_else(|| {
        // The committed tree is never smaller than the published one.
        tracing::error!(path, "the published tree has a tile that could not be read");
        Problem::new(ProblemKind::Fault, "the server failed to read a tile")
    })?;
    let bytes = Bytes::from_owner(bytes);
    Ok(match tile {
        TilePath::Hashes(_) => answer::hashes(path, bytes),
        TilePath::Entries(_) => answer::entries(path, bytes),
    })
}

/// Whether a tree of this size has the tile at least as wide as asked for.
fn has_tile(size: TreeSize, tile: TileCoord) -> bool {
    let shift = u32::from(tile.level()).saturating_mul(u32::from(TILE_HEIGHT));
    let hashes = size.get().checked_shr(shift).unwrap_or(0);
    let end =
        tile.index().checked_mul(u64::from(TILE_WIDTH)).and_then(|first| first.checked_add(u64::from(tile.width())));
    end.is_some_and(|end| end <= hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_the_tiles_that_its_size_makes() {
        let check = |size: u64, level: u8, index: u64, width: u16, expect: bool| {
            let tile = TileCoord::new(level, index, width).unwrap();
            assert_eq!(has_tile(TreeSize::new(size).unwrap(), tile), expect, "{size} {tile:?}");
        };
        check(0, 0, 0, 1, false);
        check(1, 0, 0, 1, true);
        check(1, 0, 0, 2, false);
        check(255, 0, 0, 256, false);
        check(256, 0, 0, 256, true);
        check(256, 0, 1, 1, false);
        check(255, 1, 0, 1, false);
        check(256, 1, 0, 1, true);
        check(257, 0, 1, 1, true);
        check(65_536, 2, 0, 1, true);
        check(u64::MAX >> 1, 7, 0, 127, true);
        check(u64::MAX >> 1, 7, 0, 128, false);
        check(u64::MAX >> 1, 8, 0, 1, false);
        check(u64::MAX >> 1, 63, (1 << 55) - 1, 256, false);
    }
}
