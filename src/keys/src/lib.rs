//! Who holds a private key. A key never leaves its holder: callers hand over bytes and get a signature back.
//!
//! It is not a protocol: it does not know what the bytes mean, whether they may be signed, or what a log or a vault is.
//! It imports nothing of ours.
//!
//! Invariants:
//! * One key, one purpose. A key is made for a [`Role`], the role fixes the [`Algorithm`], and a key is opened only under
//!   the role it was made for.
//! * Private bytes exist in the clear only inside this crate, in types that are wiped when dropped, print nothing, and
//!   can be neither cloned nor serialised.
//! * A file that holds a secret is read only if it is a regular file that no one but its owner may touch, and is never
//!   overwritten.
//!
//! Holders, behind three traits, [`Signer`], [`AgreementKey`] and [`SealingKey`]: [`KeyFile`], an encrypted file beside a
//! passphrase file; and a PKCS#11 token, whose keys sign only. A file that refers to a key in a token stands where a key
//! file stands, and [`KeyFile`] opens it: who signs does not know which of the two it is.
//!
//! Unix only: the permission rules are the protection, and they have no faithful counterpart elsewhere.
//!
//! # Key file, `countermark/key-file/v1`
//!
//! At most 8 KiB, mode 0600. One line of JSON without spaces, its fields in this order, ended by one newline. This is its
//! only encoding: anything that would be written differently is damaged.
//!
//! | field | content |
//! |---|---|
//! | `type` | `countermark/key-file/v1` |
//! | `role` | one of the [`Role`] names |
//! | `algorithm` | the role's algorithm: `ed25519`, `ecdsa-p384`, `ml-dsa-44`, `x25519` or `xchacha20-poly1305` |
//! | `public_key` | lower-case hex: 32 bytes; for `ecdsa-p384` the 97-byte uncompressed SEC 1 point; for `ml-dsa-44` 1,312 bytes; for `xchacha20-poly1305`, which has no public key, its identifier: SHA-256 over `countermark/sealing-key/v1`, a newline and the secret |
//! | `sealed` | standard base64 of a binary [age](https://age-encryption.org/v1) file with one scrypt stanza |
//! | `sealed_sha256` | lower-case hex SHA-256 of the age file; tells a damaged file from a wrong passphrase, proves nothing |
//!
//! The scrypt work factor is written as 2^12 and accepted up to 2^16: the passphrase is generated with 256 bits, so
//! stretching adds nothing and the bound keeps a planted file from costing memory and minutes.
//!
//! Inside the seal, again one line of JSON, without the newline:
//!
//! | field | content |
//! |---|---|
//! | `type` | `countermark/private-key/v1` |
//! | `role`, `algorithm` | the same as outside |
//! | `secret` | lower-case hex: Ed25519 seed (32 bytes), P-384 scalar (48 bytes, big-endian), ML-DSA-44 seed (32 bytes), X25519 secret or sealing key (32 bytes each) |
//!
//! The clear header can be read without the passphrase and is not trusted when a key is opened: role and algorithm must
//! equal the sealed ones, and the public key must be the one that belongs to the sealed secret.
//!
//! # Sealed bytes
//!
//! What a [`SealingKey`] seals: nonce (24 random bytes) ‖ XChaCha20-Poly1305 ciphertext ‖ tag (16). The associated data is
//! the length of the context (8 bytes, big-endian) ‖ the context.
//!
//! # Reference to a key in a token, `countermark/pkcs11-key/v1`
//!
//! It stands in the place of a key file, under the same rules of size, mode and encoding, and holds no secret. Fields in
//! this order; of the two that name the token one may be missing:
//!
//! | field | content |
//! |---|---|
//! | `type` | `countermark/pkcs11-key/v1` |
//! | `role`, `algorithm` | as in a key file; `ed25519` and `ecdsa-p384` only |
//! | `public_key` | as in a key file; the token's own must equal it |
//! | `module` | absolute path of the PKCS#11 library, at most 1,024 bytes |
//! | `token_label` | the token's label, at most 32 bytes |
//! | `token_serial` | the token's serial number, at most 16 bytes |
//! | `key_label` | 1 to 64 letters, digits, `.`, `_` or `-`; CKA_LABEL is `countermark/<role>/<key_label>` |
//! | `key_id` | lower-case hex of CKA_ID, 16 random bytes |
//! | `pin` | where the PIN is: `passphrase-file` (the passphrase file, which then holds a PIN), `file:<absolute path>` or `env:<VARIABLE>` |
//!
//! The key was made inside the token and stays there: CKA_LOCAL, CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE,
//! CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE and CKA_SIGN are true, CKA_EXTRACTABLE is false; any other is refused.
//! Ed25519 is CKM_EDDSA; P-384 is CKM_ECDSA over SHA-384 that we compute, made low-S. Every signature is verified here
//! before it is handed on. A token that is gone makes signing fail, and is looked for again at the next signature; a PIN
//! that was refused is not tried again by this process, and never when one try is left.
//!
//! A PIN is 4 to 255 bytes of UTF-8 in one line; its file is read under the rules of passphrase files.
//!
//! # Passphrase file
//!
//! One line of at least 32 and at most 1,024 bytes of UTF-8, mode 0600; one newline at its end is not part of the
//! passphrase. [`create_passphrase_file`] writes 32 random bytes as 64 lower-case hex digits and a newline. Anyone may
//! open a key with other tools: `jq -r .sealed log.key | base64 -d | age -d`.

#![forbid(unsafe_code)]
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod holder;
mod key_file;
mod owner_only_file;
mod passphrase;
mod pkcs11;
mod private_key;
mod randomness;
mod role;
mod sealing;

pub use holder::{
    AgreementError, AgreementKey, SealError, SealingKey, SharedSecret, SignError, Signer, UnsealKeyError,
};
pub use key_file::{CreateError, Damage, KeyFile, OpenError, PublicKeyInfo, ReadPublicError};
pub use owner_only_file::FileError;
pub use passphrase::{CreatePassphraseError, PassphraseError, create_passphrase_file};
pub use pkcs11::{CreateInTokenError, NewTokenKey, PinError, PinSource, TokenError};
pub use randomness::{RandomnessError, os_random_bytes};
pub use role::{Algorithm, Role, UnknownAlgorithm, UnknownRole};
pub use sealing::OVERHEAD_BYTES as SEALED_OVERHEAD_BYTES;
