//! `export.json`: which log an export is of, and what wrote it. It is for people and for a server's start; it proves nothing.

use countermark_bundle::identity::Namespace;
use countermark_tlog::checkpoint::Origin;
use serde::{Deserialize, Serialize};

use crate::SOFTWARE;
use crate::ports::LogKind;

/// The type of the document.
pub(crate) const EXPORT_TYPE: &str = "countermark/export/v1";
/// The most bytes of the document.
pub(crate) const EXPORT_BYTES_MAX: usize = 4_096;
/// What it is called.
pub(crate) const EXPORT_FILE: &str = "export.json";
/// The newest exported head.
pub(crate) const CHECKPOINT_FILE: &str = "checkpoint";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(rename = "type")]
    kind_of_document: String,
    kind: String,
    origin: String,
    namespace: String,
    max_head_age_seconds: u64,
    software: String,
}

/// Which log an export is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExportDocument {
    pub(crate) kind: LogKind,
    pub(crate) origin: Origin,
    pub(crate) namespace: Namespace,
    /// How old its newest head may grow before a server says that it is not ready.
    pub(crate) max_head_age_seconds: u64,
}

impl ExportDocument {
    /// Reads the document; `None` for anything else.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text: Text = serde_json::from_slice(bytes).ok()?;
        let document = Self {
            kind: LogKind::parse(&text.kind)?,
            origin: Origin::new(&text.origin).ok()?,
            namespace: Namespace::parse(&text.namespace).ok()?,
            max_head_age_seconds: text.max_head_age_seconds,
        };
        (text.kind_of_document == EXPORT_TYPE).then_some(document)
    }

    /// The document as this version writes it.
    pub(crate) fn write(&self) -> Vec<u8> {
        let text = Text {
            kind_of_document: EXPORT_TYPE.to_owned(),
            kind: self.kind.as_str().to_owned(),
            origin: self.origin.as_str().to_owned(),
            namespace: self.namespace.to_string(),
            max_head_age_seconds: self.max_head_age_seconds,
            software: SOFTWARE.to_owned(),
        };
        let mut bytes = serde_json::to_vec(&text).expect("a document of strings always serialises");
        bytes.push(b'\n');
        bytes
    }
}

/// What the record of a log of this kind is called.
pub(crate) const fn record_file(kind: LogKind) -> &'static str {
    match kind {
        LogKind::FleetKeys => "trust.json",
        LogKind::Raw => "policy",
    }
}
