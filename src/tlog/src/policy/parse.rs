//! Reading a policy: octets, lines, items; every name defined before it is used.

use alloc::vec::Vec;

use super::quorum::{Group, Member, Quorum, Root};
use super::{POLICY_BYTES_MAX, POLICY_LINES_MAX, Policy, PolicyLog, PolicyWitness};
use crate::note::{NoteError, SignatureType, VerifierKey};
use crate::size::parse_decimal_u64;

/// Why octets are not a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy line {line}: {problem}")]
pub struct PolicyParseError {
    /// Counted from 1; where something is missing, the line after the last.
    pub line: usize,
    /// What is wrong there.
    #[source]
    pub problem: PolicyProblem,
}

/// What is wrong with a line of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyProblem {
    /// More bytes than allowed.
    #[error("a policy has at most {POLICY_BYTES_MAX} bytes, found {found}")]
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// A control character other than tab and newline.
    #[error("octet 0x{found:02x} is not allowed")]
    Octet {
        /// The octet.
        found: u8,
    },
    /// The last line is not ended.
    #[error("the last line does not end with a newline")]
    NoFinalNewline,
    /// Not `log`, `witness`, `group` or `quorum`.
    #[error("a line begins with log, witness, group or quorum")]
    Keyword,
    /// Too few or too many items.
    #[error("too few or too many items for this kind of line")]
    Items,
    /// More lines of this kind than allowed.
    #[error("more than {POLICY_LINES_MAX} lines of this kind")]
    TooManyLines,
    /// Not a verifier key.
    #[error(transparent)]
    VerifierKey(NoteError),
    /// A key whose signatures are not a log's, or not a witness's.
    #[error("a key of signature type 0x{found:02x} is not of this kind of line", found = found.byte())]
    KeyType {
        /// The key's type.
        found: SignatureType,
    },
    /// The same public key, under whatever name, on an earlier line.
    #[error("the same public key stands on an earlier line")]
    DuplicateKey,
    /// The name is `none`, which means no witness.
    #[error("the name `none` is reserved")]
    ReservedName,
    /// A witness or group of this name stands on an earlier line.
    #[error("the name is defined on an earlier line")]
    DuplicateName,
    /// No witness or group of this name stands on an earlier line.
    #[error("a name is not defined on an earlier line")]
    UndefinedName,
    /// A name that is a member of a group already.
    #[error("a name is a member of a group already")]
    MemberTwice,
    /// A threshold that is not `any`, `all` or a decimal from 1 to the number of members.
    #[error("a threshold is `any`, `all` or a decimal from 1 to the number of members")]
    Threshold,
    /// A second quorum line.
    #[error("a second quorum line")]
    SecondQuorum,
    /// No quorum line at all.
    #[error("there is no quorum line")]
    NoQuorum,
}

/// A name, what it stands for, and whether a group has it as a member.
struct Definition<'b> {
    name: &'b [u8],
    member: Member,
    is_member: bool,
}

#[derive(Default)]
struct Draft<'b> {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    definitions: Vec<Definition<'b>>,
    root: Option<Root>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Policy, PolicyParseError> {
    if bytes.len() > POLICY_BYTES_MAX {
        return Err(PolicyParseError { line: 1, problem: PolicyProblem::TooLarge { found: bytes.len() } });
    }
    let mut draft = Draft::default();
    let mut line_after = 1_usize;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        draft.line(line).map_err(|problem| PolicyParseError { line: line_after, problem })?;
        line_after = line_after.saturating_add(1);
    }
    let root = draft.root.ok_or(PolicyParseError { line: line_after, problem: PolicyProblem::NoQuorum })?;
    let quorum = Quorum { root, groups: draft.groups };
    Ok(Policy { logs: draft.logs, witnesses: draft.witnesses, quorum })
}

impl<'b> Draft<'b> {
    fn line(&mut self, line: &'b [u8]) -> Result<(), PolicyProblem> {
        let line = line.strip_suffix(b"\n").ok_or(PolicyProblem::NoFinalNewline)?;
        // SPEC: C2SP tlog-policy, Character set: 0x09, 0x0A, 0x20-0x7E and 0x80-0xFF.
        if let Some(&found) = line.iter().find(|&&octet| (octet < 0x20 && octet != b'\t') || octet == 0x7f) {
            return Err(PolicyProblem::Octet { found });
        }
        let mut items = line.split(|octet| *octet == b' ' || *octet == b'\t').filter(|item| !item.is_empty());
        let Some(keyword) = items.next() else { return Ok(()) };
        if keyword.starts_with(b"#") {
            return Ok(());
        }
        let items: Vec<&[u8]> = items.collect();
        match keyword {
            b"log" => self.log(&items),
            b"witness" => self.witness(&items),
            b"group" => self.group(&items),
            b"quorum" => self.quorum(&items),
            _ => Err(PolicyProblem::Keyword),
        }
    }

    fn log(&mut self, items: &[&[u8]]) -> Result<(), PolicyProblem> {
        let (vkey, url) = match *items {
            [vkey] => (vkey, None),
            [vkey, url] => (vkey, Some(url.to_vec())),
            _ => return Err(PolicyProblem::Items),
        };
        let vkey = verifier_key(vkey)?;
        match vkey.kind() {
            // SPEC: C2SP tlog-checkpoint, Signatures: logs should sign with ML-DSA-44.
            SignatureType::Ed25519 | SignatureType::CosignatureMlDsa44 => {}
            found @ SignatureType::CosignatureEd25519 => return Err(PolicyProblem::KeyType { found }),
        }
        self.check_key(&vkey)?;
        check_room(self.logs.len())?;
        self.logs.push(PolicyLog { vkey, url });
        Ok(())
    }

    fn witness(&mut self, items: &[&'b [u8]]) -> Result<(), PolicyProblem> {
        let (name, vkey, url) = match *items {
            [name, vkey] => (name, vkey, None),
            [name, vkey, url] => (name, vkey, Some(url.to_vec())),
            _ => return Err(PolicyProblem::Items),
        };
        let vkey = verifier_key(vkey)?;
        match vkey.kind() {
            SignatureType::CosignatureEd25519 | SignatureType::CosignatureMlDsa44 => {}
            found @ SignatureType::Ed25519 => return Err(PolicyProblem::KeyType { found }),
        }
        self.check_key(&vkey)?;
        check_room(self.witnesses.len())?;
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness { name: name.to_vec(), vkey, url });
        Ok(())
    }

    fn group(&mut self, items: &[&'b [u8]]) -> Result<(), PolicyProblem> {
        let [name, threshold, names @ ..] = items else { return Err(PolicyProblem::Items) };
        if names.is_empty() {
            return Err(PolicyProblem::Items);
        }
        let threshold = parse_threshold(threshold, names.len())?;
        check_room(self.groups.len())?;
        let mut members = Vec::with_capacity(names.len());
        for name in names {
            let definition = self.definitions.iter_mut().find(|definition| definition.name == *name);
            let definition = definition.ok_or(PolicyProblem::UndefinedName)?;
            // SPEC: C2SP tlog-policy, Defining a witness group: each name is a member at most once.
            if core::mem::replace(&mut definition.is_member, true) {
                return Err(PolicyProblem::MemberTwice);
            }
            members.push(definition.member);
        }
        // After the members, so that a group cannot name itself.
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { threshold, members });
        Ok(())
    }

    fn quorum(&mut self, items: &[&[u8]]) -> Result<(), PolicyProblem> {
        let [name] = *items else { return Err(PolicyProblem::Items) };
        if self.root.is_some() {
            return Err(PolicyProblem::SecondQuorum);
        }
        let defined = || self.definitions.iter().find(|definition| definition.name == name);
        let root = match name {
            b"none" => Root::None,
            _ => Root::Member(defined().ok_or(PolicyProblem::UndefinedName)?.member),
        };
        self.root = Some(root);
        Ok(())
    }

    fn define(&mut self, name: &'b [u8], member: Member) -> Result<(), PolicyProblem> {
        if name == b"none" {
            return Err(PolicyProblem::ReservedName);
        }
        if self.definitions.iter().any(|definition| definition.name == name) {
            return Err(PolicyProblem::DuplicateName);
        }
        self.definitions.push(Definition { name, member, is_member: false });
        Ok(())
    }

    /// Refuses a public key that stands already, also on the other kind of line: a log must not be its own witness.
    fn check_key(&self, vkey: &VerifierKey) -> Result<(), PolicyProblem> {
        let logs = self.logs.iter().map(|log| &log.vkey);
        let mut keys = logs.chain(self.witnesses.iter().map(|witness| &witness.vkey));
        // SPEC: C2SP tlog-policy, Public key representation: duplicates wrap the same underlying public key.
        if keys.any(|key| key.key_bytes() == vkey.key_bytes()) { Err(PolicyProblem::DuplicateKey) } else { Ok(()) }
    }
}

fn verifier_key(item: &[u8]) -> Result<VerifierKey, PolicyProblem> {
    let text = core::str::from_utf8(item).map_err(|_| PolicyProblem::VerifierKey(NoteError::VerifierKeyForm))?;
    VerifierKey::parse(text).map_err(PolicyProblem::VerifierKey)
}

fn check_room(lines: usize) -> Result<(), PolicyProblem> {
    if lines >= POLICY_LINES_MAX { Err(PolicyProblem::TooManyLines) } else { Ok(()) }
}

fn parse_threshold(item: &[u8], members: usize) -> Result<usize, PolicyProblem> {
    match item {
        b"any" => Ok(1),
        b"all" => Ok(members),
        _ => {
            let decimal = core::str::from_utf8(item).ok().and_then(|text| parse_decimal_u64(text).ok());
            let threshold = decimal.and_then(|decimal| usize::try_from(decimal).ok());
            threshold.filter(|threshold| (1..=members).contains(threshold)).ok_or(PolicyProblem::Threshold)
        }
    }
}

#[cfg(test)]
mod tests;
