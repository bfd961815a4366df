//! What a client does with the answers of a log that says anything.
#![no_main]

use countermark_bundle::Epoch;
use countermark_client::fetch::TileSource as _;
use countermark_client::head::VerifiedHead;
use countermark_client::proofs::{Sought, prove_consistency, prove_inclusion};
use countermark_fuzz::service::AnyAnswer;
use countermark_fuzz::trust;
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::TileCoord;
use libfuzzer_sys::fuzz_target;

// What is asked, whether the answer is a refusal, and its body.
fuzz_target!(|input: &[u8]| {
    let Some(([kind, refused], body)) = input.split_first_chunk() else { return };
    let answers = AnyAnswer::running();
    answers.say(*refused == b'r', body);
    let log = answers.reader();
    let (index, size) = (LeafIndex::new(1).unwrap(), TreeSize::new(5).unwrap());
    answers.wait(async {
        match kind {
            b'i' => drop(log.inclusion_by_index(index, size).await),
            b'c' => drop(log.consistency(TreeSize::new(3).unwrap(), size).await),
            b'a' => drop(log.certificate(Epoch::FIRST).await),
            b'l' => drop(log.link(TreeSize::new(3).unwrap()).await),
            b't' => drop(log.tile(TileCoord::new(0, 0, 5).unwrap()).await),
            b'b' => drop(log.newest_bundle().await),
            b'h' => {
                let policy = countermark_fuzz::policy();
                if let Ok(head) = VerifiedHead::fetch(log, &trust().origin, policy).await {
                    assert_eq!(head.checkpoint().size, size, "the example's head");
                }
            }
            b'p' => {
                drop(prove_inclusion(log, trust(), Sought::Index(index)).await);
                drop(prove_consistency(log, trust(), TreeSize::new(3).unwrap(), None, None).await);
            }
            _ => {}
        }
    });
});
