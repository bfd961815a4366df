//! Files that only their owner may touch: read if the rules hold, created once, never overwritten.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;
use thiserror::Error;
use zeroize::Zeroizing;

/// The mode of every file made here: the owner reads and writes.
const MODE: u32 = 0o600;

/// The permission bits of group and others, none of which may be set.
const MODE_FORBIDDEN: u32 = 0o077;

/// The folder of a unit's credentials (systemd.exec(5), `LoadCredential=`).
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// Why a file with a secret was not read.
#[derive(Debug, Error)]
pub enum FileError {
    /// Refused: there is no such file.
    #[error("there is no such file")]
    NotFound,
    /// Refused: the path names a symbolic link, whose target someone else may choose.
    #[error("it is a symbolic link")]
    Symlink,
    /// Refused: the path names a folder, a device or a pipe.
    #[error("it is not a regular file")]
    NotRegular,
    /// Refused: group or others have a permission on it.
    #[error("its mode is {mode:04o}; only the owner may have permissions (chmod 0600)")]
    Permissions {
        /// The permission bits found.
        mode: u32,
    },
    /// Refused: another file took the name between looking and opening.
    #[error("it was replaced while it was opened")]
    Replaced,
    /// Refused: no file of its kind is so large.
    #[error("it has more than {bytes_max} bytes")]
    TooLarge {
        /// The most bytes accepted.
        bytes_max: usize,
    },
    /// Fault: the operating system could not read it.
    #[error("it could not be read")]
    Unreadable(#[source] io::Error),
}

/// Why a file was not created.
#[derive(Debug)]
pub(crate) enum NewFileError {
    /// The name is taken; what has it is unchanged.
    AlreadyExists,
    /// The operating system could not write it. The file may exist, then it is whole.
    Unwritable(io::Error),
}

impl From<io::Error> for NewFileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AlreadyExists => Self::AlreadyExists,
            _ => Self::Unwritable(error),
        }
    }
}

/// Reads a file of at most `bytes_max` bytes that only its owner may touch.
pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let named = fs::symlink_metadata(path).map_err(unreadable)?;
    let lent = is_lent(path);
    admit(&named, lent)?;
    let file = File::open(path).map_err(unreadable)?;
    // The name was judged, the handle is read: judge the handle too, or a swap between the two goes unseen.
    let opened = file.metadata().map_err(unreadable)?;
    admit_opened(&named, &opened, lent)?;
    // Room for one byte more than allowed, taken at once: growing would leave unwiped copies of a secret behind.
    let room = bytes_max.saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(u64::try_from(room).unwrap_or(u64::MAX)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > bytes_max {
        return Err(FileError::TooLarge { bytes_max });
    }
    Ok(bytes)
}

/// Creates `path` with `bytes` and mode 0600, or leaves what is there untouched.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<(), NewFileError> {
    let folder = folder_of(path);
    // 1. The bytes are durable under a temporary name. A crash here leaves a file nobody opens, and no key.
    let staged = stage(folder, bytes)?;
    // 2. The name appears at once and only if it is free: of two creators one wins. A crash here leaves either nothing
    //    or the whole file.
    staged.persist_noclobber(path).map_err(|refused| refused.error)?;
    // 3. The name is durable. Only now may the caller publish the public key: a crash before this line could still
    //    lose the private one.
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// Writes `bytes` durably to a temporary file of mode 0600 in `folder`; it is removed when dropped.
fn stage(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut staged = tempfile::Builder::new()
        .prefix(".countermark-")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(folder)?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    Ok(staged)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Whether the path is directly in the folder in which systemd lends a unit its credentials.
fn is_lent(path: &Path) -> bool {
    let folder = std::env::var_os(CREDENTIALS_VARIABLE).filter(|folder| !folder.is_empty());
    folder.is_some_and(|folder| path.parent() == Some(Path::new(&folder)))
}

fn admit(metadata: &Metadata, lent: bool) -> Result<(), FileError> {
    if metadata.is_symlink() {
        return Err(FileError::Symlink);
    }
    if !metadata.is_file() {
        return Err(FileError::NotRegular);
    }
    let mode = metadata.mode() & 0o7777;
    let by_list = lent && is_root_read_only(mode, metadata.uid(), metadata.gid());
    if mode & MODE_FORBIDDEN != 0 && !by_list {
        return Err(FileError::Permissions { mode });
    }
    Ok(())
}

/// A file of root's that systemd lends by an access control list: the bits of the group are that list's mask, and let in only
/// whom the list names. Even taken as they stand they let in root's own group.
const fn is_root_read_only(mode: u32, user: u32, group: u32) -> bool {
    mode == 0o440 && user == 0 && group == 0
}

fn admit_opened(named: &Metadata, opened: &Metadata, lent: bool) -> Result<(), FileError> {
    if (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
        return Err(FileError::Replaced);
    }
    admit(opened, lent)
}

fn unreadable(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound => FileError::NotFound,
        _ => FileError::Unreadable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_credential_of_systemd_is_roots_and_read_only_and_nothing_else() {
        assert!(is_root_read_only(0o440, 0, 0));
        for (mode, user, group) in [(0o440, 1_000, 0), (0o440, 0, 1_000), (0o444, 0, 0), (0o460, 0, 0), (0o640, 0, 0)] {
            assert!(!is_root_read_only(mode, user, group), "{mode:o} {user} {group}");
        }
        // Outside of the folder that systemd names nothing is lent.
        assert!(!is_lent(Path::new("/etc/passphrase")));
    }

    #[test]
    fn a_created_file_reads_back_and_is_the_owners_alone() {
        let folder = folder();
        let path = folder.path().join("secret");
        create(&path, b"content").unwrap();
        assert_eq!(read(&path, 7).unwrap().as_slice(), b"content");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_refused_for_any_permission_of_group_or_others() {
        let folder = folder();
        let path = folder.path().join("secret");
        create(&path, b"content").unwrap();
        for bit in [0o040, 0o020, 0o010, 0o004, 0o002, 0o001] {
            set_mode(&path, MODE | bit);
            let found = read(&path, 7).unwrap_err();
            assert!(matches!(found, FileError::Permissions { mode } if mode == MODE | bit), "{bit:o}: {found:?}");
        }
        for mode in [0o400, 0o600, 0o700] {
            set_mode(&path, mode);
            read(&path, 7).unwrap();
        }
    }

    #[test]
    fn what_is_not_a_small_regular_file_is_refused_by_name() {
        let folder = folder();
        let path = folder.path().join("secret");
        assert!(matches!(read(&path, 7), Err(FileError::NotFound)));
        create(&path, b"content").unwrap();
        assert!(matches!(read(&path, 6), Err(FileError::TooLarge { bytes_max: 6 })));
        assert!(matches!(read(folder.path(), 7), Err(FileError::NotRegular)));
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(read(&link, 7), Err(FileError::Symlink)));
        let below = path.join("below");
        assert!(matches!(read(&below, 7), Err(FileError::Unreadable(_))));
    }

    #[test]
    fn a_file_swapped_between_looking_and_opening_is_refused() {
        let folder = folder();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        create(&one, b"1").unwrap();
        create(&two, b"2").unwrap();
        let [one, two] = [one, two].map(|path| fs::metadata(path).unwrap());
        assert!(matches!(admit_opened(&one, &two, false), Err(FileError::Replaced)));
        assert!(admit_opened(&one, &one, false).is_ok());
    }

    #[test]
    fn a_taken_name_is_never_overwritten_be_it_a_file_a_folder_or_a_dangling_link() {
        let folder = folder();
        let file = folder.path().join("file");
        let inner = folder.path().join("folder");
        let link = folder.path().join("link");
        create(&file, b"first").unwrap();
        fs::create_dir(&inner).unwrap();
        symlink(folder.path().join("nowhere"), &link).unwrap();
        for path in [&file, &inner, &link] {
            let refused = create(path, b"second").unwrap_err();
            assert!(matches!(refused, NewFileError::AlreadyExists), "{path:?}: {refused:?}");
        }
        assert_eq!(read(&file, 9).unwrap().as_slice(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_missing_folder_is_a_fault() {
        let path = folder().path().join("missing/secret");
        assert!(matches!(create(&path, b""), Err(NewFileError::Unwritable(_))));
    }

    #[test]
    fn a_crash_before_the_rename_leaves_no_file_of_that_name() {
        let folder = folder();
        let path = folder.path().join("secret");
        let (_file, leftover) = stage(folder.path(), b"staged").unwrap().keep().unwrap();
        assert!(matches!(read(&path, 9), Err(FileError::NotFound)));
        assert_eq!(fs::metadata(&leftover).unwrap().mode() & 0o7777, 0o600);
        create(&path, b"second").unwrap();
        assert_eq!(read(&path, 9).unwrap().as_slice(), b"second");
    }

    #[test]
    fn a_bare_file_name_lies_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("secret")), Path::new("."));
        assert_eq!(folder_of(Path::new("/secret")), Path::new("/"));
        assert_eq!(folder_of(Path::new("a/b")), Path::new("a"));
    }
}
