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

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (kind, refused, body) = input;
    let answers = AnyAnswer::running();
    answers.say(refused, body);
    let log = answers.reader();
    let (index, size) = (LeafIndex::new(1).unwrap(), TreeSize::new(5).unwrap());
    answers.wait(async {
        match kind % 8 {
            0 => drop(log.inclusion_by_index(index, size).await),
            1 => drop(log.consistency(TreeSize::new(3).unwrap(), size).await),
            2 => drop(log.certificate(Epoch::FIRST).await),
            3 => drop(log.link(TreeSize::new(3).unwrap()).await),
            4 => drop(log.tile(TileCoord::new(0, 0, 5).unwrap()).await),
            5 => drop(log.newest_bundle().await),
            6 => {
                let policy = countermark_fuzz::policy();
                if let Ok(head) = VerifiedHead::fetch(log, &trust().origin, policy).await {
                    assert_eq!(head.checkpoint().size, size, "the example's head");
                }
            }
            _ => {
                drop(prove_inclusion(log, trust(), Sought::Index(index)).await);
                drop(prove_consistency(log, trust(), TreeSize::new(3).unwrap(), None, None).await);
            }
        }
    });
});
