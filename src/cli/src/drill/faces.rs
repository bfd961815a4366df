//! A log that really signs two faces: one key, two trees.

use anyhow::Context as _;
use countermark_keys::Signer;
use countermark_tlog::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use countermark_tlog::edge::RightEdge;
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::note::{KeyName, NoteSignature, SignatureType, SignedNote, VerifierKey};
use countermark_tlog::size::TreeSize;

/// A log without a conscience.
pub struct Forger {
    signer: Box<dyn Signer>,
    vkey: VerifierKey,
    origin: Origin,
}

impl Forger {
    /// Takes the log's key.
    pub fn new(origin: &str, signer: Box<dyn Signer>) -> anyhow::Result<Self> {
        let vkey = VerifierKey::new(KeyName::new(origin)?, SignatureType::Ed25519, signer.public_key())?;
        Ok(Self { origin: Origin::new(origin)?, signer, vkey })
    }

    /// The key that everybody believes.
    pub fn vkey(&self) -> &VerifierKey {
        &self.vkey
    }

    /// Signs the tree of these entries, whatever it signed before.
    pub fn face(&self, entries: &[&str]) -> anyhow::Result<SignedCheckpoint> {
        let mut edge = RightEdge::empty();
        for entry in entries {
            edge.append(leaf_hash(entry.as_bytes()), &mut |_, _| ())?;
        }
        let size = u64::try_from(entries.len()).ok().and_then(TreeSize::new).context("a tree of that size")?;
        let text = Checkpoint { origin: self.origin.clone(), size, root: edge.root() }.text();
        let line = NoteSignature::new(&self.vkey, &self.signer.sign(text.as_bytes())?);
        Ok(SignedCheckpoint::parse(&SignedNote::new(&text, vec![line])?.to_bytes())?)
    }
}
