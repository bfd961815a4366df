//! Whose tokens are accepted: a file of issuers and their keys.

use countermark_bundle::json::{self, JsonError};
use countermark_bundle::key::{KeyAlgorithm, KeyId, PublicKey, PublicKeyError};
use serde::{Deserialize, Serialize};

use super::Issuer;

/// The most bytes of a key set: 64 KiB.
pub const KEY_SET_BYTES_MAX: usize = 64 * 1024;

/// A key that an issuer signs tokens with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKey {
    /// Whose it is. A token under this key is accepted only if it names this issuer.
    pub issuer: Issuer,
    /// The key: Ed25519, or ECDSA P-384.
    pub key: PublicKey,
}

/// The keys that a service accepts tokens under, sorted by key id. JSON: `{"keys": [{"issuer", "key_id", "algorithm",
/// "public_key"}]}`; the id must be the key's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet(Vec<TokenKey>);

/// Why bytes are not a key set.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// Not the JSON document.
    #[error("the key set: {0}")]
    Json(#[from] JsonError),
    /// A key that is not lower-case hex of one.
    #[error("key {key_id} is not lower-case hex")]
    Hex {
        /// The id it claims.
        key_id: KeyId,
    },
    /// A key that cannot be used.
    #[error("key {key_id}: {source}")]
    Key {
        /// The id it claims.
        key_id: KeyId,
        /// What is wrong with it.
        source: PublicKeyError,
    },
    /// A key that does not sign tokens.
    #[error("key {key_id} is {algorithm}; tokens are signed with ed25519 or ecdsa-p384", algorithm = found.as_str())]
    Algorithm {
        /// The key.
        key_id: KeyId,
        /// Its algorithm.
        found: KeyAlgorithm,
    },
    /// An id that is another key's.
    #[error("the key named {stated} is {found}")]
    KeyId {
        /// The id it claims.
        stated: KeyId,
        /// Its own.
        found: KeyId,
    },
    /// Not sorted by key id, or a key twice.
    #[error("the keys must be sorted by key_id, each once")]
    Order,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    keys: Vec<KeyForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyForm {
    issuer: Issuer,
    key_id: KeyId,
    algorithm: KeyAlgorithm,
    public_key: String,
}

impl KeySet {
    /// Takes keys in any order.
    pub fn new(mut keys: Vec<TokenKey>) -> Result<Self, KeySetError> {
        keys.sort_by_key(|key| key.key.key_id());
        Self::checked(keys)
    }

    /// Reads a key set of at most [`KEY_SET_BYTES_MAX`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        let document: Document = json::parse(bytes, KEY_SET_BYTES_MAX)?;
        Self::checked(document.keys.into_iter().map(read).collect::<Result<_, _>>()?)
    }

    /// The bytes that [`Self::parse`] reads.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let keys = self.0.iter().map(|TokenKey { issuer, key }| KeyForm {
            issuer: issuer.clone(),
            key_id: key.key_id(),
            algorithm: key.algorithm(),
            public_key: hex::encode(key.bytes()),
        });
        Document { keys: keys.collect() }.write()
    }

    pub(super) fn find(&self, key_id: KeyId) -> Option<&TokenKey> {
        self.0.iter().find(|key| key.key.key_id() == key_id)
    }

    fn checked(keys: Vec<TokenKey>) -> Result<Self, KeySetError> {
        for TokenKey { key, .. } in &keys {
            match key.algorithm() {
                KeyAlgorithm::Ed25519 | KeyAlgorithm::EcdsaP384 => {}
                found @ (KeyAlgorithm::X25519 | KeyAlgorithm::MlDsa44) => {
                    return Err(KeySetError::Algorithm { key_id: key.key_id(), found });
                }
            }
        }
        let rises = keys.windows(2).all(|pair| match pair {
            [one, next] => one.key.key_id() < next.key.key_id(),
            _ => true,
        });
        if rises { Ok(Self(keys)) } else { Err(KeySetError::Order) }
    }
}

impl Document {
    fn write(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("strings serialise");
        bytes.push(b'\n');
        bytes
    }
}

fn read(form: KeyForm) -> Result<TokenKey, KeySetError> {
    let stated = form.key_id;
    let bytes = hex::decode(&form.public_key)
        .ok()
        .filter(|bytes| hex::encode(bytes) == form.public_key)
        .ok_or(KeySetError::Hex { key_id: stated })?;
    let key = PublicKey::new(form.algorithm, &bytes).map_err(|source| KeySetError::Key { key_id: stated, source })?;
    let found = key.key_id();
    if found != stated {
        return Err(KeySetError::KeyId { stated, found });
    }
    Ok(TokenKey { issuer: form.issuer, key })
}
