//! C2SP tlog-tiles.

use axum::routing::get;

use super::{Endpoint, Lane, SHOWN};
use crate::http::describe::Operation;
use crate::http::problem::ProblemKind::{BeyondPublishedHead, MalformedParameter, MalformedTilePath, NotFound};
use crate::http::tiles;

const OCTETS: &str = "application/octet-stream";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let checkpoint = Operation::get("checkpoint", "/{ns}/checkpoint", "The newest checkpoint")
        .about("The signed note of the newest head that met the witness quorum. SPEC: C2SP tlog-checkpoint.")
        .gives(200, "text/plain", "The log's signature and every cosignature that it has.")
        .problems(&SHOWN);
    vec![Endpoint::read(get(tiles::checkpoint), checkpoint), tiles()]
}

/// One route of many addresses: tile numbers have as many segments as they need.
fn tiles() -> Endpoint {
    let described = |id, path, summary, about| {
        Operation::get(id, path, summary)
            .about("SPEC: C2SP tlog-tiles. Never changes. A partial tile is given at every width that the published tree has.")
            .gives(200, OCTETS, about)
            .problems(&SHOWN)
            .problems(&[MalformedTilePath, BeyondPublishedHead, MalformedParameter, NotFound])
    };
    let hashes = "Up to 256 hashes of 32 bytes.";
    let entries = "Up to 256 entries, each after its length in two bytes, big-endian.";
    Endpoint {
        route: "/{ns}/tile/{*rest}",
        methods: get(tiles::tile),
        lane: Lane::Read,
        operations: vec![
            described("tile", "/{ns}/tile/{level}/{tile}", "A full hash tile", hashes),
            described("partialTile", "/{ns}/tile/{level}/{tile}.p/{width}", "A partial hash tile", hashes),
            described("entryBundle", "/{ns}/tile/entries/{tile}", "A full entry bundle", entries),
            described("partialEntryBundle", "/{ns}/tile/entries/{tile}.p/{width}", "A partial entry bundle", entries),
        ],
    }
}
