//! The body of `sign-subtree`: a range, its root, a proof, and the checkpoint that the proof leads to.

use alloc::format;
use alloc::vec::Vec;

use super::{ADD_CHECKPOINT_BYTES_MAX, WitnessWireError, check_lines};
use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::note::{NoteSignature, SignedNote};
use crate::proof::ConsistencyProof;
use crate::size::parse_decimal_u64;

/// The most cosignature lines of the subtree, and the most signature lines of the reference checkpoint.
pub const SUBTREE_SIGNATURES_MAX: usize = 8;

/// The body of `POST sign-subtree`, at most 64 KiB. Nothing in it is verified, not even that the range is a subtree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignSubtreeRequest {
    /// The first leaf.
    pub start: u64,
    /// The leaf after the last.
    pub end: u64,
    /// The root over the leaves.
    pub root: Hash,
    /// What others signed for it; at most 8.
    pub cosignatures: Vec<NoteSignature>,
    /// From the subtree to the checkpoint.
    pub proof: ConsistencyProof,
    /// The tree head that the proof leads to.
    pub checkpoint: Checkpoint,
    /// The checkpoint's text, extension lines included, and its signature lines: none, or at most 8.
    pub text: alloc::string::String,
    /// The checkpoint's signature lines, at most 8.
    pub signatures: Vec<NoteSignature>,
}

impl SignSubtreeRequest {
    /// Reads a request.
    ///
    /// SPEC: C2SP tlog-witness, sign-subtree: a range line, a hash line, cosignature lines, proof lines, an empty line, and a
    /// checkpoint with signatures, or its text alone.
    pub fn parse(bytes: &[u8]) -> Result<Self, WitnessWireError> {
        check_lines(bytes, ADD_CHECKPOINT_BYTES_MAX)?;
        let text = core::str::from_utf8(bytes).map_err(|_| WitnessWireError::Characters)?;
        let (head, reference) = text.split_once("\n\n").ok_or(WitnessWireError::NoCheckpoint)?;
        let mut lines = head.split('\n').peekable();
        let (start, end) = lines.next().and_then(range).ok_or(WitnessWireError::SubtreeRange)?;
        let root = lines.next().and_then(|line| Hash::from_base64(line).ok()).ok_or(WitnessWireError::SubtreeHash)?;
        let mut cosignatures = Vec::new();
        let mut number = 2_usize;
        while let Some(line) = lines.next_if(|line| line.starts_with('\u{2014}')) {
            number = number.saturating_add(1);
            let line =
                NoteSignature::parse_line(line).map_err(|source| WitnessWireError::SignatureLine { number, source })?;
            cosignatures.push(line);
        }
        check_signatures(cosignatures.len())?;
        let hash = |(number, line): (usize, &str)| {
            Hash::from_base64(line).map_err(|_| WitnessWireError::Hash { number: number.saturating_add(1) })
        };
        let hashes = lines.enumerate().map(hash).collect::<Result<Vec<_>, _>>()?;
        let proof = ConsistencyProof::new(hashes).map_err(WitnessWireError::Proof)?;
        let (text, signatures) = reference_checkpoint(reference)?;
        let (checkpoint, _extensions) =
            Checkpoint::parse_allowing_extensions(&text).map_err(WitnessWireError::Checkpoint)?;
        Ok(Self { start, end, root, cosignatures, proof, checkpoint, text, signatures })
    }

    /// The request's bytes; exactly those it was read from.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = format!("subtree {} {}\n{}\n", self.start, self.end, self.root.to_base64());
        for line in &self.cosignatures {
            body.push_str(&line.to_line());
        }
        for hash in self.proof.hashes() {
            body.push_str(&hash.to_base64());
            body.push('\n');
        }
        body.push('\n');
        body.push_str(&self.text);
        if !self.signatures.is_empty() {
            body.push('\n');
        }
        for line in &self.signatures {
            body.push_str(&line.to_line());
        }
        body.into_bytes()
    }
}

/// `subtree`, a space, a decimal, a space, a decimal.
fn range(line: &str) -> Option<(u64, u64)> {
    let (start, end) = line.strip_prefix("subtree ")?.split_once(' ')?;
    Some((parse_decimal_u64(start).ok()?, parse_decimal_u64(end).ok()?))
}

/// The text of a checkpoint and its signature lines.
///
/// SPEC: C2SP tlog-witness, sign-subtree: without signatures the body ends with the newline of the checkpoint's text.
fn reference_checkpoint(reference: &str) -> Result<(alloc::string::String, Vec<NoteSignature>), WitnessWireError> {
    if reference.is_empty() {
        return Err(WitnessWireError::NoCheckpoint);
    }
    if !reference.contains("\n\n") {
        return Ok((reference.into(), Vec::new()));
    }
    let note = SignedNote::parse(reference.as_bytes()).map_err(|error| WitnessWireError::Checkpoint(error.into()))?;
    check_signatures(note.signatures().len())?;
    Ok((note.text().into(), note.signatures().to_vec()))
}

fn check_signatures(found: usize) -> Result<(), WitnessWireError> {
    if found > SUBTREE_SIGNATURES_MAX {
        return Err(WitnessWireError::TooManySignatures { found, max: SUBTREE_SIGNATURES_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
