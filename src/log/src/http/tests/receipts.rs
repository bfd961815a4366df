//! The forms of receipts.

use axum::body::Body;
use axum::http::Request;
use coset::{AsCborValue as _, CoseSign1, TaggedCborSerializable as _, iana};
use countermark_bundle::key::PublicKey;
use countermark_tlog::hash::{Hash, LeafHash, leaf_hash};
use countermark_tlog::proof::{InclusionProof, verify_inclusion};
use countermark_tlog::size::{LeafIndex, TreeSize};
use serde_json::Value;

use super::bench::{Answer, Bench};

async fn receipt(bench: &Bench, path: &str, accept: &str) -> Answer {
    bench.send(Request::get(path).header("accept", accept).body(Body::empty()).unwrap()).await
}

fn part(map: &[(coset::Label, ciborium::Value)], label: i64) -> ciborium::Value {
    map.iter().find(|(other, _)| *other == coset::Label::Int(label)).unwrap().1.clone()
}

/// The root that an RFC 9942 receipt proves of an entry, if the key signed it.
fn cose_root(bytes: &[u8], entry: &[u8], key: &PublicKey) -> Result<Hash, String> {
    let receipt = CoseSign1::from_tagged_slice(bytes).map_err(|error| error.to_string())?;
    assert_eq!(receipt.payload, None, "the root is detached");
    let protected = &receipt.protected.header;
    assert_eq!(protected.alg, Some(coset::Algorithm::Assigned(iana::Algorithm::EdDSA)));
    assert_eq!(protected.key_id, key.key_id().0.0);
    assert_eq!(part(&protected.rest, 395), 1.into());
    let claims = part(&protected.rest, 15).into_map().unwrap();
    assert_eq!(claims, [(1.into(), "log.example/backup".into())]);
    let proofs = part(&receipt.unprotected.rest, 396).into_map().unwrap();
    let [(label, proofs)] = proofs.as_slice() else { panic!("other proofs: {proofs:?}") };
    assert_eq!(*label, (-1).into());
    let [proof] = proofs.as_array().unwrap().as_slice() else { panic!("other than one proof") };
    let proof: ciborium::Value = ciborium::from_reader(&proof.as_bytes().unwrap()[..]).unwrap();
    let [size, index, path] = proof.as_array().unwrap().as_slice() else { panic!("another proof: {proof:?}") };
    let number = |value: &ciborium::Value| u64::try_from(value.as_integer().unwrap()).unwrap();
    let mut root = leaf_hash(entry).0;
    // SPEC: RFC 9162 §2.1.3.2.
    let (mut node, mut last) = (number(index), number(size) - 1);
    for sibling in path.as_array().unwrap() {
        let sibling = Hash(sibling.as_bytes().unwrap().as_slice().try_into().unwrap());
        if node & 1 == 1 || node == last {
            root = countermark_tlog::hash::node_hash(&sibling, &root);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            root = countermark_tlog::hash::node_hash(&root, &sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    assert_eq!(last, 0, "the path ends at the root");
    let verify =
        |signature: &[u8], message: &[u8]| key.verify_ed25519(message, signature).map_err(|error| error.to_string());
    receipt.verify_detached_signature(&root.0, &[], verify)?;
    let _ = receipt.to_cbor_value().unwrap();
    Ok(root)
}

#[tokio::test]
async fn a_cose_receipt_verifies_under_the_log_key_alone() {
    let bench = Bench::new().await;
    for number in 1..=5 {
        bench.publish_evidence(number).await;
    }
    let keys = bench.get("/v1/backup/keys").await.json();
    let root = bench.handle.published().unwrap().root.0;
    let key = bench.world.log.public();
    assert_eq!(keys["log"][0]["key_id"], key.key_id().0.to_hex());
    for index in 0..7 {
        let entry = bench.get(&format!("/v1/backup/entries/{index}")).await.body;
        let answer = receipt(&bench, &format!("/v1/backup/receipts/{index}"), "application/cose").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/cose"));
        assert!(answer.header("vary").contains("accept"), "{}", answer.header("vary"));
        assert_eq!(cose_root(&answer.body, &entry, key), Ok(root), "{index}");
        assert!(cose_root(&answer.body, b"another entry", key).is_err());
        assert!(cose_root(&answer.body, &entry, bench.world.log.public()).is_ok());
        let mut flipped = answer.body;
        *flipped.last_mut().unwrap() ^= 1;
        assert!(cose_root(&flipped, &entry, key).is_err());
    }
}

#[tokio::test]
async fn the_same_receipt_is_given_in_json() {
    let bench = Bench::new().await;
    let entry = bench.get("/v1/backup/entries/1").await.body;
    let answer = receipt(&bench, "/v1/backup/receipts/1", "application/json").await.json();
    assert_eq!(answer["checkpoint"].as_str().unwrap().as_bytes(), bench.get("/backup/checkpoint").await.body);
    let hashes =
        answer["path"].as_array().unwrap().iter().map(|hash| Hash::from_base64(hash.as_str().unwrap()).unwrap());
    let proof = InclusionProof::new(hashes.collect()).unwrap();
    let leaf: [u8; 32] = hex::decode(answer["leaf_hash"].as_str().unwrap()).unwrap().try_into().unwrap();
    assert_eq!(LeafHash(Hash(leaf)), leaf_hash(&entry));
    let root = bench.handle.published().unwrap().root;
    let (index, size) = (LeafIndex::new(1).unwrap(), TreeSize::new(2).unwrap());
    verify_inclusion(leaf_hash(&entry), index, size, root, &proof).unwrap();
}

#[tokio::test]
async fn a_receipt_is_found_by_whatever_names_its_entry() {
    let bench = Bench::new().await;
    let digest = bench.certify(1, None).await;
    let expect = bench.get("/v1/backup/receipts/2").await.body;
    let leaf = bench.get("/v1/backup/proofs/inclusion?index=2").await.json()["leaf_hash"].as_str().unwrap().to_owned();
    for query in ["index=2".to_owned(), "epoch=1".to_owned(), format!("digest={digest}"), format!("leaf_hash={leaf}")] {
        assert_eq!(bench.get(&format!("/v1/backup/receipts?{query}")).await.body, expect, "{query}");
        let proof = bench.get(&format!("/v1/backup/proofs/inclusion?{query}&size=3")).await.json();
        assert_eq!((&proof["index"], &proof["leaf_hash"]), (&Value::from(2), &Value::from(leaf.as_str())), "{query}");
    }
    let unknown = hex::encode([7; 32]);
    for (query, expect) in [
        ("epoch=2", "no-such-epoch"),
        (&format!("digest={unknown}"), "unknown-digest"),
        (&format!("leaf_hash={unknown}"), "unknown-leaf"),
        ("index=3", "beyond-published-head"),
        ("epoch=1&index=2", "malformed-parameter"),
        ("", "malformed-parameter"),
        ("digest=AB", "malformed-parameter"),
        ("epoch=0", "malformed-parameter"),
    ] {
        assert_eq!(bench.get(&format!("/v1/backup/receipts?{query}")).await.problem(), expect, "{query}");
    }
}

#[tokio::test]
async fn nothing_that_is_not_published_has_a_cose_receipt() {
    let bench = Bench::new().await;
    bench.stop_witnesses();
    let evidence = crate::testing::world::entry(&bench.world.evidence(1));
    let wait = crate::sequencer::WaitLevel::Committed;
    let committed = bench.handle.submit(evidence, wait, std::time::Duration::from_secs(20)).await.unwrap();
    let path = format!("/v1/backup/receipts/{}", committed.index);
    assert_eq!(receipt(&bench, &path, "application/cose").await.problem(), "beyond-published-head");
    let bench = Bench::unpublished().await;
    let path = "/v1/backup/receipts/0";
    assert_eq!(receipt(&bench, path, "application/cose").await.problem(), "nothing-published");
}

#[tokio::test]
async fn a_form_that_is_not_there_is_refused() {
    let bench = Bench::new().await;
    let answer = receipt(&bench, "/v1/backup/receipts/1", "application/xml").await;
    assert_eq!((answer.status, answer.problem().as_str()), (406, "not-acceptable"));
}
