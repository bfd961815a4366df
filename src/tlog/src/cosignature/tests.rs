use super::*;
use crate::note::testkit::{TestKey, spoilt};

const TEXT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

#[test]
fn the_signed_message_is_the_one_of_the_specification() {
    let expect = "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n\
                  CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    assert_eq!(cosignature_message(1_679_315_147, TEXT), expect.as_bytes());
}

#[test]
fn the_specification_s_example_line_carries_its_timestamp() {
    let line = "\u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";
    let line = NoteSignature::parse_line(line).unwrap();
    let cosignature = Cosignature::from_note_signature(&line).unwrap();
    assert_eq!(cosignature.timestamp, 1_679_315_147);
}

#[test]
fn a_cosignature_binds_text_time_and_key() {
    let (witness, other) = (TestKey::witness("w.example", 1), TestKey::witness("w.example", 2));
    let cosignature = Cosignature::from_note_signature(&witness.cosign(TEXT, 1000)).unwrap();
    assert_eq!(cosignature.verify(&witness.vkey, TEXT), Ok(()));
    assert_eq!(cosignature.to_note_signature(&witness.vkey), witness.cosign(TEXT, 1000));
    assert_eq!(cosignature.verify(&other.vkey, TEXT), Err(CosignatureError::Invalid));
    assert_eq!(cosignature.verify(&witness.vkey, "another\n"), Err(CosignatureError::Invalid));
    let later = Cosignature { timestamp: 1001, ..cosignature.clone() };
    assert_eq!(later.verify(&witness.vkey, TEXT), Err(CosignatureError::Invalid));
    let broken = Cosignature::from_note_signature(&spoilt(witness.cosign(TEXT, 1000))).unwrap();
    assert_eq!(broken.verify(&witness.vkey, TEXT), Err(CosignatureError::Invalid));
}

#[test]
fn a_timestamp_of_zero_or_above_2_63_minus_1_never_counts() {
    let witness = TestKey::witness("w.example", 1);
    let verify = |timestamp| {
        Cosignature::from_note_signature(&witness.cosign(TEXT, timestamp)).unwrap().verify(&witness.vkey, TEXT)
    };
    for timestamp in [1, TIMESTAMP_MAX] {
        assert_eq!(verify(timestamp), Ok(()));
    }
    for found in [0, TIMESTAMP_MAX + 1, u64::MAX] {
        assert_eq!(verify(found), Err(CosignatureError::Timestamp { found }));
    }
}

#[test]
fn only_72_or_2428_bytes_are_a_cosignature() {
    let witness = TestKey::witness("w.example", 1);
    for found in [0, 7, 8, 64, 71, 73, 2420, 2427, 2429] {
        let line = NoteSignature::new(&witness.vkey, &vec![1; found]);
        assert_eq!(Cosignature::from_note_signature(&line), Err(CosignatureError::Length { found }));
    }
}

#[test]
fn a_log_s_ed25519_key_cosigns_nothing_and_a_signature_of_the_other_length_is_invalid() {
    let log = TestKey::log("log.example", 1).vkey;
    let cosignature = Cosignature { timestamp: 1, signature: vec![0; 64] };
    assert_eq!(cosignature.verify(&log, TEXT), Err(CosignatureError::KeyType { found: SignatureType::Ed25519 }));
    let ml_dsa = TestKey::ml_dsa("pq.example", 1);
    assert_eq!(cosignature.verify(&ml_dsa.vkey, TEXT), Err(CosignatureError::Invalid));
    let ml_dsa_line = Cosignature::from_note_signature(&ml_dsa.cosign(TEXT, 1)).unwrap();
    assert_eq!(ml_dsa_line.verify(&TestKey::witness("pq.example", 1).vkey, TEXT), Err(CosignatureError::Invalid));
}

/// Written by hand from the structure of the specification.
#[test]
fn the_message_of_ml_dsa_is_the_structure_of_the_specification() {
    let name = KeyName::new("w.example").unwrap();
    let origin = Origin::new("log.example/a").unwrap();
    let found = subtree_message(&name, 0x0102, &origin, Subtree::new(8, 13).unwrap(), Hash([0xab; 32]));
    let mut expect = b"subtree/v1\n\0\x09w.example".to_vec();
    expect.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 2]);
    expect.extend_from_slice(b"\x0dlog.example/a");
    expect.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 13]);
    expect.extend_from_slice(&[0xab; 32]);
    assert_eq!(found, expect);
}

#[test]
fn an_ml_dsa_cosignature_binds_head_time_and_name_but_no_extension_line() {
    let (witness, namesake) = (TestKey::ml_dsa("w.example", 1), TestKey::ml_dsa("x.example", 1));
    let cosignature = Cosignature::from_note_signature(&witness.cosign(TEXT, 1000)).unwrap();
    assert_eq!(cosignature.verify(&witness.vkey, TEXT), Ok(()));
    assert_eq!(cosignature.verify(&witness.vkey, &format!("{TEXT}an extension\n")), Ok(()));
    assert_eq!(cosignature.verify(&namesake.vkey, TEXT), Err(CosignatureError::Invalid));
    let later = Cosignature { timestamp: 1001, ..cosignature.clone() };
    assert_eq!(later.verify(&witness.vkey, TEXT), Err(CosignatureError::Invalid));
    for (from, to) in [("20852163", "20852164"), ("behind", "before"), ("CsUY", "DsUY")] {
        let verdict = cosignature.verify(&witness.vkey, &TEXT.replace(from, to));
        assert_eq!(verdict, Err(CosignatureError::Invalid), "{to}");
    }
    assert_eq!(cosignature.verify(&witness.vkey, "no checkpoint\n"), Err(CosignatureError::NotACheckpoint));
}

#[test]
fn a_subtree_is_signed_by_ml_dsa_at_no_time_and_for_one_range() {
    let witness = TestKey::ml_dsa("w.example", 1);
    let (origin, range, root) = (Origin::new("log.example").unwrap(), Subtree::new(8, 13).unwrap(), Hash([7; 32]));
    let verify = |cosignature: &Cosignature, range| cosignature.verify_subtree(&witness.vkey, &origin, range, root);
    let good = witness.sign_subtree(0, &origin, range, root);
    assert_eq!(verify(&good, range), Ok(()));
    assert_eq!(verify(&good, Subtree::new(8, 12).unwrap()), Err(CosignatureError::Invalid));
    assert_eq!(good.verify_subtree(&witness.vkey, &origin, range, Hash([8; 32])), Err(CosignatureError::Invalid));
    let stamped = witness.sign_subtree(9, &origin, range, root);
    assert_eq!(verify(&stamped, range), Err(CosignatureError::SubtreeTimestamp { found: 9 }));
    let ed25519 = TestKey::witness("w.example", 1);
    let other = good.verify_subtree(&ed25519.vkey, &origin, range, root);
    assert_eq!(other, Err(CosignatureError::KeyType { found: SignatureType::CosignatureEd25519 }));
}
