use super::*;

#[test]
fn the_empty_leaf_and_node_hashes_are_the_published_ones() {
    // The well-known values of certificate-transparency's test data.
    assert_eq!(empty_root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(leaf_hash(b"").to_string(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    let node = node_hash(&leaf_hash(b"").0, &leaf_hash(&[0]).0);
    assert_eq!(node.to_hex(), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
}

#[test]
fn a_leaf_is_never_hashed_like_a_node() {
    let (left, right) = (leaf_hash(b"l").0, leaf_hash(b"r").0);
    let both = [left.0, right.0].concat();
    assert_ne!(leaf_hash(&both).0, node_hash(&left, &right));
    assert_ne!(node_hash(&left, &right), node_hash(&right, &left));
}

#[test]
fn only_canonical_base64_of_32_bytes_is_read() {
    let hash = leaf_hash(b"").0;
    let text = hash.to_base64();
    assert_eq!(Hash::from_base64(&text), Ok(hash));
    let bare = text.trim_end_matches('=');
    assert_eq!(Hash::from_base64(bare), Err(HashError::Base64));
    assert_eq!(Hash::from_base64(&format!("{text}\n")), Err(HashError::Base64));
    assert_eq!(Hash::from_base64(&text.replace('+', "-")), Err(HashError::Base64));
    // "0=" and "1=" end in the same byte; only one of them is canonical.
    assert!(text.ends_with("0="));
    assert_eq!(Hash::from_base64(&text.replace("0=", "1=")), Err(HashError::Base64));
    assert_eq!(Hash::from_base64(""), Err(HashError::Length { found: 0 }));
    assert_eq!(Hash::from_base64(&STANDARD.encode([0; 31])), Err(HashError::Length { found: 31 }));
    assert_eq!(Hash::from_base64(&STANDARD.encode([0; 33])), Err(HashError::Length { found: 33 }));
}

#[test]
fn only_lower_case_hex_of_32_bytes_is_read() {
    let hash = leaf_hash(b"").0;
    assert_eq!(Hash::from_hex(&hash.to_hex()), Ok(hash));
    assert_eq!(Hash::from_hex(&hash.to_hex().to_uppercase()), Err(HashError::Hex));
    assert_eq!(Hash::from_hex(&format!("0x{}", hash.to_hex())), Err(HashError::Hex));
    assert_eq!(Hash::from_hex("abc"), Err(HashError::Hex));
    assert_eq!(Hash::from_hex("abcd"), Err(HashError::Length { found: 2 }));
    assert_eq!(format!("{hash:?}"), hash.to_hex());
    assert_eq!(format!("{}", RootHash(hash)), hash.to_hex());
    assert_eq!(hash.as_bytes(), &hash.0);
}
