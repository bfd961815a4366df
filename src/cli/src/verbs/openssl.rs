//! What OpenSSL needs to check a certificate and a countersignature without any of our code: messages, signatures in
//! the encodings that it reads, public keys in PEM. FORMATS.md shows the two commands.

use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countermark_bundle::certificate::CertificateMessage;
use countermark_bundle::countersignature::Countersigned;
use countermark_bundle::entry::{Activation, CertifiedStatement, Entry};
use countermark_bundle::key::{PublicKey, find};
use countermark_bundle::statement::ParsedStatement;
use countermark_bundle::trust::TrustFile;
use countermark_bundle::validation_bundle::ValidationBundle;
use countermark_bundle::{KeyAlgorithm, to_sign};
use countermark_tlog::size::LeafIndex;

use crate::documents;

/// RFC 8410 §4: SubjectPublicKeyInfo of an Ed25519 key, up to the key.
const ED25519_SPKI: &str = "302a300506032b6570032100";
/// RFC 5480 §2: SubjectPublicKeyInfo of an uncompressed P-384 point, up to the point.
const P384_SPKI: &str = "3076301006072a8648ce3d020106052b81040022036200";

/// Writes `certificate.{message,signature,pem}` and `countersignature.{message,der,pem}` into a folder.
pub fn write(folder: &Path, bundle: &[u8], trust: &TrustFile, statement: &ParsedStatement) -> anyhow::Result<()> {
    let bundle = ValidationBundle::parse(bundle)?;
    let (certified, index, activation) =
        chosen(&bundle, statement).context("statement and activation of the bundle")?;
    let certificate = &certified.certificate;
    let (epoch, digest) = (statement.statement().epoch, statement.digest());
    let namespace = trust.namespace();
    let message =
        CertificateMessage { namespace: &namespace, timestamp_ms: certificate.timestamp_ms, epoch, digest }.encode();
    let put = |name: &str, bytes: &[u8]| documents::write(&folder.join(name), bytes);
    put("certificate.message", &message)?;
    put("certificate.signature", &certificate.signature)?;
    let key =
        find(&trust.keys.certificate, certificate.key_id).context("the certificate key is not in the trust file")?;
    put("certificate.pem", pem(key)?.as_bytes())?;

    let tuple = Countersigned {
        origin: &trust.origin,
        epoch,
        statement: digest,
        leaf_index: index,
        certificate_signature: &certificate.signature,
    };
    let one = activation.countersignatures.first().context("an activation without a countersignature")?;
    put("countersignature.message", &to_sign::countersignature(&tuple))?;
    put("countersignature.der", &ecdsa_der(&one.signature))?;
    let key = find(&trust.keys.operator.keys, one.key_id).context("the operator key is not in the trust file")?;
    put("countersignature.pem", pem(key)?.as_bytes())
}

fn chosen(
    bundle: &ValidationBundle,
    statement: &ParsedStatement,
) -> Option<(CertifiedStatement, LeafIndex, Activation)> {
    let entries: Vec<(LeafIndex, Entry)> =
        bundle.records.iter().filter_map(|record| Some((record.index, Entry::parse(&record.entry).ok()?))).collect();
    let certified = entries.iter().find_map(|(index, entry)| match entry {
        Entry::CertifiedStatement(certified) if certified.statement == statement.bytes() => {
            Some((certified.clone(), *index))
        }
        Entry::CertifiedStatement(_)
        | Entry::Activation(_)
        | Entry::Revocation(_)
        | Entry::Evidence(_)
        | Entry::PolicyChange(_)
        | Entry::AuthorityChange(_) => None,
    })?;
    let activation = entries.iter().find_map(|(_, entry)| match entry {
        Entry::Activation(activation) if activation.statement == statement.digest() => Some(activation.clone()),
        Entry::CertifiedStatement(_)
        | Entry::Activation(_)
        | Entry::Revocation(_)
        | Entry::Evidence(_)
        | Entry::PolicyChange(_)
        | Entry::AuthorityChange(_) => None,
    })?;
    Some((certified.0, certified.1, activation))
}

fn pem(key: &PublicKey) -> anyhow::Result<String> {
    let prefix = match key.algorithm() {
        KeyAlgorithm::Ed25519 => ED25519_SPKI,
        KeyAlgorithm::EcdsaP384 => P384_SPKI,
        KeyAlgorithm::X25519 => anyhow::bail!("a session key signs nothing"),
        KeyAlgorithm::MlDsa44 => anyhow::bail!("an ML-DSA-44 key signs tree heads alone"),
    };
    let mut der = hex::decode(prefix).context("a constant")?;
    der.extend_from_slice(key.bytes());
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).filter_map(|i| text.get(i..text.len().min(i + 64))).collect();
    Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
}

/// RFC 3279 §2.2.3: a SEQUENCE of two INTEGERs, each without needless leading zeros and never negative.
fn ecdsa_der(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let integer = |bytes: &[u8]| {
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
        let mut value = bytes.get(first..).unwrap_or_default().to_vec();
        if value.first().is_some_and(|byte| byte & 0x80 != 0) {
            value.insert(0, 0);
        }
        let mut der = vec![0x02, u8::try_from(value.len()).unwrap_or(u8::MAX)];
        der.extend(value);
        der
    };
    let body = [integer(r), integer(s)].concat();
    let mut der = vec![0x30, u8::try_from(body.len()).unwrap_or(u8::MAX)];
    der.extend(body);
    der
}
