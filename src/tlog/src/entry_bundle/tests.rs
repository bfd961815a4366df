use proptest::prelude::*;

use super::*;

fn encode_all(entries: &[&[u8]]) -> Result<Vec<u8>, EntryBundleError> {
    encode(entries.iter().copied())
}

#[test]
fn entries_stand_behind_their_big_endian_lengths() {
    let long = vec![9; 258];
    let bytes = encode_all(&[b"ab", b"", &long]).unwrap();
    assert_eq!(bytes[..8], [0, 2, b'a', b'b', 0, 0, 1, 2]);
    assert_eq!(decode(&bytes, 3), Ok(vec![b"ab".as_slice(), b"", &long]));
}

#[test]
fn a_bundle_has_1_to_256_entries() {
    assert_eq!(encode_all(&[]), Err(EntryBundleError::Width { found: 0 }));
    assert_eq!(encode_all(&[b"".as_slice(); 257]), Err(EntryBundleError::TooManyEntries));
    let full = encode_all(&[b"".as_slice(); 256]).unwrap();
    assert_eq!(decode(&full, 256).map(|entries| entries.len()), Ok(256));
    assert_eq!(decode(&full, 0), Err(EntryBundleError::Width { found: 0 }));
    assert_eq!(decode(&full, 257), Err(EntryBundleError::Width { found: 257 }));
    assert_eq!(decode(&[], 0), Err(EntryBundleError::Width { found: 0 }));
}

#[test]
fn an_entry_has_at_most_65535_bytes() {
    let longest = vec![1; ENTRY_BYTES_MAX];
    let bytes = encode_all(&[&longest]).unwrap();
    assert_eq!(decode(&bytes, 1), Ok(vec![longest.as_slice()]));
    let longer = vec![1; ENTRY_BYTES_MAX + 1];
    let refused = EntryBundleError::EntryTooLong { position: 1, found: ENTRY_BYTES_MAX + 1 };
    assert_eq!(encode_all(&[b"", &longer]), Err(refused));
}

#[test]
fn a_bundle_cut_anywhere_or_followed_by_a_byte_is_refused() {
    let mut bytes = encode_all(&[b"one", b"", b"three"]).unwrap();
    let ends = [5, 7, 14];
    for cut in 0..bytes.len() {
        let position = u16::try_from(ends.iter().filter(|end| **end <= cut).count()).unwrap();
        assert_eq!(decode(&bytes[..cut], 3), Err(EntryBundleError::Truncated { position, width: 3 }), "{cut}");
    }
    assert_eq!(decode(&bytes, 2), Err(EntryBundleError::Trailing { found: 7, width: 2 }));
    assert_eq!(decode(&bytes, 4), Err(EntryBundleError::Truncated { position: 3, width: 4 }));
    bytes.push(0);
    assert_eq!(decode(&bytes, 3), Err(EntryBundleError::Trailing { found: 1, width: 3 }));
}

proptest! {
    #[test]
    fn any_bundle_is_read_back(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 1..=256)) {
        let entries: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        let bytes = encode_all(&entries).unwrap();
        prop_assert_eq!(decode(&bytes, u16::try_from(entries.len()).unwrap()), Ok(entries));
    }

    #[test]
    fn what_is_read_from_any_bytes_is_written_the_same(bytes in prop::collection::vec(0..4_u8, 0..60), width: u16) {
        if let Ok(entries) = decode(&bytes, width % 8) {
            prop_assert_eq!(encode_all(&entries), Ok(bytes));
        }
    }
}
