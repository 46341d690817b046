//! API keys that expire soon.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::Finding;
use super::read::{self, ExpiringKey};

/// How many days before a key expires the doctor warns.
const WARNING_DAYS: i64 = 14;

/// How many keys the finding names.
const MAX_NAMED: usize = 5;

pub(super) async fn examine(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Finding> {
    Ok(assess(&read::expiring_keys(connection, now, now + TimeDelta::days(WARNING_DAYS)).await?))
}

pub(super) fn assess(keys: &[ExpiringKey]) -> Finding {
    const CHECK: &str = "keys.expiry";
    if keys.is_empty() {
        return Finding::ok(CHECK, format!("no API key expires within {WARNING_DAYS} days"));
    }
    let mut named: Vec<String> = keys.iter().take(MAX_NAMED).map(describe).collect();
    let more = keys.len().saturating_sub(MAX_NAMED);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    let expire = if keys.len() == 1 { "API key expires" } else { "API keys expire" };
    Finding::warning(
        CHECK,
        format!("{} {expire} within {WARNING_DAYS} days: {}", keys.len(), named.join("; ")),
        "its clients will get 401; rotating a key changes its secret and not its expiry",
        "create a new key with `muster key create`, give it to the clients, and revoke the old one with `muster key revoke KEY_ID`",
    )
}

fn describe(key: &ExpiringKey) -> String {
    let ExpiringKey { key_id, name, organization, expires_at } = key;
    format!("{name} ({key_id}, of {organization}) on {}", expires_at.format("%Y-%m-%d %H:%M UTC"))
}
