//! The file that stands where a key file stands and names a key in a token. It holds no secret.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::pin::PinSource;
use crate::key_file::Damage;
use crate::role::{Algorithm, Role};

const TYPE: &str = "countermark/pkcs11-key/v1";

/// What every reference begins with: there is one encoding.
const BEGINNING: &[u8] = b"{\"type\":\"countermark/pkcs11-key/";

/// The most bytes of the path of a PKCS#11 library, and of a PIN source.
const PATH_BYTES_MAX: usize = 1024;

/// The most bytes of a key's own name.
const KEY_LABEL_BYTES_MAX: usize = 64;

/// The most bytes of a token's label, and of its serial number (PKCS #11, CK_TOKEN_INFO).
const TOKEN_LABEL_BYTES_MAX: usize = 32;
const TOKEN_SERIAL_BYTES_MAX: usize = 16;

/// The fields, in the order they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(rename = "type")]
    kind: String,
    role: String,
    algorithm: String,
    public_key: String,
    module: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_serial: Option<String>,
    key_label: String,
    key_id: String,
    pin: String,
}

/// Which token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenName {
    /// Its label, if that matters.
    pub(super) label: Option<String>,
    /// Its serial number, if that matters.
    pub(super) serial: Option<String>,
}

/// A key's own name, without the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyLabel(pub(super) String);

/// A reference that is well formed. Whether the token agrees is known once it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UntrustedReference {
    /// The claimed role.
    pub(crate) role: Role,
    /// The claimed public key, of the length of the role's algorithm.
    pub(crate) public_key: Vec<u8>,
    /// The PKCS#11 library.
    pub(super) module: PathBuf,
    pub(super) token: TokenName,
    pub(super) key_label: KeyLabel,
    /// CKA_ID, drawn at random when the key was made.
    pub(super) key_id: [u8; 16],
    pub(super) pin: PinSource,
}

/// Whether keys of `algorithm` are held in tokens.
pub(super) const fn is_held(algorithm: Algorithm) -> bool {
    match algorithm {
        Algorithm::Ed25519 | Algorithm::EcdsaP384 => true,
        Algorithm::MlDsa44 | Algorithm::X25519 | Algorithm::XChaCha20Poly1305 => false,
    }
}

impl UntrustedReference {
    /// Whether the bytes of a key file are meant to be a reference.
    pub(crate) fn is_meant(bytes: &[u8]) -> bool {
        bytes.starts_with(BEGINNING)
    }

    /// Reads the bytes of a reference file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let fields: Fields = serde_json::from_slice(bytes).map_err(|_no_json| Damage::Reference)?;
        let role: Role = fields.role.parse().map_err(|_unknown| Damage::Reference)?;
        let algorithm: Algorithm = fields.algorithm.parse().map_err(|_unknown| Damage::Reference)?;
        if algorithm != role.algorithm() {
            return Err(Damage::Algorithm { role, found: algorithm });
        }
        let mut key_id = [0; 16];
        hex::decode_to_slice(&fields.key_id, &mut key_id).map_err(|_no_hex| Damage::Reference)?;
        let reference = Self {
            role,
            public_key: hex::decode(&fields.public_key).map_err(|_no_hex| Damage::Reference)?,
            module: fields.module.into(),
            token: TokenName { label: fields.token_label, serial: fields.token_serial },
            key_label: KeyLabel(fields.key_label),
            key_id,
            pin: fields.pin.parse().map_err(|_unknown| Damage::Reference)?,
        };
        reference.admit()?;
        // One encoding: this settles the type, upper-case hex, white space, and the order of the fields.
        if reference.encode() != bytes {
            return Err(Damage::Reference);
        }
        Ok(reference)
    }

    /// Refuses what no reference says.
    pub(super) fn admit(&self) -> Result<(), Damage> {
        let algorithm = self.role.algorithm();
        if !is_held(algorithm) {
            return Err(Damage::NotInToken { algorithm });
        }
        let module = self.module.to_str().unwrap_or_default();
        let named = |name: &Option<String>, bytes_max| {
            name.as_ref().is_none_or(|name| is_text(name, bytes_max) && name.trim_end() == name)
        };
        let whole = self.public_key.len() == algorithm.public_key_bytes()
            && self.module.is_absolute()
            && is_text(module, PATH_BYTES_MAX)
            && (self.token.label.is_some() || self.token.serial.is_some())
            && named(&self.token.label, TOKEN_LABEL_BYTES_MAX)
            && named(&self.token.serial, TOKEN_SERIAL_BYTES_MAX)
            && is_key_label(&self.key_label.0)
            && is_text(&self.pin.to_string(), PATH_BYTES_MAX)
            && self.pin.to_string().parse().as_ref() == Ok(&self.pin);
        if whole { Ok(()) } else { Err(Damage::Reference) }
    }

    /// Writes the reference file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let fields = Fields {
            kind: TYPE.into(),
            role: self.role.to_string(),
            algorithm: self.role.algorithm().to_string(),
            public_key: hex::encode(&self.public_key),
            module: self.module.display().to_string(),
            token_label: self.token.label.clone(),
            token_serial: self.token.serial.clone(),
            key_label: self.key_label.0.clone(),
            key_id: hex::encode(self.key_id),
            pin: self.pin.to_string(),
        };
        let mut bytes = serde_json::to_vec(&fields).expect("strings are always JSON");
        bytes.push(b'\n');
        bytes
    }

    /// CKA_LABEL of the key: the role is part of it, so that the token says it too.
    pub(super) fn object_label(&self) -> Vec<u8> {
        format!("countermark/{}/{}", self.role, self.key_label.0).into_bytes()
    }
}

/// One line of printing characters, neither empty nor too long.
fn is_text(text: &str, bytes_max: usize) -> bool {
    !text.is_empty() && text.len() <= bytes_max && !text.chars().any(char::is_control)
}

fn is_key_label(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    is_text(text, KEY_LABEL_BYTES_MAX) && text.bytes().all(known)
}
