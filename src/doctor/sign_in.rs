//! Settings and stored hashes that matter to people who sign in. Each check reports only what is to be changed.

use sqlx::PgConnection;

use super::Finding;
use super::read::{self, HashScheme};
use crate::config::Config;
use crate::http;

/// The value of `passwords.refusal_floor_ms` to begin with: longer than most imported hashes take.
const FLOOR_MS: u32 = 500;

pub(super) fn settings(config: &Config) -> impl Iterator<Item = Finding> {
    [public_url(&config.server.public_url), trusted_proxies(config), throttle(config)].into_iter().flatten()
}

/// Browsers keep the cookie of a session over HTTPS only, except on the same machine.
fn public_url(url: &str) -> Option<Finding> {
    let is_fine = url.is_empty() || url.starts_with("https://") || http::is_loopback(url);
    (!is_fine).then(|| {
        Finding::warning(
            "settings.public_url",
            format!("{url}, without HTTPS"),
            "browsers keep no session there: nobody can sign in",
            "set `server.public_url` to an address that begins with https://",
        )
    })
}

/// Whether there must be a proxy that muster does not know: something else speaks HTTPS.
fn trusted_proxies(config: &Config) -> Option<Finding> {
    let server = &config.server;
    let is_behind_proxy = server.public_url.starts_with("https://") && server.certificate_files().is_none();
    (is_behind_proxy && server.trusted_proxies.is_empty()).then(|| {
        Finding::warning(
            "settings.trusted_proxies",
            "empty, although `server.public_url` is HTTPS and muster serves HTTP",
            "all people have the address of the proxy: they share the limit of failed sign-ins, and the logs don't tell them \
             apart",
            "set `server.trusted_proxies` to the network of the proxy",
        )
    })
}

fn throttle(config: &Config) -> Option<Finding> {
    (!config.sign_in.throttle).then(|| {
        Finding::warning(
            "settings.sign_in_throttle",
            "off",
            "passwords can be guessed without a limit",
            "set `sign_in.throttle = true`, unless something else limits the attempts",
        )
    })
}

/// The schemes of stored hashes that take another time to verify than new ones.
pub(super) async fn hashes(connection: &mut PgConnection, config: &Config) -> sqlx::Result<Option<Finding>> {
    Ok(assess(&read::other_schemes(connection).await?, config.passwords.refusal_floor_ms))
}

pub(super) fn assess(schemes: &[HashScheme], floor_ms: u32) -> Option<Finding> {
    const CHECK: &str = "passwords.schemes";
    if schemes.is_empty() {
        return None;
    }
    let named: Vec<String> = schemes.iter().map(|HashScheme { scheme, count }| format!("{count} {scheme}")).collect();
    let found = format!("imported hashes: {}", named.join(", "));
    if floor_ms > 0 {
        return Some(Finding::ok(CHECK, format!("{found}; `passwords.refusal_floor_ms` is {floor_ms}")));
    }
    Some(Finding::warning(
        CHECK,
        found,
        "a wrong password for such an account is refused after another time, which tells strangers who has one",
        format!(
            "set `passwords.refusal_floor_ms = {FLOOR_MS}`, or more if the slowest refusals take longer; hashes are replaced \
             when their users sign in"
        ),
    ))
}

/// How many organizations the finding names.
const MAX_NAMED: usize = 5;

/// The organizations with single sign-on whose owners can't sign in.
pub(super) async fn owners(connection: &mut PgConnection) -> sqlx::Result<Option<Finding>> {
    Ok(assess_owners(&read::organizations_without_sign_in(connection).await?))
}

pub(super) fn assess_owners(organizations: &[String]) -> Option<Finding> {
    if organizations.is_empty() {
        return None;
    }
    let mut named: Vec<&str> = organizations.iter().take(MAX_NAMED).map(String::as_str).collect();
    let more = format!("and {} more", organizations.len().saturating_sub(MAX_NAMED));
    if organizations.len() > MAX_NAMED {
        named.push(&more);
    }
    Some(Finding::warning(
        "sign_in.owners",
        format!("no owner can sign in: {}", named.join(", ")),
        "only API keys and the commands of this machine can change the organization",
        "give an owner a way in: `muster user link ADDRESS` for one with a password, `muster sso identity bind` for one with single \
         sign-on; `muster user link ADDRESS --recover` opens a session for an hour",
    ))
}
