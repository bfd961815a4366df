use super::*;
use crate::note::testkit::{TestKey, ml_dsa_witness, spoilt};

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
    let later = Cosignature { timestamp: 1001, ..cosignature };
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
fn only_72_bytes_are_an_ed25519_cosignature() {
    let witness = TestKey::witness("w.example", 1);
    for found in [0, 7, 8, 64, 71, 73, 2428] {
        let line = NoteSignature::new(&witness.vkey, &vec![1; found]);
        assert_eq!(Cosignature::from_note_signature(&line), Err(CosignatureError::Length { found }));
    }
}

#[test]
fn keys_of_other_types_make_no_ed25519_cosignatures() {
    let cosignature = Cosignature { timestamp: 1, signature: [0; 64] };
    for key in [TestKey::log("log.example", 1).vkey, ml_dsa_witness("pq.example", 1)] {
        assert_eq!(cosignature.verify(&key, TEXT), Err(CosignatureError::KeyType { found: key.kind() }));
    }
}
