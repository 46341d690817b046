//! Settings that can't be used, and valid settings that may be a mistake.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::{Finding, Subject};
use crate::tls;

pub(super) fn examine(subject: &Subject<'_>) -> Vec<Finding> {
    let server = &subject.config.server;
    let address = crate::config::resolve(&server.listen).map(|address: SocketAddr| address.ip()).ok();
    let listen = exposure(&server.listen, address, &server.public_url, subject);
    let mut findings = vec![fingerprints(subject.has_ephemeral_key), listen];
    findings.extend(metrics(&subject.config.metrics.listen));
    findings.extend(client_authorities(&server.tls_client_ca_file));
    findings
}

/// The address of the metrics endpoint, if one is set explicitly.
fn metrics(listen: &str) -> Option<Finding> {
    const CHECK: &str = "settings.metrics_listen";
    if listen.is_empty() || listen == "auto" {
        return None;
    }
    Some(match crate::config::resolve(listen) {
        Ok(_) => Finding::ok(CHECK, listen),
        Err(_) => Finding::problem(
            CHECK,
            format!("{listen} is not an address of this machine"),
            "muster does not start",
            "set `metrics.listen` to HOST:PORT such as 127.0.0.1:9464, to `auto`, or to nothing to disable metrics",
        ),
    })
}

/// The authorities for client certificates (mutual TLS).
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
            "muster does not start; a running instance keeps the previous authorities",
            "set a PEM file with certificate authorities; or nothing, if clients have no certificates",
        ),
    })
}

pub(super) fn unusable(why: &str) -> Finding {
    Finding::problem(
        "settings.usable",
        why,
        "muster does not start; no other check was run",
        "correct the setting or the file; `muster config check --defaults` explains each setting",
    )
}

pub(super) fn fingerprints(has_ephemeral_key: bool) -> Finding {
    const CHECK: &str = "settings.server_key";
    if !has_ephemeral_key {
        return Finding::ok(CHECK, "persistent");
    }
    // A supervisor often provides the key only to the service (LoadCredential of systemd, a Kubernetes secret).
    Finding::conditional(
        CHECK,
        "not set for this process; fine if the service gets one in another way (LoadCredential, environment)",
        "without a key, a retry with an Idempotency-Key is rejected after a restart and on other instances; the service \
         logs this at startup",
        "if the service logs this, set `secrets.server_key_file` to a file with the output of `openssl rand -hex 32`, the \
         same for all instances",
    )
}

fn exposure(listen: &str, address: Option<IpAddr>, public_url: &str, subject: &Subject<'_>) -> Finding {
    const CHECK: &str = "settings.listen";
    let Some(address) = address else {
        return Finding::problem(
            CHECK,
            format!("{listen} is not an address of this machine"),
            "muster does not start",
            "set `server.listen` to HOST:PORT such as 127.0.0.1:8080",
        );
    };
    let is_encrypted = subject.config.server.certificate_files().is_some() || public_url.starts_with("https://");
    if address.is_loopback() || is_encrypted {
        return Finding::ok(CHECK, listen);
    }
    Finding::warning(
        CHECK,
        format!("{listen}, without TLS"),
        "API keys and passwords cross the network in clear text, unless something else encrypts them",
        "set `server.tls_certificate_file` and `server.tls_key_file`; or use a TLS proxy, and set \
         `server.public_url = \"https://…\"`",
    )
}
