//! A certificate with its key: whether a server could use them, and how long.

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

/// When to renew it, in days before it expires: what automatic renewal should have done long before.
const RENEW_DAYS: i64 = 14;

const REFUSED: &str = "no client can connect over TLS";
const RENEW: &str = "renew it, and look at what should have done that by itself";

pub(super) fn examine(certificate: &Path, key: &Path, now: DateTime<Utc>) -> Vec<Finding> {
    let found = read(certificate, key).map_or_else(|finding| finding, |chain| judge(certificate, &chain, now));
    vec![found, key_rights(key)]
}

/// The chain, the server's own first, if the key belongs to it.
fn read(certificate: &Path, key: &Path) -> Result<Vec<CertificateDer<'static>>, Finding> {
    let problem = |path: &Path, what: String| {
        let advice = "give a file with the certificate and those between it and the root, and one with its key, in PEM";
        Finding::problem(CHECK, format!("{}: {what}", path.display()), REFUSED, advice)
    };
    let bytes = fs::read(certificate).map_err(|error| problem(certificate, error.to_string()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| problem(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(problem(certificate, "no certificate in PEM is in it".to_owned()));
    }
    let bytes = fs::read(key).map_err(|error| problem(key, error.to_string()))?;
    // The reader's own words could show a part of the key.
    let secret = PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| problem(key, "no private key in PEM is in it, or one with a passphrase".to_owned()))?;
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(chain.clone(), secret, &provider) {
        Ok(_) => Ok(chain),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(problem(key, format!("is not the key of {}", certificate.display())))
        }
        Err(error) => Err(problem(certificate, error.to_string())),
    }
}

fn judge(path: &Path, chain: &[CertificateDer<'static>], now: DateTime<Utc>) -> Finding {
    let parsed: Result<Vec<Certificate>, _> = chain.iter().map(|one| Certificate::from_der(one)).collect();
    let Some((first, rest)) = parsed.as_ref().ok().and_then(|chain| chain.split_first()) else {
        let what = format!("{}: it can't be read", path.display());
        return Finding::problem(CHECK, what, REFUSED, "give the certificates as the authority issued them");
    };
    // One that is expired anywhere in the chain spoils all of it.
    let ends = std::iter::once(first).chain(rest).filter_map(|one| time(&one.tbs_certificate().validity().not_after));
    let (begins, ends) = (time(&first.tbs_certificate().validity().not_before), ends.min());
    let (Some(begins), Some(ends)) = (begins, ends) else {
        return Finding::problem(CHECK, "its times can't be read", REFUSED, RENEW);
    };
    let names = names(first);
    let show = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M UTC").to_string();
    if now < begins {
        let found = format!("for {names}, not valid before {}", show(begins));
        return Finding::problem(CHECK, found, REFUSED, "wait, or look at this machine's clock");
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
            "the certificates in the file are not each issued by the next: some clients don't trust it",
            "put the server's own first, then the one that issued it, and so on",
        );
    }
    if days < RENEW_DAYS {
        return Finding::warning(CHECK, found, "after that no client can connect over TLS", RENEW);
    }
    Finding::ok(CHECK, found)
}

fn key_rights(key: &Path) -> Finding {
    const CHECK: &str = "certificate.key";
    match fs::metadata(key) {
        Ok(file) if file.permissions().mode() & 0o007 != 0 => Finding::warning(
            CHECK,
            format!("{} can be read by every user of this machine", key.display()),
            "whoever has it can pretend to be this server",
            format!("`chmod o= {}`, and a new key if others use this machine", key.display()),
        ),
        Ok(_) => Finding::ok(CHECK, "closed to others"),
        Err(error) => Finding::problem(
            CHECK,
            format!("{}: {error}", key.display()),
            REFUSED,
            "give the path of the key, and let the user that muster runs as read it",
        ),
    }
}

/// The names that clients compare (RFC 9525: not the common name).
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
    if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") }
}

fn ip(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string())).ok()
}
