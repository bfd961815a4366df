//! The two JSON documents of a key file: the clear one around the seal, and the one inside.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Damage;
use crate::private_key::PrivateKey;
use crate::role::{Algorithm, Role};

const KEY_FILE_TYPE: &str = "countermark/key-file/v1";
const PRIVATE_KEY_TYPE: &str = "countermark/private-key/v1";

/// The fields of the clear document, in the order they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(rename = "type")]
    kind: String,
    role: String,
    algorithm: String,
    public_key: String,
    sealed: String,
    sealed_sha256: String,
}

/// A key file whose clear part is well formed. Whether it tells the truth is known once the seal is open.
pub(super) struct UntrustedKeyFile {
    /// The claimed role.
    pub(super) role: Role,
    /// The claimed public key, of the length of the role's algorithm.
    pub(super) public_key: Vec<u8>,
    /// The age file.
    pub(super) sealed: Vec<u8>,
}

impl UntrustedKeyFile {
    /// Reads the bytes of a key file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let fields: Fields = serde_json::from_slice(bytes).map_err(|_no_json| Damage::Malformed)?;
        let role: Role = fields.role.parse().map_err(|_unknown| Damage::Malformed)?;
        let algorithm: Algorithm = fields.algorithm.parse().map_err(|_unknown| Damage::Malformed)?;
        if algorithm != role.algorithm() {
            return Err(Damage::Algorithm { role, found: algorithm });
        }
        let public_key = hex::decode(&fields.public_key).map_err(|_no_hex| Damage::Malformed)?;
        if public_key.len() != algorithm.public_key_bytes() {
            return Err(Damage::Malformed);
        }
        let sealed = BASE64_STANDARD.decode(&fields.sealed).map_err(|_no_base64| Damage::Malformed)?;
        if fields.sealed_sha256 != sha256_hex(&sealed) {
            return Err(Damage::Checksum);
        }
        let document = Self { role, public_key, sealed };
        // One encoding: this settles the type, upper-case hex, white space, and the order of the fields.
        if document.encode() != bytes {
            return Err(Damage::Malformed);
        }
        Ok(document)
    }

    /// Writes the key file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let fields = Fields {
            kind: KEY_FILE_TYPE.into(),
            role: self.role.to_string(),
            algorithm: self.role.algorithm().to_string(),
            public_key: hex::encode(&self.public_key),
            sealed: BASE64_STANDARD.encode(&self.sealed),
            sealed_sha256: sha256_hex(&self.sealed),
        };
        let mut bytes = serde_json::to_vec(&fields).expect("six strings are always JSON");
        bytes.push(b'\n');
        bytes
    }
}

/// What is inside the seal. It borrows, so that the secret is not copied into memory that nobody wipes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedFields<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    role: &'a str,
    algorithm: &'a str,
    secret: &'a str,
}

/// Writes the document to be sealed. By hand, because a secret has no `Serialize`; no name or hex needs escaping.
pub(super) fn write_secret(role: Role, key: &PrivateKey) -> Zeroizing<String> {
    let secret = key.to_hex();
    let algorithm = role.algorithm().as_str();
    let parts = [
        r#"{"type":""#,
        PRIVATE_KEY_TYPE,
        r#"","role":""#,
        role.as_str(),
        r#"","algorithm":""#,
        algorithm,
        r#"","secret":""#,
        secret.as_str(),
        r#""}"#,
    ];
    // Room taken at once: growing would leave unwiped copies behind.
    let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|p| p.len()).sum()));
    for part in parts {
        text.push_str(part);
    }
    text
}

/// Reads the document that was sealed: the role it was sealed for, and the key.
pub(super) fn parse_secret(plaintext: &[u8]) -> Result<(Role, PrivateKey), Damage> {
    let fields: SealedFields<'_> = serde_json::from_slice(plaintext).map_err(|_no_json| Damage::SealedContent)?;
    let role: Role = fields.role.parse().map_err(|_unknown| Damage::SealedContent)?;
    if fields.kind != PRIVATE_KEY_TYPE || fields.algorithm != role.algorithm().as_str() {
        return Err(Damage::SealedContent);
    }
    let key = PrivateKey::from_hex(role.algorithm(), fields.secret).ok_or(Damage::SealedContent)?;
    Ok((role, key))
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
