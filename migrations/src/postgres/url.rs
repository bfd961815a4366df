//! Where a database is and who asks, as one URL. It may contain a password, and is never shown.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr as _;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use thiserror::Error;
use url::Url;

/// A database's URL: `postgres://user@host:5432/database`, with `?sslmode=…&sslrootcert=…` where they are needed.
///
/// Another machine is spoken to by TLS, its certificate verified against its name, unless the URL says otherwise.
#[derive(Clone)]
pub struct PostgresUrl {
    options: Box<PgConnectOptions>,
    place: Arc<PostgresPlace>,
}

/// What may be shown of a [`PostgresUrl`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresPlace {
    /// A name, an address, or the folder of a socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// Who asks.
    pub user: String,
}

impl fmt::Display for PostgresPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database {} at {}:{} as {}", self.database, self.host, self.port, self.user)
    }
}

/// A part that a URL must have. Nothing is taken from the environment in its place, except a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlPart {
    /// `user@`.
    User,
    /// The host, or the folder of a socket.
    Host,
    /// `/database`.
    Database,
}

impl fmt::Display for UrlPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Host => "host",
            Self::Database => "database",
        })
    }
}

/// Why a text is not the URL of a database. None of these repeats the text: it may contain a password.
#[derive(Debug, Error)]
pub enum PostgresUrlError {
    /// Not a URL.
    #[error("it is not a URL: {0}")]
    NotAUrl(#[from] url::ParseError),
    /// The URL of something else.
    #[error("it must begin with postgres://")]
    OtherScheme,
    /// A part is missing.
    #[error("it names no {part}; it must read postgres://user@host/database")]
    Missing {
        /// Which part.
        part: UrlPart,
    },
    /// A parameter that the library would pass over, after writing its value into the log.
    #[error("it has a parameter that is not known; a typo would be ignored otherwise")]
    UnknownParameter,
    /// A parameter was refused.
    #[error("it has a parameter that is not understood")]
    Parameter(#[source] sqlx::Error),
}

impl PostgresUrl {
    /// Reads a URL; white space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, PostgresUrlError> {
        let text = text.trim();
        let url = Url::parse(text)?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(PostgresUrlError::OtherScheme);
        }
        let has = |names: &[&str]| url.query_pairs().any(|(name, value)| names.contains(&&*name) && !value.is_empty());
        let missing = |part| PostgresUrlError::Missing { part };
        if url.username().is_empty() && !has(&["user"]) {
            return Err(missing(UrlPart::User));
        }
        if url.host_str().is_none_or(str::is_empty) && !has(&["host", "hostaddr"]) {
            return Err(missing(UrlPart::Host));
        }
        if url.path().trim_start_matches('/').is_empty() && !has(&["dbname"]) {
            return Err(missing(UrlPart::Database));
        }
        if url.query_pairs().any(|(name, _)| !is_known(&name)) {
            return Err(PostgresUrlError::UnknownParameter);
        }
        let options = PgConnectOptions::from_str(text).map_err(PostgresUrlError::Parameter)?;
        let place = PostgresPlace {
            host: options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string()),
            port: options.get_port(),
            database: options.get_database().ok_or_else(|| missing(UrlPart::Database))?.to_owned(),
            user: options.get_username().to_owned(),
        };
        let says_how = has(&["sslmode", "ssl-mode"]);
        // The library's own choice falls back to the clear when the other side has no TLS, whoever that is.
        let options = if says_how {
            options
        } else if is_this_machine(&place.host) {
            options.ssl_mode(PgSslMode::Prefer)
        } else {
            options.ssl_mode(PgSslMode::VerifyFull)
        };
        Ok(Self { options: Box::new(options), place: Arc::new(place) })
    }

    /// What may be shown of it.
    #[must_use]
    pub const fn place(&self) -> &Arc<PostgresPlace> {
        &self.place
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::clone(&self.options)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({})", self.place)
    }
}

/// Whether the library takes a parameter of this name.
fn is_known(name: &str) -> bool {
    const KNOWN: [&str; 18] = [
        "sslmode",
        "ssl-mode",
        "sslrootcert",
        "ssl-root-cert",
        "ssl-ca",
        "sslcert",
        "ssl-cert",
        "sslkey",
        "ssl-key",
        "statement-cache-capacity",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
    ];
    KNOWN.contains(&name) || (name.starts_with("options[") && name.ends_with(']'))
}

/// A socket, `localhost`, or an address of the loopback.
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.starts_with('/') || host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn another_machine_is_verified_unless_the_url_says_otherwise() {
        let cases = [
            ("postgres://log@db/countermark", PgSslMode::VerifyFull),
            ("postgresql://log:secret@10.0.0.7:5433/countermark", PgSslMode::VerifyFull),
            ("postgres://log@db/countermark?sslmode=require", PgSslMode::Require),
            ("postgres://log@db/countermark?sslmode=disable", PgSslMode::Disable),
            ("postgres://log@localhost/countermark", PgSslMode::Prefer),
            ("postgres://log@127.0.0.1/countermark", PgSslMode::Prefer),
            ("postgres://log@[::1]/countermark", PgSslMode::Prefer),
            ("postgres://log@%2Frun%2Fpostgresql/countermark", PgSslMode::Prefer),
            ("postgres:///countermark?host=/run/postgresql&user=log", PgSslMode::Prefer),
            ("\n postgres://log@localhost/countermark\n", PgSslMode::Prefer),
        ];
        for (text, expect) in cases {
            let url = PostgresUrl::parse(text).unwrap();
            let same = |mode: PgSslMode| std::mem::discriminant(&mode);
            assert_eq!(same(url.options().get_ssl_mode()), same(expect), "{text}");
            assert_eq!((url.place().user.as_str(), url.place().database.as_str()), ("log", "countermark"), "{text}");
        }
    }

    #[test]
    fn a_url_is_whole_or_refused() {
        let missing = |text: &str| match PostgresUrl::parse(text).unwrap_err() {
            PostgresUrlError::Missing { part } => part,
            other => panic!("{text}: {other}"),
        };
        assert_eq!(missing("postgres://db/countermark"), UrlPart::User);
        assert_eq!(missing("postgres:///countermark?user=log"), UrlPart::Host);
        assert_eq!(missing("postgres://log@db"), UrlPart::Database);
        assert_eq!(missing("postgres://log@db/"), UrlPart::Database);
        let refused = |text: &str| PostgresUrl::parse(text).unwrap_err();
        assert!(matches!(refused("the database"), PostgresUrlError::NotAUrl(_)));
        assert!(matches!(refused("mysql://log@db/countermark"), PostgresUrlError::OtherScheme));
        let error = refused("postgres://log@db/countermark?sslmode=maybe");
        assert!(matches!(error, PostgresUrlError::Parameter(_)), "{error}");
        // A typo of `password`, for example.
        let error = refused("postgres://log@db/countermark?pasword=hunter2");
        assert!(matches!(error, PostgresUrlError::UnknownParameter), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(
            PostgresUrl::parse("postgres://log@db/countermark?options[search_path]=x&application_name=log").is_ok()
        );
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = PostgresUrl::parse("postgres://log:hunter2@db/countermark").unwrap();
        let shown = format!("{url:?} {}", url.place());
        assert!(!shown.contains("hunter2") && shown.contains("database countermark at db:5432 as log"), "{shown}");
    }
}
