//! A user's phone: a token, a key that it is bound to, a password, and the protocol of a session.

use std::time::{SystemTime, UNIX_EPOCH};

use countermark_bundle::identity::Timestamp;
use countermark_bundle::key::PublicKey;
use countermark_bundle::statement::KeyRole;
use countermark_bundle::verify::VerifiedBundle;
use countermark_keys::{KeyFile, Role};
use countermark_vault_core::account::AccountId;
use countermark_vault_core::account_token::{self, AccountClaims, Confirmation, Jwk};
use countermark_vault_core::device::{DeviceFault, RandomSource};
use countermark_vault_core::noise::{SessionContext, SessionId, client::Opening};
use countermark_vault_core::opaque::{Hardness, NormalisedPassword};
use countermark_vault_core::session::client::{ClientSession, steps};
use countermark_vault_core::session::message::{Answer, Request};
use countermark_vault_core::wrap::BackupKey;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::authority::{Authority, NAMESPACE};
use crate::fleet::{Fleet, Member};

const ISSUER: &str = "accounts.localhost";

/// The operating system's randomness.
pub struct SystemRandom;

impl RandomSource for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DeviceFault> {
        getrandom::fill(bytes).map_err(|_| DeviceFault { part: "randomness" })
    }
}

/// Everybody's password.
pub fn password() -> NormalisedPassword {
    NormalisedPassword::new(b"correct horse battery staple".to_vec().into()).unwrap()
}

/// A phone.
pub struct Phone {
    client: reqwest::Client,
    bundle: VerifiedBundle,
    token: String,
    key: SigningKey,
    account: AccountId,
}

struct Session {
    inner: ClientSession,
    url: String,
    client: reqwest::Client,
}

impl Phone {
    /// The phone of user `number`, with a token of the authority's demonstration.
    pub fn new(authority: &Authority, fleet: &Fleet, number: usize) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let url = format!("http://{}/v1/{NAMESPACE}/bundles/newest", authority.address());
        let bytes = tokio::task::block_in_place(|| {
            let get = async { reqwest::get(url).await.unwrap().bytes().await.unwrap() };
            tokio::runtime::Handle::current().block_on(get)
        });
        let bundle = fleet.bundle(&bytes, Timestamp::from_unix(now).unwrap());
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        let key = SigningKey::from_bytes(&seed);
        let statement = bundle.statement().statement();
        let subject = format!("bench-{number}");
        let claims = AccountClaims {
            iss: ISSUER.to_string(),
            sub: subject.clone(),
            aud: account_token::audience(&statement.origin, &statement.fleets[0].fleet_id),
            iat: now - 5,
            exp: now + 3600,
            jti: subject.clone(),
            cnf: Confirmation { jwk: Jwk::of(&PublicKey::ed25519(key.verifying_key().as_bytes()).unwrap()) },
        };
        let folder = authority.data().join("accounts");
        let issuer = (folder.join("account-issuer.key"), folder.join("passphrase"));
        let issuer = KeyFile::open_signer(&issuer.0, Role::AccountIssuer, &issuer.1).unwrap();
        let input = account_token::signing_input(&claims);
        let token = account_token::assemble(&input, &issuer.sign(input.as_bytes()).unwrap());
        let account = AccountId::of(ISSUER, &subject);
        Self { client: reqwest::Client::new(), bundle, token, key, account }
    }

    async fn open(&self, member: &Member) -> Option<(Session, steps::Terms)> {
        let statement = self.bundle.statement();
        let fleet = &statement.statement().fleets[0];
        let stated = &fleet.members[member.number - 1];
        let key = |role| stated.keys.iter().find(|key| key.role == role).unwrap().key().unwrap();
        let context = SessionContext {
            origin: statement.statement().origin.clone(),
            statement: statement.digest(),
            fleet_id: fleet.fleet_id.clone(),
            member_id: stated.member_id.clone(),
        };
        let session_key: [u8; 32] = key(KeyRole::Session).bytes().try_into().unwrap();
        let (opening, bytes) = Opening::start(context.clone(), &session_key, &mut SystemRandom).unwrap();
        let url = format!("{}/v1/sessions", member.url);
        let answer = self.client.post(&url).body(bytes.to_vec()).send().await.ok()?;
        let answer = answer.error_for_status().ok()?.bytes().await.ok()?;
        let (id, channel): (SessionId, _) = opening.finish(&answer, &key(KeyRole::Identity)).unwrap();
        let terms = steps::Terms::new(&context, self.account, Hardness::TestOnly);
        let inner = ClientSession::new(context, channel);
        let mut session = Session { inner, url: format!("{url}/{}", id.to_hex()), client: self.client.clone() };
        let sign = |message: &[u8]| self.key.sign(message).to_bytes();
        let request = steps::authenticate(&session.inner, &self.token, sign).unwrap();
        steps::authenticated(session.ask(&request).await?).unwrap();
        Some((session, terms))
    }

    /// Makes a record, or another one.
    pub async fn register(&self, member: &Member) {
        let (rng, password) = (&mut SystemRandom, password());
        let key = BackupKey::generate(rng).unwrap();
        let (mut session, terms) = self.open(member).await.unwrap();
        let (enrolment, request) = steps::Enrolment::start(&password, rng).unwrap();
        let answer = session.ask(&request).await.unwrap();
        let (pending, request) = enrolment.started(answer, &password, (&key, vec![]), &terms, rng).unwrap();
        let answer = session.ask(&request).await.unwrap();
        let (confirmation, request) = pending.enrolled(answer, &password, rng).unwrap();
        let answer = session.ask(&request).await.unwrap();
        let request = confirmation.opened(answer, &password, &terms, rng).unwrap();
        steps::confirmed(session.ask(&request).await.unwrap()).unwrap();
    }

    /// Recovers the key. False if the fleet did not serve.
    pub async fn log_in(&self, member: &Member, padded: bool) -> bool {
        let (rng, password) = (&mut SystemRandom, password());
        let Some((mut session, terms)) = self.open(member).await else { return false };
        let (guess, request) = steps::Guess::start(&password, rng).unwrap();
        let Some(answer) = session.ask(&request).await else { return false };
        let Ok(verdict) = guess.evaluated(answer, &password, &terms, rng) else { return false };
        let steps::Verdict::Right(request, opened) = verdict else { return false };
        let Some(answer) = session.ask(&request).await else { return false };
        if opened.recovered(answer, &terms).is_err() {
            return false;
        }
        while padded && session.inner.idle_left() > 0 {
            if session.ask(&Request::Idle).await.is_none() {
                return false;
            }
        }
        true
    }
}

impl Session {
    async fn ask(&mut self, request: &Request) -> Option<Answer> {
        let frame = self.inner.request(request).unwrap();
        let answer = self.client.post(&self.url).body(frame).send().await.ok()?.error_for_status().ok()?;
        Some(self.inner.answer(&answer.bytes().await.ok()?).unwrap())
    }
}
