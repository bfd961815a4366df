//! C2SP signed-note: text signed by one or more keys.
//!
//! A note that was parsed is not a note that was verified: [`SignedNote::verify`] ignores lines of unknown keys, and a
//! known key whose signature fails spoils the whole note, because a line that claims to be of a key one trusts and is
//! not is an attack or a damage, never noise.
//!
//! Source: <https://c2sp.org/signed-note>.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use ml_dsa::MlDsa44;
use sha2::{Digest as _, Sha256};

use crate::cosignature::Cosignature;

/// The most bytes of a note: 1 MiB.
pub const NOTE_BYTES_MAX: usize = 1 << 20;
/// The most signature lines of a note: a log and every witness of the largest policy. The specification asks for 16.
pub const SIGNATURES_MAX: usize = 128;
/// The most bytes of a key name.
pub const KEY_NAME_BYTES_MAX: usize = 255;

/// U+2014 and a space, with which every signature line begins.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// The name of a key: not empty, at most 255 bytes, without Unicode spaces, control characters and plus signs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Checks and takes a name.
    pub fn new(name: &str) -> Result<Self, NoteError> {
        // SPEC: C2SP signed-note, Format: non-empty, no Unicode spaces, no plus.
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.len() > KEY_NAME_BYTES_MAX || name.contains(forbidden) {
            return Err(NoteError::KeyName);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The short identifier of a key: with the name it says which key made a signature. It is no cryptographic binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The algorithm of a signature line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureType {
    /// 0x01: Ed25519 over the text, as a log signs.
    Ed25519,
    /// 0x04: timestamped Ed25519 cosignature, as a witness signs.
    CosignatureEd25519,
    /// 0x06: timestamped ML-DSA-44 cosignature, as a witness signs, and a log beside its Ed25519 signature.
    CosignatureMlDsa44,
}

impl SignatureType {
    /// The byte in a verifier key.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureEd25519 => 0x04,
            Self::CosignatureMlDsa44 => 0x06,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::CosignatureEd25519),
            0x06 => Some(Self::CosignatureMlDsa44),
            _ => None,
        }
    }

    const fn key_bytes_len(self) -> usize {
        match self {
            Self::Ed25519 | Self::CosignatureEd25519 => 32,
            Self::CosignatureMlDsa44 => 1312,
        }
    }
}

/// Why bytes are not a note, a key or a signature, or why a note is not verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A key name that breaks the rules.
    #[error("a key name is 1 to 255 bytes without spaces, control characters and plus signs")]
    KeyName,
    /// Not `name+hash+key`.
    #[error("a verifier key is <name>+<8 hex digits>+<base64 of type and key>")]
    VerifierKeyForm,
    /// A signature type that is not known.
    #[error("signature type 0x{found:02x} is not known")]
    UnknownSignatureType {
        /// The type byte.
        found: u8,
    },
    /// A key of another length than its type's, or bytes that are no point.
    #[error("the key bytes are not a key of signature type 0x{kind:02x}", kind = kind.byte())]
    KeyBytes {
        /// The type that was named.
        kind: SignatureType,
    },
    /// The hash in a verifier key is not the one of its name and key.
    #[error("the verifier key says key ID {found}, its name and key give {expected}")]
    KeyIdMismatch {
        /// What follows from name and key.
        expected: KeyId,
        /// What was written.
        found: KeyId,
    },
    /// More bytes or signature lines than allowed.
    #[error("a note has at most 1 MiB and {SIGNATURES_MAX} signatures")]
    TooLarge,
    /// Not UTF-8, or with control characters.
    #[error("a note is UTF-8 without control characters other than newline")]
    Characters,
    /// No text, no empty line, or no signature line after it.
    #[error("a note is a text, an empty line and at least one signature line, each ended by a newline")]
    Structure,
    /// A signature line that is not one.
    #[error("a signature line is an em dash, a space, a key name, a space and base64")]
    SignatureLine,
    /// No line is of a key that is trusted.
    #[error("no signature of a known key")]
    NoKnownSignature,
    /// A line is of a trusted key and does not verify; the whole note is spoilt.
    #[error("the signature of {name} ({id}) does not verify")]
    BadSignature {
        /// The key's name.
        name: KeyName,
        /// The key's identifier.
        id: KeyId,
    },
    /// Two lines of one trusted key.
    #[error("two signatures of {name} ({id})")]
    DuplicateSignature {
        /// The key's name.
        name: KeyName,
        /// The key's identifier.
        id: KeyId,
    },
}

/// A public key in the form that the ecosystem exchanges: name, identifier, type, key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    kind: SignatureType,
    key: Vec<u8>,
}

impl VerifierKey {
    /// Names a key; its identifier follows from it.
    pub fn new(name: KeyName, kind: SignatureType, key: &[u8]) -> Result<Self, NoteError> {
        let usable = match kind {
            SignatureType::Ed25519 | SignatureType::CosignatureEd25519 => ed25519_key(key).is_some(),
            // FIPS 204: any bytes of that length are a key.
            SignatureType::CosignatureMlDsa44 => key.len() == kind.key_bytes_len(),
        };
        if !usable {
            return Err(NoteError::KeyBytes { kind });
        }
        let id = key_id(&name, kind, key);
        Ok(Self { name, id, kind, key: key.to_vec() })
    }

    /// Reads a verifier key ("vkey"): `<name>+<hash>+<base64 of type byte and key>`.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifierKeyForm);
        };
        let name = KeyName::new(name)?;
        if id.len() != 8 || !id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(NoteError::VerifierKeyForm);
        }
        let found = KeyId(u32::from_str_radix(id, 16).map_err(|_| NoteError::VerifierKeyForm)?);
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::VerifierKeyForm)?;
        let (&kind, key) = bytes.split_first().ok_or(NoteError::VerifierKeyForm)?;
        let kind = SignatureType::from_byte(kind).ok_or(NoteError::UnknownSignatureType { found: kind })?;
        let parsed = Self::new(name, kind, key)?;
        if parsed.id != found {
            return Err(NoteError::KeyIdMismatch { expected: parsed.id, found });
        }
        Ok(parsed)
    }

    /// The key's name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's identifier.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The type of its signatures.
    #[must_use]
    pub const fn kind(&self) -> SignatureType {
        self.kind
    }

    /// The key: 32 bytes of Ed25519, 1,312 of ML-DSA-44.
    #[must_use]
    pub fn key_bytes(&self) -> &[u8] {
        &self.key
    }

    /// Verifies a signature over exactly these bytes: Ed25519 strictly (RFC 8032, no small-order points, one encoding),
    /// ML-DSA-44 with the empty context string (FIPS 204).
    pub(crate) fn verify_bytes(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.kind {
            SignatureType::Ed25519 | SignatureType::CosignatureEd25519 => {
                let (Some(key), Ok(signature)) =
                    (ed25519_key(&self.key), ed25519_dalek::Signature::from_slice(signature))
                else {
                    return false;
                };
                key.verify_strict(message, &signature).is_ok()
            }
            SignatureType::CosignatureMlDsa44 => {
                let (Ok(key), Ok(signature)) = (
                    ml_dsa::EncodedVerifyingKey::<MlDsa44>::try_from(self.key.as_slice()),
                    ml_dsa::Signature::<MlDsa44>::try_from(signature),
                ) else {
                    return false;
                };
                ml_dsa::VerifyingKey::<MlDsa44>::decode(&key).verify_with_context(message, &[], &signature)
            }
        }
    }

    fn verify_line(&self, text: &str, line: &NoteSignature) -> Result<(), NoteError> {
        let is_valid = match self.kind {
            SignatureType::Ed25519 => self.verify_bytes(text.as_bytes(), &line.signature),
            // A zero or overlong timestamp is a valid signature that never counts.
            SignatureType::CosignatureEd25519 | SignatureType::CosignatureMlDsa44 => {
                Cosignature::from_note_signature(line)
                    .is_ok_and(|cosignature| cosignature.verify_signature(self, text).is_ok())
            }
        };
        if is_valid { Ok(()) } else { Err(NoteError::BadSignature { name: self.name.clone(), id: self.id }) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = Vec::with_capacity(1 + self.key.len());
        key.push(self.kind.byte());
        key.extend_from_slice(&self.key);
        write!(f, "{}+{}+{}", self.name, self.id, STANDARD.encode(key))
    }
}

fn ed25519_key(key: &[u8]) -> Option<ed25519_dalek::VerifyingKey> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    (!key.is_weak()).then_some(key)
}

fn key_id(name: &KeyName, kind: SignatureType, key: &[u8]) -> KeyId {
    // SPEC: C2SP signed-note, Signatures: SHA-256(key name || 0x0A || signature type || public key)[:4]
    let digest = Sha256::new()
        .chain_update(name.as_str())
        .chain_update(b"\n")
        .chain_update([kind.byte()])
        .chain_update(key)
        .finalize();
    let [a, b, c, d, ..]: [u8; 32] = digest.into();
    KeyId(u32::from_be_bytes([a, b, c, d]))
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key that is said to have signed.
    pub name: KeyName,
    /// Its identifier.
    pub id: KeyId,
    /// What follows the identifier: 64 bytes of Ed25519, 72 of an Ed25519 cosignature, 2,428 of an ML-DSA-44 one.
    pub signature: Vec<u8>,
}

impl NoteSignature {
    /// The line of a key.
    #[must_use]
    pub fn new(key: &VerifierKey, signature: &[u8]) -> Self {
        Self { name: key.name.clone(), id: key.id, signature: signature.to_vec() }
    }

    /// Reads one line without its newline.
    pub fn parse_line(line: &str) -> Result<Self, NoteError> {
        let rest = line.strip_prefix(SIGNATURE_PREFIX).ok_or(NoteError::SignatureLine)?;
        let (name, encoded) = rest.split_once(' ').ok_or(NoteError::SignatureLine)?;
        let name = KeyName::new(name)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::SignatureLine)?;
        let (id, signature) = bytes.split_first_chunk::<4>().ok_or(NoteError::SignatureLine)?;
        if signature.is_empty() {
            return Err(NoteError::SignatureLine);
        }
        Ok(Self { name, id: KeyId(u32::from_be_bytes(*id)), signature: signature.to_vec() })
    }

    /// The line with its newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut bytes = self.id.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.signature);
        format!("{SIGNATURE_PREFIX}{} {}\n", self.name, STANDARD.encode(bytes))
    }

    /// Whether the line says that it is of this key.
    #[must_use]
    pub fn is_of(&self, key: &VerifierKey) -> bool {
        self.id == key.id && self.name == key.name
    }
}

/// A text and its signature lines. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Puts a note together. The text must end with a newline and hold no control characters; at least one signature.
    pub fn new(text: &str, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        check_characters(text)?;
        if !text.ends_with('\n') || signatures.is_empty() {
            return Err(NoteError::Structure);
        }
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::TooLarge);
        }
        Ok(Self { text: text.to_string(), signatures })
    }

    /// Reads a note of at most 1 MiB and 128 signatures.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLarge);
        }
        let note = core::str::from_utf8(bytes).map_err(|_| NoteError::Characters)?;
        // SPEC: C2SP signed-note, Format: the text is separated from the signatures by the last empty line.
        let split = note.rfind("\n\n").ok_or(NoteError::Structure)?;
        let (text, lines) = (note.get(..=split), note.get(split + 2..));
        let (Some(text), Some(lines)) = (text, lines) else { return Err(NoteError::Structure) };
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Structure)?;
        if lines.split('\n').count() > SIGNATURES_MAX {
            return Err(NoteError::TooLarge);
        }
        let signatures = lines.split('\n').map(NoteSignature::parse_line).collect::<Result<Vec<_>, _>>()?;
        Self::new(text, signatures)
    }

    /// The text that is signed, with its final newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, in order.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// The note with one more line; a line of the same key is replaced, so that no key stands twice.
    #[must_use]
    pub fn with_signature(mut self, signature: NoteSignature) -> Self {
        self.signatures.retain(|line| (&line.name, line.id) != (&signature.name, signature.id));
        self.signatures.push(signature);
        self
    }

    /// The note's bytes: text, empty line, signature lines.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut note = self.text.clone();
        note.push('\n');
        for signature in &self.signatures {
            note.push_str(&signature.to_line());
        }
        note.into_bytes()
    }

    /// The line of a key, if there is one.
    #[must_use]
    pub fn signature_of(&self, key: &VerifierKey) -> Option<&NoteSignature> {
        self.signatures.iter().find(|line| line.is_of(key))
    }

    /// Verifies every line of a known key and returns the keys that signed, in the order of their lines.
    ///
    /// Lines of unknown keys are ignored. One known key that fails, or signs twice, spoils the note.
    pub fn verify<'k>(&self, keys: impl IntoIterator<Item = &'k VerifierKey>) -> Result<Vec<VerifierKey>, NoteError> {
        let keys: Vec<&VerifierKey> = keys.into_iter().collect();
        let mut signed: Vec<VerifierKey> = Vec::new();
        for line in &self.signatures {
            let mut known = keys.iter().filter(|key| line.is_of(key)).peekable();
            if known.peek().is_none() {
                continue;
            }
            if signed.iter().any(|key| line.is_of(key)) {
                return Err(NoteError::DuplicateSignature { name: line.name.clone(), id: line.id });
            }
            for key in known {
                key.verify_line(&self.text, line)?;
                signed.push((*key).clone());
            }
        }
        if signed.is_empty() { Err(NoteError::NoKnownSignature) } else { Ok(signed) }
    }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    // SPEC: C2SP signed-note, Format: no ASCII control characters (those below U+0020) other than newline.
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') { Err(NoteError::Characters) } else { Ok(()) }
}

#[cfg(test)]
pub(crate) mod testkit;
#[cfg(test)]
mod tests;
