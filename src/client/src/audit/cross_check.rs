//! What the log serves elsewhere, compared with what it logged. Whoever reads only those answers must not be shown
//! something else than whoever replays.

use std::convert::Infallible;

use countermark_bundle::ExitClass;
use countermark_bundle::certificate::{CIPHERSUITE, CertificateMessage};
use countermark_bundle::entry::Entry;
use countermark_bundle::identity::{Epoch, Namespace, Timestamp};
use countermark_bundle::key;
use countermark_bundle::namespace_state::{NamespaceState, StatementRecord};
use countermark_bundle::trust::TrustFile;
use countermark_bundle::validation_bundle::ValidationBundle;
use countermark_bundle::verify::{VerifiedBundle, verify};
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::size::TreeSize;
use countermark_tlog::tlog_proof::TlogProof;
use tokio::task::JoinSet;

use super::AuditError;
use super::replay::Change;
use super::report::{CheckName, Draft, Outcome, is_revoked};
use crate::fetch::{CertificateAnswer, FetchError, LogReader, PARALLEL_FETCHES_MAX, resumed};

/// The newest bundle as the log served it before its checkpoint was fetched. Not verified.
pub(super) struct ServedBundle {
    bytes: Result<Vec<u8>, FetchError>,
    bundle: Option<ValidationBundle>,
}

impl ServedBundle {
    pub async fn fetch(log: &LogReader) -> Self {
        let bytes = log.newest_bundle().await;
        let bundle = bytes.as_ref().ok().and_then(|bytes| ValidationBundle::parse(bytes).ok());
        Self { bytes, bundle }
    }

    /// The size that it says it is under.
    pub fn head_size(&self) -> Option<TreeSize> {
        let head = SignedCheckpoint::parse(self.bundle.as_ref()?.checkpoint.as_bytes()).ok()?;
        Some(head.checkpoint().size)
    }

    /// Whether it says that the log's keys are still those it was created with. A log that lies here fails its audit
    /// earlier, never later.
    pub fn rules_out_changes(&self) -> bool {
        self.bundle.as_ref().is_some_and(|bundle| {
            let change = |entry: &[u8]| matches!(Entry::parse(entry), Ok(Entry::AuthorityChange(_)));
            !bundle.records.iter().any(|record| change(&record.entry))
        })
    }
}

/// Compares everything that the log serves with what was replayed.
pub(super) async fn run(
    log: &LogReader,
    trust: &TrustFile,
    served: &ServedBundle,
    now: Timestamp,
    draft: &mut Draft,
) -> Result<(), AuditError> {
    check_statements(log, draft).await?;
    check_newest_bundle(trust, served, now, draft);
    Ok(())
}

/// What the log serves about one epoch.
struct ServedEpoch {
    epoch: Epoch,
    statement: Result<Vec<u8>, FetchError>,
    certificate: Result<CertificateAnswer, FetchError>,
}

/// How many answers were the same, and why the first of the others could not be compared.
#[derive(Default)]
struct Tally {
    same: u64,
    different: u64,
    first_failure: Option<FetchError>,
}

impl Tally {
    fn check(self, name: CheckName, draft: &mut Draft) {
        let Self { same, different, first_failure } = self;
        let (outcome, detail) = match first_failure {
            Some(error) => (Outcome::NotChecked, format!("{same} are the same; then {error}")),
            None if different > 0 => (Outcome::Failed, format!("{same} are the same, {different} are not")),
            None if same == 0 => (Outcome::NothingToCheck, "no statement is certified".to_string()),
            None => (Outcome::Verified, format!("{same} epochs")),
        };
        draft.check(name, outcome, detail);
    }
}

async fn check_statements(log: &LogReader, draft: &mut Draft) -> Result<(), FetchError> {
    let mut epochs: Vec<Epoch> = draft.state().statements().map(|(epoch, _)| epoch).collect();
    epochs.reverse();
    let mut under_way = JoinSet::new();
    let (mut statements, mut certificates) = (Tally::default(), Tally::default());
    loop {
        while under_way.len() < PARALLEL_FETCHES_MAX {
            let Some(epoch) = epochs.pop() else { break };
            let log = log.clone();
            under_way.spawn(async move {
                let (statement, certificate) = (log.statement(epoch).await, log.certificate(epoch).await);
                ServedEpoch { epoch, statement, certificate }
            });
        }
        let Some(done) = under_way.join_next().await else { break };
        compare_epoch(resumed(done)?, log, draft, &mut statements, &mut certificates);
    }
    statements.check(CheckName::ServedStatements, draft);
    certificates.check(CheckName::ServedCertificates, draft);
    Ok(())
}

fn compare_epoch(
    served: ServedEpoch,
    log: &LogReader,
    draft: &mut Draft,
    statements: &mut Tally,
    certificates: &mut Tally,
) {
    let ServedEpoch { epoch, statement, certificate } = served;
    let Some(record) = draft.state().statement(epoch).cloned() else { return };
    let index = Some(record.index);
    match statement {
        Ok(bytes) if bytes == record.statement.bytes() => statements.same += 1,
        Ok(_) => {
            statements.different += 1;
            let detail = format!("the statement served for epoch {epoch} is not the logged one");
            draft.violation(index, "served-statement-is-the-logged-one", ExitClass::Proof, detail);
        }
        Err(error) => {
            statements.first_failure.get_or_insert(error);
        }
    }
    match certificate {
        Ok(answer) => match difference(&answer, log.namespace(), draft.state(), &record) {
            None => certificates.same += 1,
            Some(field) => {
                certificates.different += 1;
                let detail =
                    format!("the certificate served for epoch {epoch} has another {field} than the logged one");
                draft.violation(index, "served-certificate-is-the-logged-one", ExitClass::Proof, detail);
            }
        },
        Err(error) => {
            certificates.first_failure.get_or_insert(error);
        }
    }
}

/// The first field in which a served certificate is another than the logged one.
fn difference(
    answer: &CertificateAnswer,
    namespace: &Namespace,
    state: &NamespaceState,
    record: &StatementRecord,
) -> Option<&'static str> {
    let (statement, certificate) = (&record.statement, &record.certificate);
    // A key that was retired since is not at hand; the signature says which one it was.
    let key = key::find(&state.authority().keys().certificate, certificate.key_id);
    let last_byte = key.and_then(|key| key.bytes().last().copied());
    let (epoch, digest) = (statement.statement().epoch, statement.digest());
    let message = CertificateMessage { namespace, timestamp_ms: certificate.timestamp_ms, epoch, digest };
    let same_message = answer.serialized_message.as_ref().is_none_or(|found| *found == hex::encode(message.encode()));
    let same_key = answer.key_id.is_none() || last_byte.is_none() || answer.key_id == last_byte;
    [
        ("ciphersuite", answer.ciphersuite == CIPHERSUITE),
        ("namespace", answer.namespace == namespace.as_str()),
        ("timestamp", answer.timestamp == certificate.timestamp_ms),
        ("epoch", answer.epoch == epoch.get()),
        ("digest", answer.digest == digest.0),
        ("signature", answer.signature == certificate.signature),
        ("key", same_key),
        ("message", same_message),
    ]
    .into_iter()
    .find_map(|(field, same)| (!same).then_some(field))
}

fn check_newest_bundle(trust: &TrustFile, served: &ServedBundle, now: Timestamp, draft: &mut Draft) {
    let newest = draft.state().newest_active().cloned();
    let revoked = newest.as_ref().is_some_and(|record| is_revoked(draft.state(), record));
    let nothing = |draft: &mut Draft, why: &str| {
        draft.check(CheckName::NewestBundle, Outcome::NothingToCheck, why.to_string());
    };
    let bytes = match &served.bytes {
        Ok(bytes) => bytes,
        Err(error) if newest.is_none() && error.is_not_found() => return nothing(draft, "no statement is active"),
        Err(_) if revoked => return nothing(draft, "the newest active statement is revoked"),
        Err(error) => return draft.check(CheckName::NewestBundle, Outcome::NotChecked, error.to_string()),
    };
    // The replay itself relates the bundle's head to the log, which is more than a link could.
    let trust = TrustFile { require_link: false, ..trust.clone() };
    let verified = verify(bytes, None, &trust, &trust.initial_floor(), now);
    // An auditor uses no bundle, so there is no floor to keep.
    match verified.map(|unstored| unstored.store(|_| Ok::<(), Infallible>(())).unwrap_or_else(|never| match never {})) {
        Ok(bundle) => compare_bundle(&bundle, revoked, draft),
        Err(distrust) if revoked && distrust.exit_class() == ExitClass::Revoked => {
            nothing(draft, "the newest active statement is revoked, and its bundle is refused for it");
        }
        Err(distrust) => {
            draft.violation(None, "newest-bundle-verifies", distrust.exit_class(), distrust.to_string());
            draft.check(CheckName::NewestBundle, Outcome::Failed, format!("step {}", distrust.step().number()));
        }
    }
}

/// A bundle that verifies must also be about the log that was replayed.
fn compare_bundle(bundle: &VerifiedBundle, revoked: bool, draft: &mut Draft) {
    let (head, epoch) = (bundle.checkpoint(), bundle.statement().statement().epoch);
    let newest = draft.state().newest_active().map(|record| record.statement.statement().epoch);
    let Some(mark) = draft.mark() else {
        let detail = format!("it is under a head of size {}, which was not replayed", head.size);
        return draft.check(CheckName::NewestBundle, Outcome::NotChecked, detail);
    };
    let wrong = if mark.root != head.root {
        Some(("newest-bundle-is-under-this-log", ExitClass::Fork, format!("its root at size {} is another", mark.size)))
    } else if newest != Some(epoch) {
        let detail = format!("it is about epoch {epoch}, which is not the newest active one at the head");
        Some(("newest-bundle-is-newest", ExitClass::Stale, detail))
    } else if revoked {
        Some(("newest-bundle-is-not-revoked", ExitClass::Revoked, format!("epoch {epoch} was revoked")))
    } else {
        None
    };
    match wrong {
        Some((rule, class, detail)) => {
            draft.violation(None, rule, class, detail);
            draft.check(CheckName::NewestBundle, Outcome::Failed, format!("epoch {epoch}"));
        }
        None => draft.check(CheckName::NewestBundle, Outcome::Verified, format!("epoch {epoch}")),
    }
}

/// Every change of authority must have been included under the quorum in force before it. The receipt of that stands
/// in the newest bundle and nowhere else.
pub(super) fn check_changes(served: Option<&ServedBundle>, draft: &mut Draft) {
    let bundle = served.and_then(|served| served.bundle.as_ref());
    let witnessed = |change: &Change| {
        let record = bundle?.records.iter().find(|record| record.index == change.index)?;
        let proof = TlogProof::parse(record.witnessed.as_ref()?.as_bytes()).ok()?;
        (proof.index == change.index).then_some(proof)
    };
    let (mut verified, mut missing, mut wrong) = (0, 0, Vec::new());
    for change in draft.changes() {
        match witnessed(change).map(|proof| proof.verify(&change.before, change.leaf)) {
            Some(Ok(_)) => verified += 1,
            Some(Err(error)) => wrong.push((change.index, error.to_string())),
            None => missing += 1,
        }
    }
    let (outcome, detail) = if missing > 0 {
        (Outcome::NotChecked, format!("no receipt under the quorum before it for {missing} changes"))
    } else if wrong.is_empty() && verified == 0 {
        (Outcome::NothingToCheck, "the keys never changed".to_string())
    } else if wrong.is_empty() {
        (Outcome::Verified, format!("{verified} changes"))
    } else {
        (Outcome::Failed, format!("{} changes", wrong.len()))
    };
    for (index, detail) in wrong {
        draft.violation(Some(index), "change-of-authority-under-quorum-before-it", ExitClass::UnknownAuthority, detail);
    }
    draft.check(CheckName::AuthorityChanges, outcome, detail);
}
