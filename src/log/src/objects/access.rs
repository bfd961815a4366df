//! What an object store asks of its users: endpoint, region, credentials; from the environment or from a file.
//!
//! ```toml
//! access_key_id = "…"
//! secret_access_key = "…"
//! # session_token = "…"
//! # region = "eu-central-1"                       # us-east-1 if not said
//! # endpoint_url = "https://s3.example.org"       # Amazon's if not said
//! # allow_http = true                             # plain HTTP to an endpoint that is not loopback
//! # virtual_hosted = true                         # the bucket in the host name instead of the path
//! # anonymous = true                              # to read a public bucket, without keys
//! ```
//!
//! The environment has the same under the names that other tools use: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
//! `AWS_SESSION_TOKEN`, `AWS_REGION` or `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`,
//! `AWS_VIRTUAL_HOSTED_STYLE_REQUEST`, `AWS_SKIP_SIGNATURE`. No metadata service is ever asked for credentials.

use std::path::{Path, PathBuf};

use countermark_service::configuration::{self, ReadError};
use reqwest::Url;
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

/// Endpoint, region, credentials.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    #[serde(rename = "access_key_id")]
    pub(super) key_id: Option<String>,
    pub(super) secret_access_key: Option<Secret>,
    pub(super) session_token: Option<Secret>,
    pub(super) region: Option<String>,
    pub(super) endpoint_url: Option<String>,
    #[serde(default)]
    allow_http: bool,
    #[serde(default)]
    pub(super) virtual_hosted: bool,
    #[serde(default)]
    pub(super) anonymous: bool,
}

/// What must not be shown, nor stay in memory.
#[derive(Deserialize)]
#[serde(from = "String")]
pub(super) struct Secret(Zeroizing<String>);

impl Secret {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }
}

/// Why there is no access to an object store.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The credentials file was not read.
    #[error(transparent)]
    File(#[from] ReadError),
    /// The credentials file is not TOML, or lacks a field, or has one that is not known.
    // The cause would quote the line, and the line may hold a secret.
    #[error("{} is malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Nothing to sign requests with.
    #[error("the object store needs an access key and its secret, from the environment or a credentials file")]
    NoCredentials,
    /// Not an address.
    #[error("the endpoint {found:?} of the object store is not an http or https address")]
    Endpoint {
        /// What was found.
        found: String,
    },
    /// A request could be read and changed on the way.
    #[error("the endpoint {found:?} of the object store is plain HTTP and not loopback; allow_http = true allows it")]
    PlainHttp {
        /// The endpoint.
        found: String,
    },
    /// The client refused its settings.
    #[error("the object store cannot be used")]
    Refused(#[source] object_store::Error),
}

impl Access {
    /// From the file at `path`, or else from the environment.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, AccessError> {
        match path {
            Some(path) => {
                let (text, _) = configuration::read(path)?;
                Self::parse(&text, path)
            }
            None => Self::from_variables(|name| std::env::var(name).ok()),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, AccessError> {
        let access: Self = toml::from_str(text).map_err(|_| AccessError::Malformed { path: path.to_owned() })?;
        access.check()
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, AccessError> {
        let said = |name: &str| variable(name).filter(|value| !value.is_empty());
        let yes = |name: &str| said(name).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1");
        let access = Self {
            key_id: said("AWS_ACCESS_KEY_ID"),
            secret_access_key: said("AWS_SECRET_ACCESS_KEY").map(Secret::from),
            session_token: said("AWS_SESSION_TOKEN").map(Secret::from),
            region: said("AWS_REGION").or_else(|| said("AWS_DEFAULT_REGION")),
            endpoint_url: said("AWS_ENDPOINT_URL"),
            allow_http: yes("AWS_ALLOW_HTTP"),
            virtual_hosted: yes("AWS_VIRTUAL_HOSTED_STYLE_REQUEST"),
            anonymous: yes("AWS_SKIP_SIGNATURE"),
        };
        access.check()
    }

    fn check(self) -> Result<Self, AccessError> {
        if !self.anonymous && (self.key_id.is_none() || self.secret_access_key.is_none()) {
            return Err(AccessError::NoCredentials);
        }
        if let Some(found) = &self.endpoint_url {
            let url = Url::parse(found).ok().filter(Url::has_host);
            let wrong = || AccessError::Endpoint { found: found.clone() };
            match url.as_ref().map(Url::scheme) {
                Some("https") => {}
                Some("http") if self.allow_http || url.as_ref().is_some_and(is_loopback) => {}
                Some("http") => return Err(AccessError::PlainHttp { found: found.clone() }),
                Some(_) | None => return Err(wrong()),
            }
        }
        Ok(self)
    }

    /// Access to a test's server.
    #[cfg(test)]
    pub(crate) fn to_test_server(endpoint: &str) -> Self {
        let text = format!("access_key_id = \"a\"\nsecret_access_key = \"b\"\nendpoint_url = {endpoint:?}\n");
        Self::parse(&text, Path::new("test")).unwrap()
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(lines: &[(&str, &str)]) -> Result<Access, AccessError> {
        let known = |name: &str| lines.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Access::from_variables(known)
    }

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];

    #[test]
    fn plain_http_is_for_loopback_unless_said_so() {
        let check = |url: &str, expect: bool| {
            let found = access(&[KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", url)]);
            assert_eq!(found.is_ok(), expect, "{url}");
            found.err()
        };
        for url in ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000", "https://s3.example"] {
            check(url, true);
        }
        let refused = check("http://s3.example", false);
        assert!(matches!(refused, Some(AccessError::PlainHttp { .. })), "{refused:?}");
        for url in ["s3.example", "ftp://s3.example"] {
            let refused = check(url, false);
            assert!(matches!(refused, Some(AccessError::Endpoint { .. })), "{refused:?}");
        }
        let told = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", "http://s3.example"), ("AWS_ALLOW_HTTP", "true")];
        assert!(access(&told).is_ok());
    }

    #[test]
    fn without_credentials_nothing_is_asked() {
        for lines in [&[][..], &KEYS[..1], &KEYS[1..], &[KEYS[0], ("AWS_SECRET_ACCESS_KEY", "")]] {
            assert!(matches!(access(lines), Err(AccessError::NoCredentials)), "{lines:?}");
        }
        assert!(access(&[("AWS_SKIP_SIGNATURE", "true")]).is_ok());
    }

    #[test]
    fn a_malformed_file_does_not_show_its_secret() {
        let text = "access_key_id = \"a\"\nsecret_access_key = hunter2\n";
        let refused = Access::parse(text, Path::new("s3.toml")).err().unwrap();
        let shown = countermark_service::lifecycle::with_causes(&refused);
        assert!(shown.contains("s3.toml") && !shown.contains("hunter2"), "{shown}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s3.toml");
        std::fs::write(&path, "access_key_id = \"a\"\nsecret_access_key = \"b\"\nregion = \"r\"\n").unwrap();
        assert_eq!(Access::read(Some(&path)).ok().and_then(|access| access.region).as_deref(), Some("r"));
    }
}
