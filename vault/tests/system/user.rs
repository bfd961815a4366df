//! A user with a phone: an account token, and sessions over HTTP, each as long as every other one.

use std::net::SocketAddr;

use countermark_bundle::identity::{Digest, Name};
use countermark_bundle::key::PublicKey;
use countermark_tlog::checkpoint::Origin;
use countermark_vault::PublicKeys;
use countermark_vault_core::account::AccountId;
use countermark_vault_core::account_token::{AccountClaims, Confirmation, Jwk, assemble, audience, signing_input};
use countermark_vault_core::device::{DeviceFault, RandomSource};
use countermark_vault_core::noise::SessionContext;
use countermark_vault_core::noise::client::Opening;
use countermark_vault_core::opaque::{Hardness, NormalisedPassword};
use countermark_vault_core::session::client::ClientSession;
use countermark_vault_core::session::client::steps::{
    Enrolment, Guess, StepError, Terms, Verdict, authenticate, authenticated, confirmed, guess_failed,
};
use countermark_vault_core::session::message::{Answer, Request};
use countermark_vault_core::wrap::BackupKey;
use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use crate::cluster::{Cluster, ISSUER, now};
use crate::support::exchange_bytes;

const PHONE: [u8; 32] = [78; 32];

pub struct Randomness;

impl RandomSource for Randomness {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DeviceFault> {
        for byte in bytes {
            [*byte] = countermark_keys::os_random_bytes().unwrap();
        }
        Ok(())
    }
}

pub fn password(text: &str) -> NormalisedPassword {
    NormalisedPassword::new(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
}

/// What came of a guess.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The key that was registered.
    Recovered([u8; 32]),
    /// So many guesses are left.
    Wrong(u32),
}

/// One session, and the sizes of every body that its relay saw.
pub struct Phone {
    address: SocketAddr,
    path: String,
    session: ClientSession,
    terms: Terms,
    pub sizes: Vec<usize>,
}

impl Phone {
    /// Opens a session with a member under the statement that it has adopted, as a user.
    pub async fn open(cluster: &Cluster, number: usize, user: &str) -> Result<Self, StepError> {
        let (statement, keys) = (cluster.adopted(number).await, &cluster.keys[number - 1]);
        let mut phone = Self::connect(cluster.address(number), number, statement, keys, user).await.unwrap();
        let token = token(user, phone.session.context());
        let sign = |message: &[u8]| SigningKey::from_bytes(&PHONE).sign(message).to_bytes();
        let request = authenticate(&phone.session, &token, sign).unwrap();
        let answer = phone.ask(&request).await;
        authenticated(answer)?;
        Ok(phone)
    }

    /// The handshake alone; the HTTP status if the member refuses.
    pub async fn connect(
        address: SocketAddr,
        number: usize,
        statement: Digest,
        keys: &PublicKeys,
        user: &str,
    ) -> Result<Self, u16> {
        let context = SessionContext {
            origin: Origin::new("log.example/backup").unwrap(),
            statement,
            fleet_id: Name::parse("fleet-1").unwrap(),
            member_id: Name::parse(&format!("member-{number}")).unwrap(),
        };
        let session_key = keys.session.bytes().try_into().unwrap();
        let (opening, bytes) = Opening::start(context.clone(), session_key, &mut Randomness).unwrap();
        let answer = exchange_bytes(address, "POST /v1/sessions", &bytes).await;
        if answer.status != 200 {
            return Err(answer.status);
        }
        let sizes = vec![bytes.len(), answer.body.len()];
        let (id, channel) = opening.finish(&answer.body, &keys.identity).unwrap();
        let terms = Terms::new(&context, AccountId::of("accounts.example", user), Hardness::TestOnly);
        let session = ClientSession::new(context, channel);
        Ok(Self { address, path: format!("POST /v1/sessions/{id}"), session, terms, sizes })
    }

    pub async fn ask(&mut self, request: &Request) -> Answer {
        let frame = self.session.request(request).unwrap();
        let answer = exchange_bytes(self.address, &self.path, &frame).await;
        assert_eq!(answer.status, 200);
        self.sizes.extend([frame.len(), answer.body.len()]);
        self.session.answer(&answer.body).unwrap()
    }

    /// Fills the session up, so that it is as long as every other one.
    pub async fn fill_up(&mut self) {
        while self.session.idle_left() > 0 {
            assert_eq!(self.ask(&Request::Idle).await, Answer::Idle);
        }
    }

    pub async fn register(&mut self, text: &str) -> Result<[u8; 32], StepError> {
        let (password, terms) = (password(text), self.terms.clone());
        let key = BackupKey::generate(&mut Randomness).unwrap();
        let (enrolment, request) = Enrolment::start(&password, &mut Randomness)?;
        let answer = self.ask(&request).await;
        let (pending, request) = enrolment.started(answer, &password, (&key, vec![]), &terms, &mut Randomness)?;
        let answer = self.ask(&request).await;
        let (confirmation, request) = pending.enrolled(answer, &password, &mut Randomness)?;
        let answer = self.ask(&request).await;
        let request = confirmation.opened(answer, &password, &terms, &mut Randomness)?;
        assert_eq!(confirmed(self.ask(&request).await)?, None);
        self.fill_up().await;
        Ok(*key.expose())
    }

    pub async fn guess(&mut self, text: &str) -> Result<Outcome, StepError> {
        let (password, terms) = (password(text), self.terms.clone());
        let (guess, request) = Guess::start(&password, &mut Randomness)?;
        let answer = self.ask(&request).await;
        let outcome = match guess.evaluated(answer, &password, &terms, &mut Randomness)? {
            Verdict::Right(request, opened) => {
                Outcome::Recovered(*opened.recovered(self.ask(&request).await, &terms)?.key.expose())
            }
            Verdict::Wrong(request) => Outcome::Wrong(guess_failed(self.ask(&request).await)?),
        };
        self.fill_up().await;
        Ok(outcome)
    }
}

fn token(user: &str, context: &SessionContext) -> String {
    let phone = PublicKey::ed25519(SigningKey::from_bytes(&PHONE).verifying_key().as_bytes()).unwrap();
    let claims = AccountClaims {
        iss: "accounts.example".to_owned(),
        sub: user.to_owned(),
        aud: audience(&context.origin, &context.fleet_id),
        iat: now(),
        exp: now() + 3600,
        jti: "1".to_owned(),
        cnf: Confirmation { jwk: Jwk::of(&phone) },
    };
    let input = signing_input(&claims);
    assemble(&input, &SigningKey::from_bytes(&ISSUER).sign(input.as_bytes()).to_bytes())
}
