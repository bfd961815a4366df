//! Where objects are, as it is written in a configuration or on a command line: a folder, `file:///…`, `s3://bucket/prefix`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use thiserror::Error;

use super::Objects;
use super::access::{Access, AccessError};
use super::bucket::Bucket;
use super::folder::Folder;

/// A place for objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket of an S3-compatible store.
    Bucket(BucketName),
}

/// A bucket, and what every key in it begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketName {
    bucket: String,
    prefix: String,
}

impl BucketName {
    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What every key begins with, without a slash at either end; empty for the whole bucket.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Why a text names no place for objects.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LocationError {
    /// Neither a folder nor one of the two schemes.
    #[error("{found:?} is neither a folder nor file:///… nor s3://bucket/prefix")]
    Scheme {
        /// What was found.
        found: String,
    },
    /// An address of one of the two schemes with something missing, or something that has no place in it.
    #[error("{found:?} must be file:///folder or s3://bucket/prefix, without user, port or query")]
    Malformed {
        /// What was found.
        found: String,
    },
}

impl Location {
    /// Reads a place; a path is relative to `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, LocationError> {
        let malformed = || LocationError::Malformed { found: text.to_owned() };
        let Some((scheme, _)) = text.split_once("://") else {
            return Ok(Self::Folder(folder.join(text)));
        };
        let url = Url::parse(text).map_err(|_| malformed())?;
        let bare = url.username().is_empty() && url.password().is_none() && url.port().is_none();
        if !bare || url.query().is_some() || url.fragment().is_some() {
            return Err(malformed());
        }
        match scheme {
            "file" => url.to_file_path().map(Self::Folder).map_err(|()| malformed()),
            "s3" => {
                let bucket = url.host_str().ok_or_else(malformed)?.to_owned();
                let prefix = url.path().trim_matches('/').to_owned();
                Ok(Self::Bucket(BucketName { bucket, prefix }))
            }
            _ => Err(LocationError::Scheme { found: text.to_owned() }),
        }
    }

    /// The objects that are there. `access` is read for a bucket only.
    pub(crate) fn open(
        &self,
        access: impl FnOnce() -> Result<Access, AccessError>,
        call_timeout: Duration,
    ) -> Result<Arc<dyn Objects>, AccessError> {
        match self {
            Self::Folder(path) => Ok(Arc::new(Folder::new(path))),
            Self::Bucket(name) => Ok(Arc::new(Bucket::open(name, &access()?, call_timeout)?)),
        }
    }

    /// Whether one of the two lies in the other, whatever their spelling, as far as they exist.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Folder(one), Self::Folder(other)) => {
                let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
                let (one, other) = (real(one), real(other));
                one.starts_with(&other) || other.starts_with(&one)
            }
            (Self::Bucket(one), Self::Bucket(other)) => {
                let (a, b) = (format!("{}/", one.prefix), format!("{}/", other.prefix));
                let whole = one.prefix.is_empty() || other.prefix.is_empty();
                one.bucket == other.bucket && (whole || a.starts_with(&b) || b.starts_with(&a))
            }
            (Self::Folder(_), Self::Bucket(_)) | (Self::Bucket(_), Self::Folder(_)) => false,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Bucket(BucketName { bucket, prefix }) => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Location, LocationError> {
        Location::parse(text, Path::new("/etc/log"))
    }

    #[test]
    fn folders_and_buckets_are_told_apart() {
        let check = |text: &str, expect: &str| assert_eq!(parse(text).unwrap().to_string(), expect, "{text}");
        check("export", "/etc/log/export");
        check("/srv/export", "/srv/export");
        check("file:///srv/export", "/srv/export");
        check("s3://bucket", "s3://bucket/");
        check("s3://bucket/a/b/", "s3://bucket/a/b");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["s3://", "s3://u:p@bucket/a", "s3://bucket:80/a", "s3://bucket/a?b=c", "file://host/a", "s3://b#c"]
        {
            assert!(matches!(parse(text), Err(LocationError::Malformed { .. })), "{text}");
        }
        for text in ["http://bucket/a", "gs://bucket"] {
            assert!(matches!(parse(text), Err(LocationError::Scheme { .. })), "{text}");
        }
    }

    #[test]
    fn a_place_within_another_overlaps_it() {
        let check = |one: &str, other: &str, expect: bool| {
            let (one, other) = (parse(one).unwrap(), parse(other).unwrap());
            assert_eq!((one.overlaps(&other), other.overlaps(&one)), (expect, expect), "{one} {other}");
        };
        check("a", "file:///etc/log/a", true);
        check("a", "a/b", true);
        check("a", "ab", false);
        check("s3://bucket/a", "s3://bucket/a/b", true);
        check("s3://bucket/a", "s3://bucket/ab", false);
        check("s3://bucket", "s3://bucket/a", true);
        check("s3://bucket/a", "s3://other/a", false);
        check("s3://bucket/a", "a", false);
    }
}
