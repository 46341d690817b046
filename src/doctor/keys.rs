//! API keys that will soon open nothing.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::Finding;
use super::read::{self, EndingKey};
use crate::id::{ApiKey, Id};

/// How long before the end of a key somebody should know, in days.
const DAYS: i64 = 14;

/// How many are named.
const NAMED: usize = 5;

pub(super) async fn examine(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Finding> {
    Ok(judge(&read::ending_keys(connection, now, now + TimeDelta::days(DAYS)).await?))
}

pub(super) fn judge(keys: &[EndingKey]) -> Finding {
    const CHECK: &str = "keys.expiry";
    if keys.is_empty() {
        return Finding::ok(CHECK, format!("no API key ends within {DAYS} days"));
    }
    let mut named: Vec<String> = keys.iter().take(NAMED).map(told).collect();
    let more = keys.len().saturating_sub(NAMED);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    let ends = if keys.len() == 1 { "API key ends" } else { "API keys end" };
    Finding::warning(
        CHECK,
        format!("{} {ends} within {DAYS} days: {}", keys.len(), named.join("; ")),
        "whoever uses it gets 401 from then on; rotating gives a new secret and leaves that time as it is",
        "make another with `muster key create`, hand it over, and end the old one with `muster key revoke KEY_ID`",
    )
}

fn told(key: &EndingKey) -> String {
    let key_id: Id<ApiKey> = Id::from_uuid(key.key_id);
    format!("{} ({key_id}, of {}) on {}", key.name, key.organization, key.expires_at.format("%Y-%m-%d %H:%M UTC"))
}
