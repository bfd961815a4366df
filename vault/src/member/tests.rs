use super::*;
use crate::testkit::{FailsAt, MemoryStore, TestSigner, VENDOR, attest, body, identity, name, public, start};
use countermark_bundle::attestation::{AttestationBody, AttestationError};
use countermark_bundle::identity::Timestamp;
use countermark_bundle::key::SignatureError;
use countermark_tlog::checkpoint::Origin;
use countermark_vault_core::member::{UntrustedMemberReport, VerifiedMemberReport};

fn served(member: &Member<MemoryStore>) -> VerifiedMemberReport {
    UntrustedMemberReport::parse(&member.report()).unwrap().verify().unwrap()
}

fn attestation() -> Vec<u8> {
    attest(body(&identity()), VENDOR)
}

/// Another attestation of the same member.
fn newer() -> Vec<u8> {
    let issued_at = Timestamp::from_unix(1_795_253_999).unwrap();
    attest(AttestationBody { issued_at, ..body(&identity()) }, VENDOR)
}

#[test]
fn a_member_reports_itself_before_it_is_attested() {
    let member = start(identity(), MemoryStore::holding(None)).unwrap();
    let report = served(&member);
    assert_eq!((report.identity(), report.attestation()), (&identity(), None));
    assert_eq!((member.attestation(), member.is_attested()), (None, false));
}

#[test]
fn an_accepted_attestation_is_stored_served_and_there_after_a_restart() {
    let disk = MemoryStore::holding(None);
    let member = start(identity(), disk.clone()).unwrap();
    assert_eq!(member.accept(&attestation()).unwrap(), Accepted::Stored);
    for member in [member, start(identity(), disk.clone()).unwrap()] {
        assert_eq!(served(&member).attestation(), Some(attestation().as_slice()));
        assert!(member.is_attested());
        assert_eq!(member.attestation(), Some(Digest::of(&attestation())));
    }
}

#[test]
fn the_same_attestation_again_changes_nothing() {
    let disk = MemoryStore::holding(None);
    let member = start(identity(), disk.clone()).unwrap();
    member.accept(&attestation()).unwrap();
    // It is not even written again.
    disk.fail(FailsAt::BeforeRename);
    assert_eq!(member.accept(&attestation()).unwrap(), Accepted::Unchanged);
    disk.fail(FailsAt::Nowhere);
    assert_eq!(member.accept(&newer()).unwrap(), Accepted::Stored);
    assert_eq!(disk.on_disk(), Some(newer()));
}

#[test]
fn an_attestation_that_no_vendor_signed_is_refused() {
    let disk = MemoryStore::holding(None);
    let member = start(identity(), disk.clone()).unwrap();
    let refused = |bytes: &[u8]| match member.accept(bytes).unwrap_err() {
        AcceptError::Refused(AdmitError::Attestation(source)) => source,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused(&attest(body(&identity()), 1)), AttestationError::SelfSigned));
    assert!(matches!(refused(&attest(body(&identity()), VENDOR + 1)), AttestationError::UnknownVendor { .. }));
    let forged = countermark_bundle::attestation::write(body(&identity()), public(VENDOR).key_id(), vec![0; 64]);
    assert!(matches!(refused(&forged), AttestationError::Signature(SignatureError::Invalid)));
    assert!(matches!(refused(b"{}"), AttestationError::Json(_)));
    let session_as_identity = AttestationBody { identity_key: identity().session_key, ..body(&identity()) };
    assert!(matches!(refused(&attest(session_as_identity, VENDOR)), AttestationError::Algorithms));
    assert_eq!((disk.on_disk(), served(&member).attestation()), (None, None));
}

#[test]
fn a_self_signed_attestation_is_refused_even_where_the_members_own_key_is_configured_as_a_vendors() {
    let disk = MemoryStore::holding(None);
    let member = Member::open(identity(), vec![public(1)], TestSigner::holding(1), disk).unwrap();
    let refused = member.accept(&attest(body(&identity()), 1)).unwrap_err();
    assert!(matches!(refused, AcceptError::Refused(AdmitError::Attestation(AttestationError::SelfSigned))));
}

#[test]
fn an_attestation_of_anything_else_is_refused() {
    type Expected = fn(&AdmitError) -> bool;
    let disk = MemoryStore::holding(None);
    let member = start(identity(), disk.clone()).unwrap();
    let own = || body(&identity());
    let other_member: Expected = |refusal| matches!(refusal, AdmitError::OtherMember { .. });
    let other_keys: Expected = |refusal| matches!(refusal, AdmitError::OtherKeys);
    let other_software: Expected = |refusal| matches!(refusal, AdmitError::OtherSoftware { .. });
    let session = countermark_bundle::PublicKey::new(countermark_bundle::KeyAlgorithm::X25519, &[9; 32]).unwrap();
    let cases: [(AttestationBody, Expected); 6] = [
        (AttestationBody { origin: Origin::new("log.example/other").unwrap(), ..own() }, other_member),
        (AttestationBody { fleet_id: name("fleet-2"), ..own() }, other_member),
        (AttestationBody { member_id: name("member-2"), ..own() }, other_member),
        (AttestationBody { identity_key: public(9), ..own() }, other_keys),
        (AttestationBody { session_key: session, ..own() }, other_keys),
        (AttestationBody { software_sha256: Digest::of(b"other"), ..own() }, other_software),
    ];
    for (body, expected) in cases {
        let error = member.accept(&attest(body.clone(), VENDOR)).unwrap_err();
        let AcceptError::Refused(refusal) = error else { panic!("{body:?}: {error:?}") };
        assert!(expected(&refusal), "{body:?}: {refusal:?}");
    }
    assert_eq!((disk.on_disk(), served(&member).attestation()), (None, None));
}

#[test]
fn memory_is_never_ahead_of_the_disk() {
    for (at, expect_on_disk) in [(FailsAt::BeforeRename, attestation()), (FailsAt::AfterRename, newer())] {
        let disk = MemoryStore::holding(Some(attestation()));
        let member = start(identity(), disk.clone()).unwrap();
        disk.fail(at);
        let error = member.accept(&newer()).unwrap_err();
        assert!(matches!(error, AcceptError::Store(StoreError::Write { .. })), "{at:?}: {error:?}");
        assert_eq!(served(&member).attestation(), Some(attestation().as_slice()), "{at:?}");
        assert_eq!(disk.on_disk(), Some(expect_on_disk.clone()), "{at:?}");
        // A restart reads what the disk holds, and the same attestation again repairs either case.
        disk.fail(FailsAt::Nowhere);
        let restarted = start(identity(), disk.clone()).unwrap();
        assert_eq!(served(&restarted).attestation(), Some(expect_on_disk.as_slice()), "{at:?}");
        assert_eq!(member.accept(&newer()).unwrap(), Accepted::Stored, "{at:?}");
        assert_eq!(served(&member).attestation(), Some(newer().as_slice()), "{at:?}");
        assert_eq!(disk.on_disk(), Some(newer()), "{at:?}");
    }
}

#[test]
fn nothing_is_stored_that_could_not_be_reported() {
    let disk = MemoryStore::holding(None);
    let mut member = start(identity(), disk.clone()).unwrap();
    member.signer = TestSigner::failing(1);
    let error = member.accept(&attestation()).unwrap_err();
    assert!(matches!(error, AcceptError::Report(MakeReportError::Sign(_))), "{error:?}");
    assert_eq!(disk.on_disk(), None);
}

#[test]
fn a_member_that_cannot_report_itself_does_not_start() {
    let open = |identity, signer| Member::open(identity, vec![public(VENDOR)], signer, MemoryStore::holding(None));
    let unplugged = open(identity(), TestSigner::failing(1)).err().unwrap();
    assert!(matches!(unplugged, MemberError::Report(MakeReportError::Sign(_))), "{unplugged:?}");
    let mut unprintable = identity();
    unprintable.software.version = "0.1\n0".to_owned();
    let unprintable = open(unprintable, TestSigner::holding(1)).err().unwrap();
    assert!(matches!(unprintable, MemberError::Report(MakeReportError::Report(_))), "{unprintable:?}");
}

#[test]
fn an_attestation_of_another_executable_is_kept_and_reported_as_such() {
    let mut rebuilt = identity();
    rebuilt.software.sha256 = Digest::of(b"rebuilt");
    let member = start(rebuilt.clone(), MemoryStore::holding(Some(attestation()))).unwrap();
    assert!(!member.is_attested());
    let report = served(&member);
    assert_eq!(report.attested_software(), Some(identity().software.sha256));
    assert_eq!(report.identity().software.sha256, rebuilt.software.sha256);
    // Brought again, it is refused: it does not speak for what runs.
    let refused = member.accept(&attestation()).unwrap_err();
    assert!(matches!(refused, AcceptError::Refused(AdmitError::OtherSoftware { .. })));
    member.accept(&attest(body(&rebuilt), VENDOR)).unwrap();
    assert!(member.is_attested());
}

#[test]
fn a_stored_attestation_that_is_damaged_or_anothers_does_not_let_the_member_start() {
    type Expected = fn(&AdmitError) -> bool;
    let own = || body(&identity());
    let signature = "\"signature\":\"";
    let text = String::from_utf8(attestation()).unwrap();
    let at = text.find(signature).unwrap() + signature.len();
    let mut flipped = attestation();
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    let cases: [(Vec<u8>, Expected); 6] = [
        (Vec::new(), |e| matches!(e, AdmitError::Attestation(AttestationError::Json(_)))),
        (attestation()[..100].to_vec(), |e| matches!(e, AdmitError::Attestation(AttestationError::Json(_)))),
        (flipped, |e| matches!(e, AdmitError::Attestation(AttestationError::Signature(_)))),
        (attest(own(), 9), |e| matches!(e, AdmitError::Attestation(AttestationError::UnknownVendor { .. }))),
        (attest(AttestationBody { member_id: name("member-2"), ..own() }, VENDOR), |e| {
            matches!(e, AdmitError::OtherMember { .. })
        }),
        (attest(AttestationBody { identity_key: public(9), ..own() }, VENDOR), |e| matches!(e, AdmitError::OtherKeys)),
    ];
    for (stored, expected) in cases {
        let error = start(identity(), MemoryStore::holding(Some(stored))).err().unwrap();
        let MemberError::StoredAttestation(source) = error else { panic!("{error:?}") };
        assert!(expected(&source), "{source:?}");
    }
}

#[test]
fn an_attestation_that_cannot_be_read_is_not_taken_for_none() {
    let disk = MemoryStore::holding(None);
    disk.fail(FailsAt::Reading);
    let error = start(identity(), disk).err().unwrap();
    assert!(matches!(error, MemberError::Store(StoreError::Read { .. })), "{error:?}");
}
