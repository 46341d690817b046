//! Identity providers: whether they can be reached, and their secrets opened. All findings are warnings: muster serves everybody else.

use sqlx::PgConnection;

use super::{Finding, Subject};
use crate::sso::{self, Health};

const CHECK: &str = "sso.providers";

/// The tolerated difference of the clocks, in seconds: half of what tokens may differ by.
const MOST_SKEW: i64 = 30;

pub(super) async fn examine(connection: &mut PgConnection, subject: &Subject<'_>) -> Vec<Finding> {
    let Some(seal_keys) = subject.seal_keys else { return Vec::new() };
    let examined = sso::health(connection, subject.config, seal_keys, subject.clock).await;
    match examined {
        Err(error) => vec![Finding::warning(
            CHECK,
            format!("can't read the identity providers: {error}"),
            "they were not examined",
            "see the other findings about the database",
        )],
        Ok(Err(why)) => vec![Finding::warning(
            CHECK,
            why,
            "nobody can sign in through an identity provider",
            "install the certificate authorities of the system (package ca-certificates), or set SSL_CERT_FILE",
        )],
        Ok(Ok(providers)) => providers.iter().flat_map(assess).collect(),
    }
}

pub(super) fn assess(health: &Health) -> Vec<Finding> {
    let provider = &health.provider;
    let cannot = "nobody can sign in through it; open sessions and other ways to sign in are not affected";
    let mut findings = Vec::new();
    if let Some(error) = &health.unreadable {
        findings.push(Finding::warning(
            CHECK,
            format!("{provider}: its client secret can't be opened: {error}"),
            cannot,
            "add the key to `secrets.seal_key`, or set the secret again with `muster sso provider update NAME --client-secret-file FILE`",
        ));
    }
    if let Some(why) = &health.failure {
        findings.push(Finding::warning(
            CHECK,
            format!("{provider}: {why}"),
            cannot,
            "check the network and the provider; then run `muster sso provider test NAME`",
        ));
    }
    let ahead = health.clock_ahead.map(|ahead| ahead.num_seconds()).unwrap_or_default();
    if ahead.abs() > MOST_SKEW {
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        findings.push(Finding::warning(
            CHECK,
            format!("{provider}: its clock is {} seconds {direction} this machine's", ahead.abs()),
            "its tokens are rejected when the clocks differ by more than 60 seconds (`sso_clock`)",
            "synchronize the clock of this machine (NTP), or have the provider correct its own",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("{provider}: its metadata and keys can be used")));
    }
    findings
}
