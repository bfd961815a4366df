//! Nobody asks for anything before the token and its proof were believed.

use countermark_bundle::testing::NOW;

use super::*;
use crate::account_token::{AccountClaims, Jwk, UntrustedToken, proof_message};
use crate::testing::{name, public, sign};

fn believed(change: impl FnOnce(&mut AccountClaims)) -> Answer {
    let mut claims = claims(USER, NOW);
    change(&mut claims);
    Fleet::serving().open().authenticate(&token(&claims))
}

const fn refused_token(refusal: TokenRefusal) -> Answer {
    refused(SessionRefusal::Token(refusal))
}

#[test]
fn a_request_before_authentication_is_refused_and_commits_nothing() {
    let mut fleet = Fleet::serving();
    let mut talk = fleet.open();
    for request in requests() {
        assert_eq!(talk.ask(&request), refused(SessionRefusal::NotAuthenticated), "{request:?}");
        assert_eq!((talk.committed.len(), talk.abandoned()), (0, None));
    }
    assert_eq!(talk.ask(&Request::Idle), Answer::Idle);
    assert_eq!(talk.authenticate(&token(&claims(USER, NOW))), Answer::Authenticated);
}

#[test]
fn a_session_is_of_one_account_for_good() {
    let mut fleet = Fleet::serving();
    let mut talk = fleet.session_of(USER);
    assert_eq!(talk.authenticate(&token(&claims("bob", NOW))), refused(SessionRefusal::OutOfOrder));
    assert_eq!(talk.ask(&Request::Delete), Answer::Deleted { waits_until_unix: None });
    assert_eq!(operation(&talk.committed[0]), &Operation::Delete { login: None });
}

#[test]
fn a_token_that_breaks_a_rule_is_refused_with_the_rule() {
    assert_eq!(believed(|_| {}), Answer::Authenticated);
    assert_eq!(believed(|claims| claims.aud.push('x')), refused_token(TokenRefusal::Audience));
    assert_eq!(believed(|claims| claims.sub.push('\n')), refused_token(TokenRefusal::Names));
    assert_eq!(believed(|claims| claims.iss.push('ä')), refused_token(TokenRefusal::Names));
    assert_eq!(believed(|claims| claims.exp = claims.iat + 86_401), refused_token(TokenRefusal::Lifetime));
    assert_eq!(believed(|claims| (claims.iat, claims.exp) = (NOW - 10, NOW)), refused_token(TokenRefusal::Expired));
    let late = |claims: &mut AccountClaims| (claims.iat, claims.exp) = (NOW + 301, NOW + 400);
    assert_eq!(believed(late), refused_token(TokenRefusal::NotYetValid));
    assert_eq!(believed(|claims| claims.cnf.jwk.x.clear()), refused_token(TokenRefusal::ProofKey));
    // Bound to another key than the one that signs.
    assert_eq!(believed(|claims| claims.cnf.jwk = Jwk::of(&public(8))), refused_token(TokenRefusal::Proof));
    let ask = |bytes: &[u8]| {
        let request = Request::Authenticate { token: Secret::new(bytes.to_vec()), proof: vec![1; 64] };
        Fleet::serving().open().ask(&request)
    };
    assert_eq!(ask(b"no token"), refused_token(TokenRefusal::Form));
    assert_eq!(ask(&[b'a'; 1025]), refused_token(TokenRefusal::Form));
    let mut forged = token(&claims(USER, NOW));
    forged.truncate(forged.len() - 86);
    forged.extend_from_slice(&[b'A'; 86]);
    assert_eq!(ask(&forged), refused_token(TokenRefusal::Signature));
}

#[test]
fn what_the_node_refuses_is_refused() {
    // The issuer is the node's to know.
    let mut fleet = Fleet::serving();
    let mut talk = fleet.open();
    let token = Secret::new(token(&claims(USER, NOW)));
    let frame = talk.client.request(&Request::Authenticate { token, proof: vec![1; 64] }).unwrap();
    let turn = talk.server.take().unwrap().receive(&frame, &mut talk.rng).unwrap();
    let Turn::Verify(_, awaiting) = turn else { panic!("a token is to be verified") };
    let (session, answer) = awaiting.verified(Err(TokenRefusal::Issuer)).unwrap();
    assert_eq!(talk.client.answer(&answer).unwrap(), refused_token(TokenRefusal::Issuer));
    talk.server = Some(session);
    assert_eq!(talk.ask(&Request::Delete), refused(SessionRefusal::NotAuthenticated));
}

#[test]
fn a_proof_made_for_another_session_member_or_fleet_is_refused() {
    let mut fleet = Fleet::serving();
    let bytes = token(&claims(USER, NOW));
    let untrusted = UntrustedToken::parse(&bytes).unwrap();
    let seen = fleet.open().client.proof_message(&untrusted);
    // The same channel as the next session's, so that only the place is another.
    let hash = fleet.copy().open().handshake_hash();
    let mut talk = fleet.open();
    let ours = talk.client.proof_message(&untrusted);
    assert_eq!(ours, proof_message(&context(), &hash, &untrusted));
    let others = [
        SessionContext { member_id: name("member-2"), ..context() },
        SessionContext { fleet_id: name("fleet-2"), ..context() },
    ];
    let [member, fleet] = others.map(|other| proof_message(&other, &hash, &untrusted));
    let mut ask = |proof: Vec<u8>| talk.ask(&Request::Authenticate { token: Secret::new(bytes.clone()), proof });
    for message in [seen, member, fleet] {
        assert_eq!(ask(sign(7, &message)), refused_token(TokenRefusal::Proof));
    }
    for proof in [vec![], sign(7, &ours)[..63].to_vec(), [sign(7, &ours), vec![0]].concat()] {
        assert_eq!(ask(proof), refused_token(TokenRefusal::Proof));
    }
    // A refused token can be followed by a better one.
    assert_eq!(ask(sign(7, &ours)), Answer::Authenticated);
}
