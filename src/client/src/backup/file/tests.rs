use std::fs;

use super::*;

fn key(seed: u8) -> BackupKey {
    BackupKey::from_bytes(Zeroizing::new([seed; 32]))
}

/// Bytes that differ from chunk to chunk.
fn plaintext(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| u8::try_from((i / 7 + i / CHUNK_BYTES) % 251).unwrap()).collect()
}

fn encrypted(plain: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    assert_eq!(encrypt(plain, &mut sealed, &key(1), &mut |_| {}).unwrap(), u64::try_from(plain.len()).unwrap());
    sealed
}

fn decrypted(sealed: &[u8], seed: u8) -> Result<Vec<u8>, FileError> {
    let mut plain = Vec::new();
    decrypt(sealed, &mut plain, &key(seed), &mut |_| {}).map(|_| plain)
}

/// Where the first chunk begins: after the header's last line and the nonce.
fn body(sealed: &[u8]) -> usize {
    let mac = sealed.windows(5).position(|window| window == b"\n--- ").unwrap() + 5;
    mac + sealed[mac..].iter().position(|byte| *byte == b'\n').unwrap() + 1 + 16
}

#[test]
fn every_size_comes_back_as_it_was() {
    for bytes in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 << 20] {
        let plain = plaintext(bytes);
        assert!(decrypted(&encrypted(&plain), 1).unwrap() == plain, "{bytes} bytes");
    }
}

#[test]
fn progress_ends_at_the_size_that_was_read() {
    let (plain, mut seen) = (plaintext(200_000), Vec::new());
    let mut sealed = Vec::new();
    encrypt(&plain[..], &mut sealed, &key(1), &mut |bytes| seen.push(bytes)).unwrap();
    assert!(seen.is_sorted() && seen.len() > 3 && seen.last() == Some(&200_000), "{seen:?}");
    let mut seen = 0;
    decrypt(&sealed[..], io::sink(), &key(1), &mut |bytes| seen = bytes).unwrap();
    assert_eq!(seen, u64::try_from(sealed.len()).unwrap());
}

#[test]
fn another_key_opens_nothing() {
    assert!(matches!(decrypted(&encrypted(b"secret"), 2), Err(FileError::OtherKey)));
}

#[test]
fn a_changed_byte_is_found_wherever_it_is() {
    let sealed = encrypted(&plaintext(3 << 20));
    let body = body(&sealed);
    for at in (0..body).step_by(7).chain((body..sealed.len()).step_by(100_000)).chain([sealed.len() - 1]) {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(decrypted(&changed, 1).is_err(), "byte {at}");
    }
    let small = encrypted(&plaintext(70_000));
    for at in (0..small.len()).step_by(1000) {
        let mut changed = small.clone();
        changed[at] ^= 1;
        assert!(decrypted(&changed, 1).is_err(), "byte {at}");
    }
}

#[test]
fn a_file_cut_at_a_chunks_boundary_or_anywhere_else_is_damaged() {
    let sealed = encrypted(&plaintext(3 * CHUNK_BYTES));
    let (body, chunk) = (body(&sealed), CHUNK_BYTES + 16);
    assert_eq!(sealed.len(), body + 3 * chunk);
    for end in [body, body + 1, body + chunk - 1, body + chunk, body + chunk + 1, body + 2 * chunk, sealed.len() - 1] {
        assert!(matches!(decrypted(&sealed[..end], 1), Err(FileError::Damaged)), "cut at {end}");
    }
    let longer = [&sealed[..], b"x"].concat();
    assert!(matches!(decrypted(&longer, 1), Err(FileError::Damaged)));
    let swapped = [
        &sealed[..body],
        &sealed[body + chunk..body + 2 * chunk],
        &sealed[body..body + chunk],
        &sealed[body + 2 * chunk..],
    ];
    assert!(matches!(decrypted(&swapped.concat(), 1), Err(FileError::Damaged)));
}

#[test]
fn what_is_no_age_file_is_refused_before_it_fills_memory() {
    for bytes in [&b""[..], b"age-encryption.org/v2\n", b"hello", &[0; 100]] {
        assert!(matches!(decrypted(bytes, 1), Err(FileError::NotEncrypted)), "{bytes:?}");
    }
    let endless = b"age-encryption.org/v1\n-> X25519 ".chain(io::repeat(b'a'));
    let error = decrypt(endless, io::sink(), &key(1), &mut |_| {}).unwrap_err();
    assert!(matches!(error, FileError::NotEncrypted), "{error}");
    let endless = b"age-encryption.org/v1\n".chain(Repeat(b"-> a b\n\n", 0));
    let error = decrypt(endless, io::sink(), &key(1), &mut |_| {}).unwrap_err();
    assert!(matches!(error, FileError::NotEncrypted), "{error}");
}

/// The same bytes for ever.
struct Repeat(&'static [u8], usize);

impl Read for Repeat {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = self.0[self.1 % self.0.len()];
            self.1 += 1;
        }
        Ok(buffer.len())
    }
}

#[test]
fn the_identity_is_the_one_that_the_format_says() {
    // Computed from RFC 5869, RFC 7748 and BIP 173 by other code: another identity is another format.
    let text = identity(&key(7)).to_public().to_string();
    assert_eq!(text, RECIPIENT_OF_SEVENS);
}

const RECIPIENT_OF_SEVENS: &str = "age1r8l0wp96ccl629qp57unxlq2u77keyht44gvf04pnfckn0yv8arsn7esnv";

#[test]
fn a_file_comes_back_and_its_destination_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("plain"), plaintext(100_000)).unwrap();
    encrypt_file(&path("plain"), &path("sealed"), Existing::Keep, &key(1), &mut |_| {}).unwrap();
    decrypt_file(&path("sealed"), &path("back"), Existing::Keep, &key(1), &mut |_| {}).unwrap();
    assert!(fs::read(path("back")).unwrap() == plaintext(100_000));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(path("back")).unwrap().permissions().mode() & 0o077, 0);
    }
}

#[test]
fn a_cut_file_leaves_nothing_at_the_destination_and_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let sealed = encrypted(&plaintext(200_000));
    fs::write(path("sealed"), &sealed[..sealed.len() - 1]).unwrap();
    let error = decrypt_file(&path("sealed"), &path("back"), Existing::Keep, &key(1), &mut |_| {}).unwrap_err();
    assert!(matches!(error, FileError::Damaged), "{error}");
    fs::write(path("back"), b"older").unwrap();
    decrypt_file(&path("sealed"), &path("back"), Existing::Replace, &key(1), &mut |_| {}).unwrap_err();
    assert_eq!(fs::read(path("back")).unwrap(), b"older");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn what_is_at_the_destination_stays_unless_the_caller_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("plain"), b"new").unwrap();
    fs::write(path("sealed"), b"old").unwrap();
    let error = encrypt_file(&path("plain"), &path("sealed"), Existing::Keep, &key(1), &mut |_| {}).unwrap_err();
    assert!(matches!(error, FileError::Exists { .. }), "{error}");
    assert_eq!(fs::read(path("sealed")).unwrap(), b"old");
    encrypt_file(&path("plain"), &path("sealed"), Existing::Replace, &key(1), &mut |_| {}).unwrap();
    assert_eq!(decrypted(&fs::read(path("sealed")).unwrap(), 1).unwrap(), b"new");
}

#[test]
fn a_destination_that_appears_meanwhile_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealed");
    let beside = Beside::new(&path, Existing::Keep).unwrap();
    fs::write(&path, b"faster").unwrap();
    assert!(matches!(beside.take_its_place(), Err(FileError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"faster");
}

#[test]
fn a_source_that_cannot_be_read_and_a_folder_that_is_not_there_have_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let error = encrypt_file(&path("none"), &path("to"), Existing::Keep, &key(1), &mut |_| {}).unwrap_err();
    assert!(matches!(&error, FileError::Read { place: Place::Path(at), .. } if *at == path("none")), "{error}");
    assert_eq!(error.exit_class(), ExitClass::Usage);
    fs::write(path("plain"), b"x").unwrap();
    let error = encrypt_file(&path("plain"), &path("none/to"), Existing::Keep, &key(1), &mut |_| {}).unwrap_err();
    assert!(matches!(&error, FileError::Write { .. }), "{error}");
    let broken = io::Error::other("broken");
    let error = decrypt(Broken(Some(broken)), io::sink(), &key(1), &mut |_| {}).unwrap_err();
    assert!(matches!(&error, FileError::Read { place: Place::Stream, .. }), "{error}");
}

/// A disk that fails.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().unwrap())
    }
}
