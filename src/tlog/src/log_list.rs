//! The public witness network's list of logs, `logs/v0`: which logs a witness is asked to follow, and how often each asks.
//!
//! A list says who asks to be witnessed, not whom to believe: a witness believes no log anyway.
//!
//! Source: <https://witness-network.org>, the log-list format. White space around a line, a carriage return before its
//! newline, blank lines and lines that begin with `#` mean nothing; the last line may lack its newline.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::checkpoint::{CheckpointError, Origin};
use crate::note::{NoteError, SignatureType, VerifierKey};

/// The most bytes of a list: 32 MiB, room for 10,000 logs with ML-DSA-44 keys.
pub const LOG_LIST_BYTES_MAX: usize = 32 << 20;
/// The most logs of a list.
pub const LOG_LIST_LOGS_MAX: usize = 10_000;

/// One log of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedLog {
    /// The key that signs its checkpoints: type 0x01 or 0x06. Its name need not be the origin.
    pub vkey: VerifierKey,
    /// The first line of its checkpoints.
    pub origin: Origin,
    /// How many requests a day it may make, at least 1.
    pub requests_per_day: u64,
    /// How people reach who runs it.
    pub contact: String,
}

/// Why bytes are no list, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log list, line {line}: {problem}")]
pub struct LogListError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: LogListProblem,
}

/// What is wrong with a line of a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogListProblem {
    /// More bytes than allowed.
    #[error("a list has at most {LOG_LIST_BYTES_MAX} bytes, found {found}")]
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// More logs than allowed.
    #[error("a list has at most {LOG_LIST_LOGS_MAX} logs")]
    TooManyLogs,
    /// Not UTF-8.
    #[error("not UTF-8")]
    Characters,
    /// The first line that says something is not the format's name.
    #[error("a list begins with the line `logs/v0`")]
    Header,
    /// Another keyword than the one due, or none.
    #[error("expected a line `{expected}`")]
    Keyword {
        /// The keyword that is due.
        expected: &'static str,
    },
    /// A keyword without what it should say, or with too much.
    #[error("a line `{keyword}` says one thing")]
    Items {
        /// The keyword.
        keyword: &'static str,
    },
    /// Not a verifier key.
    #[error("not a verifier key: {0}")]
    Vkey(NoteError),
    /// A key of another type than logs sign with.
    #[error("a log does not sign with a key of signature type 0x{found:02x}", found = found.byte())]
    KeyType {
        /// The key's type.
        found: SignatureType,
    },
    /// An origin that breaks the rules.
    #[error("not an origin: {0}")]
    Origin(CheckpointError),
    /// Not a number of requests.
    #[error("the requests a day must be a decimal above 0")]
    RequestsPerDay,
    /// The list ends within a log.
    #[error("the list ends within a log, where a line `{expected}` is due")]
    Incomplete {
        /// The keyword that is due.
        expected: &'static str,
    },
}

/// Reads a list.
pub fn parse(bytes: &[u8]) -> Result<Vec<ListedLog>, LogListError> {
    if bytes.len() > LOG_LIST_BYTES_MAX {
        return Err(LogListError { line: 1, problem: LogListProblem::TooLarge { found: bytes.len() } });
    }
    let mut draft = Draft { logs: Vec::new(), due: Due::Header };
    let mut number = 0_usize;
    for line in bytes.split(|byte| *byte == b'\n') {
        number = number.saturating_add(1);
        let text = core::str::from_utf8(line).map_err(|_| LogListProblem::Characters);
        text.and_then(|text| draft.line(text.trim())).map_err(|problem| LogListError { line: number, problem })?;
    }
    let incomplete = |expected| Err(LogListError { line: number, problem: LogListProblem::Incomplete { expected } });
    match draft.due {
        Due::Log => Ok(draft.logs),
        Due::Header => Err(LogListError { line: number, problem: LogListProblem::Header }),
        Due::Origin(_) | Due::Bastion(_) | Due::RequestsPerDay(_) => incomplete("qpd"),
        Due::Contact(..) => incomplete("contact"),
    }
}

/// What the next line may be.
enum Due {
    Header,
    Log,
    /// An origin, a bastion, or the requests a day.
    Origin(VerifierKey),
    /// A bastion, or the requests a day.
    Bastion(Named),
    RequestsPerDay(Named),
    Contact(Named, u64),
}

struct Named {
    vkey: VerifierKey,
    origin: Origin,
}

struct Draft {
    logs: Vec<ListedLog>,
    due: Due,
}

impl Draft {
    fn line(&mut self, line: &str) -> Result<(), LogListProblem> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (keyword, said) = line.split_once(' ').unwrap_or((line, ""));
        let said = said.trim();
        self.due = match core::mem::replace(&mut self.due, Due::Header) {
            Due::Header if line == "logs/v0" => Due::Log,
            Due::Header => return Err(LogListProblem::Header),
            Due::Log => Due::Origin(vkey(keyword, said)?),
            Due::Origin(vkey) if keyword == "origin" => Due::Bastion(named(vkey, said)?),
            Due::Origin(vkey) => {
                let origin = Origin::new(vkey.name().as_str()).map_err(LogListProblem::Origin)?;
                after_origin(Named { vkey, origin }, keyword, said)?
            }
            Due::Bastion(named) => after_origin(named, keyword, said)?,
            Due::RequestsPerDay(named) => requests_per_day(named, keyword, said)?,
            Due::Contact(named, requests_per_day) => {
                let contact = expect("contact", keyword, said)?.to_string();
                if self.logs.len() >= LOG_LIST_LOGS_MAX {
                    return Err(LogListProblem::TooManyLogs);
                }
                let Named { vkey, origin } = named;
                self.logs.push(ListedLog { vkey, origin, requests_per_day, contact });
                Due::Log
            }
        };
        Ok(())
    }
}

/// Takes what a line says if it has the keyword that is due.
fn expect<'t>(expected: &'static str, keyword: &str, said: &'t str) -> Result<&'t str, LogListProblem> {
    if keyword != expected {
        return Err(LogListProblem::Keyword { expected });
    }
    if said.is_empty() { Err(LogListProblem::Items { keyword: expected }) } else { Ok(said) }
}

fn vkey(keyword: &str, said: &str) -> Result<VerifierKey, LogListProblem> {
    let vkey = VerifierKey::parse(expect("vkey", keyword, said)?).map_err(LogListProblem::Vkey)?;
    match vkey.kind() {
        SignatureType::Ed25519 | SignatureType::CosignatureMlDsa44 => Ok(vkey),
        found @ SignatureType::CosignatureEd25519 => Err(LogListProblem::KeyType { found }),
    }
}

/// `none` stands for the key's name.
fn named(vkey: VerifierKey, said: &str) -> Result<Named, LogListProblem> {
    let said = expect("origin", "origin", said)?;
    let origin = if said == "none" { vkey.name().as_str() } else { said };
    let origin = Origin::new(origin).map_err(LogListProblem::Origin)?;
    Ok(Named { vkey, origin })
}

fn after_origin(named: Named, keyword: &str, said: &str) -> Result<Due, LogListProblem> {
    if keyword == "bastion" {
        // Where a witness could call in to be reached; ours listens.
        expect("bastion", keyword, said)?;
        return Ok(Due::RequestsPerDay(named));
    }
    requests_per_day(named, keyword, said)
}

fn requests_per_day(named: Named, keyword: &str, said: &str) -> Result<Due, LogListProblem> {
    let said = expect("qpd", keyword, said)?;
    if said.contains(char::is_whitespace) {
        return Err(LogListProblem::Items { keyword: "qpd" });
    }
    let count = crate::size::parse_decimal_u64(said).map_err(|_| LogListProblem::RequestsPerDay)?;
    if count == 0 { Err(LogListProblem::RequestsPerDay) } else { Ok(Due::Contact(named, count)) }
}

#[cfg(test)]
mod tests;
