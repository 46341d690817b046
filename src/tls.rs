//! TLS: the server certificate, client certificates, and reloading both.
//!
//! # Decisions
//!
//! *The files are polled every second*, not watched: file watchers differ between file systems and miss the swapped symbolic
//! links with which Kubernetes updates secrets. Reading three small files costs nothing.
//!
//! *Certificate, key and client CAs are replaced together or not at all*, debounced for one second, because two files
//! can't be written at the same moment. Files that can't be used are logged once, and the previous ones stay in use. Open
//! connections keep the certificate they were opened with.
//!
//! *An expired or not yet valid certificate is logged, not rejected.* At startup it is better than no server: the clock
//! may be wrong, and some clients don't check. It never replaces a valid certificate, though.
//!
//! *Sessions are not resumed where client certificates are required*: a resumed session skips the check, and would outlive
//! the CA that issued the client certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::clock::Clock;
use crate::config::{self, ConfigError};
use crate::secret::Secret;

/// How often the files are polled.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The protocols offered to clients by ALPN (RFC 7301), the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];

/// The ALPN name of HTTP/2 (RFC 9113, section 3.2).
pub(crate) const HTTP_2: &[u8] = b"h2";

/// The TLS configuration of the server, kept up to date.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    current: watch::Sender<Current>,
    /// The digest of the files at startup.
    first: [u8; 32],
    /// How often changed files could not be loaded.
    failures: AtomicU64,
}

/// The configuration for new connections.
#[derive(Clone, Debug)]
struct Current {
    config: Arc<ServerConfig>,
    expires_at: Option<DateTime<Utc>>,
    valid_from: Option<DateTime<Utc>>,
}

impl Current {
    /// Why the certificate is not valid now; `None` if it is, or if its validity can't be read.
    fn validity_error(&self) -> Option<String> {
        let now = Clock::System.now();
        let show = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M UTC");
        match (self.valid_from, self.expires_at) {
            (_, Some(end)) if now >= end => Some(format!("expired {}", show(end))),
            (Some(begin), _) if now < begin => Some(format!("is not valid before {}", show(begin))),
            _ => None,
        }
    }
}

/// The paths of the files.
#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// The content of the files.
struct Material {
    certificate: Vec<u8>,
    key: Secret,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Loads the files that the settings name; `None` if TLS is off.
    ///
    /// # Errors
    /// A file that can't be read or is invalid; a key that does not match the certificate.
    pub fn load(config: &config::Server) -> Result<Option<Arc<Self>>, ConfigError> {
        let Some((certificate, key)) = config.certificate_files() else { return Ok(None) };
        let client_ca = &config.tls_client_ca_file;
        let client_ca = (!client_ca.is_empty()).then(|| PathBuf::from(client_ca));
        let files = Files { certificate, key, client_ca };
        let read = files.read();
        let first = digest(&read);
        let config = read.and_then(|material| files.config(&material)).map_err(ConfigError::starting)?;
        let (current, _) = watch::channel(config);
        Ok(Some(Arc::new(Self { files, current, first, failures: AtomicU64::new(0) })))
    }

    /// An acceptor with the current certificate.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.borrow().config))
    }

    /// The earliest expiry in the certificate chain in use; `None` if it can't be read.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.current.borrow().expires_at
    }

    /// A message if the certificate in use has expired or is not valid yet.
    #[must_use]
    pub fn validity_error(&self) -> Option<String> {
        let why = self.current.borrow().validity_error()?;
        Some(format!("the TLS certificate {} {why}; clients reject it", self.files.certificate.display()))
    }

    /// How often changed files could not be loaded, including reloads by signal.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Loads the files when they change, and immediately on `signal` (SIGHUP). Runs forever.
    pub async fn keep_current(self: Arc<Self>, mut signal: Signal) {
        let (mut used, mut changed) = (self.first, None);
        // A usable certificate outside its validity, until it becomes valid or the one in use expires.
        let mut waiting: Option<Current> = None;
        loop {
            let is_forced = tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => false,
                _ = signal.recv() => true,
            };
            let read = self.read().await;
            let found = digest(&read);
            let is_stable = found != used && changed == Some(found);
            if is_forced || is_stable {
                waiting = self.replace(read);
                used = found;
            }
            if self.current.borrow().validity_error().is_some()
                || waiting.as_ref().is_some_and(|new| new.validity_error().is_none())
            {
                waiting.take().into_iter().for_each(|new| self.activate(new));
            }
            changed = Some(found);
        }
    }

    async fn read(&self) -> Result<Material, String> {
        let files = self.files.clone();
        let read = tokio::task::spawn_blocking(move || files.read()).await;
        read.unwrap_or_else(|_| Err("the files could not be read".to_owned()))
    }

    /// Activates the new files if they are usable. Returns a certificate that is only outside its validity while the one in
    /// use is valid.
    fn replace(&self, read: Result<Material, String>) -> Option<Current> {
        let (error, waiting) = match read.and_then(|material| self.files.config(&material)) {
            Ok(new) => match new.validity_error() {
                Some(why) if self.current.borrow().validity_error().is_none() => {
                    (format!("server.tls_certificate_file {} {why}", self.files.certificate.display()), Some(new))
                }
                _ => {
                    self.activate(new);
                    return None;
                }
            },
            Err(error) => (error, None),
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        let certificate = self.files.certificate.display();
        tracing::error!(%certificate, %error, "the new TLS certificate can't be used; the previous one stays in use");
        waiting
    }

    fn activate(&self, new: Current) {
        self.current.send_replace(new);
        let certificate = self.files.certificate.display();
        tracing::info!(%certificate, "TLS certificate reloaded; new connections use it");
        if let Some(message) = self.validity_error() {
            tracing::error!("{message}");
        }
    }
}

/// Identifies the content of the files, or the error of reading them, to detect changes.
fn digest(read: &Result<Material, String>) -> [u8; 32] {
    let parts = match read {
        Ok(Material { certificate, key, client_ca }) => {
            [certificate, key.expose().as_bytes(), client_ca.as_deref().unwrap_or_default()]
        }
        Err(error) => [b"", error.as_bytes(), b""],
    };
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(Sha256::digest(part));
    }
    digest.finalize().into()
}

/// The number of certificates in a file for `server.tls_client_ca_file`.
///
/// # Errors
/// A message with the setting and the file, if the file can't be used.
pub(crate) fn count_client_authorities(path: &Path) -> Result<usize, String> {
    let pem = read("tls_client_ca_file", path)?;
    client_verifier(Arc::new(ring::default_provider()), path, &pem)?;
    Ok(certificates("tls_client_ca_file", path, &pem)?.len())
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>, String> {
    config::read_file(&format!("server.{setting}"), path).map_err(|error| error.to_string())
}

impl Files {
    fn read(&self) -> Result<Material, String> {
        let certificate = read("tls_certificate_file", &self.certificate)?;
        let key = read("tls_key_file", &self.key)?;
        let client_ca = self.client_ca.as_ref().map(|path| read("tls_client_ca_file", path)).transpose()?;
        // A file that is not UTF-8 contains no PEM key; parsing an empty one reports that.
        Ok(Material { certificate, key: Secret::new(String::from_utf8(key).unwrap_or_default()), client_ca })
    }

    fn config(&self, material: &Material) -> Result<Current, String> {
        let chain = certificates("tls_certificate_file", &self.certificate, &material.certificate)?;
        let (valid_from, expires_at) = (not_before(&chain), not_after(&chain));
        let key = PrivateKeyDer::from_pem_slice(material.key.expose().as_bytes()).map_err(|_| {
            format!("server.tls_key_file {} has no private key in PEM without a password", self.key.display())
        })?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match self.client_ca.as_ref().zip(material.client_ca.as_ref()) {
            Some((path, pem)) => builder.with_client_cert_verifier(client_verifier(provider, path, pem)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => format!(
                "server.tls_key_file {} belongs to another certificate than server.tls_certificate_file {}",
                self.key.display(),
                self.certificate.display()
            ),
            error => format!("server.tls_certificate_file {} can't be used: {error}", self.certificate.display()),
        })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        if self.client_ca.is_some() {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Current { config: Arc::new(config), expires_at, valid_from })
    }
}

fn certificates(setting: &str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| format!("server.{setting} {} has no certificate in PEM", path.display()))
}

/// The earliest expiry in a chain: one expired certificate invalidates the chain.
fn not_after(chain: &[CertificateDer<'_>]) -> Option<DateTime<Utc>> {
    let ends = chain.iter().map(|one| time(&Certificate::from_der(one).ok()?.tbs_certificate().validity().not_after));
    ends.collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// When all certificates of a chain are valid.
fn not_before(chain: &[CertificateDer<'_>]) -> Option<DateTime<Utc>> {
    let begins =
        chain.iter().map(|one| time(&Certificate::from_der(one).ok()?.tbs_certificate().validity().not_before));
    begins.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Converts a time of a certificate; `None` if it is out of range.
pub(crate) fn time(time: &x509_cert::time::Time) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(i64::try_from(time.to_unix_duration().as_secs()).ok()?, 0)
}

/// A verifier that accepts client certificates of the CAs in the file.
fn client_verifier(
    provider: Arc<CryptoProvider>,
    path: &Path,
    pem: &[u8],
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, String> {
    let unusable = |why: String| format!("server.tls_client_ca_file {} can't be used: {why}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls_client_ca_file", path, pem)? {
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| unusable(error.to_string()))
}
