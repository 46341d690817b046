//! Certificates, made for the test that needs them.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};

/// Somebody who signs certificates.
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

    /// The key of its own certificate.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for this machine, and its key.
    pub fn issue(&self) -> (String, String) {
        self.issue_for(1975, 4096)
    }

    /// The same, valid from the beginning of a year to that of another.
    pub fn issue_for(&self, from: i32, to: i32) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Where a server finds its own.
pub struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    /// With a first certificate of this authority.
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

    /// A new certificate and key in the places of those before.
    pub fn replace(&self, authority: &Authority) {
        let (certificate, key) = authority.issue();
        self.write("server.pem", &certificate);
        self.write("server.key", &key);
    }

    /// The settings that name them.
    pub fn settings(&self) -> [(&'static str, String); 2] {
        let text = |name| self.path(name).to_str().unwrap().to_owned();
        [("SERVER__TLS_CERTIFICATE_FILE", text("server.pem")), ("SERVER__TLS_KEY_FILE", text("server.key"))]
    }
}

/// A server that speaks TLS, with more settings.
pub async fn serve_tls(files: &Files, more: &[(&str, &str)]) -> crate::support::server::ServerProcess {
    let own = files.settings();
    let mut settings: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.extend_from_slice(more);
    crate::serve(&settings).await
}
