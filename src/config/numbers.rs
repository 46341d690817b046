//! The settings that are numbers, and from what to what each may be: the same for `muster config check` and for
//! `muster serve`, and the same as `config/muster.toml` says.

use std::ops::RangeInclusive;

use figment::Figment;
use figment::value::Value;

use super::ConfigError;

/// Above this nobody means it: an hour, for what somebody waits for.
const HOUR: u128 = 3600;

/// Each with the least and the most that it may be.
const NUMBERS: [(&str, RangeInclusive<u128>); 30] = [
    // Above 512 the HTTP library does not start.
    ("server.workers", 0..=512),
    ("server.body_limit", 1024..=1_073_741_824),
    ("server.body_timeout_seconds", 1..=HOUR),
    ("server.header_limit", 1024..=131_072),
    ("server.header_timeout_seconds", 1..=HOUR),
    ("server.keep_alive_seconds", 1..=HOUR),
    ("server.send_timeout_seconds", 1..=HOUR),
    ("server.max_connections", 1..=1_000_000),
    ("server.http2_requests", 1..=10_000),
    ("server.shutdown_timeout_seconds", 0..=HOUR),
    ("server.drain_delay_seconds", 0..=HOUR),
    ("database.connections", 1..=10_000),
    ("database.batch_connections", 1..=10_000),
    ("database.acquire_timeout_seconds", 1..=HOUR),
    ("batch.max_users", 1..=100_000),
    ("batch.max_wait_seconds", 1..=86_400),
    ("batch.lease_seconds", 2..=HOUR),
    ("batch.idempotency_hours", 1..=720),
    // The most that muster verifies, or users could not sign in.
    ("passwords.memory_kib", 12_288..=262_144),
    ("passwords.iterations", 1..=10),
    ("passwords.parallelism", 1..=16),
    ("passwords.threads", 0..=512),
    ("passwords.queue", 1..=10_000_000),
    ("passwords.min_length", 8..=256),
    ("passwords.min_strength", 0..=4),
    ("keys.default_days", 1..=3650),
    ("keys.max_days", 1..=3650),
    ("keys.rotation_overlap_hours", 0..=168),
    ("invitations.days", 1..=90),
    ("traces.per_second", 0..=1_000_000),
];

/// Refuses a number that is out of its range. What is no number is left to whoever reads the settings.
pub(super) fn check(settings: &Figment) -> Result<(), ConfigError> {
    for (name, range) in NUMBERS {
        if let Ok(Value::Num(_, number)) = settings.find_value(name)
            && !number
                .to_u128()
                .or_else(|| u128::try_from(number.to_i128()?).ok())
                .is_some_and(|it| range.contains(&it))
        {
            return Err(ConfigError(format!("{name} has to be {}", words(&range))));
        }
    }
    Ok(())
}

/// What is due where a number is, for people; `None` where none is.
pub(super) fn due(name: &str) -> Option<String> {
    let (_, range) = NUMBERS.iter().find(|(known, _)| *known == name)?;
    Some(format!("a whole number {}", words(range)))
}

fn words(range: &RangeInclusive<u128>) -> String {
    format!("from {} to {}", range.start(), range.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MANUAL;

    /// The settings of the manual whose default is a number, each with the comment before it.
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
    fn every_number_has_a_range_and_the_manual_tells_it() {
        let documented = documented();
        let names: Vec<&str> = documented.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(NUMBERS.map(|(name, _)| name).as_slice(), names.as_slice());
        for ((name, range), (_, comment)) in NUMBERS.iter().zip(&documented) {
            assert!(comment.contains(&words(range)), "{name}: {} is not said in: {comment}", words(range));
        }
    }
}
