//! What was: published heads, statements that named a fleet or a key, keys in force.

use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::note::SignatureType;
use countermark_tlog::policy::Policy;
use serde_json::{Value, json};

use super::bench::Bench;
use crate::testing::Manner;
use crate::testing::world::ORIGIN;

fn sizes(document: &Value) -> Vec<u64> {
    document["checkpoints"].as_array().unwrap().iter().map(|head| head["size"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn every_published_head_stays_readable_with_its_cosignatures() {
    let bench = Bench::new().await;
    for number in 1..=3 {
        bench.publish_evidence(number).await;
    }
    let policy = Policy::parse(&bench.get("/v1/backup/policy").await.body).unwrap();
    let all = bench.get("/v1/backup/checkpoints").await.json();
    // The first head was signed before any witness could be reached; it was published if a round began before the next.
    assert_eq!((&sizes(&all)[..4], &all["next"]), (&[5, 4, 3, 2][..], &Value::Null));
    for head in all["checkpoints"].as_array().unwrap() {
        let note = head["note"].as_str().unwrap().as_bytes();
        let witnessed = policy.verify(&SignedCheckpoint::parse(note).unwrap()).unwrap();
        assert_eq!(witnessed.cosigned().len(), 3);
        assert_eq!(head["root"], witnessed.checkpoint().root.0.to_base64());
        assert_eq!(bench.get(&format!("/v1/backup/checkpoints/{}", head["size"])).await.body, note);
    }
    assert_eq!(bench.get("/v1/backup/checkpoints/5").await.body, bench.get("/backup/checkpoint").await.body);
}

#[tokio::test]
async fn the_history_is_read_in_parts() {
    let bench = Bench::new().await;
    for number in 1..=3 {
        bench.publish_evidence(number).await;
    }
    for (query, expect, next) in [
        ("limit=2", vec![5, 4], json!(4)),
        ("limit=1&before=4", vec![3], json!(3)),
        ("limit=3", vec![5, 4, 3], json!(3)),
        ("before=1", vec![], Value::Null),
        ("before=0", vec![], Value::Null),
    ] {
        let part = bench.get(&format!("/v1/backup/checkpoints?{query}")).await.json();
        assert_eq!((sizes(&part), &part["next"]), (expect, &next), "{query}");
    }
    let part = async |query: &str| sizes(&bench.get(&format!("/v1/backup/checkpoints?{query}")).await.json());
    assert_eq!(part("before=999").await, part("").await);
    assert_eq!(part("before=3").await, part("").await[3..]);
    for query in ["limit=0", "limit=101", "limit=x", "before=-1", "from=1"] {
        assert_eq!(bench.get(&format!("/v1/backup/checkpoints?{query}")).await.status, 400, "{query}");
    }
    for size in ["6", "0", "999"] {
        let answer = bench.get(&format!("/v1/backup/checkpoints/{size}")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "no-such-checkpoint"), "{size}");
    }
}

#[tokio::test]
async fn a_cosignature_that_comes_late_is_in_the_history_too() {
    let bench = Bench::new().await;
    bench.world.witnesses.behave(&bench.world.endpoints[3].url, Manner::Honest);
    bench.publish_evidence(1).await;
    let cosignatures = async || {
        let note = bench.get("/v1/backup/checkpoints/3").await.body;
        SignedCheckpoint::parse(&note).unwrap().note().signatures().len() - 1
    };
    // The fourth may come after the quorum.
    for _ in 0..1_000 {
        if cosignatures().await == 4 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the fourth cosignature is missing");
}

#[tokio::test]
async fn every_statement_that_named_a_fleet_or_a_key_is_found() {
    let bench = Bench::new().await;
    let first = bench.certify(1, None).await;
    bench.activate(1).await;
    let second = bench.certify(2, Some(first)).await;
    let statement = bench.get("/v1/backup/statements/1").await.json();
    let fleet = statement["fleets"][0]["fleet_id"].as_str().unwrap().to_owned();
    let key = statement["fleets"][0]["members"][0]["keys"][0]["key_id"].as_str().unwrap().to_owned();
    let epochs = async |query: String| {
        let document = bench.get(&format!("/v1/backup/statements{query}")).await.json();
        let statements = document["statements"].as_array().unwrap().clone();
        statements.iter().map(|record| record["epoch"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(epochs(String::new()).await, [2, 1]);
    assert_eq!(epochs(format!("?fleet_id={fleet}")).await, [2, 1]);
    assert_eq!(epochs(format!("?key_id={key}")).await, [2, 1]);
    assert_eq!(epochs(format!("?digest={second}")).await, [2]);
    assert_eq!(epochs(format!("?digest={first}&fleet_id={fleet}&key_id={key}")).await, [1]);
    assert_eq!(epochs("?fleet_id=another".to_owned()).await, [0; 0]);
    assert_eq!(epochs(format!("?key_id={}", hex::encode([7; 32]))).await, [0; 0]);
    let record = bench.get("/v1/backup/statements/1/record").await.json();
    assert_eq!(bench.get(&format!("/v1/backup/statements?digest={first}")).await.json()["statements"], json!([record]));
    for query in ["key_id=x", "fleet_id=", "epoch=1", "fleet_id=a&fleet_id=b"] {
        assert_eq!(bench.get(&format!("/v1/backup/statements?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn the_keys_in_force_are_listed_by_what_they_are_for() {
    let bench = Bench::unpublished().await;
    let keys = bench.get("/v1/backup/keys").await.json();
    assert_eq!(keys["size"], Value::Null);
    assert_eq!(keys["log"][0]["vkey"], json!(bench.world.log.vkey(ORIGIN, SignatureType::Ed25519).to_string()));
    assert_eq!(keys["witnesses"].as_array().unwrap().len(), 4);
    assert_eq!(keys["authority"]["certificate"][0]["key_id"], json!(bench.world.certificate.public().key_id().0));
    assert_eq!(keys["authority"]["operator"][0]["algorithm"], "ecdsa-p384");
    assert_eq!(keys["authority"]["operator_threshold"], 1);
    let raw = Bench::raw().await;
    let keys = raw.get("/v1/backup/keys").await.json();
    assert_eq!((keys["log"].as_array().unwrap().len(), &keys["authority"]), (1, &Value::Null));
}
