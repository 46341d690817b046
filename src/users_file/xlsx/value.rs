//! The text of a value.

use std::borrow::Cow;

use calamine::{DataRef, ExcelDateTime};

/// The text that a sheet shows for a value; a whole number has at least so many digits.
pub(super) fn text<'v>(value: &'v DataRef<'_>, digits: usize) -> Cow<'v, str> {
    match value {
        DataRef::Empty => "".into(),
        DataRef::String(text) => text.as_str().into(),
        DataRef::SharedString(text) => (*text).into(),
        DataRef::Int(number) => format!("{number:0digits$}").into(),
        DataRef::Float(number) => self::number(*number, digits).into(),
        DataRef::Bool(truth) => if *truth { "true" } else { "false" }.into(),
        DataRef::DateTime(time) => self::time(time).into(),
        // A date has no time.
        DataRef::DateTimeIso(text) => {
            let (date, time) = text.split_once('T').unwrap_or((text, ""));
            if time.trim_start_matches(['0', ':', '.']).is_empty() { date.into() } else { text.as_str().into() }
        }
        DataRef::DurationIso(text) => text.as_str().into(),
        DataRef::Error(error) => error.to_string().into(),
    }
}

/// A number with the 15 significant digits of spreadsheets: `0.3` for 0.1 + 0.2.
fn number(number: f64, digits: usize) -> String {
    // Without -0.
    let rounded = format!("{number:.14e}").parse().unwrap_or(number) + 0.0;
    if rounded.fract() == 0.0 { format!("{rounded:0digits$}") } else { rounded.to_string() }
}

/// A date, a time of day or both as in ISO 8601, or a duration in hours.
fn time(time: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
    if time.is_duration() {
        let seconds = (time.as_f64() * 86_400.0).round();
        let (minutes, hours) = ((seconds / 60.0).floor(), (seconds / 3_600.0).floor());
        return format!("{hours}:{:02}:{:02}", minutes - hours * 60.0, seconds - minutes * 60.0);
    }
    let milli = if milli == 0 { String::new() } else { format!(".{milli:03}") };
    let clock = format!("{hour:02}:{minute:02}:{second:02}{milli}");
    let date = format!("{year:04}-{month:02}-{day:02}");
    if (0.0..1.0).contains(&time.as_f64()) {
        clock
    } else if clock == "00:00:00" {
        date
    } else {
        format!("{date}T{clock}")
    }
}
