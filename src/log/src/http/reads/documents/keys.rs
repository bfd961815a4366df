//! The keys in force, each with what it is for.

use countermark_bundle::authority::{AuthorityKeys, AuthorityKeysError};
use countermark_bundle::key::{KeyAlgorithm, KeyId, PublicKey};
use countermark_tlog::policy::Policy;
use serde::Serialize;
use utoipa::ToSchema;

use crate::foundation::Foundation;
use crate::http::Served;
use crate::published::Published;

/// The keys in force at the published head; before the first head, those that the log begins with.
#[derive(Serialize, ToSchema)]
#[schema(as = Keys)]
pub(in crate::http) struct KeysDocument {
    /// The log.
    origin: String,
    /// The published size; null before the first head.
    size: Option<u64>,
    /// The log's keys as C2SP verifier keys. COSE receipts are signed with the Ed25519 one; its `key_id` is their `kid`.
    log: Vec<VerifierKeyDocument>,
    /// The witnesses' keys; the policy says how many must cosign.
    witnesses: Vec<VerifierKeyDocument>,
    /// The other keys of a `fleet-keys` log; null for a `raw` one.
    authority: Option<AuthorityDocument>,
}

/// A key of signed notes.
#[derive(Serialize, ToSchema)]
#[schema(as = VerifierKey)]
struct VerifierKeyDocument {
    /// SPEC: C2SP signed-note.
    vkey: String,
    /// The identity of an Ed25519 key in the other formats; null for other algorithms.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    key_id: Option<KeyId>,
}

/// The keys of both organisations.
#[derive(Serialize, ToSchema)]
#[schema(as = AuthorityKeys)]
struct AuthorityDocument {
    /// They sign certificates.
    certificate: Vec<KeyDocument>,
    /// They countersign.
    operator: Vec<KeyDocument>,
    /// How many of them must.
    operator_threshold: u64,
    /// They sign policy changes, evidence and changes of authority.
    administration: SidesDocument,
    /// They sign revocations.
    revocation: SidesDocument,
}

/// Keys of one purpose, of both organisations.
#[derive(Serialize, ToSchema)]
#[schema(as = SidedKeys)]
struct SidesDocument {
    authority: Vec<KeyDocument>,
    operator: Vec<KeyDocument>,
}

/// A key.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
struct KeyDocument {
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    key_id: KeyId,
    #[schema(value_type = String)]
    algorithm: KeyAlgorithm,
    /// In hex: 32 bytes of Ed25519, the 97-byte SEC 1 point of P-384.
    #[schema(pattern = "^([0-9a-f]{64}|04[0-9a-f]{192})$")]
    public_key: String,
}

impl KeysDocument {
    /// The keys of a namespace.
    pub(in crate::http) fn of(served: &Served, published: Option<&Published>) -> Result<Self, AuthorityKeysError> {
        let first = match published {
            Some(_) => None,
            None => Some(served.handle.foundation().first_state()?),
        };
        let state = published.map(|published| &published.state).or(first.as_ref());
        let keys = state.and_then(|state| state.fleet_keys()).map(|state| state.authority().keys());
        let (log, witnesses) = state.map_or_else(Default::default, |state| notes(state.policy()));
        debug_assert!(matches!(served.handle.foundation(), Foundation::Raw(_)) || keys.is_some());
        Ok(Self {
            origin: served.handle.origin().as_str().to_owned(),
            size: published.map(|published| published.size.get()),
            log,
            witnesses,
            authority: keys.map(AuthorityDocument::of),
        })
    }
}

fn notes(policy: &Policy) -> (Vec<VerifierKeyDocument>, Vec<VerifierKeyDocument>) {
    let describe = |vkey: &countermark_tlog::note::VerifierKey| VerifierKeyDocument {
        vkey: vkey.to_string(),
        key_id: PublicKey::ed25519(vkey.key_bytes()).ok().map(|key| key.key_id()),
    };
    let log = policy.logs().iter().map(|log| describe(&log.vkey)).collect();
    let witnesses = policy.witnesses().iter().map(|witness| describe(&witness.vkey)).collect();
    (log, witnesses)
}

impl AuthorityDocument {
    fn of(keys: &AuthorityKeys) -> Self {
        let list = |keys: &[PublicKey]| keys.iter().map(KeyDocument::of).collect();
        let sides = |sides: &countermark_bundle::authority::SidedKeys| SidesDocument {
            authority: list(&sides.authority),
            operator: list(&sides.operator),
        };
        Self {
            certificate: list(&keys.certificate),
            operator: list(&keys.operator.keys),
            operator_threshold: keys.operator.threshold,
            administration: sides(&keys.administration),
            revocation: sides(&keys.revocation),
        }
    }
}

impl KeyDocument {
    fn of(key: &PublicKey) -> Self {
        Self { key_id: key.key_id(), algorithm: key.algorithm(), public_key: hex::encode(key.bytes()) }
    }
}
