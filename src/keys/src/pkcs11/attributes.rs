//! What a key in a token has to be: what is asked when it is made, and looked at whenever it is found.

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};

use super::TokenError;
use super::reference::UntrustedReference;
use crate::role::Algorithm;

/// DER of the object identifiers of the curves: id-Ed25519 (RFC 8410) and secp384r1.
const ED25519_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const P384_OID: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];

/// DER of the PrintableString `edwards25519`, by which SoftHSM knows the curve (PKCS #11 3.1 §6.3.3 allows both).
const ED25519_NAME: &[u8] = b"\x13\x0cedwards25519";

/// What a private key must say of itself, and what it is.
const EXPECTED: [(AttributeType, &str, bool); 8] = [
    (AttributeType::Token, "CKA_TOKEN", true),
    (AttributeType::Private, "CKA_PRIVATE", true),
    (AttributeType::Sensitive, "CKA_SENSITIVE", true),
    (AttributeType::Extractable, "CKA_EXTRACTABLE", false),
    (AttributeType::Sign, "CKA_SIGN", true),
    // Made inside, and never let out before somebody looked.
    (AttributeType::Local, "CKA_LOCAL", true),
    (AttributeType::AlwaysSensitive, "CKA_ALWAYS_SENSITIVE", true),
    (AttributeType::NeverExtractable, "CKA_NEVER_EXTRACTABLE", true),
];

/// The types that [`admit`] needs.
pub(super) fn expected_types() -> Vec<AttributeType> {
    EXPECTED.iter().map(|(kind, _name, _expected)| *kind).collect()
}

/// Refuses a private key that is not one that stays in its token. What the token does not say is not believed.
pub(super) fn admit(found: &[Attribute]) -> Result<(), TokenError> {
    for (kind, attribute, expected) in EXPECTED {
        if !found.iter().any(|found| says(found, kind, expected)) {
            return Err(TokenError::Attribute { attribute, expected });
        }
    }
    Ok(())
}

fn says(found: &Attribute, kind: AttributeType, expected: bool) -> bool {
    // Not our enum: every other attribute answers another question.
    let value = match found {
        Attribute::Token(value)
        | Attribute::Private(value)
        | Attribute::Sensitive(value)
        | Attribute::Extractable(value)
        | Attribute::Sign(value)
        | Attribute::Local(value)
        | Attribute::AlwaysSensitive(value)
        | Attribute::NeverExtractable(value) => *value,
        _ => return false,
    };
    found.attribute_type() == kind && value == expected
}

/// The mechanisms by which a token makes keys of `algorithm`, and the names of its curve, in the order they are tried.
pub(super) fn generation(algorithm: Algorithm) -> (Mechanism<'static>, &'static [&'static [u8]]) {
    match algorithm {
        Algorithm::EcdsaP384 => (Mechanism::EccKeyPairGen, &[P384_OID]),
        Algorithm::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, &[ED25519_OID, ED25519_NAME]),
        Algorithm::MlDsa44 | Algorithm::X25519 | Algorithm::XChaCha20Poly1305 => (Mechanism::EccKeyPairGen, &[]),
    }
}

/// The mechanism that signs: over the message for Ed25519, over our SHA-384 of it for P-384.
pub(super) fn signing(algorithm: Algorithm) -> Option<Mechanism<'static>> {
    match algorithm {
        Algorithm::EcdsaP384 => Some(Mechanism::Ecdsa),
        Algorithm::Ed25519 => Some(Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519))),
        Algorithm::MlDsa44 | Algorithm::X25519 | Algorithm::XChaCha20Poly1305 => None,
    }
}

/// The template of the public half.
pub(super) fn public_template(reference: &UntrustedReference, curve: &[u8]) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(curve.to_vec()),
        Attribute::Label(reference.object_label()),
        Attribute::Id(reference.key_id.to_vec()),
    ]
}

/// The template of the private half.
pub(super) fn private_template(reference: &UntrustedReference) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        // One key, one purpose.
        Attribute::Derive(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Label(reference.object_label()),
        Attribute::Id(reference.key_id.to_vec()),
    ]
}

/// What finds keys of `class` by their CKA_ID.
pub(super) fn by_id(class: ObjectClass, reference: &UntrustedReference) -> [Attribute; 2] {
    [Attribute::Class(class), Attribute::Id(reference.key_id.to_vec())]
}

/// What finds the private keys of the reference's role and name.
pub(super) fn by_label(reference: &UntrustedReference) -> [Attribute; 2] {
    [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(reference.object_label())]
}

/// The kind of key that a token has for `algorithm`.
pub(super) fn key_type(algorithm: Algorithm) -> Option<KeyType> {
    match algorithm {
        Algorithm::EcdsaP384 => Some(KeyType::EC),
        Algorithm::Ed25519 => Some(KeyType::EC_EDWARDS),
        Algorithm::MlDsa44 | Algorithm::X25519 | Algorithm::XChaCha20Poly1305 => None,
    }
}
