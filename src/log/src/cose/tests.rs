use std::sync::atomic::{AtomicUsize, Ordering};

use countermark_keys::{Algorithm, Role};

use super::*;
use crate::testing::{Broken, TestSigner, Unplugged, World};

/// Counts what it signs.
struct Counting(TestSigner, Arc<AtomicUsize>);

impl Signer for Counting {
    fn role(&self) -> Role {
        self.0.role()
    }

    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    fn public_key(&self) -> &[u8] {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.sign(message)
    }
}

async fn published(world: &World) -> Arc<Published> {
    let (_, handle) = world.served().await;
    handle.watch_published().wait_for(Option::is_some).await.unwrap().clone().unwrap()
}

fn first() -> LeafIndex {
    LeafIndex::new(0).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_signature_that_is_missing_or_wrong_is_not_released() {
    let world = World::new();
    let head = published(&world).await;
    let unplugged = ReceiptSigner::new(world.origin(), Arc::new(Unplugged(world.log.clone())));
    let broken = ReceiptSigner::new(world.origin(), Arc::new(Broken(world.log.clone())));
    // Twice: what failed is not remembered as made.
    for _ in 0..2 {
        assert!(matches!(unplugged.receipt(&head, first(), &[]), Err(CoseReceiptError::Sign(_))));
        assert!(matches!(broken.receipt(&head, first(), &[]), Err(CoseReceiptError::Verify(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_root_is_signed_once() {
    let world = World::new();
    let head = published(&world).await;
    let signatures = Arc::new(AtomicUsize::new(0));
    let signer = ReceiptSigner::new(world.origin(), Arc::new(Counting(world.log.clone(), Arc::clone(&signatures))));
    let receipt = signer.receipt(&head, first(), &[]).unwrap();
    assert_eq!(signer.receipt(&head, first(), &[]).unwrap(), receipt);
    assert_eq!(signatures.load(Ordering::Relaxed), 1);
    let other = Published { root: RootHash(Hash([7; 32])), ..Published::clone(&head) };
    assert_ne!(signer.receipt(&other, first(), &[]).unwrap(), receipt);
    assert_eq!(signatures.load(Ordering::Relaxed), 2);
}
