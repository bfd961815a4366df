//! The arithmetic of trees and the reading of notes, beside the bare hashes and signature checks that neither can do
//! without.
//!
//! Each group has two functions, measured in the same run: `ours`, and `bare`. Only their ratio means something on
//! another machine; `scripts/bench` prints it.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops at that line")]

use std::convert::Infallible;
use std::hint::black_box;

use countermark_tlog::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use countermark_tlog::cosignature::{Cosignature, cosignature_message};
use countermark_tlog::edge::RightEdge;
use countermark_tlog::hash::{Hash, LeafHash, empty_root, leaf_hash, node_hash};
use countermark_tlog::note::{KeyName, NoteSignature, SignatureType, SignedNote, VerifierKey};
use countermark_tlog::policy::Policy;
use countermark_tlog::proof::{verify_consistency, verify_inclusion};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tree::{HashReader, NodeCoord, prove_consistency, prove_inclusion, root};
use criterion::Criterion;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

const ORIGIN: &str = "log.example/backup";
/// 2026-11-21T00:00:00Z.
const NOW: u64 = 1_795_219_200;
const APPENDED_ENTRIES: u64 = 1024;
const APPENDED_ENTRY_BYTES: usize = 1024;

fn main() {
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    for exponent in [10, 20, 30] {
        inclusion(&mut criterion, exponent);
        consistency(&mut criterion, exponent);
    }
    append(&mut criterion);
    note(&mut criterion);
    cosigned_checkpoint(&mut criterion);
    criterion.final_summary();
}

/// Measures what we do beside what nobody can do without.
fn compare(criterion: &mut Criterion, subject: &str, mut ours: impl FnMut(), mut bare: impl FnMut()) {
    let mut group = criterion.benchmark_group(subject);
    group.bench_function("ours", |bencher| bencher.iter(&mut ours));
    group.bench_function("bare", |bencher| bencher.iter(&mut bare));
    group.finish();
}

fn inclusion(criterion: &mut Criterion, exponent: u32) {
    let leaves = 1_u64 << exponent;
    let (size, index) = (TreeSize::new(leaves).unwrap(), LeafIndex::new(leaves / 3).unwrap());
    let root = root(size, &UniformTree).unwrap();
    let proof = prove_inclusion(index, size, &UniformTree).unwrap();
    let nodes = proof.hashes().len();
    compare(
        criterion,
        &format!("inclusion proof, 2^{exponent} leaves, {nodes} nodes"),
        || verify_inclusion(black_box(UniformTree::leaf()), index, size, root, black_box(&proof)).unwrap(),
        || hash_nodes(nodes),
    );
}

fn consistency(criterion: &mut Criterion, exponent: u32) {
    let leaves = 1_u64 << exponent;
    let (from, to) = (TreeSize::new(leaves / 3).unwrap(), TreeSize::new(leaves).unwrap());
    let (from_root, to_root) = (root(from, &UniformTree).unwrap(), root(to, &UniformTree).unwrap());
    let proof = prove_consistency(from, to, &UniformTree).unwrap();
    // The proof begins with the last peak of the smaller tree. Each other peak is hashed into both roots, every other
    // node into the larger tree's alone.
    let peaks = usize::try_from(from.get().count_ones()).unwrap();
    let nodes = (proof.hashes().len() - 1) + (peaks - 1);
    compare(
        criterion,
        &format!("consistency proof, 2^{exponent} leaves, {nodes} nodes"),
        || verify_consistency(from, from_root, to, to_root, black_box(&proof)).unwrap(),
        || hash_nodes(nodes),
    );
}

/// A full tree of 2^10 leaves grows from nothing: as many node hashes as leaf hashes, less one.
fn append(criterion: &mut Criterion) {
    let entries: Vec<Vec<u8>> = (0..APPENDED_ENTRIES)
        .map(|entry| entry.to_be_bytes().into_iter().cycle().take(APPENDED_ENTRY_BYTES).collect())
        .collect();
    let prefixed: Vec<Vec<u8>> = entries.iter().map(|entry| [&[0x00], entry.as_slice()].concat()).collect();
    compare(
        criterion,
        &format!("append {APPENDED_ENTRIES} entries of {APPENDED_ENTRY_BYTES} bytes"),
        || {
            let mut edge = RightEdge::empty();
            for entry in &entries {
                edge.append(leaf_hash(black_box(entry)), &mut |_, hash| _ = black_box(hash)).unwrap();
            }
            assert_ne!(black_box(edge.root()), empty_root());
        },
        || {
            for entry in &prefixed {
                black_box(Sha256::digest(black_box(entry)));
            }
            hash_nodes(prefixed.len() - 1);
        },
    );
}

fn note(criterion: &mut Criterion) {
    let signer = Signer::new(ORIGIN, SignatureType::Ed25519, 1);
    let (text, key) = (checkpoint().text(), signer.vkey.clone());
    let (line, check) = signer.sign_text(&text);
    let note = SignedNote::new(&text, vec![line]).unwrap().to_bytes();
    compare(
        criterion,
        "note, read and verified, 1 signature",
        || assert_eq!(SignedNote::parse(black_box(&note)).unwrap().verify([&key]).unwrap().len(), 1),
        || check.verify(),
    );
}

/// What a client does with a tree head: the log's signature and three of four cosignatures.
fn cosigned_checkpoint(criterion: &mut Criterion) {
    let log = Signer::new(ORIGIN, SignatureType::Ed25519, 1);
    let witnesses: Vec<Signer> =
        (2..6).map(|seed| Signer::new(&format!("w{seed}"), SignatureType::CosignatureEd25519, seed)).collect();
    let lines = witnesses.iter().map(|w| format!("witness {} {}\n", w.vkey.name(), w.vkey));
    let names = witnesses.iter().map(|w| format!(" {}", w.vkey.name()));
    let (lines, names) = (lines.collect::<Vec<_>>().concat(), names.collect::<Vec<_>>().concat());
    let policy = format!("log {}\n{lines}group three-of-four 3{names}\nquorum three-of-four\n", log.vkey);
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let text = checkpoint().text();
    let signed = [log.sign_text(&text)].into_iter().chain(witnesses[..3].iter().map(|w| w.cosign_text(&text)));
    let (lines, checks): (Vec<NoteSignature>, Vec<Check>) = signed.unzip();
    let note = SignedNote::new(&text, lines).unwrap().to_bytes();
    compare(
        criterion,
        "checkpoint, read and verified, 1 + 3 signatures",
        || {
            let signed = SignedCheckpoint::parse(black_box(&note)).unwrap();
            assert_eq!(policy.verify(&signed).unwrap().cosigned().len(), 3);
        },
        || checks.iter().for_each(Check::verify),
    );
}

fn checkpoint() -> Checkpoint {
    let size = TreeSize::new(1 << 20).unwrap();
    Checkpoint { origin: Origin::new(ORIGIN).unwrap(), size, root: root(size, &UniformTree).unwrap() }
}

/// So many SHA-256 of 65 bytes, each over the one before, as on the way to a root.
fn hash_nodes(nodes: usize) {
    let mut node = [0x01; 65];
    for _ in 0..nodes {
        let hash = Sha256::digest(black_box(&node));
        node[1..33].copy_from_slice(&hash);
    }
    black_box(node);
}

/// A tree of any size whose leaves are all the same: a node's hash depends on its level alone.
struct UniformTree;

impl UniformTree {
    fn leaf() -> LeafHash {
        LeafHash(Hash([7; 32]))
    }
}

impl HashReader for UniformTree {
    type Error = Infallible;

    fn read(&self, nodes: &[NodeCoord]) -> Result<Vec<Hash>, Infallible> {
        let hash_of = |node: &NodeCoord| (0..node.level).fold(Self::leaf().0, |hash, _| node_hash(&hash, &hash));
        Ok(nodes.iter().map(hash_of).collect())
    }
}

struct Signer {
    vkey: VerifierKey,
    key: SigningKey,
}

impl Signer {
    fn new(name: &str, kind: SignatureType, seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let vkey = VerifierKey::new(KeyName::new(name).unwrap(), kind, key.verifying_key().as_bytes()).unwrap();
        Self { vkey, key }
    }

    fn sign_text(&self, text: &str) -> (NoteSignature, Check) {
        let check = self.sign(text.as_bytes());
        (NoteSignature::new(&self.vkey, &check.signature.to_bytes()), check)
    }

    fn cosign_text(&self, text: &str) -> (NoteSignature, Check) {
        let check = self.sign(&cosignature_message(NOW, text));
        let cosignature = Cosignature { timestamp: NOW, signature: check.signature.to_bytes().to_vec() };
        (cosignature.to_note_signature(&self.vkey), check)
    }

    fn sign(&self, message: &[u8]) -> Check {
        Check { key: self.key.verifying_key(), message: message.to_vec(), signature: self.key.sign(message) }
    }
}

/// One signature check with everything read beforehand: nothing can be cheaper.
struct Check {
    key: VerifyingKey,
    message: Vec<u8>,
    signature: Signature,
}

impl Check {
    fn verify(&self) {
        self.key.verify_strict(black_box(&self.message), &self.signature).unwrap();
    }
}
