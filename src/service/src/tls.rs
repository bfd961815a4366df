//! TLS of a service: the certificate and the private key of `[tls]`, read again when the files change.
//!
//! ```toml
//! [tls]
//! certificate_file = "fullchain.pem"   # the service's certificate, then those that lead to its CA
//! private_key_file = "privkey.pem"     # PKCS#8, PKCS#1 or SEC 1, not encrypted; only its owner may read it
//! ```
//!
//! The key is not one of the project's own: it proves a host name to a caller, and nothing that the project signs. It is
//! renewed by programs that know PEM and links, so it is neither encrypted nor refused behind a symbolic link; its mode is
//! judged where the link leads.
//!
//! Invariant: new connections get the newest pair that was whole and fitted together. A bad new pair changes nothing.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

use crate::lifecycle::with_causes;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The most bytes of a file: 256 KiB.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// The permission bits that a private key must not have.
const MODE_FORBIDDEN: u32 = 0o077;

/// The table `[tls]` of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate chain in PEM, the service's own certificate first.
    pub certificate_file: PathBuf,
    /// The private key in PEM.
    pub private_key_file: PathBuf,
}

/// Why a certificate and its key are not used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file was not read.
    #[error("[tls]: cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// A folder, a device or a pipe.
    #[error("[tls]: {} is not a regular file", path.display())]
    NotRegular {
        /// What was named.
        path: PathBuf,
    },
    /// Larger than any certificate chain.
    #[error("[tls]: {} has more than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the key.
    #[error("[tls]: the mode of {} is {mode:04o}; only the owner may have permissions on a private key (chmod 0600)", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// The permission bits found.
        mode: u32,
    },
    /// The certificates are not PEM.
    #[error("[tls]: {} is not PEM", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// No certificate.
    #[error("[tls]: there is no certificate in {}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No private key, or none that was understood.
    // The cause would quote a line of the file.
    #[error("[tls]: there is no private key in {} that is not encrypted (PKCS#8, PKCS#1 or SEC 1 in PEM)", path.display())]
    NoPrivateKey {
        /// The file.
        path: PathBuf,
    },
    /// The key of another certificate.
    #[error("[tls]: {} is not the key of the first certificate in {}", private_key_file.display(), certificate_file.display())]
    OtherKey {
        /// The certificates.
        certificate_file: PathBuf,
        /// The key.
        private_key_file: PathBuf,
    },
    /// A key or certificate of a kind that is not used.
    #[error("[tls]: {} and {} are refused", certificate_file.display(), private_key_file.display())]
    Refused {
        /// The certificates.
        certificate_file: PathBuf,
        /// The key.
        private_key_file: PathBuf,
        /// What the TLS library says.
        source: rustls::Error,
    },
    /// Fault: the TLS library has no cipher suites for both versions.
    #[error("[tls]: TLS 1.2 and 1.3 cannot be spoken")]
    Versions(#[source] rustls::Error),
    /// The system's signals cannot be awaited.
    #[error("[tls]: cannot watch for SIGHUP")]
    Signal(#[source] io::Error),
}

/// TLS with the pair that is in force.
#[derive(Clone, Debug)]
pub struct Tls {
    pair: Arc<Pair>,
    config: Arc<ServerConfig>,
    hangups: Arc<Mutex<Option<Signal>>>,
}

/// What became of a look at the files.
#[derive(Debug)]
enum Look {
    Unchanged,
    Renewed,
    Kept(TlsError),
}

#[derive(Debug)]
struct Pair {
    files: TlsFiles,
    in_force: RwLock<Arc<CertifiedKey>>,
    /// The files as they were last looked at, good or bad.
    seen: Mutex<Option<Stamps>>,
}

/// Tells one state of both files from another.
type Stamps = [(u64, u64, i64, i64); 2];

impl TlsFiles {
    /// The files with their paths relative to a folder.
    #[must_use]
    pub fn below(self, folder: &Path) -> Self {
        Self {
            certificate_file: folder.join(self.certificate_file),
            private_key_file: folder.join(self.private_key_file),
        }
    }

    /// Checks both files as [`Tls::open`] does.
    pub fn check(&self) -> Result<(), TlsError> {
        self.read().map(|_| ())
    }

    fn read(&self) -> Result<CertifiedKey, TlsError> {
        let path = &self.certificate_file;
        let text = read(path, 0)?;
        let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|source| TlsError::Certificate { path: path.clone(), source })?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate { path: path.clone() });
        }
        let path = &self.private_key_file;
        let text = read(path, MODE_FORBIDDEN)?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::NoPrivateKey { path: path.clone() })?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|source| {
            let Self { certificate_file, private_key_file } = self.clone();
            match source {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    TlsError::OtherKey { certificate_file, private_key_file }
                }
                source => TlsError::Refused { certificate_file, private_key_file, source },
            }
        })
    }

    fn stamps(&self) -> io::Result<Stamps> {
        let of = |path: &Path| {
            let found: Metadata = std::fs::metadata(path)?;
            Ok::<_, io::Error>((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
        };
        Ok([of(&self.certificate_file)?, of(&self.private_key_file)?])
    }
}

impl Tls {
    /// Reads both files, and catches SIGHUP from now on.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        // Before the files: a change in between is seen as one.
        let seen = files.stamps().ok();
        let in_force = RwLock::new(Arc::new(files.read()?));
        let pair = Arc::new(Pair { files, in_force, seen: Mutex::new(seen) });
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&pair) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let hangups = signal(SignalKind::hangup()).map_err(TlsError::Signal)?;
        Ok(Self { pair, config: Arc::new(config), hangups: Arc::new(Mutex::new(Some(hangups))) })
    }

    /// The certificate chain in force, the service's own first.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.pair.in_force().cert.clone()
    }

    /// Shakes hands with a client.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(Arc::clone(&self.config)).accept(stream).await
    }

    /// Reads the files again whenever they change, or at SIGHUP, until the answer is dropped.
    pub(crate) fn watch(&self) -> Watching {
        let pair = Arc::clone(&self.pair);
        let hangups = self.hangups.lock().unwrap_or_else(PoisonError::into_inner).take();
        Watching(tokio::spawn(watch(pair, hangups)))
    }
}

/// What addresses of a service begin with.
#[must_use]
pub const fn scheme(tls: Option<&Tls>) -> &'static str {
    if tls.is_some() { "https" } else { "http" }
}

/// The task that looks at the files.
#[derive(Debug)]
pub(crate) struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn watch(pair: Arc<Pair>, mut hangups: Option<Signal>) {
    loop {
        let hangup = async {
            match &mut hangups {
                Some(hangups) => hangups.recv().await,
                None => std::future::pending().await,
            }
        };
        let is_told = tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => false,
            _ = hangup => true,
        };
        let looking = Arc::clone(&pair);
        match tokio::task::spawn_blocking(move || looking.look(is_told)).await {
            Ok(Look::Unchanged) => {}
            Ok(Look::Renewed) => {
                tracing::info!(path = %pair.files.certificate_file.display(), "the certificate was read again");
            }
            Ok(Look::Kept(error)) => {
                tracing::error!(error = with_causes(&error), "the new certificate is not used; the old one is");
            }
            Err(error) => tracing::error!(%error, "the certificate was not looked at"),
        }
    }
}

impl Pair {
    /// Reads the files if they changed since they were looked at, or if `is_told` to.
    fn look(&self, is_told: bool) -> Look {
        // A file that is missing just now is being replaced, or will be named by `read`.
        let found = self.files.stamps().ok();
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == found && !is_told {
                return Look::Unchanged;
            }
            *seen = found;
        }
        match self.files.read() {
            Ok(pair) => {
                *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                Look::Renewed
            }
            Err(error) => Look::Kept(error),
        }
    }

    fn in_force(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.in_force())
    }
}

/// Makes the one TLS provider the process's own, for HTTP clients, which look for it there; once is enough.
pub fn install_provider() {
    // An error means that it is installed already.
    let _ = aws_lc_rs::default_provider().install_default();
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Reads a regular file of at most [`FILE_BYTES_MAX`] bytes that has none of these permission bits.
fn read(path: &Path, mode_forbidden: u32) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unread = |source| TlsError::Read { path: path.to_owned(), source };
    // Before it is opened: to open a pipe is to wait for its writer.
    if !std::fs::metadata(path).map_err(unread)?.is_file() {
        return Err(TlsError::NotRegular { path: path.to_owned() });
    }
    let file = File::open(path).map_err(unread)?;
    // Of the open file: the name may lead to another one by now.
    let mode = file.metadata().map_err(unread)?.mode() & 0o7777;
    if mode & mode_forbidden != 0 {
        return Err(TlsError::Permissions { path: path.to_owned(), mode });
    }
    // Room for one byte more than allowed, taken at once: growing would leave copies of a key behind.
    let room = usize::try_from(FILE_BYTES_MAX).unwrap_or(usize::MAX).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() >= room {
        return Err(TlsError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
