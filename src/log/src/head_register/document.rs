//! What a head register holds of one log: `{"origin","size","root","checkpoint"}` on one line, root in base64, checkpoint
//! the text of the signed note.
//!
//! It does not verify the signature: whoever loads a namespace does. It refuses a document that contradicts itself.

use countermark_bundle::identity::Digest;
use countermark_tlog::checkpoint::{Origin, SignedCheckpoint};
use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::size::TreeSize;
use serde::{Deserialize, Serialize};

use crate::ports::StoredHead;

/// The most bytes of a document: 64 KiB.
pub(super) const BYTES_MAX: u64 = 65_536;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    origin: String,
    size: u64,
    root: String,
    checkpoint: String,
}

/// What the document of a log is called.
pub(super) fn name(origin: &Origin) -> String {
    format!("{}.json", Digest::of(origin.as_str().as_bytes()))
}

/// Reads the document of this log; `None` for anything else.
pub(super) fn parse(origin: &Origin, bytes: &[u8]) -> Option<StoredHead> {
    let document: Document = serde_json::from_slice(bytes).ok()?;
    let head = StoredHead {
        size: TreeSize::new(document.size)?,
        root: RootHash(Hash::from_base64(&document.root).ok()?),
        checkpoint: document.checkpoint.into_bytes(),
    };
    let signed = SignedCheckpoint::parse(&head.checkpoint).ok()?;
    let said = signed.checkpoint();
    let consistent = said.origin == *origin
        && document.origin == origin.as_str()
        && said.size == head.size
        && said.root == head.root;
    consistent.then_some(head)
}

/// Writes the document of this log.
pub(super) fn write(origin: &Origin, head: &StoredHead) -> Vec<u8> {
    let document = Document {
        origin: origin.as_str().to_owned(),
        size: head.size.get(),
        root: head.root.0.to_base64(),
        checkpoint: String::from_utf8_lossy(&head.checkpoint).into_owned(),
    };
    let mut bytes = serde_json::to_vec(&document).expect("a document of strings and a number always serialises");
    bytes.push(b'\n');
    bytes
}
