//! Passwords, from a file or from the terminal.

use std::path::Path;

use anyhow::Context as _;
use countermark_bundle::ExitClass;
use countermark_client::backup::NormalisedPassword;
use countermark_client::backup::password::normalise;
use zeroize::Zeroizing;

use crate::documents;
use crate::failure::{Class as _, Failure};

/// A password that was set before.
pub fn known(file: Option<&Path>, prompt: &str) -> anyhow::Result<NormalisedPassword> {
    let text = match file {
        Some(path) => from_file(path)?,
        None => from_terminal(prompt)?,
    };
    normalised(&text)
}

/// A password that is being set: on a terminal it is asked for twice, because a mistyped one opens nothing later.
pub fn new(file: Option<&Path>, prompt: &str) -> anyhow::Result<NormalisedPassword> {
    let Some(path) = file else {
        let (first, second) = (from_terminal(prompt)?, from_terminal(&format!("{prompt}, again"))?);
        if first != second {
            return Err(Failure::usage("the two passwords are not the same").into());
        }
        return normalised(&first);
    };
    normalised(&from_file(path)?)
}

fn normalised(text: &str) -> anyhow::Result<NormalisedPassword> {
    normalise(text).class(ExitClass::Usage)
}

/// The file's text without the one line break at its end; spaces are part of a password.
fn from_file(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let bytes = Zeroizing::new(documents::read(path)?);
    let text = std::str::from_utf8(&bytes)
        .with_context(|| format!("the password in {} is not UTF-8", path.display()))
        .class(ExitClass::Usage)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Zeroizing::new(text.strip_suffix('\r').unwrap_or(text).to_string()))
}

fn from_terminal(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let typed = rpassword::prompt_password(format!("{prompt}: "));
    let typed =
        typed.context("no terminal to ask for the password on; give a password file").class(ExitClass::Usage)?;
    Ok(Zeroizing::new(typed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> anyhow::Result<String> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), bytes)?;
        from_file(file.path()).map(|text| text.to_string())
    }

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_a_password_and_spaces_are() {
        let check = |bytes: &[u8], expect: &str| assert_eq!(read(bytes).ok().as_deref(), Some(expect));
        check(b"secret", "secret");
        check(b"secret\n", "secret");
        check(b"secret\r\n", "secret");
        check(b"secret\n\n", "secret\n");
        check(b" two words ", " two words ");
        assert!(read(b"\xff").is_err());
    }
}
