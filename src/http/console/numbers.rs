//! Numbers with their nouns. Templates pass references, so any number is taken that can be displayed.

use std::fmt::Display;

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
}
