//! Names, namespaces, times, digests, epochs and public keys as text and in JSON: one form for each.
#![no_main]

use countermark_bundle::identity::{Digest, Name, Namespace, Timestamp};
use countermark_bundle::{PublicKey, json};
use countermark_tlog::checkpoint::Origin;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = Name::parse(text) {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(namespace) = Namespace::parse(text) {
        assert!(Name::parse(text).is_ok());
        assert_eq!(namespace.as_str(), text);
    }
    if let Ok(time) = Timestamp::parse(text) {
        assert_eq!(time.to_string(), text);
    }
    if let Some(digest) = Digest::from_hex(text) {
        assert_eq!(digest.to_hex(), text);
    }
    if let Ok(origin) = Origin::new(text) {
        assert_eq!(origin.as_str(), text);
        let _ = Namespace::of_origin(&origin);
    }
    if let Ok(key) = json::parse::<PublicKey>(text.as_bytes(), 4_096) {
        let written = serde_json::to_vec(&key).unwrap();
        assert_eq!(json::parse::<PublicKey>(&written, 4_096).unwrap(), key);
        assert_eq!(PublicKey::new(key.algorithm(), key.bytes()).unwrap().key_id(), key.key_id());
    }
});
