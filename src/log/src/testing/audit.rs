//! A stranger's look at a log after whatever was done to it.

use std::collections::BTreeMap;

use countermark_bundle::entry::Entry;
use countermark_bundle::identity::Digest;
use countermark_bundle::namespace_state::NamespaceState;
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::edge::RightEdge;
use countermark_tlog::hash::{Hash, RootHash, empty_root, leaf_hash, node_hash};
use countermark_tlog::note::SignatureType;
use countermark_tlog::size::LeafIndex;
use countermark_tlog::tile::TileCoord;

use super::World;
use super::world::ORIGIN;
use crate::ports::{LogKind, StoreReader, StoredHead, TileBytes};
use crate::stage::Tree;

/// Recomputes the log from its entries, and judges everything signed that ever left the process by it: what the head
/// register held, what the witnesses were shown, what was published. Gives the entries.
pub(crate) async fn audit(world: &World, store: &dyn StoreReader) -> Vec<Vec<u8>> {
    audit_registered(world, store, world.register.history(&world.origin())).await
}

/// As [`audit`], with what another head register held, oldest first.
pub(crate) async fn audit_registered(
    world: &World,
    store: &dyn StoreReader,
    registered: Vec<StoredHead>,
) -> Vec<Vec<u8>> {
    let origin = world.origin();
    let entries = store.entries(&origin, index(0), 1_000_000).await.unwrap();
    let mut edge = RightEdge::empty();
    let mut roots: BTreeMap<u64, RootHash> = BTreeMap::from([(0, empty_root())]);
    for bytes in &entries {
        edge.append(leaf_hash(bytes), &mut |_, _| {}).unwrap();
        roots.insert(edge.size().get(), edge.root());
    }
    judge_tiles(world, store, &entries, &edge).await;
    judge_indexes(world, store, &entries).await;
    let key = world.log.vkey(ORIGIN, SignatureType::Ed25519);
    let newest_registered = registered.last().map(|head| head.size);
    let registered = registered.into_iter().map(|head| head.checkpoint);
    for note in registered.chain(world.witnesses.shown()) {
        let signed = SignedCheckpoint::parse(&note).unwrap();
        signed.verify_log(std::slice::from_ref(&key)).unwrap();
        let head = signed.checkpoint();
        assert_eq!(roots.get(&head.size.get()), Some(&head.root), "a signed head is not of this log: {head:?}");
        assert!(
            Some(head.size) <= newest_registered,
            "a signed head left the process before it was registered: {head:?}"
        );
    }
    let policy = world.foundation().first_state().unwrap();
    let rules = judge_rules(world, &entries);
    if let Some(publication) = store.publication(&origin).await.unwrap() {
        let signed = SignedCheckpoint::parse(&publication.note).unwrap();
        let policy = rules.as_ref().map_or(policy.policy(), |state| state.authority().policy());
        let head = policy.verify(&signed).unwrap();
        assert_eq!(head.checkpoint().size, publication.size);
        assert_eq!(roots.get(&publication.size.get()), Some(&head.checkpoint().root));
    }
    entries
}

/// Every entry of a fleet-keys log keeps every rule.
fn judge_rules(world: &World, entries: &[Vec<u8>]) -> Option<NamespaceState> {
    if world.kind == LogKind::Raw {
        return None;
    }
    let mut state = NamespaceState::new(&world.trust).unwrap();
    for bytes in entries {
        state.apply(bytes).unwrap();
    }
    Some(state)
}

/// Every tile of every level is what the entries make, and there is none beyond them.
async fn judge_tiles(world: &World, store: &dyn StoreReader, entries: &[Vec<u8>], edge: &RightEdge) {
    let origin = world.origin();
    let mut partial: Vec<TileBytes> = Vec::new();
    let mut hashes: Vec<Hash> = entries.iter().map(|bytes| leaf_hash(bytes).0).collect();
    for level in 0.. {
        let full = hashes.chunks_exact(256);
        let rest = full.remainder();
        let mut number = 0;
        for tile in full.clone() {
            let stored = store.full_tile(&origin, TileCoord::new(level, number, 256).unwrap()).await.unwrap();
            assert_eq!(stored, Some(bytes_of(tile)), "full tile {number} of level {level}");
            number += 1;
        }
        let beyond = store.full_tile(&origin, TileCoord::new(level, number, 256).unwrap()).await.unwrap();
        assert_eq!(beyond, None, "a full tile {number} of level {level} beyond the entries");
        if !rest.is_empty() {
            let width = u16::try_from(rest.len()).unwrap();
            partial.push((TileCoord::new(level, number, width).unwrap(), bytes_of(rest)));
        }
        if number == 0 {
            break;
        }
        hashes = full.map(above).collect();
    }
    let stored = store.partial_tiles(&origin).await.unwrap();
    assert_eq!(stored, partial, "the right edge");
    assert_eq!(Tree::from_partial_tiles(edge.size(), stored).unwrap().root(), edge.root());
}

/// Every entry is found by its identity where it stands, and a part of them, the last ones among it, by leaf hash.
async fn judge_indexes(world: &World, store: &dyn StoreReader, entries: &[Vec<u8>]) {
    let origin = world.origin();
    let by_leaf_hash =
        (0_usize..).zip(entries).filter(|(number, _)| number.is_multiple_of(32) || entries.len() - number < 8);
    for (number, bytes) in by_leaf_hash {
        let number = u64::try_from(number).unwrap();
        let found = store.index_of_leaf_hash(&origin, leaf_hash(bytes)).await.unwrap();
        assert_eq!(found, Some(index(number)), "where entry {number} is");
    }
    let identity = |bytes: &Vec<u8>| match world.kind {
        LogKind::FleetKeys => Entry::parse(bytes).unwrap().identity(),
        LogKind::Raw => Digest(leaf_hash(bytes).0.0),
    };
    let identities: Vec<Digest> = entries.iter().map(identity).collect();
    let found = store.indexes_of_identities(&origin, &identities).await.unwrap();
    let expected: Vec<_> = (0..).map(|number| Some(index(number))).take(entries.len()).collect();
    assert_eq!(found, expected, "where each identity is");
}

/// The node above 256 hashes.
fn above(tile: &[Hash]) -> Hash {
    let mut hashes = tile.to_vec();
    while hashes.len() > 1 {
        hashes = hashes.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    hashes[0]
}

fn bytes_of(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

fn index(number: u64) -> LeafIndex {
    LeafIndex::new(number).unwrap()
}
