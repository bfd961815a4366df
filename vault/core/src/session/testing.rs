//! A fleet of one machine, a member of it, and clients that talk to it: everything but the network.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use countermark_bundle::identity::{Digest, Timestamp};
use countermark_bundle::testing::{NOW, World};
use zeroize::Zeroizing;

use super::client::ClientSession;
use super::message::{Answer, Request};
use super::server::{CommitOutcome, ServerSession, Turn};
use crate::account::AccountId;
use crate::account_token::{
    AccountClaims, Confirmation, Jwk, TokenRefusal, UntrustedToken, VerifiedAccountToken, assemble, audience,
    signing_input,
};
use crate::device::{DeviceFault, IdentityKey, SessionKey};
use crate::machine::{Adoption, Batch, Command, Founding, Machine, ReplicatedTime, Response};
use crate::noise::{self, SessionContext, SessionId};
use crate::opaque::Hardness;
use crate::opaque::server::new_setup;
use crate::opaque::testing::Seeded;
use crate::session::client::steps::Terms;
use crate::testing::{name, origin, public, sign};

pub(crate) const COOL_OFF: u64 = 86_400;
/// The seeds of the keys.
const ISSUER: u8 = 1;
const PROOF: u8 = 7;
const MEMBER: u8 = 101;

struct Keys(u8);

impl SessionKey for Keys {
    fn public_key(&self) -> [u8; 32] {
        x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from([self.0; 32])).to_bytes()
    }

    fn diffie_hellman(&self, peer: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, DeviceFault> {
        let secret = x25519_dalek::StaticSecret::from([self.0; 32]);
        Ok(Zeroizing::new(secret.diffie_hellman(&x25519_dalek::PublicKey::from(*peer)).to_bytes()))
    }
}

impl IdentityKey for Keys {
    fn public_key(&self) -> [u8; 32] {
        public(self.0).bytes().try_into().unwrap()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], DeviceFault> {
        Ok(sign(self.0, message).try_into().unwrap())
    }
}

/// A founded machine that adopted a bundle whose fleet allows ten guesses, and its clock.
pub(crate) struct Fleet {
    pub(crate) machine: Machine,
    pub(crate) now: u64,
    sessions: u64,
}

impl Fleet {
    pub(crate) fn serving() -> Self {
        let world = World::active();
        let mut fleet = Self { machine: Machine::new(), now: NOW, sessions: 0 };
        let founding = Founding {
            trust: world.trust.write(),
            fleet_id: name("fleet-1"),
            decoy_setup: new_setup(&mut Seeded(1000)).unwrap(),
            account_issuers: vec![],
            cool_off_seconds: COOL_OFF,
        };
        assert_eq!(fleet.commit(Command::Found(founding)), Response::Done);
        let newest = u64::try_from(world.entries.len()).unwrap();
        let bundle = world.bundle(&[newest - 2, newest - 1]).write();
        assert_eq!(fleet.commit(Command::Adopt(Adoption { bundle, links: vec![] })), Response::Done);
        fleet
    }

    pub(crate) fn commit(&mut self, command: Command) -> Response {
        let batch = Batch { now: ReplicatedTime::from_unix(self.now), commands: vec![command] };
        self.machine.apply(&batch).pop().unwrap()
    }

    /// Another fleet that went through the same.
    pub(crate) fn copy(&self) -> Self {
        Self { machine: self.machine.clone(), now: self.now, sessions: self.sessions }
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now += seconds;
    }

    /// A session of nobody yet.
    pub(crate) fn open(&mut self) -> Conversation<'_> {
        self.sessions += 1;
        let mut rng = Seeded(self.sessions << 16);
        let (client, server) = channels(&context(), &mut rng);
        let hash = client.handshake_hash();
        Conversation {
            fleet: self,
            client: ClientSession::new(context(), client),
            server: Some(ServerSession::new(context(), server)),
            rng,
            committed: Vec::new(),
            hash,
        }
    }

    /// A session of this user.
    pub(crate) fn session_of(&mut self, user: &str) -> Conversation<'_> {
        let token = token(&claims(user, self.now));
        let mut conversation = self.open();
        assert_eq!(conversation.authenticate(&token), Answer::Authenticated);
        conversation
    }
}

pub(crate) fn context() -> SessionContext {
    SessionContext {
        origin: origin(),
        statement: Digest::of(b"statement"),
        fleet_id: name("fleet-1"),
        member_id: name("member-1"),
    }
}

/// Both ends of a channel under this context.
pub(crate) fn channels(
    context: &SessionContext,
    rng: &mut Seeded,
) -> (noise::channel::Channel, noise::channel::Channel) {
    let session_public = SessionKey::public_key(&Keys(MEMBER));
    let (opening, message) = noise::client::Opening::start(context.clone(), &session_public, rng).unwrap();
    let id = SessionId::draw(rng).unwrap();
    let (answer, server) =
        noise::server::accept(context, &message, Arc::new(Keys(MEMBER)), &Keys(MEMBER), id, rng).unwrap();
    let (_, client) = opening.finish(&answer, &public(MEMBER)).unwrap();
    (client, server)
}

pub(crate) fn claims(user: &str, now: u64) -> AccountClaims {
    AccountClaims {
        iss: "accounts.example".into(),
        sub: user.into(),
        aud: audience(&origin(), &name("fleet-1")),
        iat: now,
        exp: now + 3600,
        jti: "1".into(),
        cnf: Confirmation { jwk: Jwk::of(&public(PROOF)) },
    }
}

pub(crate) fn account(user: &str) -> AccountId {
    AccountId::of("accounts.example", user)
}

pub(crate) fn terms(user: &str) -> Terms {
    Terms::new(&context(), account(user), Hardness::TestOnly)
}

pub(crate) fn token(claims: &AccountClaims) -> Vec<u8> {
    let input = signing_input(claims);
    assemble(&input, &sign(ISSUER, input.as_bytes())).into_bytes()
}

/// What a node does with a token: the signature of the issuer, then the claims.
fn verify(token: &UntrustedToken, now: u64) -> Result<VerifiedAccountToken, TokenRefusal> {
    use base64::Engine as _;
    let decode = |part: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    let (input, signature) = token.as_str().rsplit_once('.').unwrap();
    let (_, payload) = input.split_once('.').unwrap();
    let claims: AccountClaims = serde_json::from_slice(&decode(payload)).map_err(|_| TokenRefusal::Form)?;
    public(ISSUER).verify_ed25519(input.as_bytes(), &decode(signature)).map_err(|_| TokenRefusal::Signature)?;
    claims.check(Timestamp::from_unix(now).unwrap(), &audience(&origin(), &name("fleet-1")))
}

/// A client's and a member's end of one session, and the fleet behind the member.
pub(crate) struct Conversation<'f> {
    pub(crate) fleet: &'f mut Fleet,
    pub(crate) client: ClientSession,
    pub(crate) server: Option<ServerSession>,
    pub(crate) rng: Seeded,
    /// Every command that the session asked for.
    pub(crate) committed: Vec<Command>,
    hash: [u8; 32],
}

impl Conversation<'_> {
    /// One exchange.
    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        self.ask_with(request, |fleet, command| CommitOutcome::Committed(fleet.commit(command)))
    }

    /// One exchange, where a command becomes what `commit` says.
    pub(crate) fn ask_with(
        &mut self,
        request: &Request,
        commit: impl FnOnce(&mut Fleet, Command) -> CommitOutcome,
    ) -> Answer {
        let frame = self.client.request(request).unwrap();
        let (session, answer) = match self.server.take().unwrap().receive(&frame, &mut self.rng).unwrap() {
            Turn::Answer(session, answer) => (*session, answer),
            Turn::Verify(token, awaiting) => awaiting.verified(verify(&token, self.fleet.now)).unwrap(),
            Turn::Commit(command, awaiting) => {
                self.committed.push(command.clone());
                let outcome = commit(self.fleet, command);
                awaiting.committed(outcome, &mut self.rng).unwrap()
            }
        };
        self.server = Some(session);
        self.client.answer(&answer).unwrap()
    }

    /// Sends this token with the right proof.
    pub(crate) fn authenticate(&mut self, token: &[u8]) -> Answer {
        let untrusted = UntrustedToken::parse(token).unwrap();
        let proof = sign(PROOF, &self.client.proof_message(&untrusted));
        self.ask(&Request::Authenticate { token: crate::secret::Secret::new(token.to_vec()), proof })
    }

    pub(crate) const fn handshake_hash(&self) -> [u8; 32] {
        self.hash
    }

    pub(crate) fn abandoned(&self) -> Option<Command> {
        self.server.as_ref().unwrap().abandoned()
    }
}
