//! Gossip: what witnesses and monitors tell each other about the newest heads of logs, as bytes.
//!
//! Nothing that is read here is verified. A head counts only if a key of the log signed it, and fork evidence only if it
//! verifies; who tells it is of no account, so that a peer needs no key and no trust.
//!
//! Source: FORMATS.md, "Gossip".

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest as _, Sha256};

use crate::checkpoint::{CheckpointError, Origin, SignedCheckpoint};
use crate::fork::ForkId;

/// The most bytes of a page of heads: 1 MiB.
pub const HEADS_BYTES_MAX: usize = 1 << 20;
/// The most heads of a page.
pub const HEADS_MAX: usize = 64;
/// The most names of evidence in a list; the newest if there is more.
pub const FORK_IDS_MAX: usize = 1024;
/// The most bytes of a list of names.
pub const FORK_IDS_BYTES_MAX: usize = FORK_IDS_MAX * 65;
/// The most bytes of the verdicts on one page: the longest line is `fork` and a name.
pub const VERDICTS_BYTES_MAX: usize = HEADS_MAX * 70;

/// Where heads are pulled from and pushed to, below a peer's URL.
pub const HEADS_PATH: &str = "gossip/v1/heads";
/// Where evidence is listed, fetched by name and pushed to, below a peer's URL.
pub const FORKS_PATH: &str = "gossip/v1/forks";

/// The first line of a page.
const HEADER: &str = "countermark/gossip-heads/v1";

/// Why bytes are not what a peer sends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GossipError {
    /// More bytes than allowed.
    #[error("{found} bytes, at most {max} are allowed")]
    TooLarge {
        /// Bytes given.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// More heads, names or verdicts than allowed.
    #[error("more than {max} of them")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// Not UTF-8.
    #[error("not UTF-8")]
    Characters,
    /// Not the first line, and each head after an empty line.
    #[error("a page of heads is the line {HEADER} and heads, each after an empty line")]
    Structure,
    /// What stands in a head's place is no checkpoint.
    #[error("head {number} is no checkpoint")]
    Head {
        /// Counted from 1.
        number: usize,
        /// Why.
        source: CheckpointError,
    },
    /// A line that is no name of evidence.
    #[error("line {number} is not 64 lower-case hex digits")]
    ForkId {
        /// Counted from 1.
        number: usize,
    },
    /// A line that is no verdict.
    #[error("line {number} is no verdict")]
    Verdict {
        /// Counted from 1.
        number: usize,
    },
}

/// A page of heads. Nothing in it is verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadPage {
    heads: Vec<SignedCheckpoint>,
    bytes: usize,
}

impl HeadPage {
    /// Adds a head, and says whether it found room.
    pub fn push(&mut self, head: SignedCheckpoint) -> bool {
        let bytes = self.bytes.saturating_add(head.to_bytes().len()).saturating_add(1);
        if self.heads.len() >= HEADS_MAX || bytes > HEADS_BYTES_MAX.saturating_sub(HEADER.len()).saturating_sub(1) {
            return false;
        }
        self.bytes = bytes;
        self.heads.push(head);
        true
    }

    /// The heads.
    #[must_use]
    pub fn heads(&self) -> &[SignedCheckpoint] {
        &self.heads
    }

    /// Reads a page of at most 1 MiB and 64 heads; extension lines are allowed.
    pub fn parse(bytes: &[u8]) -> Result<Self, GossipError> {
        let text = bounded_text(bytes, HEADS_BYTES_MAX)?;
        let rest = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n')).ok_or(GossipError::Structure)?;
        let mut page = Self::default();
        if rest.is_empty() {
            return Ok(page);
        }
        let notes = rest.strip_prefix('\n').and_then(|notes| notes.strip_suffix('\n')).ok_or(GossipError::Structure)?;
        // A head's text has no empty line, so a head is always two parts.
        let mut parts = notes.split("\n\n");
        while let Some(head) = parts.next() {
            let lines = parts.next().ok_or(GossipError::Structure)?;
            let number = page.heads.len().saturating_add(1);
            let note = [head, "\n\n", lines, "\n"].concat();
            let head = SignedCheckpoint::parse_allowing_extensions(note.as_bytes())
                .map_err(|source| GossipError::Head { number, source })?;
            if !page.push(head) {
                return Err(GossipError::TooMany { max: HEADS_MAX });
            }
        }
        Ok(page)
    }

    /// The page's bytes; exactly those it was read from.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{HEADER}\n").into_bytes();
        for head in &self.heads {
            bytes.push(b'\n');
            bytes.extend_from_slice(&head.to_bytes());
        }
        bytes
    }
}

/// What became of a head that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver cosigned the very same head.
    Consistent,
    /// It is smaller than the receiver's newest; how they stand to each other is found out in the next round.
    Behind,
    /// It is larger than the receiver's newest, or the receiver has none yet; the same.
    Ahead,
    /// The receiver does not follow the log. Nothing was stored.
    Unknown,
    /// No key of the log signed it. Nothing was stored.
    NotSigned,
    /// The log forked; the evidence is stored and has this name.
    Fork(ForkId),
}

impl Verdict {
    fn parse(line: &str) -> Option<Self> {
        match line {
            "consistent" => Some(Self::Consistent),
            "behind" => Some(Self::Behind),
            "ahead" => Some(Self::Ahead),
            "unknown" => Some(Self::Unknown),
            "not-signed" => Some(Self::NotSigned),
            fork => fork.strip_prefix("fork ").and_then(ForkId::from_hex).map(Self::Fork),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consistent => f.write_str("consistent"),
            Self::Behind => f.write_str("behind"),
            Self::Ahead => f.write_str("ahead"),
            Self::Unknown => f.write_str("unknown"),
            Self::NotSigned => f.write_str("not-signed"),
            Self::Fork(id) => write!(f, "fork {id}"),
        }
    }
}

/// The answer to a pushed page: one line for each head, in order.
#[must_use]
pub fn verdicts_body(verdicts: &[Verdict]) -> String {
    lines_from(verdicts)
}

/// Reads the answer to a pushed page.
pub fn parse_verdicts(bytes: &[u8]) -> Result<Vec<Verdict>, GossipError> {
    lines_of(bytes, VERDICTS_BYTES_MAX, HEADS_MAX, |number, line| {
        Verdict::parse(line).ok_or(GossipError::Verdict { number })
    })
}

/// A list of the names of evidence, a line each.
#[must_use]
pub fn fork_ids_body(ids: &[ForkId]) -> String {
    lines_from(ids.get(..FORK_IDS_MAX).unwrap_or(ids))
}

/// Reads a list of the names of evidence; it may be empty.
pub fn parse_fork_ids(bytes: &[u8]) -> Result<Vec<ForkId>, GossipError> {
    lines_of(bytes, FORK_IDS_BYTES_MAX, FORK_IDS_MAX, |number, line| {
        ForkId::from_hex(line).ok_or(GossipError::ForkId { number })
    })
}

/// How a log is named in paths: hex of SHA-256 of its origin, as in the monitoring path of a witness.
#[must_use]
pub fn origin_hash(origin: &Origin) -> String {
    hex::encode(Sha256::digest(origin.as_str()))
}

fn lines_from(values: &[impl fmt::Display]) -> String {
    let mut lines = String::new();
    for value in values {
        lines.push_str(&value.to_string());
        lines.push('\n');
    }
    lines
}

fn lines_of<T>(
    bytes: &[u8],
    bytes_max: usize,
    lines_max: usize,
    read: impl Fn(usize, &str) -> Result<T, GossipError>,
) -> Result<Vec<T>, GossipError> {
    let text = bounded_text(bytes, bytes_max)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let text = text.strip_suffix('\n').ok_or(GossipError::Structure)?;
    if text.split('\n').count() > lines_max {
        return Err(GossipError::TooMany { max: lines_max });
    }
    text.split('\n').enumerate().map(|(number, line)| read(number.saturating_add(1), line)).collect()
}

fn bounded_text(bytes: &[u8], max: usize) -> Result<&str, GossipError> {
    if bytes.len() > max {
        return Err(GossipError::TooLarge { found: bytes.len(), max });
    }
    core::str::from_utf8(bytes).map_err(|_| GossipError::Characters)
}

#[cfg(test)]
mod tests;
