//! TLS: the certificate that the server shows, whose certificates it asks for, and how both are kept current.
//!
//! # Decisions
//!
//! *The files are read again every second*, not watched: what watchers report differs between file systems, and
//! misses the swapped links by which Kubernetes replaces secrets. Three small files cost nothing.
//!
//! *Certificate, key and authorities are replaced together or not at all.* They are tried once they have stood still for
//! a second, since nobody can write two files in one moment; what can't be used is told once, and the old ones go on.
//! A connection keeps what it began with.
//!
//! *A certificate whose time has not come or is over is told, not refused.* At the start it is better than no server:
//! a clock may be wrong, and some clients don't look. It does not take the place of one that is good, though.
//!
//! *No session is resumed where clients need a certificate*: a resumed session is not checked again, and would outlive
//! the authority that vouched for it.

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

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a client may speak, what muster would rather speak first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];

/// The name of HTTP/2 over TLS (RFC 9113, section 3.2).
pub(crate) const HTTP_2: &[u8] = b"h2";

/// The server's side of TLS.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    current: watch::Sender<Current>,
    /// Of the files as they were read first.
    first: [u8; 32],
    /// How often files that had changed could not be used.
    failures: AtomicU64,
}

/// What new connections get.
#[derive(Clone, Debug)]
struct Current {
    config: Arc<ServerConfig>,
    expires_at: Option<DateTime<Utc>>,
    begins_at: Option<DateTime<Utc>>,
}

impl Current {
    /// Why clients would not trust it now, after its name; `None` when they may, or its times can't be read.
    fn untimely(&self) -> Option<String> {
        let now = Clock::System.now();
        let show = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M UTC");
        match (self.begins_at, self.expires_at) {
            (_, Some(end)) if now >= end => Some(format!("expired {}", show(end))),
            (Some(begin), _) if now < begin => Some(format!("is not valid before {}", show(begin))),
            _ => None,
        }
    }
}

/// Where everything comes from.
#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// What stands in the files.
struct Material {
    certificate: Vec<u8>,
    key: Secret,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files that the settings name. `None`: TLS is off.
    ///
    /// # Errors
    /// A file that can't be read or is not what it should be; a key that belongs to another certificate.
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

    /// Accepts connections with what is current.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.borrow().config))
    }

    /// When the certificate that is shown expires, or the first of those that vouch for it in its file; `None` when that
    /// can't be read.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.current.borrow().expires_at
    }

    /// Why clients would not trust the certificate now, in a sentence; `None` when they may.
    #[must_use]
    pub fn untimely(&self) -> Option<String> {
        let why = self.current.borrow().untimely()?;
        Some(format!("the TLS certificate {} {why}: clients don't trust it", self.files.certificate.display()))
    }

    /// How often files that had changed, or that a signal said to read again, could not be used.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Takes new files into use when they change, and at once when `asked` (SIGHUP). Never ends.
    pub async fn keep_current(self: Arc<Self>, mut asked: Signal) {
        let (mut used, mut changed) = (self.first, None);
        // What was good but for its time, until that has come or there is nothing better.
        let mut waiting: Option<Current> = None;
        loop {
            let at_once = tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => false,
                _ = asked.recv() => true,
            };
            let read = self.read().await;
            let found = digest(&read);
            let stands_still = found != used && changed == Some(found);
            if at_once || stands_still {
                waiting = self.replace(read);
                used = found;
            }
            if self.current.borrow().untimely().is_some()
                || waiting.as_ref().is_some_and(|new| new.untimely().is_none())
            {
                waiting.take().into_iter().for_each(|new| self.take_into_use(new));
            }
            changed = Some(found);
        }
    }

    async fn read(&self) -> Result<Material, String> {
        let files = self.files.clone();
        let read = tokio::task::spawn_blocking(move || files.read()).await;
        read.unwrap_or_else(|_| Err("the files could not be read".to_owned()))
    }

    /// Takes what was read into use, if it is of use; gives it back if only its time is wrong, and the one before is better.
    fn replace(&self, read: Result<Material, String>) -> Option<Current> {
        let (error, waiting) = match read.and_then(|material| self.files.config(&material)) {
            Ok(new) => match new.untimely() {
                Some(why) if self.current.borrow().untimely().is_none() => {
                    (format!("server.tls_certificate_file {} {why}", self.files.certificate.display()), Some(new))
                }
                _ => {
                    self.take_into_use(new);
                    return None;
                }
            },
            Err(error) => (error, None),
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        let certificate = self.files.certificate.display();
        tracing::error!(%certificate, %error, "the new TLS certificate can't be used: the one before it goes on");
        waiting
    }

    fn take_into_use(&self, new: Current) {
        self.current.send_replace(new);
        let certificate = self.files.certificate.display();
        tracing::info!(%certificate, "the TLS certificate was read again and is used for new connections");
        if let Some(sentence) = self.untimely() {
            tracing::error!("{sentence}");
        }
    }
}

/// Tells whether the files have changed.
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

/// How many authorities are in a file for `server.tls_client_ca_file`, if it could be used.
///
/// # Errors
/// A sentence with the setting and the file.
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
        // What is not text has no key in PEM in it.
        Ok(Material { certificate, key: Secret::new(String::from_utf8(key).unwrap_or_default()), client_ca })
    }

    fn config(&self, material: &Material) -> Result<Current, String> {
        let chain = certificates("tls_certificate_file", &self.certificate, &material.certificate)?;
        let (begins_at, expires_at) = (beginning(&chain), expiry(&chain));
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
        Ok(Current { config: Arc::new(config), expires_at, begins_at })
    }
}

fn certificates(setting: &str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| format!("server.{setting} {} has no certificate in PEM", path.display()))
}

/// When the first of a chain expires: one that has expired spoils all of it.
fn expiry(chain: &[CertificateDer<'_>]) -> Option<DateTime<Utc>> {
    let ends = chain.iter().map(|one| time(&Certificate::from_der(one).ok()?.tbs_certificate().validity().not_after));
    ends.collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// When the last of a chain becomes valid.
fn beginning(chain: &[CertificateDer<'_>]) -> Option<DateTime<Utc>> {
    let begins =
        chain.iter().map(|one| time(&Certificate::from_der(one).ok()?.tbs_certificate().validity().not_before));
    begins.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// A time in a certificate.
pub(crate) fn time(time: &x509_cert::time::Time) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(i64::try_from(time.to_unix_duration().as_secs()).ok()?, 0)
}

/// What lets in clients with a certificate of one of these authorities.
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
