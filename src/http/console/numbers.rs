//! Numbers with their nouns. Templates pass references, so any number is taken that can be displayed.

use std::fmt::Display;

use chrono::{DateTime, Utc};

use crate::collaborators::{MOST_COUNTED, Total};

/// A number with commas between the thousands.
pub(super) fn number(number: impl Display) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things.
pub(super) fn counted(count: impl Display, one: &str, many: &str) -> String {
    let count = number(count);
    let noun = if count == "1" { one } else { many };
    format!("{count} {noun}")
}

/// A number of people.
pub(super) fn people(count: impl Display) -> String {
    counted(count, "person", "people")
}

/// A number that is counted only up to a limit.
pub(super) fn short(total: Total) -> String {
    match total {
        Total::Exactly(count) => number(count),
        Total::Many => format!("{}+", number(MOST_COUNTED)),
    }
}

/// How many days there are until a day, or have been since then.
pub(super) fn days_until(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match at.date_naive().signed_duration_since(now.date_naive()).num_days() {
        0 => "today".to_owned(),
        1 => "tomorrow".to_owned(),
        -1 => "yesterday".to_owned(),
        days if days > 0 => format!("in {} days", number(days)),
        days => format!("{} days ago", number(days.abs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_have_commas_and_one_thing_is_not_many() {
        for (count, text) in [(0, "0 people"), (1, "1 person"), (999, "999 people"), (1_000, "1,000 people")] {
            assert_eq!(people(count), text);
        }
        assert_eq!((number(12_345_678), number(100_000_usize)), ("12,345,678".to_owned(), "100,000".to_owned()));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let now = at("2026-11-30T23:30:00Z");
        for (then, words) in [
            ("2026-11-30T00:00:00Z", "today"),
            ("2026-12-01T00:10:00Z", "tomorrow"),
            ("2026-11-29T23:50:00Z", "yesterday"),
            ("2026-12-06T01:00:00Z", "in 6 days"),
            ("2023-11-30T00:00:00Z", "1,096 days ago"),
        ] {
            assert_eq!(days_until(at(then), now), words, "{then}");
        }
    }
}
