//! The JSON answers that are no documents of ours: proofs and plexi's audits. Unknown fields are passed over, because
//! an answer may grow; what is read is verified by whoever asked.

use countermark_tlog::hash::{Hash, LeafHash};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof};
use countermark_tlog::size::{LeafIndex, TreeSize};
use serde::{Deserialize, Deserializer, de};

use super::MalformedAnswer;

/// An inclusion proof as the log answers it. Not verified.
#[derive(Clone, Debug, Deserialize)]
pub struct InclusionAnswer {
    index: u64,
    size: u64,
    #[serde(deserialize_with = "hex_hash")]
    leaf_hash: Hash,
    #[serde(deserialize_with = "hashes")]
    path: Vec<Hash>,
}

impl InclusionAnswer {
    /// Whether it answers the question that was asked, and is a proof by its form.
    pub(super) fn check(
        &self,
        index: Option<LeafIndex>,
        leaf: Option<LeafHash>,
        size: TreeSize,
    ) -> Result<(), MalformedAnswer> {
        let other = |field| Err(MalformedAnswer::OtherQuestion { field });
        if LeafIndex::new(self.index).is_none() || index.is_some_and(|index| index.get() != self.index) {
            return other("index");
        }
        if leaf.is_some_and(|leaf| leaf.0 != self.leaf_hash) {
            return other("leaf hash");
        }
        if self.size != size.get() {
            return other("size");
        }
        InclusionProof::new(self.path.clone()).map(|_| ()).map_err(MalformedAnswer::Proof)
    }

    /// Where the entry is said to stand.
    #[must_use]
    pub fn index(&self) -> LeafIndex {
        LeafIndex::new(self.index).expect("checked when it was fetched")
    }

    /// What its leaf hash is said to be.
    #[must_use]
    pub const fn leaf_hash(&self) -> LeafHash {
        LeafHash(self.leaf_hash)
    }

    /// The path.
    #[must_use]
    pub fn proof(&self) -> InclusionProof {
        InclusionProof::new(self.path.clone()).expect("checked when it was fetched")
    }
}

/// A consistency proof as the log answers it. Not verified.
#[derive(Clone, Debug, Deserialize)]
pub struct ConsistencyAnswer {
    from: u64,
    to: u64,
    #[serde(deserialize_with = "hashes")]
    proof: Vec<Hash>,
}

impl ConsistencyAnswer {
    /// Whether it answers the question that was asked, and is a proof by its form.
    pub(super) fn check(&self, from: TreeSize, to: TreeSize) -> Result<(), MalformedAnswer> {
        if (self.from, self.to) != (from.get(), to.get()) {
            return Err(MalformedAnswer::OtherQuestion { field: "size" });
        }
        ConsistencyProof::new(self.proof.clone()).map(|_| ()).map_err(MalformedAnswer::Proof)
    }

    /// The proof.
    #[must_use]
    pub fn proof(&self) -> ConsistencyProof {
        ConsistencyProof::new(self.proof.clone()).expect("checked when it was fetched")
    }
}

/// A certificate in the form of Cloudflare's plexi (`SignatureResponse` of `plexi_core` 0.1.2). Not verified.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CertificateAnswer {
    /// 1 for `ProtobufEd25519`.
    pub ciphersuite: u32,
    /// The namespace.
    pub namespace: String,
    /// In milliseconds since 1970.
    pub timestamp: u64,
    /// The statement's epoch.
    pub epoch: u64,
    /// SHA-256 of the statement.
    #[serde(deserialize_with = "hex_bytes")]
    pub digest: Vec<u8>,
    /// 64 bytes.
    #[serde(deserialize_with = "hex_bytes")]
    pub signature: Vec<u8>,
    /// The last byte of the certificate key.
    #[serde(default)]
    pub key_id: Option<u8>,
    /// What is signed, in hex.
    #[serde(default)]
    pub serialized_message: Option<String>,
}

fn hex_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    hex::decode(String::deserialize(deserializer)?).map_err(|_| de::Error::custom("expected hex"))
}

fn hex_hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
    Hash::from_hex(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn hashes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Hash>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| Hash::from_base64(text).map_err(de::Error::custom))
        .collect()
}
