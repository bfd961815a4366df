//! Every string to sign whose format is the vault's. Each begins with its own context line and names the origin of the
//! log it is about, every item stands on a line of its own, and every line ends with a newline, so that no two documents
//! have the same string. `to_sign/golden.txt` holds one of each; changing one of them is changing a format.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use countermark_bundle::identity::{Digest, Name};
use countermark_tlog::checkpoint::Origin;

use crate::account::AccountId;
use crate::member::MemberIdentity;
use crate::noise::{PeerContext, PeerSide, SessionContext};

/// What a member's identity key signs about the member: names, keys, what runs, and the attestation it holds.
///
/// The last line is the SHA-256 of the attestation's bytes, or `none`.
#[must_use]
pub fn report_message(identity: &MemberIdentity, attestation: Option<&[u8]>) -> Vec<u8> {
    let attestation = attestation.map_or_else(|| String::from("none"), |bytes| Digest::of(bytes).to_hex());
    format!(
        "countermark/member-report/v1\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{attestation}\n",
        identity.origin,
        identity.fleet_id,
        identity.member_id,
        identity.failure_domain,
        identity.identity_key.key_id(),
        identity.session_key.key_id(),
        identity.software.name,
        identity.software.version,
        identity.software.sha256,
    )
    .into_bytes()
}

/// What both ends of a user's session hash first, so that they agree on where the session leads.
#[must_use]
pub fn session_prologue(context: &SessionContext) -> Vec<u8> {
    format!("countermark/vault-session/v1\n{}", session_lines(context)).into_bytes()
}

/// What a member's identity key signs about one session.
#[must_use]
pub fn session_hello(context: &SessionContext, handshake_hash: &[u8; 32]) -> Vec<u8> {
    let hash = hex::encode(handshake_hash);
    format!("countermark/vault-hello/v1\n{}{hash}\n", session_lines(context)).into_bytes()
}

/// What both ends of a link between members hash first.
#[must_use]
pub fn peer_prologue(context: &PeerContext) -> Vec<u8> {
    format!("countermark/vault-peer/v1\n{}", peer_lines(context)).into_bytes()
}

/// What the identity key of the member on `side` signs about one link.
#[must_use]
pub fn peer_hello(context: &PeerContext, side: PeerSide, handshake_hash: &[u8; 32]) -> Vec<u8> {
    let (side, hash) = (side.as_str(), hex::encode(handshake_hash));
    format!("countermark/vault-peer-hello/v1\n{}{side}\n{hash}\n", peer_lines(context)).into_bytes()
}

/// What the key that an account token is bound to signs, for the one session that it uses the token in.
#[must_use]
pub fn account_proof(context: &SessionContext, handshake_hash: &[u8; 32], token_sha256: &[u8; 32]) -> Vec<u8> {
    format!(
        "countermark/account-proof/v1\n{}\n{}\n{}\n{}\n{}\n",
        context.origin,
        context.fleet_id,
        context.member_id,
        hex::encode(handshake_hash),
        hex::encode(token_sha256),
    )
    .into_bytes()
}

/// The associated data of a backup key's wrap: the place that it belongs to, and the commitment to the key inside.
///
/// `kind` is the wrap's name: one line, without a line break.
#[must_use]
pub fn wrap_associated_data(
    origin: &Origin,
    fleet_id: &Name,
    account: &AccountId,
    kind: &str,
    commitment: &[u8; 32],
) -> Vec<u8> {
    let (account, commitment) = (hex::encode(account.as_bytes()), hex::encode(commitment));
    format!("countermark/backup-key-wrap/v1\n{origin}\n{fleet_id}\n{account}\n{kind}\n{commitment}\n").into_bytes()
}

fn session_lines(context: &SessionContext) -> String {
    format!("{}\n{}\n{}\n{}\n", context.origin, context.statement, context.fleet_id, context.member_id)
}

fn peer_lines(context: &PeerContext) -> String {
    format!("{}\n{}\n{}\n{}\n", context.origin, context.fleet_id, context.initiator, context.responder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{identity, name, origin};

    #[test]
    fn the_strings_are_those_of_the_golden_file() {
        let identity = identity(1);
        let session = SessionContext {
            origin: origin(),
            statement: Digest::of(b"statement"),
            fleet_id: name("fleet-1"),
            member_id: name("member-1"),
        };
        let peers = PeerContext {
            origin: origin(),
            fleet_id: name("fleet-1"),
            initiator: name("member-1"),
            responder: name("member-2"),
        };
        let hash = Digest::of(b"handshake").0;
        let account = AccountId::of("accounts.example", "user-1");
        let strings = [
            report_message(&identity, None),
            report_message(&identity, Some(b"attestation")),
            session_prologue(&session),
            session_hello(&session, &hash),
            peer_prologue(&peers),
            peer_hello(&peers, PeerSide::Initiates, &hash),
            peer_hello(&peers, PeerSide::Responds, &hash),
            account_proof(&session, &hash, &Digest::of(b"token").0),
            wrap_associated_data(&origin(), &name("fleet-1"), &account, "vault-password", &Digest::of(b"commitment").0),
        ]
        .map(|message| String::from_utf8(message).unwrap());
        assert_eq!(strings.join("\n"), include_str!("to_sign/golden.txt"));
    }
}
