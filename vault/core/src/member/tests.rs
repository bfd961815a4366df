use super::*;
use crate::testing::{VENDOR, attest, body, identity, name, public, report, report_signed_by, sign};
use alloc::format;
use alloc::string::ToString;
use serde_json::{Value, json};

fn document(seed: u8) -> Value {
    let identity = identity(seed);
    let attestation = attest(body(&identity), VENDOR);
    let proof = sign(seed, &to_sign::report_message(&identity, Some(&attestation)));
    serde_json::from_slice(&write(&identity, Some(&attestation), &proof).unwrap()).unwrap()
}

fn parse(document: &Value) -> Result<UntrustedMemberReport, ReportError> {
    UntrustedMemberReport::parse(&serde_json::to_vec(document).unwrap())
}

#[test]
fn a_report_reads_back_and_verifies() {
    let identity = identity(1);
    let bare = report_signed_by(&identity, None, 1).verify().unwrap();
    assert_eq!((bare.identity(), bare.attestation(), bare.attested_software()), (&identity, None, None));
    let attested = report(1).verify().unwrap();
    assert_eq!(attested.attestation(), Some(attest(body(&identity), VENDOR).as_slice()));
    assert_eq!(attested.attested_software(), Some(identity.software.sha256));
}

#[test]
fn a_rebuilt_member_reports_both_executables() {
    let mut identity = identity(1);
    let attestation = attest(body(&identity), VENDOR);
    let old = identity.software.sha256;
    identity.software.sha256 = Digest::of(b"rebuilt");
    let report = report_signed_by(&identity, Some(&attestation), 1).verify().unwrap();
    assert_eq!(report.attested_software(), Some(old));
    assert_eq!(report.identity().software.sha256, Digest::of(b"rebuilt"));
}

#[test]
fn a_report_that_its_identity_key_did_not_sign_is_refused() {
    let refused = report_signed_by(&identity(1), None, 2).verify().unwrap_err();
    assert!(matches!(refused, ReportError::ProofOfPossession(SignatureError::Invalid)));
}

#[test]
fn everything_that_a_report_says_is_signed() {
    let good = document(1);
    let cases = [
        ("origin", json!("log.example/other")),
        ("fleet_id", json!("fleet-2")),
        ("member_id", json!("member-2")),
        ("failure_domain", json!("site-2")),
        ("identity_key", serde_json::to_value(public(2)).unwrap()),
        ("session_key", serde_json::to_value(&identity(2).session_key).unwrap()),
        ("software", serde_json::to_value(Software { version: "0.2.0".to_string(), ..identity(1).software }).unwrap()),
        ("attestation", json!(STANDARD.encode(attest(body(&identity(1)), VENDOR + 1)))),
        ("proof_of_possession", json!(STANDARD.encode([0; 64]))),
        ("proof_of_possession", json!("")),
    ];
    for (field, value) in cases {
        let mut changed = good.clone();
        assert_ne!(changed[field], value);
        changed[field] = value;
        let refused = parse(&changed).unwrap().verify();
        assert!(matches!(refused, Err(ReportError::ProofOfPossession(_))), "{field}");
    }
    let mut without = good;
    without.as_object_mut().unwrap().retain(|field, _| !field.starts_with("attest"));
    assert!(matches!(parse(&without).unwrap().verify(), Err(ReportError::ProofOfPossession(_))));
}

#[test]
fn what_is_not_a_report_is_refused_by_name() {
    let with = |field: &str, value: Value| {
        let mut changed = document(1);
        changed[field] = value;
        parse(&changed).unwrap_err()
    };
    assert!(matches!(with("extra", json!(1)), ReportError::Json(JsonError::Invalid(_))));
    let wrong_type = with("type", json!("countermark/member-report/v2"));
    assert!(matches!(wrong_type, ReportError::Json(JsonError::WrongType { .. })));
    assert!(matches!(with("origin", json!("a b")), ReportError::Origin(_)));
    let session = serde_json::to_value(&identity(1).session_key).unwrap();
    assert!(matches!(with("identity_key", session), ReportError::Algorithms));
    assert!(matches!(with("session_key", serde_json::to_value(public(1)).unwrap()), ReportError::Algorithms));
    for field in ["attestation", "proof_of_possession"] {
        for bad in ["!", "AA", "AB==", "-_8="] {
            let refused = with(field, json!(bad));
            assert!(matches!(refused, ReportError::Base64 { field: found } if found == field), "{field} {bad}");
        }
    }
    assert!(matches!(with("attestation", json!("e30=")), ReportError::Attestation(_)));
    let large = alloc::vec![b' '; REPORT_BYTES_MAX + 1];
    let refused = UntrustedMemberReport::parse(&large).unwrap_err();
    assert!(matches!(refused, ReportError::Json(JsonError::TooLarge { .. })));
}

#[test]
fn a_name_of_software_cannot_hide_a_line_break() {
    for bad in ["", "a b", "a\nb", "ä", &"x".repeat(65)] {
        for field in ["name", "version"] {
            let mut changed = document(1);
            changed["software"][field] = json!(bad);
            let refused = parse(&changed).unwrap_err();
            let expect = format!("software.{field}");
            assert!(matches!(refused, ReportError::Text { field } if field == expect), "{bad:?}");
        }
    }
    let mut identity = identity(1);
    identity.software.name = "a\nb".to_string();
    assert!(matches!(write(&identity, None, &[]), Err(ReportError::Text { .. })));
}

#[test]
fn the_attested_executable_is_the_one_of_the_attestation() {
    let digest = |text: &[u8]| json!(Digest::of(text).to_hex());
    let mut changed = document(1);
    changed["attested_software"] = digest(b"other");
    assert!(matches!(parse(&changed), Err(ReportError::AttestedSoftware { .. })));
    for field in ["attested_software", "attestation"] {
        let mut without = document(1);
        without.as_object_mut().unwrap().remove(field);
        assert!(matches!(parse(&without), Err(ReportError::AttestedSoftware { .. })), "{field}");
    }
}

#[test]
fn every_bit_of_a_report_matters() {
    let identity = identity(1);
    let attestation = attest(body(&identity), VENDOR);
    let proof = sign(1, &to_sign::report_message(&identity, Some(&attestation)));
    let bytes = write(&identity, Some(&attestation), &proof).unwrap();
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[index] ^= 1 << bit;
            let Ok(parsed) = UntrustedMemberReport::parse(&changed) else { continue };
            assert!(parsed.verify().is_err(), "byte {index}, bit {bit}");
        }
    }
}

#[test]
fn a_member_of_another_name_is_another_member() {
    let renamed = MemberIdentity { member_id: name("member-9"), ..identity(1) };
    let (one, other) = (to_sign::report_message(&identity(1), None), to_sign::report_message(&renamed, None));
    assert_ne!(one, other);
}
