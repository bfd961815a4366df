use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use countermark_tlog::hash::{Hash, node_hash};
use countermark_tlog::note::NoteSignature;
use countermark_tlog::proof::ConsistencyProof;
use countermark_tlog::witness_wire::parse_cosignature_lines;
use tower::ServiceExt;

use super::*;
use crate::http::{REQUEST_TIMEOUT, router};
use crate::testkit::log::TestLog;
use crate::testkit::stores::MemoryHeads;
use crate::testkit::{TestClock, witness, witness_keys};

/// A witness that cosigned a log at 14, and its lines on that head.
struct Bench {
    log: TestLog,
    router: Router,
    lines: Vec<NoteSignature>,
}

impl Bench {
    async fn at_fourteen() -> Self {
        let log = TestLog::new("log.example/a");
        let witness = witness(&[&log], MemoryHeads::default(), &TestClock::new());
        let mut bench = Self { router: router(Arc::new(witness), REQUEST_TIMEOUT), lines: Vec::new(), log };
        let (status, body) = bench.post("/add-checkpoint", bench.log.request(0, 14)).await;
        assert_eq!(status, 200, "{body}");
        bench.lines = parse_cosignature_lines(body.as_bytes()).unwrap();
        bench
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> (u16, String) {
        let request = Request::builder().method(Method::POST).uri(path).body(Body::from(body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (status, String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap())
    }

    /// A good request for the leaves 8 to 13, without any signature.
    fn request(&self) -> SignSubtreeRequest {
        let text = self.log.text(14);
        let body = format!("subtree 8 13\n{}\n\n{text}", naive_root(&self.log.leaves(13)[8..]).to_base64());
        let proof = ConsistencyProof::new(naive_proof(8, 13, &self.log.leaves(14), true)).unwrap();
        SignSubtreeRequest { proof, ..SignSubtreeRequest::parse(body.as_bytes()).unwrap() }
    }

    async fn check(&self, case: &str, expect: u16, change: impl FnOnce(&mut SignSubtreeRequest)) -> String {
        let mut request = self.request();
        change(&mut request);
        let (status, body) = self.post("/sign-subtree", request.to_bytes()).await;
        assert_eq!(status, expect, "{case}: {body}");
        body
    }
}

/// The root over leaves, as RFC 6962 §2.1 defines it.
fn naive_root(leaves: &[Hash]) -> Hash {
    let [leaf] = leaves else {
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        return node_hash(&naive_root(left), &naive_root(right));
    };
    *leaf
}

/// The proof of a subtree, as draft-ietf-plants-merkle-tree-certs-03 §4.4.1 defines it.
fn naive_proof(start: usize, end: usize, leaves: &[Hash], is_known: bool) -> Vec<Hash> {
    if (start, end) == (0, leaves.len()) {
        return if is_known { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let middle = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(middle);
    let (mut proof, sibling) = if end <= middle {
        (naive_proof(start, end, left, is_known), right)
    } else if middle <= start {
        (naive_proof(start - middle, end - middle, right, is_known), left)
    } else {
        (naive_proof(0, end - middle, right, false), left)
    };
    proof.push(naive_root(sibling));
    proof
}

/// The one line of the answer, verified over the subtree.
fn verify(body: &str, log: &TestLog, start: u64, end: u64, root: Hash) {
    let lines = parse_cosignature_lines(body.as_bytes()).unwrap();
    assert_eq!(lines.len(), 1);
    let key = &witness_keys()[1];
    assert!(lines[0].is_of(key));
    let cosignature = Cosignature::from_note_signature(&lines[0]).unwrap();
    assert_eq!(cosignature.timestamp, 0);
    cosignature.verify_subtree(key, &log.origin(), Subtree::new(start, end).unwrap(), root).unwrap();
}

#[tokio::test]
async fn a_part_of_the_newest_head_is_signed_with_and_without_signatures_on_the_request() {
    let bench = Bench::at_fourteen().await;
    let root = naive_root(&bench.log.leaves(13)[8..]);
    let body = bench.check("statefully", 200, |_| ()).await;
    verify(&body, &bench.log, 8, 13, root);
    for line in &bench.lines {
        let body = bench.check("by its own cosignature", 200, |request| request.signatures = vec![line.clone()]).await;
        verify(&body, &bench.log, 8, 13, root);
    }
    let own = parse_cosignature_lines(body.as_bytes()).unwrap();
    let body = bench.check("with a cosignature on the subtree", 200, |request| request.cosignatures = own).await;
    verify(&body, &bench.log, 8, 13, root);
}

#[tokio::test]
async fn a_head_is_known_if_it_was_ever_cosigned_and_another_is_answered_with_the_newest() {
    let bench = Bench::at_fourteen().await;
    assert_eq!(bench.post("/add-checkpoint", bench.log.request(14, 20)).await.0, 200);
    bench.check("an older head, unsigned", 200, |_| ()).await;
    let never = bench.log.text(13);
    let known = bench.check("a head in between", 409, |request| request.text = never).await;
    assert!(known.starts_with(&bench.log.text(20)), "{known}");
    assert!(known.ends_with('\n'));
}

#[tokio::test]
async fn every_other_request_is_refused_with_its_status() {
    let bench = Bench::at_fourteen().await;
    bench.check("an empty range", 400, |request| (request.start, request.end) = (8, 8)).await;
    bench.check("a range that ends before it begins", 400, |request| request.end = 7).await;
    bench.check("a range that is not aligned", 400, |request| request.start = 7).await;
    bench.check("a range outside of the tree", 400, |request| request.end = 15).await;
    bench.check("another root", 422, |request| request.root.0[0] ^= 1).await;
    bench.check("another range of the same tree", 422, |request| request.end = 12).await;
    bench.check("no proof", 422, |request| request.proof = ConsistencyProof::new(vec![]).unwrap()).await;
    let mut spoilt = bench.lines[1].clone();
    spoilt.signature[2000] ^= 1;
    bench.check("a spoilt cosignature of its own", 403, |request| request.signatures = vec![spoilt.clone()]).await;
    bench.check("a spoilt cosignature on the subtree", 403, |request| request.cosignatures = vec![spoilt]).await;
    let stranger = TestLog::new("log.example/b");
    bench.check("a line of nobody known", 200, |request| request.cosignatures = vec![stranger.line("x\n")]).await;
    let text = stranger.text(14);
    bench.check("a log that is not followed", 404, |request| request.text = text).await;
    let forked = bench.log.forked_at(3).text(14);
    bench.check("another tree of that size", 409, |request| request.text = forked).await;
    assert_eq!(bench.post("/sign-subtree", b"subtree 8 13\n".to_vec()).await.0, 400);
}

#[tokio::test]
async fn what_was_never_cosigned_has_no_parts() {
    let log = TestLog::new("log.example/a");
    let witness = witness(&[&log], MemoryHeads::default(), &TestClock::new());
    let bench = Bench { router: router(Arc::new(witness), REQUEST_TIMEOUT), lines: Vec::new(), log };
    bench.check("never cosigned", 404, |_| ()).await;
}
