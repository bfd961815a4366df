//! Strict JSON: the size is looked at before parsing, unknown and duplicate fields are refused (every document type
//! denies them), each value has one form, nothing may follow the value, and integers stop at 2^53−1.

use alloc::vec::Vec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use one_form::OneForm;

mod one_form;

/// The largest integer in any document: 2^53−1, the largest that every JSON reader keeps exactly (RFC 8259 §6).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why bytes are not a document.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Larger than the format allows; nothing was parsed.
    #[error("the document has {found} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Bytes given.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not JSON, or not this document.
    #[error("not the expected JSON document: {0}")]
    Invalid(#[source] serde_json::Error),
    /// The document is another one, or of another version.
    #[error("the document's type is not {expected:?}")]
    WrongType {
        /// The type that was expected.
        expected: &'static str,
    },
}

/// Parses one document of at most `bytes_max` bytes. White space, the order of fields and the escapes in texts are free,
/// everything else has one form.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, JsonError> {
    if bytes.len() > bytes_max {
        return Err(JsonError::TooLarge { found: bytes.len(), limit: bytes_max });
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let document = T::deserialize(OneForm(&mut reader)).map_err(JsonError::Invalid)?;
    reader.end().map_err(JsonError::Invalid)?;
    Ok(document)
}

/// Compact JSON.
pub(crate) fn write<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).expect("our documents have string keys only, so they always serialise")
}

/// Compact JSON and a final newline: the one encoding of everything that is written by us on one line.
pub(crate) fn write_line<T: Serialize>(document: &T) -> Vec<u8> {
    let mut bytes = write(document);
    bytes.push(b'\n');
    bytes
}

/// Indented JSON and a final newline: the one encoding of documents that people read, as the trust file.
pub(crate) fn write_indented<T: Serialize>(document: &T) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec_pretty(document).expect("our documents have string keys only, so they always serialise");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        number: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        word: Option<Word>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Word {
        Yes,
    }

    #[test]
    fn a_document_has_one_form_and_free_white_space() {
        let read = |text: &str| parse::<Document>(text.as_bytes(), 64);
        for good in [r#"{"number":1,"word":"Yes"}"#, " { \"word\" : \"\\u0059es\", \"number\" : 1 } \n"] {
            assert_eq!(read(good).unwrap(), Document { number: 1, word: Some(Word::Yes) });
        }
        assert_eq!(read(r#"{"number":1}"#).unwrap().word, None);
        // All of these are taken by a derived reader alone.
        for second in [r#"[1,"Yes"]"#, r#"{"number":1,"word":null}"#, r#"{"number":1,"word":{"Yes":null}}"#] {
            assert!(serde_json::from_str::<Document>(second).is_ok(), "{second}");
            assert!(matches!(read(second), Err(JsonError::Invalid(_))), "{second}");
        }
        for bad in
            ["", "{}", r#"{"number":1,"number":1}"#, r#"{"number":1,"x":1}"#, r#"{"number":1}{}"#, "{\"number\":1.0}"]
        {
            assert!(matches!(read(bad), Err(JsonError::Invalid(_))), "{bad}");
        }
    }

    #[test]
    fn the_size_is_looked_at_before_anything_else() {
        let error = parse::<Document>(&[b'x'; 65], 64).unwrap_err();
        assert!(matches!(error, JsonError::TooLarge { found: 65, limit: 64 }), "{error}");
    }

    #[test]
    fn lines_are_compact_and_indented_documents_end_with_a_newline() {
        let document = Document { number: 1, word: None };
        assert_eq!(write(&document), b"{\"number\":1}");
        assert_eq!(write_line(&document), b"{\"number\":1}\n");
        assert_eq!(write_indented(&document), b"{\n  \"number\": 1\n}\n");
    }
}
