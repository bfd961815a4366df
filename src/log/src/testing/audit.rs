//! A stranger's look at a log after whatever was done to it.

use std::collections::BTreeMap;

use countermark_bundle::namespace_state::NamespaceState;
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::edge::RightEdge;
use countermark_tlog::hash::{RootHash, empty_root, leaf_hash};
use countermark_tlog::note::SignatureType;
use countermark_tlog::size::LeafIndex;

use super::World;
use super::world::ORIGIN;
use crate::ports::{Store, StoredHead};
use crate::stage::Tree;

/// Recomputes the log from its entries, and judges everything signed that ever left the process by it: what the head
/// register held, what the witnesses were shown, what was published. Gives the entries.
pub(crate) async fn audit(world: &World, store: &dyn Store) -> Vec<Vec<u8>> {
    audit_registered(world, store, world.register.history(&world.origin())).await
}

/// As [`audit`], with what another head register held, oldest first.
pub(crate) async fn audit_registered(world: &World, store: &dyn Store, registered: Vec<StoredHead>) -> Vec<Vec<u8>> {
    let origin = world.origin();
    let entries = store.entries(&origin, LeafIndex::new(0).unwrap(), 1_000_000).await.unwrap();
    let mut state = NamespaceState::new(&world.trust).unwrap();
    let mut edge = RightEdge::empty();
    let mut roots: BTreeMap<u64, RootHash> = BTreeMap::from([(0, empty_root())]);
    for bytes in &entries {
        state.apply(bytes).unwrap();
        edge.append(leaf_hash(bytes), &mut |_, _| {}).unwrap();
        roots.insert(edge.size().get(), edge.root());
    }
    let tiles = store.partial_tiles(&origin).await.unwrap();
    assert_eq!(Tree::from_partial_tiles(edge.size(), tiles).unwrap().root(), edge.root());
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
    if let Some(publication) = store.publication(&origin).await.unwrap() {
        let signed = SignedCheckpoint::parse(&publication.note).unwrap();
        let head = state.authority().policy().verify(&signed).unwrap();
        assert_eq!(roots.get(&head.checkpoint().size.get()), Some(&head.checkpoint().root));
    }
    entries
}
