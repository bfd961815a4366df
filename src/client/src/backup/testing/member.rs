//! One member of a test fleet, as a transport that needs no network; and everything that it may do wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countermark_bundle::key::PublicKey;
use countermark_bundle::statement::Software;
use countermark_bundle::testing::{NOW, at, ed25519_signer, name, origin};
use countermark_vault_core::account_token::{
    AccountClaims, TokenRefusal, UntrustedToken, VerifiedAccountToken, audience,
};
use countermark_vault_core::machine::Response;
use countermark_vault_core::member::{self, MemberIdentity};
use countermark_vault_core::noise::{OPENING_BYTES, SessionContext, SessionId, server};
use countermark_vault_core::session::server::{AwaitingCommit, CommitOutcome, ServerSession, Turn};
use countermark_vault_core::to_sign;

use super::{Fleet, ISSUER, SeedIdentity, SeedSession};
use crate::backup::Transport;
use crate::backup::randomness::OsRandom;
use crate::fetch::{FetchError, Place, SourceFuture};

/// What a member, or whoever stands in front of it, does wrong.
#[derive(Clone)]
pub(in crate::backup) enum Fault {
    /// No connection.
    Gone,
    /// Signs the hello with another identity key.
    OtherIdentity,
    /// Holds another session key than the one stated.
    OtherSessionKey,
    /// Serves under another statement.
    OtherStatement,
    /// Reports another member's name.
    Named(&'static str),
    /// Changes the bytes of the answer to an opening.
    Opened(fn(Vec<u8>) -> Vec<u8>),
    /// From this frame on, counted from 1, answers are changed.
    Answered(usize, fn(Vec<u8>) -> Vec<u8>),
    /// This frame, counted from 1, is worked on and its answer never arrives, nor does anything after it.
    LostAt(usize),
    /// The machine's answers are changed before the session sees them.
    Tampered(Arc<dyn Fn(Response) -> Response + Send + Sync>),
    /// From the second frame on, the answer is the first one again.
    Replays,
}

pub(in crate::backup) struct TestMember {
    pub fleet: Arc<Fleet>,
    number: u8,
    address: String,
    sessions: Mutex<BTreeMap<SessionId, ServerSession>>,
    faults: Mutex<Vec<Fault>>,
    /// How many frames came in each session, in the order of opening.
    frames: Mutex<Vec<usize>>,
    /// The answer to the first frame of the newest session.
    first_answer: Mutex<Vec<u8>>,
}

impl TestMember {
    pub fn new(fleet: &Arc<Fleet>, number: u8) -> Arc<Self> {
        Arc::new(Self {
            fleet: Arc::clone(fleet),
            number,
            address: format!("member-{number}.example"),
            sessions: Mutex::default(),
            faults: Mutex::default(),
            frames: Mutex::default(),
            first_answer: Mutex::default(),
        })
    }

    pub fn fault(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    pub fn mend(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub fn frames(&self) -> Vec<usize> {
        self.frames.lock().unwrap().clone()
    }

    fn faults(&self) -> Vec<Fault> {
        self.faults.lock().unwrap().clone()
    }

    fn seed(&self) -> u8 {
        100 + self.number
    }

    fn is(&self, wanted: impl Fn(&Fault) -> bool) -> bool {
        self.faults().iter().any(wanted)
    }

    fn lost(&self) -> FetchError {
        FetchError::TimedOut { place: Place::new(&self.address) }
    }

    pub fn report_bytes(&self) -> Vec<u8> {
        let mut named = format!("member-{}", self.number);
        for fault in self.faults() {
            if let Fault::Named(other) = fault {
                named = other.to_string();
            }
        }
        let identity = MemberIdentity {
            origin: origin(),
            fleet_id: name("fleet-1"),
            member_id: name(&named),
            failure_domain: name("site"),
            identity_key: PublicKey::ed25519(ed25519_signer(self.seed()).public().bytes()).unwrap(),
            session_key: SeedSession::new(self.seed()).public(),
            software: Software {
                name: "vault".to_string(),
                version: "0.1.0".to_string(),
                sha256: countermark_bundle::Digest::of(b"executable"),
            },
        };
        let proof = ed25519_signer(self.seed()).sign(&to_sign::report_message(&identity, None));
        member::write(&identity, None, &proof).unwrap()
    }

    /// The answer to an opening. `None`: the connection breaks.
    pub fn opened(&self, opening: &[u8]) -> Option<Vec<u8>> {
        if self.is(|fault| matches!(fault, Fault::Gone)) {
            return None;
        }
        let (mut statement, mut session, mut identity) = (self.fleet.adopted(), self.seed(), self.seed());
        let mut change: fn(Vec<u8>) -> Vec<u8> = |bytes| bytes;
        for fault in self.faults() {
            match fault {
                Fault::OtherStatement => statement = countermark_bundle::Digest::of(b"another"),
                Fault::OtherIdentity => identity = 77,
                Fault::OtherSessionKey => session = 77,
                Fault::Opened(changed) => change = changed,
                _ => {}
            }
        }
        let context = SessionContext {
            origin: origin(),
            statement,
            fleet_id: name("fleet-1"),
            member_id: name(&format!("member-{}", self.number)),
        };
        let id = SessionId::draw(&mut OsRandom).unwrap();
        let key = Arc::new(SeedSession::new(session));
        let accepted = server::accept(&context, opening, key, &SeedIdentity(identity), id, &mut OsRandom);
        let (answer, channel) = accepted.ok()?;
        self.sessions.lock().unwrap().insert(id, ServerSession::new(context, channel));
        self.frames.lock().unwrap().push(0);
        Some(change(answer))
    }

    /// The answer to a frame. `None`: the connection breaks, before or after it was worked on.
    pub fn answered(&self, id: SessionId, frame: &[u8]) -> Option<Vec<u8>> {
        let number = {
            let mut frames = self.frames.lock().unwrap();
            let last = frames.last_mut().unwrap();
            *last += 1;
            *last
        };
        let mut answer = self.work(id, frame)?;
        if number == 1 {
            *self.first_answer.lock().unwrap() = answer.clone();
        }
        for fault in self.faults() {
            match fault {
                Fault::Answered(first, change) if number >= first => answer = change(answer),
                Fault::LostAt(lost) if number >= lost => return None,
                Fault::Replays => answer = self.first_answer.lock().unwrap().clone(),
                _ => {}
            }
        }
        Some(answer)
    }

    fn work(&self, id: SessionId, frame: &[u8]) -> Option<Vec<u8>> {
        let session = self.sessions.lock().unwrap().remove(&id)?;
        let (session, answer) = match session.receive(frame, &mut OsRandom).ok()? {
            Turn::Answer(session, answer) => (*session, answer),
            Turn::Verify(token, awaiting) => awaiting.verified(verify_token(&token)).ok()?,
            Turn::Commit(command, awaiting) => self.commit(command, *awaiting)?,
        };
        self.sessions.lock().unwrap().insert(id, session);
        Some(answer)
    }

    fn commit(
        &self,
        command: countermark_vault_core::machine::Command,
        awaiting: AwaitingCommit,
    ) -> Option<(ServerSession, Vec<u8>)> {
        let mut outcome = self.fleet.commit(command);
        for fault in self.faults() {
            if let (Fault::Tampered(change), CommitOutcome::Committed(response)) = (fault, &outcome) {
                outcome = CommitOutcome::Committed(change(response.clone()));
            }
        }
        awaiting.committed(outcome, &mut OsRandom).ok()
    }
}

/// What the node does with a JWT library.
fn verify_token(token: &UntrustedToken) -> Result<VerifiedAccountToken, TokenRefusal> {
    let (input, signature) = token.as_str().rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenRefusal::Form)?;
    let issuer = ed25519_signer(ISSUER);
    issuer.public().verify_ed25519(input.as_bytes(), &signature).map_err(|_| TokenRefusal::Signature)?;
    let claims = URL_SAFE_NO_PAD.decode(input.split_once('.').unwrap().1).unwrap();
    let claims: AccountClaims = serde_json::from_slice(&claims).map_err(|_| TokenRefusal::Form)?;
    claims.check(at(NOW), &audience(&origin(), &name("fleet-1")))
}

impl Transport for TestMember {
    fn address(&self) -> &str {
        &self.address
    }

    fn report(&self) -> SourceFuture<'_> {
        let gone = self.is(|fault| matches!(fault, Fault::Gone));
        Box::pin(async move { if gone { Err(self.lost()) } else { Ok(self.report_bytes()) } })
    }

    fn open(&self, opening: [u8; OPENING_BYTES]) -> SourceFuture<'_> {
        Box::pin(async move { self.opened(&opening).ok_or_else(|| self.lost()) })
    }

    fn exchange(&self, session: SessionId, frame: Vec<u8>) -> SourceFuture<'_> {
        Box::pin(async move { self.answered(session, &frame).ok_or_else(|| self.lost()) })
    }
}
