//! The files that a policy set is made of, before anybody understands them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use countermark_bundle::identity::{Digest, Side};
use sha2::{Digest as _, Sha256};

use super::load::LoadError;

/// The schema: what the code fills in, so it comes with the code and never from a folder.
pub(super) const SCHEMA: &str = include_str!("../../schema.cedarschema");
const SCHEMA_NAME: &str = "schema.cedarschema";
/// First line of what the digest is taken of.
const DIGEST_CONTEXT: &str = "countermark/signer-policy/v1\n";
/// The most policy files in a folder.
pub const FILES_MAX: usize = 64;
/// The most bytes of a policy file: 64 KiB.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;

const AUTHORITY: [(&str, &str); 4] = [
    ("approvals.cedar", include_str!("../../authority/approvals.cedar")),
    ("limits.cedar", include_str!("../../authority/limits.cedar")),
    ("members.cedar", include_str!("../../authority/members.cedar")),
    ("times.cedar", include_str!("../../authority/times.cedar")),
];

const OPERATOR: [(&str, &str); 2] = [
    ("changes.cedar", include_str!("../../operator/changes.cedar")),
    ("countersign.cedar", include_str!("../../operator/countersign.cedar")),
];

/// Policy files by name.
pub(super) struct PolicyFiles(BTreeMap<String, String>);

impl PolicyFiles {
    /// The files inside this program.
    pub(super) fn shipped(side: Side) -> Self {
        let files: &[(&str, &str)] = match side {
            Side::Authority => &AUTHORITY,
            Side::Operator => &OPERATOR,
        };
        Self(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    /// Every file of a folder. All must be policies: a misspelt ending would silently drop a rule.
    pub(super) fn read(folder: &Path) -> Result<Self, LoadError> {
        let unreadable = |source| LoadError::Folder { path: folder.to_owned(), source };
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let is_policy = path.extension().is_some_and(|ending| ending == "cedar") && path.is_file();
            let Some(name) = name.filter(|_| is_policy) else {
                return Err(LoadError::NotAPolicyFile { path });
            };
            if files.len() == FILES_MAX {
                return Err(LoadError::TooManyFiles { path: folder.to_owned() });
            }
            files.insert(name.to_owned(), read_text(&path)?);
        }
        Ok(Self(files))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// See [`super::PolicySet::digest`].
    pub(super) fn digest(&self) -> Digest {
        digest_of(SCHEMA, self.iter())
    }
}

pub(super) fn digest_of<'a>(schema: &'a str, files: impl Iterator<Item = (&'a str, &'a str)>) -> Digest {
    let mut sorted: BTreeMap<&str, &str> = files.collect();
    // No policy file can have this name: they end in `.cedar`.
    sorted.insert(SCHEMA_NAME, schema);
    let mut hasher = Sha256::new();
    hasher.update(DIGEST_CONTEXT);
    for part in sorted.into_iter().flat_map(|(name, text)| [name, text]) {
        // The lengths keep a byte from moving between a name, its text and the next file unnoticed.
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

pub(super) fn read_text(path: &Path) -> Result<String, LoadError> {
    let unreadable = |source| LoadError::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(unreadable)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(LoadError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|_| LoadError::NotText { path: path.to_owned() })
}
