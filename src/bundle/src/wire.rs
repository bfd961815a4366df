//! How foreign types stand in our JSON: base64, hex, bounded integers, and `tlog`'s nouns.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Lower-case hex of exactly `N` bytes.
pub(crate) fn hex_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = hex_lower(text)?;
    bytes.try_into().ok()
}

/// Lower-case hex of any length.
pub(crate) fn hex_lower(text: &str) -> Option<Vec<u8>> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    hex::decode(text).ok()
}

/// A text that must be lower-case hex, kept as text.
pub(crate) fn hex_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if hex_lower(&text).is_none() {
        return Err(de::Error::custom("expected lower-case hex"));
    }
    Ok(text)
}

/// Bytes as standard, padded base64 (RFC 4648 §4) without stray bits.
pub(crate) mod base64_bytes {
    use super::{Deserialize, Deserializer, STANDARD, Serializer, String, Vec, de};
    use base64::Engine as _;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        decode(&String::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("expected standard padded base64"))
    }

    /// Standard, padded base64 without stray bits.
    pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
        // The engine refuses missing padding and non-zero trailing bits.
        STANDARD.decode(text).ok()
    }
}

/// An integer from 0 to 2^53−1.
pub(crate) mod integer {
    use super::{Deserialize, Deserializer, Serializer, de};
    use crate::json::INTEGER_MAX;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `with` hands over a reference")]
    pub(crate) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(*number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let number = u64::deserialize(deserializer)?;
        if number > INTEGER_MAX {
            return Err(de::Error::custom("integers stop at 2^53-1"));
        }
        Ok(number)
    }
}

/// Makes a serde `with` module for a foreign type that has a string form.
macro_rules! with_string {
    ($name:ident, $type:ty, $parse:expr, $print:expr) => {
        pub(crate) mod $name {
            use super::*;

            pub(crate) fn serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                let print: fn(&$type) -> String = $print;
                serializer.serialize_str(&print(value))
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Option<$type> = $parse;
                parse(&text).ok_or_else(|| de::Error::custom(concat!("not a valid ", stringify!($name))))
            }
        }
    };
}

with_string!(
    origin,
    countermark_tlog::checkpoint::Origin,
    |text| countermark_tlog::checkpoint::Origin::new(text).ok(),
    |origin| origin.as_str().to_string()
);
with_string!(
    root_hash,
    countermark_tlog::hash::RootHash,
    |text| countermark_tlog::hash::Hash::from_base64(text).map(countermark_tlog::hash::RootHash).ok(),
    |root| root.0.to_base64()
);

/// Makes a serde `with` module for a foreign number.
macro_rules! with_number {
    ($name:ident, $type:ty) => {
        pub(crate) mod $name {
            use super::*;

            pub(crate) fn serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u64(value.get())
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let number = integer::deserialize(deserializer)?;
                <$type>::new(number).ok_or_else(|| de::Error::custom("out of range"))
            }
        }
    };
}

with_number!(tree_size, countermark_tlog::size::TreeSize);
with_number!(leaf_index, countermark_tlog::size::LeafIndex);

/// A list of node hashes in base64, as in an inclusion or consistency proof.
pub(crate) mod hashes {
    use super::{Deserialize, Deserializer, Serialize, Serializer, String, Vec, de};
    use countermark_tlog::hash::Hash;

    pub(crate) fn serialize<S: Serializer>(hashes: &[Hash], serializer: S) -> Result<S::Ok, S::Error> {
        hashes.iter().map(Hash::to_base64).collect::<Vec<_>>().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Hash>, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|text| Hash::from_base64(text).map_err(|_| de::Error::custom("expected a hash in base64")))
            .collect()
    }
}

/// Whether a list is sorted bytewise and unique, which every list in our formats is.
pub(crate) fn is_sorted_unique<T: Ord>(items: impl IntoIterator<Item = T>) -> bool {
    let mut items = items.into_iter();
    let Some(mut last) = items.next() else { return true };
    items.all(|item| {
        let rises = last < item;
        last = item;
        rises
    })
}
