//! Where the logs are kept: `database_folder`, or `[postgres]`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use countermark_migrations::postgres::{PostgresUrl, PostgresUrlError};
use serde::Deserialize;
use thiserror::Error;

use crate::objects::location::Location;

/// The most bytes of a file with a URL.
const URL_BYTES_MAX: u64 = 4_096;

/// Where the logs are kept.
#[derive(Clone, Debug)]
pub enum DatabaseConfig {
    /// One SQLite file for each namespace, in this folder.
    Folder(PathBuf),
    /// One PostgreSQL database for all namespaces.
    Postgres(PostgresUrl),
}

/// Why it is not said where the logs are kept.
#[derive(Debug, Error)]
pub enum DatabaseConfigError {
    /// Nothing was said.
    #[error("one of database_folder and [postgres] must say where the logs are kept")]
    Nowhere,
    /// Both were said.
    #[error("database_folder and [postgres] exclude each other")]
    Twice,
    /// Neither `url` nor `url_file`, or both.
    #[error("[postgres] must have one of url and url_file")]
    OneUrl,
    /// The file with the URL was not read.
    #[error("cannot read the URL in {}", path.display())]
    ReadUrl {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The URL was refused.
    #[error("postgres.url: {0}")]
    Url(#[from] PostgresUrlError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PostgresText {
    url: Option<String>,
    url_file: Option<PathBuf>,
}

impl DatabaseConfig {
    /// The folder of the files, where each log has one.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        match self {
            Self::Folder(folder) => Some(Location::Folder(folder.clone())),
            Self::Postgres(_) => None,
        }
    }

    pub(super) fn read(
        database_folder: Option<PathBuf>,
        postgres: Option<PostgresText>,
        folder: &Path,
    ) -> Result<Self, DatabaseConfigError> {
        match (database_folder, postgres) {
            (Some(path), None) => Ok(Self::Folder(folder.join(path))),
            (None, Some(PostgresText { url: Some(url), url_file: None })) => {
                Ok(Self::Postgres(PostgresUrl::parse(&url)?))
            }
            (None, Some(PostgresText { url: None, url_file: Some(path) })) => {
                Ok(Self::Postgres(read_url(&folder.join(path))?))
            }
            (
                None,
                Some(PostgresText { url: Some(_), url_file: Some(_) } | PostgresText { url: None, url_file: None }),
            ) => Err(DatabaseConfigError::OneUrl),
            (Some(_), Some(_)) => Err(DatabaseConfigError::Twice),
            (None, None) => Err(DatabaseConfigError::Nowhere),
        }
    }
}

/// Reads the URL of a database from a file of at most 4 KiB.
pub(crate) fn read_url(path: &Path) -> Result<PostgresUrl, DatabaseConfigError> {
    let read_error = |source| DatabaseConfigError::ReadUrl { path: path.to_owned(), source };
    let mut text = String::new();
    File::open(path).map_err(read_error)?.take(URL_BYTES_MAX).read_to_string(&mut text).map_err(read_error)?;
    Ok(PostgresUrl::parse(&text)?)
}
