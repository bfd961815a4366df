//! Fork evidence: two checkpoints that one log signed and that no log that only grows could have signed both.
//!
//! It is verified offline, with the log's key alone. It is not an opinion: heads that nobody can relate are *unresolved*
//! ([`Relation::Unresolved`]) and never evidence. It says nothing about which of the two faces is the true one.
//!
//! Two kinds ([`ForkKind`]): two roots of one size; or two sizes and hashes that make the larger checkpoint's root, whose
//! beginning of the smaller size has another root than the one that the log signed.
//!
//! Invariant: a log that only appends, and signs only roots of its tree, is never framed, whatever the hashes are.
//! Sizes n < m fix how the hashes are put together, and every one of them goes into the larger root. If they make the
//! root that the log signed at m, they are, unless SHA-256 collides, the nodes of the log's own tree at those places;
//! and they are all the nodes from which its root at n is made. So the root that they make at n is the one that the
//! log had at n. For this the hashes must be *complete*: RFC 6962 leaves the first one out of a consistency proof where
//! n is a power of two, because the verifier is to put the smaller root there. Here that would bind nothing (a wrong
//! smaller root and a wrong proof look alike), so the first hash always stands in the document.
//!
//! Source: FORMATS.md, "Fork evidence"; RFC 9162 §2.1.4.2; <https://c2sp.org/tlog-checkpoint>.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest as _, Sha256};

use crate::checkpoint::{Checkpoint, CheckpointError, Origin, SignedCheckpoint};
use crate::hash::{Hash, RootHash};
use crate::note::{NoteError, SignedNote, VerifierKey};
use crate::proof::{ConsistencyProof, PROOF_HASHES_MAX, ProofError, roots_from_consistency};
use crate::size::TreeSize;

mod relate;

pub use relate::{RelateError, Relation, RelationPlan, relate_equal_sizes};

/// The most bytes of fork evidence: 256 KiB.
pub const FORK_EVIDENCE_BYTES_MAX: usize = 256 << 10;

/// The most hashes: those of the longest consistency proof and the one that it leaves out.
pub const FORK_HASHES_MAX: usize = PROOF_HASHES_MAX + 1;

/// The first line.
const HEADER: &str = "countermark/fork-evidence/v1";

/// The parts between empty lines: header and hashes, then text and signature lines of each checkpoint.
const PARTS: usize = 5;

/// Why bytes are no fork evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkParseError {
    /// More bytes than allowed.
    #[error("fork evidence has at most {FORK_EVIDENCE_BYTES_MAX} bytes, found {found}")]
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// Not UTF-8.
    #[error("fork evidence is UTF-8")]
    Characters,
    /// Not header and hashes, an empty line, a checkpoint, an empty line, a checkpoint.
    #[error("fork evidence is a header with hashes and two checkpoints, each after an empty line")]
    Structure,
    /// Another first line.
    #[error("the first line is not {HEADER}")]
    Header,
    /// A line that is not a hash.
    #[error("hash {number} is not 32 bytes in standard base64")]
    Hash {
        /// Counted from 1.
        number: usize,
    },
    /// More hashes than two heads can need.
    #[error("fork evidence has at most {FORK_HASHES_MAX} hashes, found {found}")]
    TooManyHashes {
        /// Hashes given.
        found: usize,
    },
    /// What stands in a checkpoint's place is not one.
    #[error("checkpoint {number} is malformed")]
    Checkpoint {
        /// Counted from 1.
        number: usize,
        /// Why.
        source: CheckpointError,
    },
    /// A line of another key than one of the log: evidence carries nothing that it does not need.
    #[error("checkpoint {number} has a signature line of {name}, which is not the log")]
    OtherSigner {
        /// Counted from 1.
        number: usize,
        /// The name in the line.
        name: crate::note::KeyName,
    },
    /// Not in order of size and root; there is one encoding.
    #[error("the checkpoints are not in the order of their sizes and roots")]
    Order,
    /// Checkpoints of two logs.
    #[error("the checkpoints are of two logs: {first} and {second}")]
    Origins {
        /// Of the first.
        first: Origin,
        /// Of the second.
        second: Origin,
    },
}

/// Why evidence that is well-formed proves no fork.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// A checkpoint that the log did not sign, as far as the given keys say.
    #[error("the checkpoint of size {size} is not signed by the log")]
    NotSigned {
        /// Which of the two.
        size: TreeSize,
        /// Why.
        source: CheckpointError,
    },
    /// Every tree begins with the empty one.
    #[error("the empty tree is the beginning of every tree")]
    FromEmpty,
    /// Hashes where two roots of one size need none.
    #[error("two roots of one size need no hashes, found {found}")]
    NeedlessHashes {
        /// Hashes given.
        found: usize,
    },
    /// Too few or too many hashes for the two sizes.
    #[error(transparent)]
    Hashes(#[from] ProofError),
    /// The hashes are not of the larger checkpoint's tree; they say nothing about the log.
    #[error("the hashes make the root {found}, the larger checkpoint has {expected}")]
    OtherTree {
        /// The larger checkpoint's root.
        expected: RootHash,
        /// What the hashes make.
        found: RootHash,
    },
    /// The log only grew.
    #[error("the larger tree begins with the smaller one: the log only grew")]
    OnlyGrew,
}

/// What a log did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkKind {
    /// It signed two roots of one size.
    TwoRoots,
    /// It signed a larger tree that does not begin with the smaller one.
    NotGrown {
        /// The root of the larger tree's beginning that has the smaller size.
        beginning: RootHash,
    },
}

/// The name of evidence: SHA-256 of its bytes, 64 hex digits where it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForkId(pub Hash);

impl ForkId {
    /// Reads 64 lower-case hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        Hash::from_hex(text).ok().map(Self)
    }

    /// The name of these bytes.
    #[must_use]
    pub fn of(evidence: &[u8]) -> Self {
        Self(Hash(Sha256::digest(evidence).into()))
    }
}

impl fmt::Display for ForkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Two checkpoints and hashes. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntrustedForkEvidence {
    smaller: SignedCheckpoint,
    larger: SignedCheckpoint,
    hashes: Vec<Hash>,
}

/// Evidence that proves that a log forked. Only [`UntrustedForkEvidence::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedForkEvidence {
    evidence: UntrustedForkEvidence,
    kind: ForkKind,
}

impl UntrustedForkEvidence {
    /// Puts evidence together from two checkpoints in any order; of their signature lines only the log's stay.
    ///
    /// `hashes` are those of [`RelationPlan`]; none for two roots of one size.
    pub fn new(one: &SignedCheckpoint, other: &SignedCheckpoint, hashes: Vec<Hash>) -> Result<Self, ForkParseError> {
        let (first, second) =
            if place(one.checkpoint()) <= place(other.checkpoint()) { (one, other) } else { (other, one) };
        Self::in_order(lines_of_the_log(first, 1)?, lines_of_the_log(second, 2)?, hashes)
    }

    /// Reads evidence of at most 256 KiB.
    pub fn parse(bytes: &[u8]) -> Result<Self, ForkParseError> {
        if bytes.len() > FORK_EVIDENCE_BYTES_MAX {
            return Err(ForkParseError::TooLarge { found: bytes.len() });
        }
        let text = core::str::from_utf8(bytes).map_err(|_| ForkParseError::Characters)?;
        // No line of a checkpoint's text is empty, so the empty lines are exactly those between the parts.
        let mut parts = text.splitn(PARTS, "\n\n");
        let mut part = || parts.next().ok_or(ForkParseError::Structure);
        let (head, first_text, first_lines, second_text, second_lines) = (part()?, part()?, part()?, part()?, part()?);

        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(ForkParseError::Header);
        }
        let hash = |(number, line): (usize, &str)| {
            Hash::from_base64(line).map_err(|_| ForkParseError::Hash { number: number.saturating_add(1) })
        };
        let hashes = lines.enumerate().map(hash).collect::<Result<Vec<_>, _>>()?;
        let first = [first_text, "\n\n", first_lines, "\n"].concat();
        let second = [second_text, "\n\n", second_lines].concat();
        Self::in_order(checkpoint_in(&first, 1)?, checkpoint_in(&second, 2)?, hashes)
    }

    fn in_order(
        smaller: SignedCheckpoint,
        larger: SignedCheckpoint,
        hashes: Vec<Hash>,
    ) -> Result<Self, ForkParseError> {
        if hashes.len() > FORK_HASHES_MAX {
            return Err(ForkParseError::TooManyHashes { found: hashes.len() });
        }
        for (number, checkpoint) in [(1, &smaller), (2, &larger)] {
            let log = checkpoint.checkpoint().origin.key_name();
            if let Some(line) = checkpoint.note().signatures().iter().find(|line| line.name != *log) {
                return Err(ForkParseError::OtherSigner { number, name: line.name.clone() });
            }
        }
        let (first, second) = (smaller.checkpoint(), larger.checkpoint());
        if first.origin != second.origin {
            return Err(ForkParseError::Origins { first: first.origin.clone(), second: second.origin.clone() });
        }
        // Equal heads contradict nothing, whatever stands around them.
        if place(first) >= place(second) {
            return Err(ForkParseError::Order);
        }
        Ok(Self { smaller, larger, hashes })
    }

    /// The evidence's bytes; exactly those it was read from.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = HEADER.to_owned();
        head.push('\n');
        for hash in &self.hashes {
            head.push_str(&hash.to_base64());
            head.push('\n');
        }
        head.push('\n');
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.smaller.to_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.larger.to_bytes());
        bytes
    }

    /// The log that it is about, to look up its keys.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.smaller.checkpoint().origin
    }

    /// Verifies that the log of these keys signed both checkpoints, and that it cannot have grown from one to the other.
    ///
    /// Lines of keys that are not given are ignored, as in every note; one given key that fails spoils the evidence.
    pub fn verify(self, keys: &[VerifierKey]) -> Result<VerifiedForkEvidence, ForkError> {
        for checkpoint in [&self.smaller, &self.larger] {
            let size = checkpoint.checkpoint().size;
            checkpoint.verify_log(keys).map_err(|source| ForkError::NotSigned { size, source })?;
        }
        let kind = self.kind()?;
        Ok(VerifiedForkEvidence { evidence: self, kind })
    }

    fn kind(&self) -> Result<ForkKind, ForkError> {
        let (smaller, larger) = (self.smaller.checkpoint(), self.larger.checkpoint());
        if smaller.size == larger.size {
            // The order of the checkpoints says that the roots differ.
            return match self.hashes.len() {
                0 => Ok(ForkKind::TwoRoots),
                found => Err(ForkError::NeedlessHashes { found }),
            };
        }
        let (beginning, whole) = roots_of(smaller.size, larger.size, &self.hashes)?;
        if whole != larger.root {
            return Err(ForkError::OtherTree { expected: larger.root, found: whole });
        }
        if beginning == smaller.root { Err(ForkError::OnlyGrew) } else { Ok(ForkKind::NotGrown { beginning }) }
    }
}

impl VerifiedForkEvidence {
    /// Which log forked.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        self.evidence.origin()
    }

    /// The smaller head, or the one with the smaller root.
    #[must_use]
    pub const fn smaller(&self) -> &Checkpoint {
        self.evidence.smaller.checkpoint()
    }

    /// The other head.
    #[must_use]
    pub const fn larger(&self) -> &Checkpoint {
        self.evidence.larger.checkpoint()
    }

    /// What the log did.
    #[must_use]
    pub const fn kind(&self) -> ForkKind {
        self.kind
    }

    /// The evidence's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.evidence.to_bytes()
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> ForkId {
        ForkId::of(&self.to_bytes())
    }
}

/// The roots, at both sizes, that complete hashes make: a consistency proof with its first hash always there.
fn roots_of(from: TreeSize, to: TreeSize, hashes: &[Hash]) -> Result<(RootHash, RootHash), ForkError> {
    if from == TreeSize::ZERO {
        return Err(ForkError::FromEmpty);
    }
    let (first, rest) = hashes.split_first().ok_or(ProofError::TooShort { found: 0 })?;
    // SPEC: RFC 9162 §2.1.4.2, step 2: where `from` is a power of two its root begins the proof; it is then our first
    // hash and not the smaller checkpoint's root. Elsewhere the first hash is a part of the proof, and no root is used.
    let proof = if from.get().is_power_of_two() { rest } else { hashes };
    let proof = ConsistencyProof::new(proof.to_vec())?;
    Ok(roots_from_consistency(from, RootHash(*first), to, &proof)?)
}

fn place(checkpoint: &Checkpoint) -> (TreeSize, RootHash) {
    (checkpoint.size, checkpoint.root)
}

fn checkpoint_in(note: &str, number: usize) -> Result<SignedCheckpoint, ForkParseError> {
    SignedCheckpoint::parse_allowing_extensions(note.as_bytes())
        .map_err(|source| ForkParseError::Checkpoint { number, source })
}

/// The checkpoint with the lines that name the log alone.
fn lines_of_the_log(signed: &SignedCheckpoint, number: usize) -> Result<SignedCheckpoint, ForkParseError> {
    let malformed = |source: NoteError| ForkParseError::Checkpoint { number, source: source.into() };
    let log = signed.checkpoint().origin.key_name();
    let lines = signed.note().signatures().iter().filter(|line| line.name == *log).cloned().collect();
    let note: String = String::from_utf8(SignedNote::new(signed.note().text(), lines).map_err(malformed)?.to_bytes())
        .map_err(|_| ForkParseError::Characters)?;
    checkpoint_in(&note, number)
}

#[cfg(test)]
mod tests;
