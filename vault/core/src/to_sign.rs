//! Every string to sign whose format is the vault's. Each begins with its own context line and names the origin of the
//! log it is about, every item stands on a line of its own, and every line ends with a newline, so that no two documents
//! have the same string. `to_sign/golden.txt` holds one of each; changing one of them is changing a format.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use countermark_bundle::identity::Digest;

use crate::member::MemberIdentity;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::identity;

    #[test]
    fn the_strings_are_those_of_the_golden_file() {
        let identity = identity(1);
        let bare = report_message(&identity, None);
        let attested = report_message(&identity, Some(b"attestation"));
        let strings = [bare, attested].map(|message| String::from_utf8(message).unwrap());
        assert_eq!(strings.join("\n"), include_str!("to_sign/golden.txt"));
    }
}
