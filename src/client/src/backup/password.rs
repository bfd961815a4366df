//! A password, as a person types it, and the one form of it that the vault is asked with.
//!
//! Keyboards and systems write the same text in different bytes; a password that was set on one device must open on
//! another. The form is the OpaqueString profile of RFC 8265 §4.2: other spaces become U+0020, the text is brought into
//! Unicode's form NFC, case stays, and control characters and unassigned code points are refused.
//!
//! What it is not: a judge of strength. The vault's guess limit is what protects a short password.
//!
//! Limit: the library that normalises may leave a copy in memory where it had to change the text.

use std::borrow::Cow;

use countermark_bundle::ExitClass;
use countermark_vault_core::opaque::{NormalisedPassword, PASSWORD_BYTES_MAX};
use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::PrecisFastInvocation as _;
use zeroize::Zeroizing;

/// Why a text is no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nothing, or nothing that is left.
    #[error("the password is empty")]
    Empty,
    /// Too many bytes, as typed or in its one form.
    #[error("the password has more than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// A control character, or one that no version of Unicode that we know assigns.
    #[error("the password contains a character that passwords cannot contain, such as a control character")]
    Character,
}

impl PasswordError {
    /// The class that a process exits with.
    #[must_use]
    pub const fn exit_class(self) -> ExitClass {
        match self {
            Self::Empty | Self::TooLong | Self::Character => ExitClass::Usage,
        }
    }
}

/// The one form of a password.
pub fn normalise(password: &str) -> Result<NormalisedPassword, PasswordError> {
    NormalisedPassword::new(normal_form(password)?).map_err(|_| PasswordError::TooLong)
}

/// SPEC: RFC 8265 §4.2.
fn normal_form(password: &str) -> Result<Zeroizing<Vec<u8>>, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError::Empty);
    }
    // Before the work: form NFC needs memory in proportion.
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    let bytes = match OpaqueString::enforce(password) {
        Ok(Cow::Borrowed(text)) => Zeroizing::new(text.as_bytes().to_vec()),
        Ok(Cow::Owned(text)) => Zeroizing::new(text.into_bytes()),
        Err(_) => return Err(PasswordError::Character),
    };
    if bytes.len() > PASSWORD_BYTES_MAX { Err(PasswordError::TooLong) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&str, PasswordError>) {
        let found = normal_form(text).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        assert_eq!(found.as_deref().map_err(|error| *error), expect, "{text:?}");
    }

    #[test]
    fn composed_and_decomposed_text_is_the_same_password() {
        check("caf\u{e9}", Ok("caf\u{e9}"));
        check("cafe\u{301}", Ok("caf\u{e9}"));
        // A ligature stays: form NFC, not NFKC.
        check("\u{fb01}x", Ok("\u{fb01}x"));
    }

    #[test]
    fn other_spaces_become_the_one_of_ascii() {
        for space in ['\u{a0}', '\u{2003}', '\u{3000}', ' '] {
            check(&format!("correct{space}horse"), Ok("correct horse"));
        }
        check(" at both ends ", Ok(" at both ends "));
    }

    #[test]
    fn case_and_symbols_stay() {
        check("\u{c4}Bc \u{3c0}\u{df} \u{1f511}!", Ok("\u{c4}Bc \u{3c0}\u{df} \u{1f511}!"));
    }

    #[test]
    fn control_characters_are_refused() {
        for text in ["a\u{0}", "line\n", "\ttab", "\u{7f}", "a\u{85}b", "\u{202e}abc"] {
            check(text, Err(PasswordError::Character));
        }
    }

    #[test]
    fn the_bounds_hold_before_and_after() {
        check("", Err(PasswordError::Empty));
        let longest = "x".repeat(PASSWORD_BYTES_MAX);
        check(&longest, Ok(&longest));
        check(&format!("{longest}x"), Err(PasswordError::TooLong));
        // Form NFC of U+0958 is two characters: three bytes become six.
        check(&"\u{958}".repeat(PASSWORD_BYTES_MAX / 3), Err(PasswordError::TooLong));
    }
}
