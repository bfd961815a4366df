//! The JSON answers that are no documents of ours: proofs and plexi's audits. Unknown fields are passed over, because
//! an answer may grow; what is read is verified by whoever asked.

use countermark_tlog::hash::{Hash, LeafHash};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof};
use countermark_tlog::size::{LeafIndex, TreeSize};
use serde::{Deserialize, Deserializer, de};

use super::MalformedAnswer;

/// An inclusion proof as the log answers it. Not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionAnswer {
    /// Where the entry is said to stand.
    pub index: LeafIndex,
    /// What its leaf hash is said to be.
    pub leaf_hash: LeafHash,
    /// The path.
    pub proof: InclusionProof,
}

/// A consistency proof as the log answers it. Not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyAnswer {
    /// The proof.
    pub proof: ConsistencyProof,
}

#[derive(Deserialize)]
pub(super) struct InclusionJson {
    index: u64,
    size: u64,
    #[serde(deserialize_with = "hex_hash")]
    leaf_hash: Hash,
    #[serde(deserialize_with = "hashes")]
    path: Vec<Hash>,
}

impl InclusionJson {
    /// The answer, if it is one to the question that was asked and a proof by its form.
    pub fn answer(
        self,
        asked_index: Option<LeafIndex>,
        asked_leaf: Option<LeafHash>,
        size: TreeSize,
    ) -> Result<InclusionAnswer, MalformedAnswer> {
        let other = |field| MalformedAnswer::OtherQuestion { field };
        let index = LeafIndex::new(self.index).ok_or(other("index"))?;
        if asked_index.is_some_and(|asked| asked != index) {
            return Err(other("index"));
        }
        if asked_leaf.is_some_and(|asked| asked.0 != self.leaf_hash) {
            return Err(other("leaf hash"));
        }
        if self.size != size.get() {
            return Err(other("size"));
        }
        let proof = InclusionProof::new(self.path)?;
        Ok(InclusionAnswer { index, leaf_hash: LeafHash(self.leaf_hash), proof })
    }
}

#[derive(Deserialize)]
pub(super) struct ConsistencyJson {
    from: u64,
    to: u64,
    #[serde(deserialize_with = "hashes")]
    proof: Vec<Hash>,
}

impl ConsistencyJson {
    /// The answer, if it is one to the question that was asked and a proof by its form.
    pub fn answer(self, from: TreeSize, to: TreeSize) -> Result<ConsistencyAnswer, MalformedAnswer> {
        if (self.from, self.to) != (from.get(), to.get()) {
            return Err(MalformedAnswer::OtherQuestion { field: "size" });
        }
        Ok(ConsistencyAnswer { proof: ConsistencyProof::new(self.proof)? })
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
