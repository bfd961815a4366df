//! Paths of tiles and entry bundles: one path for each.
#![no_main]

use countermark_tlog::tile::{TileCoord, TilePath};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match TileCoord::parse_path(text) {
        Ok(TilePath::Hashes(tile)) => assert_eq!(tile.path(), text),
        Ok(TilePath::Entries(bundle)) => assert_eq!(bundle.entries_path(), text),
        Err(_) => {}
    }
});
