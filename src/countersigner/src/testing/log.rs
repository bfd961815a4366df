//! A log over a real tree, with real signatures, that does what a test tells it to, also what no honest log does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use countermark_bundle::approval::{self, Claims, Officer};
use countermark_bundle::authority::AuthorityKeys;
use countermark_bundle::certificate::{Certificate, CertificateMessage};
use countermark_bundle::entry::{
    AUTHORITY_CHANGE_TYPE, AdministrationSignature, AuthorityChange, CertifiedStatement, Decision, Entry,
    POLICY_CHANGE_TYPE, PolicyChange, REVOCATION_TYPE, Revocation,
};
use countermark_bundle::identity::{Digest, Namespace, Side, Timestamp};
use countermark_bundle::key::PublicKey;
use countermark_bundle::namespace_state::NamespaceState;
use countermark_bundle::statement::Statement;
use countermark_bundle::to_sign;
use countermark_bundle::trust::TrustFile;
use countermark_signer_policy::access_token::{Audience, Issuer, KeySet, Scope, TokenKey};
use countermark_tlog::checkpoint::Checkpoint;
use countermark_tlog::cosignature::{Cosignature, cosignature_message};
use countermark_tlog::edge::RightEdge;
use countermark_tlog::entry_bundle;
use countermark_tlog::hash::{Hash, leaf_hash};
use countermark_tlog::note::{NoteSignature, SignatureType, SignedNote};
use countermark_tlog::tile::TileCoord;
use countermark_tlog::tree::NodeCoord;
use tokio::sync::Notify;

use super::{AUDIENCE, ISSUER, Keys, NOW, ORIGIN, TestClock, at, epoch, index, name, origin, size, trust, vkey};
use crate::ports::{Clock, LogReader, LogSubmitter, PortFuture, ReadError, Resource, SubmitError, UntrustedAnswer};

/// How the log answers the next submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Fails before it kept anything.
    FailNotSaved,
    /// Keeps and publishes, and the answer gets lost.
    FailSaved,
    /// Never answers, and kept nothing.
    HangNotSaved,
    /// Never answers, and published.
    HangSaved,
    /// Refuses with this status.
    Refuse(u16),
    /// Says that it will publish, and does not.
    Accept,
    /// Says that it published, and did not.
    Lie,
}

#[derive(Clone)]
pub(crate) struct FakeLog {
    log: Arc<Mutex<Log>>,
    clock: TestClock,
    /// Told when a submission hangs.
    pub(crate) hung: Arc<Notify>,
}

#[derive(Clone)]
struct Log {
    state: NamespaceState,
    token_key: PublicKey,
    entries: Vec<Vec<u8>>,
    edge: RightEdge,
    nodes: BTreeMap<NodeCoord, Hash>,
    note: Vec<u8>,
    answers: VecDeque<Answer>,
    tiles_damaged: bool,
    tiles_short: bool,
    bundles: Bundles,
    unreachable: bool,
    reads: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bundles {
    Whole,
    Other,
    Truncated,
}

impl FakeLog {
    /// A log that holds its policy and nothing else.
    pub(crate) fn new(clock: &TestClock) -> Self {
        Self::for_operator(&trust(), Keys::token_issuer().public(), clock)
    }

    /// The same for other keys of the operator.
    pub(crate) fn for_operator(trust: &TrustFile, token_key: &PublicKey, clock: &TestClock) -> Self {
        let log = Log {
            state: NamespaceState::new(trust).unwrap(),
            token_key: token_key.clone(),
            entries: Vec::new(),
            edge: RightEdge::empty(),
            nodes: BTreeMap::new(),
            note: Vec::new(),
            answers: VecDeque::new(),
            tiles_damaged: false,
            tiles_short: false,
            bundles: Bundles::Whole,
            unreachable: false,
            reads: 0,
        };
        let log = Self { log: Arc::new(Mutex::new(log)), clock: clock.clone(), hung: Arc::default() };
        log.push(&policy_change());
        log.publish(NOW);
        log
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    /// Another log with the same past.
    pub(crate) fn fork(&self) -> Self {
        Self { log: Arc::new(Mutex::new(self.log().clone())), clock: self.clock.clone(), hung: Arc::default() }
    }

    /// Shows the other log's face from now on.
    pub(crate) fn become_like(&self, other: &Self) {
        let other = other.log().clone();
        *self.log() = other;
    }

    pub(crate) fn answer_next(&self, answer: Answer) {
        self.log().answers.push_back(answer);
    }

    pub(crate) fn damage_tiles(&self, damaged: bool) {
        self.log().tiles_damaged = damaged;
    }

    pub(crate) fn shorten_tiles(&self, short: bool) {
        self.log().tiles_short = short;
    }

    pub(crate) fn serve_other_entries(&self) {
        self.log().bundles = Bundles::Other;
    }

    pub(crate) fn truncate_bundles(&self) {
        self.log().bundles = Bundles::Truncated;
    }

    pub(crate) fn serve_whole_bundles(&self) {
        self.log().bundles = Bundles::Whole;
    }

    pub(crate) fn unreachable(&self, unreachable: bool) {
        self.log().unreachable = unreachable;
    }

    /// How many files were read so far.
    pub(crate) fn reads(&self) -> usize {
        self.log().reads
    }

    pub(crate) fn size(&self) -> u64 {
        self.log().edge.size().get()
    }

    /// Every entry, in order.
    pub(crate) fn entries(&self) -> Vec<Vec<u8>> {
        self.log().entries.clone()
    }

    /// Where the activations of an epoch stand.
    pub(crate) fn activations(&self, number: u64) -> Vec<u64> {
        let log = self.log();
        let record = log.state.statement(epoch(number));
        record.map(|record| record.activations.iter().map(|at| at.get()).collect()).unwrap_or_default()
    }

    /// Completes a statement with what must precede it, certifies it at this time, and appends it.
    pub(crate) fn certify_at(&self, mut statement: Statement, seconds: u64) -> u64 {
        statement.previous = self.log().state.newest_certified().map(|record| record.statement.digest());
        let entry = certified(&statement.write(), statement.epoch.get(), seconds, &Keys::certificate());
        self.push(&entry)
    }

    /// Certifies, appends and publishes a statement of this epoch.
    pub(crate) fn certify(&self, number: u64) -> u64 {
        let index = self.certify_at(super::statement(number), NOW + number);
        self.publish(NOW + number);
        index
    }

    /// Appends an entry that obeys every rule.
    pub(crate) fn push(&self, entry: &Entry) -> u64 {
        let bytes = entry.write();
        self.log().state.apply(&bytes).unwrap();
        self.push_unchecked(&bytes)
    }

    /// Appends and publishes an entry that obeys every rule.
    pub(crate) fn publish_entry(&self, entry: &Entry) -> u64 {
        let index = self.push(entry);
        self.publish(NOW + 1000 + index);
        index
    }

    /// Appends what no honest log would.
    pub(crate) fn push_unchecked(&self, bytes: &[u8]) -> u64 {
        let mut log = self.log();
        let Log { edge, nodes, entries, .. } = &mut *log;
        let index = edge.append(leaf_hash(bytes), &mut |node, hash| {
            nodes.insert(node, hash);
        });
        entries.push(bytes.to_vec());
        index.unwrap().get()
    }

    /// The policy's entry once more, with the next serial number: an entry that means little.
    pub(crate) fn push_filler(&self) -> u64 {
        let serial = self.log().state.policy().unwrap().serial + 1;
        let mut change = match policy_change() {
            Entry::PolicyChange(change) => change,
            other => panic!("{}", other.type_name()),
        };
        change.serial = serial;
        change.signature = Keys::administration(Side::Authority).signature(&to_sign::policy_change(&change));
        self.push(&Entry::PolicyChange(change))
    }

    /// The checkpoint of the whole log, cosigned at these times: the n-th time by the n-th witness.
    pub(crate) fn note(&self, cosigned_at: &[u64]) -> Vec<u8> {
        let log = self.log();
        let text = Checkpoint { origin: origin(), size: log.edge.size(), root: log.edge.root() }.text();
        let log_key = vkey(ORIGIN, SignatureType::Ed25519, Keys::log().public());
        let mut lines = vec![NoteSignature::new(&log_key, &Keys::log().signature(text.as_bytes()))];
        for (number, timestamp) in (0..).zip(cosigned_at) {
            let witness = Keys::witness(number);
            let key = vkey(&format!("w{number}.example"), SignatureType::CosignatureEd25519, witness.public());
            let signature = witness.signature(&cosignature_message(*timestamp, &text));
            let cosignature = Cosignature { timestamp: *timestamp, signature };
            lines.push(cosignature.to_note_signature(&key));
        }
        SignedNote::new(&text, lines).unwrap().to_bytes()
    }

    /// Publishes the whole log, cosigned by a quorum at this time.
    pub(crate) fn publish(&self, seconds: u64) {
        self.publish_note(self.note(&[seconds; 3]));
    }

    pub(crate) fn publish_note(&self, note: Vec<u8>) {
        self.log().note = note;
    }

    fn keep(&self, bytes: &[u8]) -> Result<u64, SubmitError> {
        let entry = Entry::parse(bytes).unwrap();
        let known = self
            .entries()
            .iter()
            .position(|known| Entry::parse(known).is_ok_and(|known| known.identity() == entry.identity()));
        if let Some(known) = known {
            return Ok(known.try_into().unwrap());
        }
        if self.log().state.check(&entry).is_err() {
            return Err(SubmitError::Refused { status: 422, problem: None });
        }
        Ok(self.publish_entry(&entry))
    }

    async fn answer(&self, bytes: &[u8], token: &str) -> Result<UntrustedAnswer, SubmitError> {
        let token_key = self.log().token_key.clone();
        check_token(token, token_key, self.clock.now());
        let answer = self.log().answers.pop_front();
        let published = |index_of: u64| UntrustedAnswer::Published { index: index(index_of), size: size(self.size()) };
        match answer {
            None => Ok(published(self.keep(bytes)?)),
            Some(Answer::FailNotSaved) => Err(SubmitError::TimedOut),
            Some(Answer::FailSaved) => {
                self.keep(bytes)?;
                Err(SubmitError::TimedOut)
            }
            Some(hang @ (Answer::HangNotSaved | Answer::HangSaved)) => {
                if hang == Answer::HangSaved {
                    self.keep(bytes)?;
                }
                self.hung.notify_one();
                std::future::pending().await
            }
            Some(Answer::Refuse(status)) => Err(SubmitError::Refused { status, problem: None }),
            Some(Answer::Accept) => Ok(UntrustedAnswer::Accepted),
            Some(Answer::Lie) => Ok(published(self.size())),
        }
    }
}

fn check_token(token: &str, key: PublicKey, now: Timestamp) {
    let key = TokenKey { issuer: Issuer::new(ISSUER).unwrap(), key };
    let claims = KeySet::new(vec![key]).unwrap().verify(token, &Audience::new(AUDIENCE).unwrap(), now).unwrap();
    assert!(claims.allow(&Namespace::parse("backup").unwrap(), Scope::Entries));
    assert!(!claims.allow(&Namespace::parse("backup").unwrap(), Scope::Statements));
}

fn policy_change() -> Entry {
    let signer = Keys::administration(Side::Authority);
    let mut change = PolicyChange {
        kind: POLICY_CHANGE_TYPE.to_owned(),
        origin: origin(),
        serial: 1,
        policy: Digest::of(b"policy"),
        officers: vec![Officer { subject: name("officer"), key: Keys::officer().public().clone() }],
        approvals_needed: 1,
        key_id: signer.public().key_id(),
        signature: vec![],
    };
    change.signature = signer.signature(&to_sign::policy_change(&change));
    Entry::PolicyChange(change)
}

/// A certified statement, signed by the given certificate key.
pub(crate) fn certified(statement: &[u8], number: u64, seconds: u64, key: &super::TestSigner) -> Entry {
    let (digest, officer) = (Digest::of(statement), Keys::officer());
    let claims = Claims::new(name("officer"), origin(), epoch(number), digest, at(seconds), 3600);
    let input = approval::signing_input(&claims, officer.public());
    let approval = approval::assemble(&input, &officer.signature(input.as_bytes()));
    let namespace = Namespace::parse("backup").unwrap();
    let timestamp_ms = seconds * 1000;
    let message = CertificateMessage { namespace: &namespace, timestamp_ms, epoch: epoch(number), digest };
    let certificate =
        Certificate { timestamp_ms, key_id: key.public().key_id(), signature: key.signature(&message.encode()) };
    let decision = Decision { policy: Digest::of(b"policy"), rule: name("enough-officers-approved") };
    Entry::CertifiedStatement(CertifiedStatement::new(
        origin(),
        statement.to_vec(),
        vec![approval],
        decision,
        certificate,
    ))
}

/// A revocation by the operator.
pub(crate) fn revocation(epochs: &[u64], fleets: &[&str]) -> Entry {
    let signer = Keys::revocation(Side::Operator);
    let mut revocation = Revocation {
        kind: REVOCATION_TYPE.to_owned(),
        origin: origin(),
        side: Side::Operator,
        epochs: epochs.iter().copied().map(epoch).collect(),
        fleets: fleets.iter().map(|fleet| name(fleet)).collect(),
        keys: vec![],
        reason: "drill".to_owned(),
        key_id: signer.public().key_id(),
        signature: vec![],
    };
    revocation.signature = signer.signature(&to_sign::revocation(&revocation));
    Entry::Revocation(revocation)
}

/// A change of authority that both organisations signed.
pub(crate) fn authority_change(serial: u64, keys: AuthorityKeys) -> Entry {
    let kind = AUTHORITY_CHANGE_TYPE.to_owned();
    let mut change = AuthorityChange { kind, origin: origin(), serial, keys, successors: vec![], signatures: vec![] };
    let message = to_sign::authority_change(&change);
    let sign = |side| {
        let signer = Keys::administration(side);
        let (key_id, signature) = (signer.public().key_id(), signer.signature(&message));
        AdministrationSignature { side, key_id, signature }
    };
    change.signatures = vec![sign(Side::Authority), sign(Side::Operator)];
    Entry::AuthorityChange(change)
}

impl LogReader for FakeLog {
    fn checkpoint(&self) -> PortFuture<'_, Result<Vec<u8>, ReadError>> {
        let mut log = self.log();
        log.reads += 1;
        let answer = if log.unreachable {
            Err(ReadError::Status { what: Resource::Checkpoint, status: 502 })
        } else {
            Ok(log.note.clone())
        };
        Box::pin(std::future::ready(answer))
    }

    fn tile(&self, tile: TileCoord) -> PortFuture<'_, Result<Vec<u8>, ReadError>> {
        let mut log = self.log();
        log.reads += 1;
        let mut bytes: Vec<u8> = tile.nodes().flat_map(|node| log.nodes[&node].0).collect();
        if log.tiles_damaged {
            bytes = bytes.into_iter().map(|byte| byte ^ 1).collect();
        }
        if log.tiles_short {
            bytes.pop();
        }
        Box::pin(std::future::ready(Ok(bytes)))
    }

    fn entry_bundle(&self, bundle: TileCoord) -> PortFuture<'_, Result<Vec<u8>, ReadError>> {
        let mut log = self.log();
        log.reads += 1;
        let first = usize::try_from(bundle.index() * 256).unwrap();
        let entries = &log.entries[first..first + usize::from(bundle.width())];
        let mut bytes = entry_bundle::encode(entries.iter().map(Vec::as_slice)).unwrap();
        if log.unreachable {
            let status = ReadError::Status { what: Resource::EntryBundle, status: 502 };
            return Box::pin(std::future::ready(Err(status)));
        }
        match log.bundles {
            Bundles::Whole => {}
            Bundles::Other => {
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
            }
            Bundles::Truncated => {
                bytes.pop();
            }
        }
        Box::pin(std::future::ready(Ok(bytes)))
    }
}

impl LogSubmitter for FakeLog {
    fn submit<'a>(
        &'a self,
        entry: &'a [u8],
        access_token: &'a str,
    ) -> PortFuture<'a, Result<UntrustedAnswer, SubmitError>> {
        Box::pin(self.answer(entry, access_token))
    }
}
