use super::*;
use crate::testing::{VENDOR, at, attest, body, identity, name, public, report};
use countermark_bundle::key::SignatureError;

fn vendors() -> [PublicKey; 1] {
    [public(VENDOR)]
}

#[test]
fn a_vendor_attests_exactly_what_the_member_reports() {
    let report = report(1).verify().unwrap();
    let software = identity(1).software.sha256;
    let attested = endorse(&report, software, &public(VENDOR), at(0)).unwrap();
    assert_eq!(attested, body(&identity(1)));
    let bytes = attest(attested, VENDOR);
    assert_eq!(admit(&bytes, &identity(1), &vendors()).unwrap().bytes(), bytes);
}

#[test]
fn a_vendor_does_not_attest_another_executable() {
    let report = report(1).verify().unwrap();
    let (expected, running) = (Digest::of(b"reviewed"), identity(1).software.sha256);
    let refused = endorse(&report, expected, &public(VENDOR), at(0)).unwrap_err();
    assert_eq!(refused, EndorseError::OtherSoftware { member: name("member-1"), running, expected });
}

#[test]
fn a_member_is_not_its_own_vendor() {
    let report = report(1).verify().unwrap();
    let refused = endorse(&report, identity(1).software.sha256, &public(1), at(0)).unwrap_err();
    assert_eq!(refused, EndorseError::OwnKey { member: name("member-1") });
}

#[test]
fn a_member_refuses_an_attestation_that_no_vendor_signed() {
    let body = || body(&identity(1));
    let refused = |bytes: &[u8], keys: &[PublicKey]| match admit(bytes, &identity(1), keys).unwrap_err() {
        AdmitError::Attestation(source) => source,
        other => panic!("{other:?}"),
    };
    let own = attest(body(), 1);
    assert!(matches!(refused(&own, &vendors()), AttestationError::SelfSigned));
    assert!(matches!(refused(&own, &[public(1)]), AttestationError::SelfSigned), "even where it is configured");
    let stranger = attest(body(), VENDOR + 1);
    assert!(matches!(refused(&stranger, &vendors()), AttestationError::UnknownVendor { .. }));
    let forged = countermark_bundle::attestation::write(body(), public(VENDOR).key_id(), [0; 64].to_vec());
    assert!(matches!(refused(&forged, &vendors()), AttestationError::Signature(SignatureError::Invalid)));
    assert!(matches!(refused(b"{}", &vendors()), AttestationError::Json(_)));
}

#[test]
fn a_member_refuses_an_attestation_of_anything_else() {
    let (own, other) = (identity(1), identity(2));
    let admit = |body| admit(&attest(body, VENDOR), &own, &vendors()).unwrap_err();
    let log = countermark_tlog::checkpoint::Origin::new("log.example/other").unwrap();
    for changed in [
        AttestationBody { origin: log, ..body(&own) },
        AttestationBody { fleet_id: name("fleet-2"), ..body(&own) },
        AttestationBody { member_id: name("member-2"), ..body(&own) },
        body(&other),
    ] {
        assert!(matches!(admit(changed), AdmitError::OtherMember { .. }));
    }
    for changed in [
        AttestationBody { identity_key: other.identity_key.clone(), ..body(&own) },
        AttestationBody { session_key: other.session_key.clone(), ..body(&own) },
    ] {
        assert!(matches!(admit(changed), AdmitError::OtherKeys));
    }
    let (found, running) = (Digest::of(b"other"), own.software.sha256);
    match admit(AttestationBody { software_sha256: found, ..body(&own) }) {
        AdmitError::OtherSoftware { running: r, found: f } => assert_eq!((r, f), (running, found)),
        refused => panic!("{refused:?}"),
    }
}

#[test]
fn a_rebuilt_member_still_holds_what_was_attested_before() {
    let mut rebuilt = identity(1);
    let bytes = attest(body(&rebuilt), VENDOR);
    rebuilt.software.sha256 = Digest::of(b"rebuilt");
    assert!(matches!(admit(&bytes, &rebuilt, &vendors()), Err(AdmitError::OtherSoftware { .. })));
    assert!(admit_any_software(&bytes, &rebuilt, &vendors()).is_ok());
}
