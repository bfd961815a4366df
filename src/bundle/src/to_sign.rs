//! Every string to sign whose format is ours. Each begins with its own context line and names the origin of the log it
//! is about, every item stands on a line of its own, and every line ends with a newline, so that no two documents have
//! the same string. `to_sign/golden.txt` holds one of each; changing one of them is changing a format.
//!
//! Formats of others keep theirs, under keys that sign nothing else: the plexi message ([`crate::certificate`]),
//! checkpoints and cosignatures (`countermark_tlog`), and the JWS of an approval ([`crate::approval`]).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt::{Display, Write as _};

use crate::attestation::AttestationBody;
use crate::authority::{AuthorityKeys, KeyTriple};
use crate::countersignature::Countersigned;
use crate::entry::{AuthorityChange, Evidence, PolicyChange, Revocation};
use crate::identity::Digest;
use crate::key::KeyAlgorithm;

struct Lines(String);

impl Lines {
    fn begin(context: &str) -> Self {
        Self(format!("{context}\n"))
    }

    fn line(mut self, item: impl Display) -> Self {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{item}");
        self
    }

    fn lines<T: Display>(self, items: impl IntoIterator<Item = T>) -> Self {
        items.into_iter().fold(self, Self::line)
    }

    fn end(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

/// What a key's identity is the SHA-256 of: context line, algorithm line, raw key bytes.
#[must_use]
pub fn key_id(algorithm: KeyAlgorithm, bytes: &[u8]) -> Vec<u8> {
    let mut message = Lines::begin("countermark/key-id/v1").line(algorithm.as_str()).end();
    message.extend_from_slice(bytes);
    message
}

/// What a vendor key signs about a member: its keys and the software that runs, bound to one device.
#[must_use]
pub fn attestation(body: &AttestationBody) -> Vec<u8> {
    Lines::begin("countermark/attestation/v1")
        .line(body.origin.as_str())
        .line(&body.fleet_id)
        .line(&body.member_id)
        .line(body.identity_key.key_id())
        .line(body.session_key.key_id())
        .line(body.software_sha256)
        .line(body.issued_at)
        .end()
}

/// What the operator's countersigning keys sign (`formats.md`, fixed).
#[must_use]
pub fn countersignature(tuple: &Countersigned<'_>) -> Vec<u8> {
    Lines::begin("countermark/countersignature/v1")
        .line(tuple.origin.as_str())
        .line(tuple.epoch)
        .line(tuple.statement)
        .line(tuple.leaf_index.get())
        .line(STANDARD.encode(tuple.certificate_signature))
        .end()
}

/// What a revocation key signs: side, every target, the reason.
#[must_use]
pub fn revocation(revocation: &Revocation) -> Vec<u8> {
    revocation_targets("countermark/revocation/v1", revocation).line(format_args!("reason {}", revocation.reason)).end()
}

/// What makes two revocations the same entry: side and targets, not the reason.
#[must_use]
pub fn revocation_identity(revocation: &Revocation) -> Vec<u8> {
    revocation_targets("countermark/revocation-identity/v1", revocation).end()
}

fn revocation_targets(context: &str, revocation: &Revocation) -> Lines {
    Lines::begin(context)
        .line(revocation.origin.as_str())
        .line(revocation.side.as_str())
        .lines(revocation.epochs.iter().map(|epoch| format!("epoch {epoch}")))
        .lines(revocation.fleets.iter().map(|fleet| format!("fleet {fleet}")))
        .lines(revocation.keys.iter().map(|key| format!("key {key}")))
}

/// What an administration key signs about an evidence manifest.
#[must_use]
pub fn evidence(evidence: &Evidence, root: &str) -> Vec<u8> {
    Lines::begin("countermark/evidence/v1")
        .line(evidence.origin.as_str())
        .line(evidence.side.as_str())
        .line(Digest::of(&evidence.manifest))
        .line(root)
        .end()
}

/// What the authority's administration key signs when the admission policy or its officers change.
#[must_use]
pub fn policy_change(change: &PolicyChange) -> Vec<u8> {
    Lines::begin("countermark/policy-change/v1")
        .line(change.origin.as_str())
        .line(change.serial)
        .line(change.policy)
        .line(change.approvals_needed)
        .lines(change.officers.iter().map(|officer| {
            format!(
                "officer {} {} {}",
                officer.subject,
                officer.key.algorithm().as_str(),
                hex::encode(officer.key.bytes())
            )
        }))
        .end()
}

/// What both organisations' administration keys sign when keys or witnesses change: the whole new set.
#[must_use]
pub fn authority_change(change: &AuthorityChange) -> Vec<u8> {
    authority_keys(
        Lines::begin("countermark/authority-change/v1").line(change.origin.as_str()).line(change.serial),
        &change.keys,
    )
    .lines(change.successors.iter().map(|digest| format!("successor {digest}")))
    .end()
}

fn authority_keys(lines: Lines, keys: &AuthorityKeys) -> Lines {
    lines
        .line(format_args!("policy {}", Digest::of(keys.policy.as_bytes())))
        .line(format_args!("operator-threshold {}", keys.operator.threshold))
        .lines(keys.triples().iter().map(triple))
}

fn triple(triple: &KeyTriple) -> String {
    format!("key {} {} {}", triple.role.as_str(), triple.key.algorithm().as_str(), hex::encode(triple.key.bytes()))
}

/// What a successor commitment is the SHA-256 of: a context line, then the sorted (role, algorithm, key) triples.
/// It names no origin on purpose: the keys in it belong to one namespace only, so it cannot be used for another.
#[must_use]
pub fn successor_commitment(triples: &[KeyTriple]) -> Vec<u8> {
    Lines::begin("countermark/successor-commitment/v1").lines(triples.iter().map(triple)).end()
}

/// What a certified statement's identity is the SHA-256 of.
#[must_use]
pub fn certified_statement_identity(origin: &str, statement: Digest) -> Vec<u8> {
    Lines::begin("countermark/certified-statement-identity/v1").line(origin).line(statement).end()
}

/// What an activation's identity is the SHA-256 of: epoch, digest and the renewal number; never a signature.
#[must_use]
pub fn activation_identity(origin: &str, epoch: u64, statement: Digest, renewal: u64) -> Vec<u8> {
    Lines::begin("countermark/activation-identity/v1").line(origin).line(epoch).line(statement).line(renewal).end()
}

/// One item of an evidence manifest, as it stands under the manifest's root.
#[must_use]
pub fn evidence_item(item: &crate::evidence::Item) -> Vec<u8> {
    Lines::begin("countermark/evidence-item/v1")
        .line(&item.name)
        .line(&item.media_type)
        .line(item.size)
        .line(item.sha256)
        .line(&item.claims)
        .line(item.checked_by.as_str())
        .end()
}

#[cfg(test)]
#[path = "to_sign/tests.rs"]
mod tests;
