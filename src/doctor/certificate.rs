//! A TLS certificate and its private key: whether a server can use them, and until when.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::{DateTime, Utc};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::Finding;
use crate::tls::time;

const CHECK: &str = "certificate";

/// How many days before expiry to warn: automatic renewal happens long before.
const WARNING_DAYS: i64 = 14;

const REFUSED: &str = "no client can connect over TLS";
const RENEW: &str = "renew the certificate, and check the automatic renewal";

pub(super) fn examine(certificate: &Path, key: &Path, now: DateTime<Utc>) -> Vec<Finding> {
    let found = read(certificate, key).map_or_else(|finding| finding, |chain| assess(certificate, &chain, now));
    vec![found, key_permissions(key)]
}

/// Reads the certificate chain, server certificate first, and checks that the key belongs to it.
fn read(certificate: &Path, key: &Path) -> Result<Vec<CertificateDer<'static>>, Finding> {
    let problem = |path: &Path, what: String| {
        let advice = "use a PEM file with the certificate and its intermediates, and a PEM file with the private key";
        Finding::problem(CHECK, format!("{}: {what}", path.display()), REFUSED, advice)
    };
    let bytes = fs::read(certificate).map_err(|error| problem(certificate, error.to_string()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| problem(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(problem(certificate, "contains no PEM certificate".to_owned()));
    }
    let bytes = fs::read(key).map_err(|error| problem(key, error.to_string()))?;
    // The parser's message could contain a part of the key.
    let secret = PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| problem(key, "contains no PEM private key, or one with a passphrase".to_owned()))?;
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(chain.clone(), secret, &provider) {
        Ok(_) => Ok(chain),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(problem(key, format!("not the private key of {}", certificate.display())))
        }
        Err(error) => Err(problem(certificate, error.to_string())),
    }
}

fn assess(path: &Path, chain: &[CertificateDer<'static>], now: DateTime<Utc>) -> Finding {
    let parsed: Result<Vec<Certificate>, _> = chain.iter().map(|one| Certificate::from_der(one)).collect();
    let Some((first, rest)) = parsed.as_ref().ok().and_then(|chain| chain.split_first()) else {
        let what = format!("{}: malformed certificate", path.display());
        return Finding::problem(CHECK, what, REFUSED, "use the certificates as the authority issued them");
    };
    // An expired intermediate invalidates the chain.
    let ends = std::iter::once(first).chain(rest).filter_map(|one| time(&one.tbs_certificate().validity().not_after));
    let (begins, ends) = (time(&first.tbs_certificate().validity().not_before), ends.min());
    let (Some(begins), Some(ends)) = (begins, ends) else {
        return Finding::problem(CHECK, "malformed validity period", REFUSED, RENEW);
    };
    let names = names(first);
    let show = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M UTC").to_string();
    if now < begins {
        let found = format!("for {names}, not valid before {}", show(begins));
        return Finding::problem(CHECK, found, REFUSED, "wait, or check the clock of this machine");
    }
    if now >= ends {
        return Finding::problem(CHECK, format!("for {names}, expired {}", show(ends)), REFUSED, RENEW);
    }
    let days = (ends - now).num_days();
    let found = format!("for {names}, {days} days until {}", show(ends));
    let issued = std::iter::once(first).chain(rest);
    if issued.zip(rest).any(|(one, next)| one.tbs_certificate().issuer() != next.tbs_certificate().subject()) {
        return Finding::warning(
            CHECK,
            found,
            "the chain is out of order (each certificate must be issued by the next), and some clients reject it",
            "put the server certificate first, then the certificate of its issuer, and so on",
        );
    }
    if days < WARNING_DAYS {
        return Finding::warning(CHECK, found, "after that, no client can connect over TLS", RENEW);
    }
    Finding::ok(CHECK, found)
}

fn key_permissions(key: &Path) -> Finding {
    const CHECK: &str = "certificate.key";
    match fs::metadata(key) {
        Ok(file) if file.permissions().mode() & 0o007 != 0 => Finding::warning(
            CHECK,
            format!("{} is readable by all users of this machine", key.display()),
            "they can impersonate this server",
            format!("`chmod o= {}`, and replace the key if other people use this machine", key.display()),
        ),
        Ok(_) => Finding::ok(CHECK, "not readable by other users"),
        Err(error) => Finding::problem(
            CHECK,
            format!("{}: {error}", key.display()),
            REFUSED,
            "check the path, and that the user of muster can read the file",
        ),
    }
}

/// The names that clients verify (RFC 9525: not the common name).
fn names(certificate: &Certificate) -> String {
    let names = certificate.tbs_certificate().get_extension::<SubjectAltName>().ok().flatten();
    let names: Vec<String> = names
        .map(|(_, names)| names.0)
        .unwrap_or_default()
        .iter()
        .filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
            GeneralName::IpAddress(bytes) => ip(bytes.as_bytes()),
            _ => None,
        })
        .collect();
    if names.is_empty() { "no name".to_owned() } else { names.join(", ") }
}

fn ip(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string())).ok()
}
