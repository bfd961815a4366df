//! C2SP tlog-tiles: checkpoint, hash tiles, entry bundles. Source: <https://c2sp.org/tlog-tiles>.
//!
//! Tiles are served at any width that the published tree has: a partial tile is the beginning of the full one and
//! changes no more than that does.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use countermark_bundle::identity::Digest;
use countermark_tlog::size::TreeSize;
use countermark_tlog::tile::{TILE_HEIGHT, TILE_WIDTH, TileCoord, TilePath};

use super::Service;
use super::answer::{self, Freshness};
use super::parameters::Parameters;
use super::problem::{Problem, ProblemKind};

/// `GET /{ns}/checkpoint`: the newest head that met the quorum, with a validator for conditional requests.
pub(super) async fn checkpoint(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let (_, published) = service.published(&ns)?;
    let tag = format!("\"{}\"", Digest::of(&published.note));
    let mut response = answer::text(published.note.clone(), Freshness::Head);
    if has_tag(&headers, &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    let tag = HeaderValue::from_str(&tag).expect("hex digits in quotes");
    response.headers_mut().insert(header::ETAG, tag);
    Ok(response)
}

/// SPEC: RFC 9110 §13.1.2: a list of tags, compared weakly, or `*`.
fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// `GET /{ns}/tile/<L>/<N>[.p/W]` and `/{ns}/tile/entries/<N>[.p/W]`.
pub(super) async fn tile(
    State(service): State<Arc<Service>>,
    Path((ns, _)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    uri: Uri,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let (served, published) = service.published(&ns)?;
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
    Ok(answer::bytes(Bytes::from_owner(bytes), Freshness::Immutable))
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

    #[test]
    fn a_known_tag_is_found_in_any_list() {
        let check = |values: &[&str], expect: bool| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_NONE_MATCH, value.parse().unwrap());
            }
            assert_eq!(has_tag(&headers, "\"ab\""), expect, "{values:?}");
        };
        check(&[], false);
        check(&["\"ab\""], true);
        check(&["W/\"ab\""], true);
        check(&["\"cd\", \"ab\""], true);
        check(&["\"cd\"", "\"ab\""], true);
        check(&["*"], true);
        check(&["ab"], false);
        check(&["\"abc\""], false);
    }
}
