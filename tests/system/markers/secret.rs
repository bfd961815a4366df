//! A secret, and every form in which a careless line could show it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The fewest bytes of what is looked for: less is found by chance.
const BYTES_MIN: usize = 12;

/// What must never be written, and what it is.
#[derive(Debug, Clone)]
pub struct Secret {
    pub what: String,
    forms: Vec<String>,
}

impl Secret {
    pub fn new(what: impl Into<String>, bytes: &[u8]) -> Self {
        let what = what.into();
        assert!(bytes.len() >= BYTES_MIN, "{what} is too short to be looked for");
        let mut forms = vec![hex::encode(bytes), hex::encode_upper(bytes), decimal(bytes)];
        forms.extend([percent(bytes, true, |_| true), percent(bytes, false, |_| true)]);
        for offset in 0..3 {
            forms.extend([within(&STANDARD_NO_PAD, bytes, offset), within(&URL_SAFE_NO_PAD, bytes, offset)]);
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            forms.push(text.to_owned());
            let reserved = |byte: u8| !byte.is_ascii_alphanumeric() && !b"-_.~".contains(&byte);
            forms.extend([percent(bytes, true, reserved), percent(bytes, false, reserved)]);
            forms.push(serde_json::to_string(text).unwrap().trim_matches('"').to_owned());
            forms.push(format!("{text:?}").trim_matches('"').to_owned());
        }
        forms.sort();
        forms.dedup();
        Self { what, forms }
    }

    /// A token: as a whole, each of its segments, and the bytes of its signature.
    pub fn token(what: &str, token: &str) -> Vec<Self> {
        let segments: Vec<&str> = token.split('.').collect();
        let mut found = vec![Self::new(what, token.as_bytes())];
        for (number, segment) in segments.iter().enumerate().filter(|(_, segment)| segment.len() >= BYTES_MIN) {
            found.push(Self::new(format!("{what}, segment {number}"), segment.as_bytes()));
        }
        if let Some(Ok(signature)) = segments.get(2).map(|segment| URL_SAFE_NO_PAD.decode(segment)) {
            found.push(Self::new(format!("{what}, signature"), &signature));
        }
        found
    }

    /// The form in which it stands in a text, if it does.
    pub fn is_in<'s>(&'s self, text: &str) -> Option<&'s str> {
        self.forms.iter().find(|form| text.contains(*form)).map(String::as_str)
    }
}

/// What base64 makes of the bytes wherever they stand in something longer: the digits that only they decide.
fn within(engine: &impl base64::Engine, bytes: &[u8], offset: usize) -> String {
    let padded = [vec![0; offset], bytes.to_vec()].concat();
    let digits = engine.encode(&padded);
    digits[(offset * 8).div_ceil(6)..padded.len() * 8 / 6].to_owned()
}

fn percent(bytes: &[u8], upper: bool, escapes: impl Fn(u8) -> bool) -> String {
    let one = |byte: &u8| match (escapes(*byte), upper) {
        (true, true) => format!("%{byte:02X}"),
        (true, false) => format!("%{byte:02x}"),
        (false, _) => char::from(*byte).to_string(),
    };
    bytes.iter().map(one).collect()
}

/// As `{:?}` shows bytes.
fn decimal(bytes: &[u8]) -> String {
    format!("{bytes:?}").trim_matches(['[', ']']).to_owned()
}

#[test]
fn a_secret_is_found_in_every_form_and_at_every_place() {
    let bytes = b"pass\"word/+\\ of \x7f a test";
    let secret = Secret::new("a password", bytes);
    let text = std::str::from_utf8(bytes).unwrap();
    let json = serde_json::json!({ "body": text }).to_string();
    let mut shown = vec![text.to_owned(), hex::encode(bytes), hex::encode_upper(bytes), json, format!("{text:?}")];
    shown.push(format!("{:?}", [b"before ", &bytes[..], b" after"].concat()));
    for before in 0..7 {
        let around = [vec![b'x'; before], bytes.to_vec(), b" and more".to_vec()].concat();
        shown.extend([STANDARD_NO_PAD.encode(&around), URL_SAFE_NO_PAD.encode(&around)]);
    }
    shown.extend([percent(bytes, true, |_| true), "pass%22word%2f%2b%5c%20of%20%7f%20a%20test".to_owned()]);
    for text in shown {
        assert!(secret.is_in(&format!("before {text} after")).is_some(), "{text}");
    }
    assert_eq!(secret.is_in("pass word of a test, cGFzcw, 70617373"), None);
}
