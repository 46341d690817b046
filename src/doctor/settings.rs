//! Settings: those that can't be used, and those that are allowed and not always meant.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::{Finding, Subject};
use crate::tls;

pub(super) fn examine(subject: &Subject<'_>) -> Vec<Finding> {
    let server = &subject.config.server;
    let address = crate::config::resolve(&server.listen).map(|address: SocketAddr| address.ip()).ok();
    let listen = exposure(&server.listen, address, &server.public_url, subject);
    let mut findings = vec![fingerprints(subject.has_passing_key), listen];
    findings.extend(metrics(&subject.config.metrics.listen));
    findings.extend(client_authorities(&server.tls_client_ca_file));
    findings
}

/// Where the metrics are, if a place is set.
fn metrics(listen: &str) -> Option<Finding> {
    const CHECK: &str = "settings.metrics_listen";
    if listen.is_empty() || listen == "auto" {
        return None;
    }
    Some(match crate::config::resolve(listen) {
        Ok(_) => Finding::ok(CHECK, listen),
        Err(_) => Finding::problem(
            CHECK,
            format!("{listen} is no address of this machine's"),
            "muster does not start",
            "set metrics.listen to HOST:PORT, such as 127.0.0.1:9464; to auto; or to nothing, for none",
        ),
    })
}

/// Who vouches for clients, if they have to show a certificate.
fn client_authorities(file: &str) -> Option<Finding> {
    const CHECK: &str = "settings.tls_client_ca_file";
    if file.is_empty() {
        return None;
    }
    Some(match tls::count_client_authorities(Path::new(file)) {
        Ok(count) => Finding::ok(CHECK, format!("{count} in {file}")),
        Err(why) => Finding::problem(
            CHECK,
            why,
            "muster does not start; one that runs goes on with those it had",
            "give a file with the certificates of those who vouch for clients, in PEM; or none, for clients without",
        ),
    })
}

pub(super) fn unusable(why: &str) -> Finding {
    Finding::problem(
        "settings.usable",
        why,
        "muster does not start; nothing else was looked at",
        "mend the setting that is named, or the file; `muster config check --defaults` prints what each may be",
    )
}

pub(super) fn fingerprints(has_passing_key: bool) -> Finding {
    const CHECK: &str = "settings.fingerprint_key";
    if !has_passing_key {
        return Finding::ok(CHECK, "lasts");
    }
    // A service is often given it by what starts it (LoadCredential of systemd, a secret of Kubernetes), and this process
    // is not the service.
    Finding::remark(
        CHECK,
        "this process has none; if the service is given one otherwise (LoadCredential, environment), this is fine",
        "without one, a request that is sent again with its Idempotency-Key after a restart, or to another instance, is \
         refused; the log of the service says so when it starts",
        "if it does, set secrets.fingerprint_key_file to a file with what `openssl rand -hex 32` prints, the same for all instances",
    )
}

fn exposure(listen: &str, address: Option<IpAddr>, public_url: &str, subject: &Subject<'_>) -> Finding {
    const CHECK: &str = "settings.listen";
    let Some(address) = address else {
        return Finding::problem(
            CHECK,
            format!("{listen} is no address of this machine's"),
            "muster does not start",
            "set server.listen to HOST:PORT, such as 127.0.0.1:8080",
        );
    };
    let is_encrypted = subject.config.server.certificate_files().is_some() || public_url.starts_with("https://");
    if address.is_loopback() || is_encrypted {
        return Finding::ok(CHECK, listen);
    }
    Finding::warning(
        CHECK,
        format!("{listen}, without TLS"),
        "API keys and passwords can be read on the way, unless something else encrypts them",
        "set server.tls_certificate_file and server.tls_key_file; or put a proxy that speaks TLS before it, and say so with \
         server.public_url = \"https://…\"",
    )
}
