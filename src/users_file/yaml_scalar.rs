//! The types of plain YAML scalars; see the decisions in [`super`].

use std::borrow::Cow;

use serde_json::{Number, Value};

/// Converts a plain scalar. With `flag`, the booleans of YAML 1.1 such as `yes` and `off` are accepted.
pub(super) fn plain(text: Cow<'_, str>, flag: bool) -> Value {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        word if flag && ["yes", "on"].iter().any(|yes| word.eq_ignore_ascii_case(yes)) => Value::Bool(true),
        word if flag && ["no", "off"].iter().any(|no| word.eq_ignore_ascii_case(no)) => Value::Bool(false),
        word => match number(word) {
            Some(number) => Value::Number(number),
            None => Value::String(text.into_owned()),
        },
    }
}

/// A number in both YAML 1.1 (as in `PyYAML`) and JSON.
fn number(word: &str) -> Option<Number> {
    if !word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return None;
    }
    // PyYAML requires a point and a sign (`1.5e+3`); `12e34567` is text.
    let exponent = word.split_once(['e', 'E']);
    if exponent.is_some_and(|(base, power)| !base.contains('.') || !power.starts_with(['+', '-'])) {
        return None;
    }
    serde_json::from_str(word).ok()
}
