//! Reading and writing the files that verbs are given.

use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use countermark_bundle::{ExitClass, Timestamp};

use crate::failure::{Class as _, Failure};

/// The largest file that a verb reads into memory: 64 MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Reads a file, or standard input for `-`.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX + 1;
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).context("standard input")?;
    } else {
        let file = std::fs::File::open(path)
            .with_context(|| format!("cannot open {}", path.display()))
            .class(ExitClass::Usage)?;
        file.take(limit).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(Failure::new(ExitClass::Malformed, format!("{} has more than 64 MiB", path.display())).into());
    }
    Ok(bytes)
}

/// Reads a text file without the white space around it.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    let text = String::from_utf8(read(path)?)
        .map_err(|_| Failure::new(ExitClass::Malformed, format!("{} is not UTF-8", path.display())))?;
    Ok(text.trim().to_string())
}

/// Writes a whole file or none: a temporary file beside it, synced, renamed over it.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let context = || format!("cannot write {}", path.display());
    std::fs::create_dir_all(folder).with_context(context)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
    file.write_all(bytes).with_context(context)?;
    file.as_file().sync_all().with_context(context)?;
    file.persist(path).with_context(context)?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(context)
}

/// The clock, in whole seconds.
pub fn now() -> anyhow::Result<Timestamp> {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).context("the clock stands before 1970")?;
    Timestamp::from_unix(since.as_secs()).context("the clock stands after the year 9999")
}

/// Reads and checks a trust file.
pub fn trust(path: &Path) -> anyhow::Result<countermark_bundle::trust::TrustFile> {
    countermark_bundle::trust::TrustFile::parse(&read(path)?)
        .with_context(|| format!("the trust file {}", path.display()))
        .class(ExitClass::Malformed)
}
