//! A user of the fleet: an account token, and the client's side of sessions.

use countermark_bundle::identity::Digest;
use countermark_vault_core::account::AccountId;
use countermark_vault_core::account_token::{AccountClaims, Confirmation, Jwk, assemble, audience, signing_input};
use countermark_vault_core::noise::client::Opening;
use countermark_vault_core::noise::{SessionContext, SessionId};
use countermark_vault_core::opaque::{Hardness, NormalisedPassword};
use countermark_vault_core::session::client::ClientSession;
use countermark_vault_core::session::client::steps::{Terms, authenticate};
use countermark_vault_core::session::message::{Answer, Request};
use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::{TestMember, public};
use crate::device::OsRandomness;

/// The seed of the issuer's key.
pub(crate) const ISSUER: u8 = 77;
const PHONE: u8 = 78;

/// One user and the session that is open.
pub(crate) struct User {
    pub(crate) session: ClientSession,
    pub(crate) id: SessionId,
    pub(crate) terms: Terms,
    token: String,
}

impl User {
    /// The opening of a session with this member under this statement, and what makes a user of the answer.
    pub(crate) fn open(
        name: &str,
        member: &TestMember,
        statement: Digest,
        now: u64,
    ) -> (Vec<u8>, impl FnOnce(&[u8]) -> Self) {
        let own = member.own_end();
        let context =
            SessionContext { origin: own.origin, statement, fleet_id: own.fleet_id, member_id: own.member_id };
        let keys = member.peer_keys();
        let (opening, bytes) = Opening::start(context.clone(), &keys.session_public, &mut OsRandomness).unwrap();
        let claims = AccountClaims {
            iss: "accounts.example".to_owned(),
            sub: name.to_owned(),
            aud: audience(&context.origin, &context.fleet_id),
            iat: now,
            exp: now + 3600,
            jti: "1".to_owned(),
            cnf: Confirmation { jwk: Jwk::of(&public(PHONE)) },
        };
        let input = signing_input(&claims);
        let signature = SigningKey::from_bytes(&[ISSUER; 32]).sign(input.as_bytes());
        let token = assemble(&input, &signature.to_bytes());
        let terms = Terms::new(&context, AccountId::of("accounts.example", name), Hardness::TestOnly);
        let finish = move |answer: &[u8]| {
            let (id, channel) = opening.finish(answer, &keys.identity).unwrap();
            Self { session: ClientSession::new(context, channel), id, terms, token }
        };
        (bytes.to_vec(), finish)
    }

    pub(crate) fn request(&mut self, request: &Request) -> Vec<u8> {
        self.session.request(request).unwrap()
    }

    /// The frame that asks to be believed.
    pub(crate) fn authenticate(&mut self) -> Vec<u8> {
        let sign = |message: &[u8]| SigningKey::from_bytes(&[PHONE; 32]).sign(message).to_bytes();
        let request = authenticate(&self.session, &self.token, sign).unwrap();
        self.request(&request)
    }

    pub(crate) fn answer(&mut self, frame: &[u8]) -> Answer {
        self.session.answer(frame).unwrap()
    }

    pub(crate) fn password(text: &str) -> NormalisedPassword {
        NormalisedPassword::new(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
    }
}
