//! The examples of the vault: account tokens, sessions, links, wraps, and how a member is.

use std::fmt::Debug;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countermark_bundle::identity::{Name, Timestamp};
use countermark_bundle::link::ConsistencyLink;
use countermark_bundle::verify::verify;
use countermark_vault_core::account::AccountId;
use countermark_vault_core::account_token::{
    AccountClaims, TokenRefusal, UntrustedToken, VerifiedAccountToken, assemble, audience, check_proof, proof_message,
    signing_input,
};
use countermark_vault_core::device::{DeviceFault, RandomSource};
use countermark_vault_core::machine::{Refusal, ReplicatedTime, Wrap, WrapKind};
use countermark_vault_core::noise::{PeerContext, PeerSide, SessionContext};
use countermark_vault_core::secret::Secret;
use countermark_vault_core::session::message::{Answer, Request, SessionRefusal};
use countermark_vault_core::to_sign::{
    peer_hello, peer_prologue, session_hello, session_prologue, wrap_associated_data,
};
use countermark_vault_core::wrap::{BackupKey, WrapContext, unwrap, wrap};
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};

use crate::book::{document, rows};
use crate::world::World;

/// The hash of every handshake in the examples.
const HANDSHAKE_HASH: [u8; 32] = [7; 32];
const ISSUER: u8 = 22;
const PROOF: u8 = 23;

/// Gives the same byte again and again.
struct Fixed(u8);

impl RandomSource for Fixed {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DeviceFault> {
        bytes.fill(self.0);
        Ok(())
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn sign(seed: u8, message: &[u8]) -> Vec<u8> {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).sign(message).to_bytes().to_vec()
}

fn same(world: &World, example: &str, message: Vec<u8>) {
    assert_eq!(world.text(example), String::from_utf8(message).unwrap(), "{example}");
}

fn session(world: &World) -> SessionContext {
    let fleet = &world.statement.statement().fleets[0];
    SessionContext {
        origin: world.trust.origin.clone(),
        statement: world.statement.digest(),
        fleet_id: fleet.fleet_id.clone(),
        member_id: fleet.members[0].member_id.clone(),
    }
}

pub fn session_prologue_example(world: &World) {
    same(world, "session-prologue", session_prologue(&session(world)));
}

pub fn session_hello_example(world: &World) {
    same(world, "session-hello", session_hello(&session(world), &HANDSHAKE_HASH));
}

fn peers(world: &World) -> PeerContext {
    let SessionContext { origin, fleet_id, member_id, .. } = session(world);
    PeerContext { origin, fleet_id, initiator: member_id, responder: name("member-2") }
}

pub fn peer_prologue_example(world: &World) {
    same(world, "peer-prologue", peer_prologue(&peers(world)));
}

pub fn peer_hello_example(world: &World) {
    same(world, "peer-hello", peer_hello(&peers(world), PeerSide::Initiates, &HANDSHAKE_HASH));
}

fn token(world: &World) -> UntrustedToken {
    UntrustedToken::parse(world.line("account-token").as_bytes()).unwrap()
}

fn claims(world: &World) -> AccountClaims {
    serde_json::from_str(world.text("account-token-claims")).unwrap()
}

fn verified(world: &World) -> VerifiedAccountToken {
    let (claims, fleet) = (claims(world), session(world).fleet_id);
    let now = Timestamp::from_unix(claims.iat).unwrap();
    claims.check(now, &audience(&world.trust.origin, &fleet)).unwrap()
}

/// Signed by the issuer's key, and obeying every rule.
pub fn account_token(world: &World) {
    let input = signing_input(&claims(world));
    assert_eq!(world.line("account-token"), assemble(&input, &sign(ISSUER, input.as_bytes())));
    let token = token(world);
    let (signed, signature) = token.as_str().rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    World::ed25519(ISSUER).verify_ed25519(signed.as_bytes(), &signature).unwrap();
    assert_eq!(verified(world).proof_key(), &World::ed25519(PROOF));
}

fn token_part(world: &World, part: usize) -> String {
    let part = world.line("account-token").split('.').nth(part).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub fn account_token_header(world: &World) {
    assert_eq!(token_part(world, 0), world.line("account-token-header"));
}

pub fn account_token_claims(world: &World) {
    assert_eq!(token_part(world, 1), world.line("account-token-claims"));
}

pub fn account(world: &World) {
    assert_eq!(world.line("account"), hex::encode(verified(world).account().as_bytes()));
}

pub fn account_proof(world: &World) {
    same(world, "account-proof", proof_message(&session(world), &HANDSHAKE_HASH, &token(world)));
}

pub fn account_proof_signature(world: &World) {
    let message = world.bytes("account-proof");
    assert_eq!(world.line("account-proof-signature"), hex::encode(sign(PROOF, message)));
    let signature = hex::decode(world.line("account-proof-signature")).unwrap();
    check_proof(&verified(world), message, &signature).unwrap();
    assert!(check_proof(&verified(world), b"another session", &signature).is_err());
}

fn wrapped(world: &World) -> (BackupKey, WrapContext, Wrap) {
    let SessionContext { origin, fleet_id, .. } = session(world);
    let context = WrapContext { origin, fleet_id, account: verified(world).account() };
    let key = BackupKey::generate(&mut Fixed(8)).unwrap();
    let wrap = wrap(WrapKind::VaultPassword, &[9; 64], &key, &context, &mut Fixed(10)).unwrap();
    (key, context, wrap)
}

pub fn wrap_associated_data_example(world: &World) {
    let (key, context, _) = wrapped(world);
    let WrapContext { origin, fleet_id, account } = &context;
    let data = wrap_associated_data(origin, fleet_id, account, "vault-password", &key.commitment());
    same(world, "wrap-associated-data", data);
}

pub fn wrap_ciphertext(world: &World) {
    let (key, context, mut wrap) = wrapped(world);
    assert_eq!(world.line("wrap-ciphertext"), hex::encode(&wrap.ciphertext));
    wrap.ciphertext = hex::decode(world.line("wrap-ciphertext")).unwrap();
    assert_eq!(unwrap(&wrap, &[9; 64], &context).as_ref(), Ok(&key));
    assert!(unwrap(&wrap, &[10; 64], &context).is_err());
    let other = WrapContext { account: AccountId::from([0; 32]), ..context };
    assert!(unwrap(&wrap, &[9; 64], &other).is_err());
}

pub fn session_refused(world: &World) {
    let until = Timestamp::parse("2026-11-28T00:00:00Z").unwrap().unix();
    let refusal = Refusal::Exhausted { until: ReplicatedTime::from_unix(until) };
    let answer = Answer::Refused(SessionRefusal::Machine(refusal));
    assert_eq!(world.line("session-refused"), hex::encode(answer.encode().unwrap().as_slice()));
    let bytes = hex::decode(world.line("session-refused")).unwrap();
    assert_eq!(Answer::decode(&bytes), Ok(answer));
}

/// A member's word about the bundle of the examples.
pub fn vault_status(world: &World) {
    let status: Value = serde_json::from_str(world.text("vault-status")).unwrap();
    let source = document("vault/src/status.rs");
    let (replica, stapled) = (&status["replica"], &status["stapled"]);
    let fields = [&status, replica, stapled, &replica["members"][0]].map(|value| value.as_object().unwrap().keys());
    for field in fields.into_iter().flatten() {
        assert!(source.contains(&format!("pub {field}: ")), "vault/src/status.rs writes no {field}");
    }
    let fleet = &world.statement.statement().fleets[0];
    let members = fleet.members.iter().enumerate().map(|(index, member)| {
        let identity = World::ed25519(u8::try_from(index).unwrap() + 101);
        json!({ "member_id": member.member_id, "number": &identity.key_id().to_string()[..16], "stated": true })
    });
    assert_eq!(replica["members"], json!(members.collect::<Vec<_>>()));
    let link = ConsistencyLink::parse(world.bytes("link")).unwrap();
    let head = world.head();
    let now = Timestamp::from_unix(head.time().unwrap()).unwrap();
    let unstored = verify(world.bytes("validation-bundle"), Some(&link), &world.trust, &world.floor, now).unwrap();
    let bundle = unstored.store(|_| Ok::<(), ()>(())).unwrap();
    let expected = json!({
        "statement": bundle.statement().digest().to_hex(), "epoch": 1, "size": head.checkpoint().size.get(),
        "head_time": bundle.head_time().to_string(), "stale_at": bundle.stale_at().to_string(),
    });
    assert_eq!(*stapled, expected);
    let own = session(world);
    let expected = json!([own.member_id, own.fleet_id, own.origin.as_str()]);
    assert_eq!(json!([status["member_id"], status["fleet_id"], status["origin"]]), expected);
}

/// The name of a variant.
fn variant(value: &impl Debug) -> String {
    format!("{value:?}").split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()
}

fn requests() -> Vec<Request> {
    let bytes = || Secret::new(vec![0]);
    vec![
        Request::Authenticate { token: bytes(), proof: vec![] },
        Request::LoginStart { ke1: vec![] },
        Request::LoginFinish { ke3: vec![] },
        Request::LoginAbandon,
        Request::EnrolStart { request: vec![] },
        Request::EnrolFinish { upload: bytes(), wraps: vec![] },
        Request::ConfirmStart { ke1: vec![] },
        Request::ConfirmFinish { ke3: vec![] },
        Request::Delete,
        Request::Idle,
    ]
}

fn answers() -> Vec<Answer> {
    vec![
        Answer::Authenticated,
        Answer::LoginStarted { ke2: vec![], attempts_left: 0 },
        Answer::LoggedIn { wraps: vec![], attempts_left: 0 },
        Answer::LoginFailed { attempts_left: 0 },
        Answer::EnrolStarted { response: vec![] },
        Answer::Enrolled,
        Answer::ConfirmStarted { ke2: vec![] },
        Answer::Confirmed { waits_until_unix: None },
        Answer::Deleted { waits_until_unix: None },
        Answer::Idle,
        Answer::Refused(SessionRefusal::OutOfOrder),
    ]
}

fn token_refusals() -> [TokenRefusal; 10] {
    use TokenRefusal::{Audience, Expired, Form, Issuer, Lifetime, Names, NotYetValid, Proof, ProofKey, Signature};
    [Form, Issuer, Signature, Audience, Names, Lifetime, NotYetValid, Expired, ProofKey, Proof]
}

fn machine_refusals() -> [Refusal; 19] {
    [
        Refusal::NotFounded,
        Refusal::FoundedAlready,
        Refusal::MalformedFounding,
        Refusal::NotServing,
        Refusal::Draining,
        Refusal::Distrust { class: 0 },
        Refusal::OtherFleet,
        Refusal::Link { from: 0 },
        Refusal::NoAttemptLeft,
        Refusal::Exhausted { until: ReplicatedTime::START },
        Refusal::UnknownAttempt,
        Refusal::UnknownRegistration,
        Refusal::TriedAlready,
        Refusal::NotTried,
        Refusal::UnknownLogin,
        Refusal::MalformedRecord,
        Refusal::Full,
        Refusal::TooManyUnderWay,
        Refusal::BatchTooLong,
    ]
}

fn session_refusals() -> [SessionRefusal; 9] {
    [
        SessionRefusal::NotAuthenticated,
        SessionRefusal::Token(TokenRefusal::Form),
        SessionRefusal::OutOfOrder,
        SessionRefusal::Malformed,
        SessionRefusal::NotOpened,
        SessionRefusal::Machine(Refusal::Full),
        SessionRefusal::NoMajority,
        SessionRefusal::Unknown,
        SessionRefusal::MemberFault,
    ]
}

#[test]
fn every_message_of_a_session_has_the_number_that_the_tables_say() {
    let formats = document("FORMATS.md");
    let section = formats.split("### Messages in a session").nth(1).unwrap().split("\n### ").next().unwrap();
    let (table, prose) = (rows(section), section.replace('\n', " "));
    let row_of = |number: u8, name: &str| {
        let cells = [number.to_string(), format!("`{name}`")];
        assert!(table.iter().any(|row| row.starts_with(&cells)), "no row says that {name} has the number {number}");
    };
    let in_text = |number: u8, name: &str| {
        let text = format!(" {number} `{name}`");
        assert!(prose.contains(&text), "nothing says that {name} has the number {number}");
    };
    // Behind the last number there is none, with whatever fields.
    let is_last = |start: &[u8], is_message: fn(&[u8]) -> bool| {
        let is_none = |zeros: usize| !is_message(&[start, &vec![0; zeros]].concat());
        assert!((0..100).all(is_none), "there is a message {start:?} that this test does not know");
    };
    let is_answer = |bytes: &[u8]| Answer::decode(bytes).is_ok();
    is_last(&[10], |bytes| Request::decode(bytes).is_ok());
    for start in [&[11_u8][..], &[10, 9], &[10, 1, 10], &[10, 5, 19]] {
        is_last(start, is_answer);
    }
    for request in requests() {
        row_of(request.encode().unwrap()[0], &variant(&request));
    }
    for answer in answers().iter().filter(|answer| !matches!(answer, Answer::Refused(_))) {
        in_text(answer.encode().unwrap()[0], &variant(answer));
    }
    for refusal in session_refusals() {
        let bytes = Answer::Refused(refusal).encode().unwrap();
        assert_eq!(bytes[0], 10);
        row_of(bytes[1], &variant(&refusal));
    }
    for refusal in token_refusals() {
        let bytes = Answer::Refused(SessionRefusal::Token(refusal)).encode().unwrap();
        in_text(bytes[2], &variant(&refusal));
    }
    for refusal in machine_refusals() {
        let bytes = Answer::Refused(SessionRefusal::Machine(refusal)).encode().unwrap();
        in_text(bytes[2], &variant(&refusal));
    }
}
