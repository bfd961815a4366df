//! Encrypting and decrypting a file with the backup key, with a bar that shows how far it is.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countermark_bundle::ExitClass;
use countermark_client::backup::BackupKey;
use countermark_client::backup::file::{Existing, decrypt_file, encrypt_file};
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::{Class as _, Failure};

/// What is to be done with a file once the key is there.
pub struct FileWork {
    what: What,
    from: PathBuf,
    out: PathBuf,
    existing: Existing,
}

#[derive(Clone, Copy)]
enum What {
    Encrypt,
    Decrypt,
}

/// What was done.
pub struct FileWorkDone {
    /// `encrypted` or `decrypted`.
    pub what: &'static str,
    /// Where it is.
    pub out: PathBuf,
    /// The bytes that were read.
    pub bytes: u64,
}

impl FileWork {
    /// Encrypting, if a file is named.
    pub fn encrypt(from: Option<&Path>, out: Option<&Path>, replace: bool) -> anyhow::Result<Option<Self>> {
        Self::new(What::Encrypt, from, out, replace)
    }

    /// Decrypting, if a file is named.
    pub fn decrypt(from: Option<&Path>, out: Option<&Path>, replace: bool) -> anyhow::Result<Option<Self>> {
        Self::new(What::Decrypt, from, out, replace)
    }

    /// Refuses now what would fail after a session that may have cost a guess.
    fn new(what: What, from: Option<&Path>, out: Option<&Path>, replace: bool) -> anyhow::Result<Option<Self>> {
        let (from, out) = match (from, out) {
            (None, None) => return Ok(None),
            (Some(from), Some(out)) => (from.to_path_buf(), out.to_path_buf()),
            (Some(_), None) => return Err(Failure::usage("a file to encrypt or decrypt needs --out").into()),
            (None, Some(_)) => return Err(Failure::usage("--out needs a file to encrypt or decrypt").into()),
        };
        let metadata = std::fs::metadata(&from).with_context(|| format!("cannot read {}", from.display()));
        if !metadata.class(ExitClass::Usage)?.is_file() {
            return Err(Failure::usage(format!("{} is not a file", from.display())).into());
        }
        if !replace && out.symlink_metadata().is_ok() {
            return Err(Failure::usage(format!("{} is there already; --replace replaces it", out.display())).into());
        }
        let existing = if replace { Existing::Replace } else { Existing::Keep };
        Ok(Some(Self { what, from, out, existing }))
    }

    /// Does it. The key ends here.
    pub async fn run(self, key: BackupKey, json: bool) -> anyhow::Result<FileWorkDone> {
        let Self { what, from, out, existing } = self;
        let length = std::fs::metadata(&from).map_or(0, |metadata| metadata.len());
        let bar = bar(length, json);
        let (work, shown, to) = (what, bar.clone(), out.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut progress = |bytes| shown.set_position(bytes);
            match work {
                What::Encrypt => encrypt_file(&from, &to, existing, &key, &mut progress),
                What::Decrypt => decrypt_file(&from, &to, existing, &key, &mut progress),
            }
        });
        let done = done.await.context("the work on the file was stopped")?;
        bar.finish_and_clear();
        let bytes = done.map_err(|error| {
            let class = error.exit_class();
            let message = format!("{}: {error}", class.as_str());
            anyhow::Error::new(error).context(Failure::new(class, message))
        })?;
        let what = match what {
            What::Encrypt => "encrypted",
            What::Decrypt => "decrypted",
        };
        Ok(FileWorkDone { what, out, bytes })
    }
}

/// A bar on standard error, where a person looks.
fn bar(length: u64, json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
