use super::*;
use crate::testing::{World, index};

fn class(receipt: &[u8], logged: Logged<'_>, world: &World) -> ExitClass {
    verify_receipt(receipt, logged, &world.trust).unwrap_err().exit_class()
}

#[test]
fn a_receipt_is_believed_for_its_entry_and_its_leaf_hash() {
    let world = World::grown_to(20);
    let (receipt, entry) = (world.receipt(7, world.len()), world.grown.entry(7).unwrap());
    for logged in [Logged::Entry(entry), Logged::Leaf(leaf_hash(entry))] {
        let verified = verify_receipt(&receipt, logged, &world.trust).unwrap();
        assert_eq!((verified.index, verified.leaf_hash), (index(7), leaf_hash(entry)));
        assert_eq!(verified.head.checkpoint(), &world.head(world.len()));
    }
}

#[test]
fn a_receipt_proves_nothing_about_another_entry() {
    let world = World::grown_to(20);
    let receipt = world.receipt(7, world.len());
    let other = world.grown.entry(8).unwrap();
    assert_eq!(class(&receipt, Logged::Entry(other), &world), ExitClass::Proof);
    let moved = String::from_utf8(receipt).unwrap().replace("index 7", "index 6");
    let entry = world.grown.entry(7).unwrap();
    assert_eq!(class(moved.as_bytes(), Logged::Entry(entry), &world), ExitClass::Proof);
}

#[test]
fn a_receipt_is_refused_when_the_checkpoint_lacks_quorum() {
    let mut world = World::grown_to(20);
    let entry = world.grown.entry(7).unwrap().clone();
    world.cosigners = vec![0, 1];
    let receipt = world.receipt(7, world.len());
    assert_eq!(class(&receipt, Logged::Entry(&entry), &world), ExitClass::Quorum);
}

#[test]
fn a_receipt_of_a_stranger_or_of_nobody_is_refused_by_name() {
    let mut world = World::grown_to(20);
    let entry = world.grown.entry(7).unwrap().clone();
    let logged = Logged::Entry(&entry);
    assert_eq!(class(b"c2sp.org/tlog-proof@v1\n", logged, &world), ExitClass::Malformed);
    let receipt = String::from_utf8(world.receipt(7, world.len())).unwrap();
    let (head, _) = receipt.split_once("\n\n").unwrap();
    let without = format!("{head}\n\nno checkpoint\n");
    assert_eq!(class(without.as_bytes(), logged, &world), ExitClass::Malformed);
    world.log = crate::testing::ed25519_signer(99);
    let strange = world.receipt(7, world.len());
    assert_eq!(class(&strange, logged, &world), ExitClass::UnknownAuthority);
    world.trust.keys.certificate.clear();
    assert_eq!(class(&strange, logged, &world), ExitClass::Malformed);
}

#[test]
fn every_byte_of_a_receipt_counts() {
    let world = World::active();
    let (receipt, entry) = (world.receipt(1, 3), world.grown.entry(1).unwrap());
    for at in 0..receipt.len() {
        let mut flipped = receipt.clone();
        flipped[at] ^= 1;
        // A witness beyond the quorum's need may become unknown; nothing else may pass.
        if let Ok(verified) = verify_receipt(&flipped, Logged::Entry(entry), &world.trust) {
            panic!("byte {at} was flipped, and {verified:?} was believed");
        }
    }
}
