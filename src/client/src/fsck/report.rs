//! What a recomputation found: a document for people and programs. Its verdict is [`FsckReport::exit_class`]: nothing but
//! `None` is a success.

use std::time::Duration;

use countermark_bundle::ExitClass;
use countermark_bundle::identity::Timestamp;
use countermark_tlog::checkpoint::{Checkpoint, Origin};
use countermark_tlog::hash::RootHash;
use countermark_tlog::note::KeyName;
use countermark_tlog::recompute::Recomputed;
use countermark_tlog::size::TreeSize;
use serde::{Serialize, Serializer};

use super::findings::{Finding, Rule};
use super::head::Believed;
use super::run::Ran;
use crate::audit::{KnownHead, Outcome};

/// The report's `type`.
pub const REPORT_TYPE: &str = "countermark/fsck-report/v1";

/// The result of a recomputation that came to its end.
#[derive(Clone, Debug, Serialize)]
pub struct FsckReport {
    /// [`REPORT_TYPE`].
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The log that the checkpoint names.
    #[serde(serialize_with = "shown")]
    pub origin: Origin,
    /// Entries of the checkpoint's tree.
    #[serde(serialize_with = "shown_size")]
    pub size: TreeSize,
    /// The checkpoint's root, in base64 as in a checkpoint.
    #[serde(serialize_with = "shown_root")]
    pub root: RootHash,
    /// The root that the entries make; absent if one was not there.
    #[serde(serialize_with = "shown_optional_root")]
    pub recomputed_root: Option<RootHash>,
    /// The log keys whose signature was verified, by name.
    #[serde(serialize_with = "shown_names")]
    pub signed_by: Vec<KeyName>,
    /// The witnesses whose cosignature was verified; none if no quorum was asked for.
    #[serde(serialize_with = "shown_names")]
    pub witnesses: Vec<KeyName>,
    /// The time that the witness quorum vouches for.
    pub head_time: Option<Timestamp>,
    /// Entries that were hashed.
    pub entries_hashed: u64,
    /// Their bytes.
    pub entry_bytes: u64,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// What is wrong, range by range; the first hundred.
    pub findings: Vec<Finding>,
    /// How many more findings there were than are listed.
    pub findings_omitted: u64,
    /// What was checked, and what was not.
    pub checks: Vec<FsckCheck>,
    /// The gravest class of all findings, also of those that are not listed.
    #[serde(skip)]
    gravest: Option<ExitClass>,
}

/// What a recomputation checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckName {
    /// The checkpoint is signed by the log.
    Signature,
    /// The checkpoint is cosigned by a quorum.
    Quorum,
    /// Every entry bundle is there, is one, and has the entries that its hash tile was made of.
    EntryBundles,
    /// Every hash tile is there, and is made of what lies below it.
    HashTiles,
    /// The entries make the checkpoint's root.
    Root,
    /// Every head known before is a beginning of the log.
    KnownHeads,
}

/// A check and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct FsckCheck {
    /// Which.
    pub name: CheckName,
    /// What came of it.
    pub outcome: Outcome,
    /// How much was checked, or why not.
    pub detail: String,
}

impl FsckReport {
    /// `None` only if everything was checked and nothing is wrong. Otherwise the gravest class of what is wrong, or that
    /// something was not checked.
    #[must_use]
    pub fn exit_class(&self) -> Option<ExitClass> {
        let open = self.checks.iter().any(|check| match check.outcome {
            Outcome::NotChecked | Outcome::Failed => true,
            Outcome::Verified | Outcome::NotAsked | Outcome::NothingToCheck => false,
        });
        self.gravest.or(open.then_some(ExitClass::NotChecked))
    }

    fn check(&mut self, name: CheckName, outcome: Outcome, detail: String) {
        self.checks.push(FsckCheck { name, outcome, detail });
    }
}

/// Puts the report together.
pub(super) fn report(
    head: &Checkpoint,
    believed: &Believed,
    known_heads: &[KnownHead],
    ran: Ran,
    elapsed: Duration,
) -> FsckReport {
    let Ran { recomputed, mut findings, counts } = ran;
    let (bad_bundles, bad_tiles) = (findings.bundles, findings.tiles);
    let found = recomputed.as_ref().and_then(|recomputed| recomputed.root);
    let whole = |rule, class, last_entry: u64, detail| Finding {
        rule,
        class,
        path: "checkpoint".to_string(),
        first_entry: 0,
        last_entry: last_entry.saturating_sub(1),
        detail,
    };
    if let Some(found) = found.filter(|found| *found != head.root) {
        let detail = format!(
            "the entries lead to the root {}, the checkpoint has {}",
            found.0.to_base64(),
            head.root.0.to_base64()
        );
        findings.add(whole(Rule::RootDiffers, ExitClass::Proof, head.size.get(), detail));
    }
    let known = known_roots(recomputed.as_ref(), known_heads);
    for KnownHead { size, root } in &known.different {
        let detail = format!("at size {size} the entries lead to another root than {}", root.0.to_base64());
        findings.add(whole(Rule::KnownHeadDiffers, ExitClass::Fork, size.get(), detail));
    }
    let mut report = FsckReport {
        kind: REPORT_TYPE,
        origin: head.origin.clone(),
        size: head.size,
        root: head.root,
        recomputed_root: found,
        signed_by: believed.signers.clone(),
        witnesses: believed.quorum.as_ref().map(|quorum| quorum.witnesses.clone()).unwrap_or_default(),
        head_time: believed.quorum.as_ref().and_then(|quorum| quorum.time),
        entries_hashed: counts.entries,
        entry_bytes: counts.entry_bytes,
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        gravest: findings.gravest,
        findings: findings.named,
        findings_omitted: findings.omitted,
        checks: Vec::new(),
    };
    report.add_head(believed);
    let ended = recomputed.is_some();
    report.add_files(CheckName::EntryBundles, counts.bundles, bad_bundles, ended);
    report.add_files(CheckName::HashTiles, counts.tiles, bad_tiles, ended);
    let (outcome, detail) = match found {
        Some(found) if found == head.root => (Outcome::Verified, format!("{} entries", head.size)),
        Some(_) => (Outcome::Failed, "the entries lead to another root".to_string()),
        None => (Outcome::NotChecked, "entries are not there: they make no root".to_string()),
    };
    report.check(CheckName::Root, outcome, detail);
    report.add_known(known_heads, &known);
    report
}

impl FsckReport {
    fn add_head(&mut self, believed: &Believed) {
        let (signature, detail) = if believed.signers.is_empty() {
            (Outcome::NotChecked, "not verified: signature. Nobody vouches for the checkpoint".to_string())
        } else {
            (Outcome::Verified, self.signed_by.iter().map(KeyName::as_str).collect::<Vec<_>>().join(", "))
        };
        self.check(CheckName::Signature, signature, detail);
        match &believed.quorum {
            Some(quorum) => {
                let detail = format!("{} witnesses", quorum.witnesses.len());
                self.check(CheckName::Quorum, Outcome::Verified, detail);
            }
            None => self.check(CheckName::Quorum, Outcome::NotAsked, "no policy was given".to_string()),
        }
    }

    fn add_files(&mut self, name: CheckName, good: u64, bad: u64, ended: bool) {
        let (outcome, detail) = match (self.size == TreeSize::ZERO, bad, ended) {
            (true, _, _) => (Outcome::NothingToCheck, "the log is empty".to_string()),
            (false, 0, true) => (Outcome::Verified, good.to_string()),
            (false, 0, false) => (Outcome::NotChecked, format!("{good} until the run ended")),
            (false, bad, _) => (Outcome::Failed, format!("{bad} are not there or not right, {good} were read")),
        };
        self.check(name, outcome, detail);
    }

    fn add_known(&mut self, known_heads: &[KnownHead], known: &KnownRoots) {
        let (outcome, detail) = match (known_heads.len(), known.different.len(), known.unknown) {
            (0, _, _) => (Outcome::NotAsked, "no head was given".to_string()),
            (all, 0, 0) => (Outcome::Verified, format!("{all} heads")),
            (_, 0, unknown) => (Outcome::NotChecked, format!("entries before {unknown} of them are not there")),
            (_, different, _) => (Outcome::Failed, format!("{different} are not a beginning of this log")),
        };
        self.check(CheckName::KnownHeads, outcome, detail);
    }
}

/// What became of the heads known before.
struct KnownRoots {
    different: Vec<KnownHead>,
    /// How many lie behind entries that are not there.
    unknown: usize,
}

fn known_roots(recomputed: Option<&Recomputed>, known_heads: &[KnownHead]) -> KnownRoots {
    let mut known = KnownRoots { different: Vec::new(), unknown: 0 };
    for head in known_heads {
        match recomputed.and_then(|recomputed| recomputed.root_at(head.size)) {
            Some(found) if found == head.root => {}
            Some(_) => known.different.push(*head),
            None => known.unknown += 1,
        }
    }
    known
}

fn shown<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn shown_root<S: Serializer>(root: &RootHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&root.0.to_base64())
}

#[expect(clippy::ref_option, reason = "serde's `serialize_with` hands over a reference")]
fn shown_optional_root<S: Serializer>(root: &Option<RootHash>, serializer: S) -> Result<S::Ok, S::Error> {
    root.map(|root| root.0.to_base64()).serialize(serializer)
}

fn shown_names<S: Serializer>(names: &[KeyName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(KeyName::as_str))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `serialize_with` hands over a reference")]
fn shown_size<S: Serializer>(size: &TreeSize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(size.get())
}
