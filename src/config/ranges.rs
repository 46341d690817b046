//! The ranges of numeric settings. A test compares them with the comments in `config/muster.toml`.

use std::ops::RangeInclusive;

use figment::Figment;
use figment::value::Value;

/// The maximum of timeouts that clients wait for, in seconds.
const HOUR: u128 = 3600;

/// The minimum and maximum of each numeric setting.
const RANGES: [(&str, RangeInclusive<u128>); 40] = [
    // actix-web does not start with more than 512.
    ("server.workers", 0..=512),
    ("server.body_limit", 1024..=1_073_741_824),
    ("server.body_budget", 1_048_576..=1_099_511_627_776),
    ("server.keep_alive_seconds", 1..=HOUR),
    ("server.max_connections", 1..=1_000_000),
    ("server.connections_per_address", 0..=1_000_000),
    ("server.shutdown_timeout_seconds", 0..=HOUR),
    ("server.drain_delay_seconds", 0..=HOUR),
    ("database.connections", 1..=10_000),
    ("database.batch_connections", 1..=10_000),
    ("batch.max_users", 1..=100_000),
    ("batch.max_findings", 1..=1_000_000),
    ("batch.max_wait_seconds", 1..=86_400),
    ("batch.max_sync_seconds", 0..=86_400),
    ("batch.lease_seconds", 2..=HOUR),
    ("batch.idempotency_hours", 1..=720),
    // The maxima for verifying passwords: with stronger parameters, users could not sign in.
    ("passwords.memory_kib", 12_288..=262_144),
    ("passwords.iterations", 1..=10),
    ("passwords.parallelism", 1..=16),
    ("passwords.threads", 0..=512),
    ("passwords.min_length", 8..=256),
    ("passwords.min_strength", 0..=4),
    ("passwords.initial_hours", 1..=8760),
    ("passwords.refusal_floor_ms", 0..=10_000),
    ("sign_in.account_burst", 1..=10_000),
    ("sign_in.account_per_minute", 1..=10_000),
    ("sign_in.account_per_day", 1..=10_000),
    ("sign_in.network_burst", 1..=1_000_000),
    ("sign_in.network_per_minute", 1..=1_000_000),
    ("sessions.idle_minutes", 5..=1440),
    ("sessions.hours", 1..=720),
    ("sessions.sso_hours", 1..=720),
    ("links.hours", 1..=720),
    ("sso.creates_per_hour", 1..=100_000),
    ("keys.default_days", 1..=3650),
    ("keys.max_days", 1..=3650),
    ("keys.rotation_overlap_hours", 0..=168),
    ("keys.per_user", 1..=10_000),
    ("invitations.days", 1..=90),
    ("traces.per_second", 0..=1_000_000),
];

/// The mistakes: numbers out of range. Other values are left to deserialization.
pub(super) fn mistakes(settings: &Figment) -> Vec<String> {
    let is_outside = |(name, range): &&(&str, RangeInclusive<u128>)| match settings.find_value(name) {
        Ok(Value::Num(_, number)) => {
            let number = number.to_u128().or_else(|| u128::try_from(number.to_i128()?).ok());
            !number.is_some_and(|number| range.contains(&number))
        }
        _ => false,
    };
    let outside = RANGES.iter().filter(is_outside);
    outside.map(|(name, range)| format!("`{name}` must be {}", words(range))).collect()
}

/// The expected value of a numeric setting, for messages; `None` if the setting is not numeric.
pub(super) fn expected(name: &str) -> Option<String> {
    let (_, range) = RANGES.iter().find(|(known, _)| *known == name)?;
    Some(format!("a whole number {}", words(range)))
}

fn words(range: &RangeInclusive<u128>) -> String {
    format!("from {} to {}", range.start(), range.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MANUAL;

    /// The settings of the manual with a numeric default, each with the comment before it.
    fn documented() -> Vec<(String, String)> {
        let (mut section, mut comment, mut found) = (String::new(), String::new(), Vec::new());
        let mut is_fresh = true;
        for line in MANUAL.lines() {
            if let Some(text) = line.strip_prefix("# ") {
                if std::mem::take(&mut is_fresh) {
                    comment.clear();
                }
                comment.push_str(text);
                comment.push(' ');
                continue;
            }
            is_fresh = true;
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
            } else if let Some((key, value)) = line.split_once(" = ")
                && value.parse::<u64>().is_ok()
            {
                found.push((format!("{section}.{key}"), comment.clone()));
            }
        }
        found
    }

    #[test]
    fn every_numeric_setting_has_a_range_and_the_manual_documents_it() {
        let documented = documented();
        let names: Vec<&str> = documented.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(RANGES.map(|(name, _)| name).as_slice(), names.as_slice());
        for ((name, range), (_, comment)) in RANGES.iter().zip(&documented) {
            assert!(comment.contains(&words(range)), "{name}: {} is missing in: {comment}", words(range));
        }
    }
}
