//! Certificates for tests.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};

/// A certificate authority.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// The private key of the CA, in PEM.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for this machine and its key, in PEM.
    pub fn issue(&self) -> (String, String) {
        self.issue_for(1975, 4096)
    }

    /// As [`Self::issue`], valid from January 1 of one year to January 1 of another.
    pub fn issue_for(&self, from: i32, to: i32) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// The certificate files of a server.
pub struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    /// Creates the files with a certificate of this CA.
    pub fn new(authority: &Authority) -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap() };
        files.replace(authority);
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Overwrites the files with a new certificate and key.
    pub fn replace(&self, authority: &Authority) {
        let (certificate, key) = authority.issue();
        self.write("server.pem", &certificate);
        self.write("server.key", &key);
    }

    /// The settings with the paths of the files.
    pub fn settings(&self) -> [(&'static str, String); 2] {
        let text = |name| self.path(name).to_str().unwrap().to_owned();
        [("SERVER__TLS_CERTIFICATE_FILE", text("server.pem")), ("SERVER__TLS_KEY_FILE", text("server.key"))]
    }
}

/// Starts a server with TLS and more settings.
pub async fn serve_tls(files: &Files, more: &[(&str, &str)]) -> crate::support::server::ServerProcess {
    let own = files.settings();
    let mut settings: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.extend_from_slice(more);
    crate::serve(&settings).await
}
