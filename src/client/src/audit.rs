//! The replay of a whole log from its first entry: every signature, every rule of every entry, the tree itself, and what
//! the log serves elsewhere.
//!
//! Two kinds of trouble are kept apart. If the log's *structure* fails (no checkpoint, a bundle that ends early, another
//! root) nothing else can be said, and the audit stops with an [`AuditError`]. If an *entry* breaks a rule, or the log
//! serves something else than it logged, that is a [`Finding`]: the replay goes on, and the audit has failed. A report is a
//! success only if everything that was asked for was checked and nothing was found.
//!
//! Memory is bounded by the namespace's state and [`PREFETCH_MAX`] entry bundles, whatever the log's length.

use std::sync::Arc;

use countermark_bundle::ExitClass;
use countermark_bundle::authority::AuthorityKeysError;
use countermark_bundle::entry::EntryError;
use countermark_bundle::identity::Timestamp;
use countermark_bundle::trust::TrustFile;
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::edge::EdgeError;
use countermark_tlog::hash::RootHash;
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::TileError;

use crate::fetch::{FetchError, LogReader, TileSource, resumed};
use crate::head::{HeadError, VerifiedHead, fetch_unverified};

mod cross_check;
mod replay;
mod report;
mod rules;
mod stream;
mod tiles;

pub use report::{
    AuditReport, Check, CheckName, Finding, OfficerLine, Outcome, PolicyLine, REPORT_TYPE, RevokedLine, Severity,
    StatementLine,
};
pub use stream::PREFETCH_MAX;

use cross_check::ServedBundle;
use replay::Replay;
use stream::BundleStream;

/// How often bundle and checkpoint are fetched again because the log grew between the two.
const FETCH_ROUNDS_MAX: usize = 3;

/// A head that was known before: the log must have it as its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownHead {
    /// The tree's size.
    pub size: TreeSize,
    /// Its root.
    pub root: RootHash,
}

/// What to audit.
pub struct AuditRequest<'a> {
    /// Where checkpoint, tiles and entry bundles come from.
    pub tiles: Arc<dyn TileSource>,
    /// The log's HTTP service, to compare what it serves with what it logged. Without it that is not asked for.
    pub log: Option<&'a LogReader>,
    /// The trust file that the log was created with: of serial 0.
    pub trust: &'a TrustFile,
    /// Heads known before, from earlier audits, floors or other auditors.
    pub known_heads: &'a [KnownHead],
    /// The local clock, for the age of the head.
    pub now: Timestamp,
}

/// How far the replay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Entries replayed.
    pub done: u64,
    /// Entries of the tree.
    pub total: u64,
}

/// Why a log could not be audited to its end.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The trust file's keys break a rule.
    #[error("the trust file: {0}")]
    Trust(#[from] AuthorityKeysError),
    /// A trust file from after a change of authority: entries before it cannot be verified with it.
    #[error(
        "an audit begins with the trust file that the log was created with (serial 0), this one has serial {found}"
    )]
    TrustSerial {
        /// The trust file's serial.
        found: u64,
    },
    /// The head is not believed.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Entries or tiles were not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The log is smaller than it was.
    #[error("the log has {found} entries, it had {known}")]
    Rollback {
        /// The size known before.
        known: TreeSize,
        /// The head's size.
        found: TreeSize,
    },
    /// The log is not the continuation of a head that was known before.
    #[error("at size {size} the log has the root {found}, known before was {known}")]
    Fork {
        /// The size of both.
        size: TreeSize,
        /// The root known before.
        known: RootHash,
        /// The root of the entries.
        found: RootHash,
    },
    /// The entries do not make the head's tree.
    #[error("the entries lead to the root {found}, the head has {expected}")]
    Root {
        /// The head's root.
        expected: RootHash,
        /// The root of the entries.
        found: RootHash,
    },
    /// An entry of a type that this version does not know: whatever follows it cannot be judged.
    #[error("entry {index}: {source}")]
    UnknownEntryType {
        /// Where it stands.
        index: LeafIndex,
        /// What was found.
        source: EntryError,
    },
    /// The tree has the largest size.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// A tile's arithmetic does not fit; a defect.
    #[error(transparent)]
    Tile(#[from] TileError),
}

impl AuditError {
    /// The class that a process exits with.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Trust(_) | Self::UnknownEntryType { .. } | Self::Edge(_) => ExitClass::Malformed,
            Self::TrustSerial { .. } => ExitClass::Usage,
            Self::Head(error) => error.exit_class(),
            Self::Fetch(error) => error.exit_class(),
            Self::Rollback { .. } => ExitClass::Rollback,
            Self::Fork { .. } => ExitClass::Fork,
            Self::Root { .. } => ExitClass::Proof,
            Self::Tile(_) => ExitClass::OurFault,
        }
    }
}

/// Audits a log. `progress` is called after every entry bundle.
pub async fn audit(
    request: AuditRequest<'_>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<AuditReport, AuditError> {
    let AuditRequest { tiles, log, trust, known_heads, now } = request;
    if trust.serial != 0 {
        return Err(AuditError::TrustSerial { found: trust.serial });
    }
    let (served, signed) = fetch_beginning(log, &*tiles).await?;
    let head = signed.checkpoint();
    check_origin(trust, &signed)?;
    if served.as_ref().is_some_and(ServedBundle::rules_out_changes) {
        // Nothing on the way will change which keys count, so a head that fails now need not be replayed first.
        VerifiedHead::verify(&signed, &trust.origin, trust.authority()?.policy())?;
    }

    let mut known = known_heads.to_vec();
    known.push(KnownHead { size: trust.floor.size, root: trust.floor.root });
    if let Some(smaller) = known.iter().find(|known| known.size > head.size) {
        return Err(AuditError::Rollback { known: smaller.size, found: head.size });
    }
    let mark = served.as_ref().and_then(ServedBundle::head_size);
    let mut replay = Replay::new(trust, known, mark)?;
    let mut compare = tiles::Comparison::new(Arc::clone(&tiles));
    let mut bundles = BundleStream::new(Arc::clone(&tiles), head.size);
    while let Some(bundle) = bundles.next().await? {
        // Signatures cost up to a millisecond each: not on a thread of the runtime.
        let done = tokio::task::spawn_blocking(move || {
            let outcome = replay.fold(&bundle);
            (replay, outcome)
        });
        let (returned, outcome) = resumed(done.await)?;
        replay = returned;
        compare.push(outcome?).await?;
        progress(Progress { done: replay.size().get(), total: head.size.get() });
    }
    compare.push(replay.partial_tiles()?).await?;

    let found = replay.root();
    if found != head.root {
        return Err(AuditError::Root { expected: head.root, found });
    }
    // Under the keys in force at its end: a log may have changed them on the way.
    let head = VerifiedHead::verify(&signed, &trust.origin, replay.policy())?;
    let compared = compare.finish().await?;
    let mut report = report::Draft::new(trust, &head, now, replay);
    report.add_tiles(&compared);
    report.add_age(trust, &head, now);
    report.add_trust_floor(trust);
    cross_check::check_changes(served.as_ref(), &mut report);
    match (log, served) {
        (Some(log), Some(served)) => cross_check::run(log, trust, &served, now, &mut report).await?,
        (None, _) | (_, None) => report.not_asked(&CheckName::SERVED),
    }
    Ok(report.finish())
}

/// Fetches the newest bundle and then the checkpoint, so that the bundle's head is one that the replay comes past; again
/// if the log grew between the two.
async fn fetch_beginning(
    log: Option<&LogReader>,
    tiles: &dyn TileSource,
) -> Result<(Option<ServedBundle>, SignedCheckpoint), HeadError> {
    let Some(log) = log else { return Ok((None, fetch_unverified(tiles).await?)) };
    let mut round = 1;
    loop {
        let (served, signed) = (ServedBundle::fetch(log).await, fetch_unverified(tiles).await?);
        let same = served.head_size().is_none_or(|size| size == signed.checkpoint().size);
        if same || round == FETCH_ROUNDS_MAX {
            return Ok((Some(served), signed));
        }
        round += 1;
    }
}

fn check_origin(trust: &TrustFile, signed: &SignedCheckpoint) -> Result<(), HeadError> {
    let found = &signed.checkpoint().origin;
    if *found == trust.origin {
        return Ok(());
    }
    Err(HeadError::OtherOrigin { expected: trust.origin.clone(), found: found.clone() })
}

#[cfg(test)]
mod tests;
