//! A log of any length that signs whatever it is told to. Its tree is the definition of RFC 6962 §2.1,
//! written down a second time, recursive and slow.

use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::{Hash, RootHash, empty_root, leaf_hash, node_hash};
use countermark_tlog::note::{KeyName, NoteSignature, SignatureType, VerifierKey};
use ed25519_dalek::{Signer as _, SigningKey};

/// A log with one key. Entries before `fork_at` are those of every log of this origin.
#[derive(Clone)]
pub struct TestLog {
    pub origin: String,
    key: SigningKey,
    fork_at: Option<usize>,
}

impl TestLog {
    pub fn new(origin: &str) -> Self {
        let key = SigningKey::from_bytes(&[0x11; 32]);
        Self { origin: origin.to_owned(), key, fork_at: None }
    }

    /// The same log under the same key, telling another story from entry `index` on.
    pub fn forked_at(&self, index: usize) -> Self {
        Self { fork_at: Some(index), ..self.clone() }
    }

    /// The same log under another key.
    pub fn with_key(&self, seed: u8) -> Self {
        Self { key: SigningKey::from_bytes(&[seed; 32]), ..self.clone() }
    }

    pub fn origin(&self) -> Origin {
        Origin::new(&self.origin).unwrap()
    }

    pub fn vkey(&self) -> VerifierKey {
        let name = KeyName::new(&self.origin).unwrap();
        let key = self.key.verifying_key().to_bytes();
        VerifierKey::new(name, SignatureType::Ed25519, &key).unwrap()
    }

    pub fn root(&self, size: usize) -> RootHash {
        if size == 0 { empty_root() } else { RootHash(subtree(&self.leaves(size))) }
    }

    /// The consistency proof, as RFC 6962 §2.1.2 defines it.
    pub fn proof(&self, old: usize, size: usize) -> Vec<Hash> {
        if old == 0 || old == size { Vec::new() } else { subproof(old, &self.leaves(size), true) }
    }

    /// The text of the checkpoint at `size`.
    pub fn text(&self, size: usize) -> String {
        format!("{}\n{size}\n{}\n", self.origin, self.root(size).0.to_base64())
    }

    /// A line of this log's key on any text.
    pub fn line(&self, text: &str) -> NoteSignature {
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        NoteSignature::new(&self.vkey(), &signature)
    }

    /// The note of any text, signed.
    pub fn note(&self, text: &str) -> String {
        format!("{text}\n{}", self.line(text).to_line())
    }

    /// The checkpoint at `size`, signed.
    pub fn checkpoint(&self, size: usize) -> String {
        self.note(&self.text(size))
    }

    /// An honest request that goes from `old` to `size`.
    pub fn request(&self, old: usize, size: usize) -> Vec<u8> {
        request(old, &self.proof(old, size), &self.checkpoint(size))
    }

    pub fn leaves(&self, size: usize) -> Vec<Hash> {
        let entry = |index: usize| match self.fork_at {
            Some(fork_at) if index >= fork_at => format!("other {index}"),
            Some(_) | None => format!("entry {index}"),
        };
        (0..size).map(|index| leaf_hash(entry(index).as_bytes()).0).collect()
    }
}

/// A request of any parts.
pub fn request(old: usize, proof: &[Hash], checkpoint: &str) -> Vec<u8> {
    let mut request = format!("old {old}\n");
    for hash in proof {
        request.push_str(&hash.to_base64());
        request.push('\n');
    }
    request.push('\n');
    request.push_str(checkpoint);
    request.into_bytes()
}

fn subtree(leaves: &[Hash]) -> Hash {
    match leaves {
        [leaf] => *leaf,
        leaves => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&subtree(left), &subtree(right))
        }
    }
}

fn subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![subtree(leaves)] };
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    if old <= middle {
        let mut proof = subproof(old, left, whole);
        proof.push(subtree(right));
        proof
    } else {
        let mut proof = subproof(old - middle, right, false);
        proof.push(subtree(left));
        proof
    }
}

/// The largest power of two below `leaves`.
fn split(leaves: usize) -> usize {
    leaves.next_power_of_two() / 2
}
