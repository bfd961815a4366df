//! The encryption of a private key under a passphrase: an age file with one scrypt stanza.

use std::io::{Read, Write};
use std::iter;

use age::scrypt::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use zeroize::Zeroizing;

use crate::passphrase::Passphrase;

/// log2 of the scrypt work factor written: about 10 ms. Passphrases have 256 bits, so stretching adds nothing.
const WORK_FACTOR: u8 = 12;

/// log2 of the largest scrypt work factor opened: 64 MiB and about 0.2 s.
pub(super) const WORK_FACTOR_MAX: u8 = 16;

/// The most bytes of a sealed document; room for every algorithm's, taken at once so that no copy is left behind.
const PLAINTEXT_BYTES_MAX: usize = 1024;

/// Why a seal did not open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UnsealError {
    /// It is no age file with one scrypt stanza, or it was changed.
    Broken,
    /// The passphrase is not the one it was sealed under.
    WrongPassphrase,
    /// It asks for more work than we do.
    WorkFactorTooLarge {
        /// log2 of the factor found.
        found: u8,
    },
}

/// Encrypts `plaintext` under `passphrase`, as a binary age file.
pub(super) fn seal(plaintext: &[u8], passphrase: Passphrase) -> Vec<u8> {
    seal_with(plaintext, passphrase, WORK_FACTOR)
}

pub(super) fn seal_with(plaintext: &[u8], passphrase: Passphrase, work_factor: u8) -> Vec<u8> {
    let mut recipient = Recipient::new(passphrase.into_age());
    recipient.set_work_factor(work_factor);
    let mut sealed = Vec::new();
    let recipients = iter::once::<&dyn age::Recipient>(&recipient);
    let mut writer = Encryptor::with_recipients(recipients)
        .expect("one scrypt recipient is a valid set")
        .wrap_output(&mut sealed)
        .expect("a Vec takes every write");
    writer.write_all(plaintext).expect("a Vec takes every write");
    writer.finish().expect("a Vec takes every write");
    sealed
}

/// Decrypts what [`seal`] made.
pub(super) fn unseal(sealed: &[u8], passphrase: Passphrase) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
    let decryptor = Decryptor::new_buffered(sealed).map_err(|_broken| UnsealError::Broken)?;
    if !decryptor.is_scrypt() {
        return Err(UnsealError::Broken);
    }
    let mut identity = Identity::new(passphrase.into_age());
    identity.set_max_work_factor(WORK_FACTOR_MAX);
    let reader = decryptor.decrypt(iter::once::<&dyn age::Identity>(&identity)).map_err(|error| refused(&error))?;
    let mut plaintext = Zeroizing::new(Vec::with_capacity(PLAINTEXT_BYTES_MAX));
    // More than the limit is cut off here and then fails to parse.
    reader
        .take(u64::try_from(PLAINTEXT_BYTES_MAX).unwrap_or(u64::MAX))
        .read_to_end(&mut plaintext)
        .map_err(|_broken| UnsealError::Broken)?;
    Ok(plaintext)
}

fn refused(error: &DecryptError) -> UnsealError {
    match error {
        DecryptError::DecryptionFailed => UnsealError::WrongPassphrase,
        DecryptError::ExcessiveWork { required, .. } => UnsealError::WorkFactorTooLarge { found: *required },
        // Not our enum, and open to new variants: whatever else age finds wrong, the file is not one it made for us.
        _ => UnsealError::Broken,
    }
}
