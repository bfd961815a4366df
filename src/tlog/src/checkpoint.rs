//! C2SP tlog-checkpoint: a tree head as a signed note.
//!
//! Source: <https://c2sp.org/tlog-checkpoint>. Checkpoints of our own logs carry no extension lines, and
//! [`SignedCheckpoint::parse`] refuses them; a witness of foreign logs uses
//! [`SignedCheckpoint::parse_allowing_extensions`].

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::hash::{Hash, RootHash, empty_root};
use crate::note::{KeyName, NoteError, SignatureType, SignedNote, VerifierKey};
use crate::size::TreeSize;

/// The identity of a log. Same form as a key name: at most 255 bytes, no spaces, no plus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(KeyName);

impl Origin {
    /// Checks and takes an origin.
    pub fn new(origin: &str) -> Result<Self, CheckpointError> {
        KeyName::new(origin).map(Self).map_err(|_| CheckpointError::Origin)
    }

    /// The origin itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name of the log's keys, which is its origin.
    #[must_use]
    pub const fn key_name(&self) -> &KeyName {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why bytes are not a checkpoint, or not a log's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a signed note, or not signed by the log.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// An origin that breaks the rules of key names.
    #[error("the origin must be 1 to 255 bytes without spaces, control characters and plus signs")]
    Origin,
    /// Fewer than three lines, or an empty one.
    #[error("a checkpoint has an origin, a size and a root line, none of them empty")]
    Lines,
    /// Not a decimal without leading zeroes up to 2^63−1.
    #[error("the tree size must be a decimal without leading zeroes")]
    Size,
    /// Not 32 bytes in base64.
    #[error("the root hash must be 32 bytes in standard base64")]
    Root,
    /// A tree of size 0 whose root is not SHA-256 of nothing.
    #[error("a tree of size 0 has the root SHA-256(\"\")")]
    EmptyRoot,
    /// Extension lines where none are allowed.
    #[error("{count} extension lines, none are allowed")]
    Extensions {
        /// How many.
        count: usize,
    },
    /// A log key that does not carry the origin as its name, or is of another type than a log signs with.
    #[error("key {name} is not a log key of {origin}")]
    LogKey {
        /// The key's name.
        name: KeyName,
        /// The checkpoint's origin.
        origin: Origin,
    },
}

/// A tree head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// How many entries.
    pub size: TreeSize,
    /// The RFC 6962 root of them.
    pub root: RootHash,
}

impl Checkpoint {
    /// The note text: three lines.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root.0.to_base64())
    }

    /// Reads a note text of exactly three lines.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let (checkpoint, extensions) = Self::parse_allowing_extensions(text)?;
        if extensions.is_empty() {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Extensions { count: extensions.len() })
        }
    }

    /// Reads a note text and its extension lines, which mean nothing to us.
    pub fn parse_allowing_extensions(text: &str) -> Result<(Self, Vec<String>), CheckpointError> {
        let body = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Lines);
        };
        let extensions: Vec<String> = lines.map(ToString::to_string).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(CheckpointError::Lines);
        }
        let size = TreeSize::parse_decimal(size).map_err(|_| CheckpointError::Size)?;
        let root = Hash::from_base64(root).map(RootHash).map_err(|_| CheckpointError::Root)?;
        if size == TreeSize::ZERO && root != empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok((Self { origin: Origin::new(origin)?, size, root }, extensions))
    }
}

/// A checkpoint and its signature lines. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl SignedCheckpoint {
    /// Reads a checkpoint without extension lines.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = SignedNote::parse(bytes)?;
        Ok(Self { checkpoint: Checkpoint::parse(note.text())?, note })
    }

    /// Reads a checkpoint of any log.
    pub fn parse_allowing_extensions(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = SignedNote::parse(bytes)?;
        Ok(Self { checkpoint: Checkpoint::parse_allowing_extensions(note.text())?.0, note })
    }

    /// What it says.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note, with every signature line.
    #[must_use]
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// The note's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.note.to_bytes()
    }

    /// The checkpoint with one more signature line.
    #[must_use]
    pub fn with_signature(self, signature: crate::note::NoteSignature) -> Self {
        Self { checkpoint: self.checkpoint, note: self.note.with_signature(signature) }
    }

    /// Verifies that one of the given log keys signed, and returns it.
    ///
    /// Log keys are of type 0x01 or 0x06 and carry the log's origin as their name.
    pub fn verify_log(&self, keys: &[VerifierKey]) -> Result<VerifierKey, CheckpointError> {
        let origin = &self.checkpoint.origin;
        let is_other = |key: &&VerifierKey| match key.kind() {
            SignatureType::Ed25519 | SignatureType::CosignatureMlDsa44 => key.name() != origin.key_name(),
            SignatureType::CosignatureEd25519 => true,
        };
        if let Some(key) = keys.iter().find(is_other) {
            return Err(CheckpointError::LogKey { name: key.name().clone(), origin: origin.clone() });
        }
        let signed = self.note.verify(keys)?;
        signed.into_iter().next().ok_or(CheckpointError::Note(NoteError::NoKnownSignature))
    }
}

#[cfg(test)]
mod tests;
