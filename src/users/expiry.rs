//! When an account expires.
//!
//! # Decisions
//!
//! *A date is the last day of access*: it stands for the last second of that day in UTC, so that the stored time shows the
//! date that was entered. Any other time needs a zone, because the server does not know that of the administrator.
//!
//! *The past is rejected*, also when a user is changed: to end an access now, suspend the user, which is recorded as that. A
//! change to the expiry that a user has already is none, so that an export of expired users can be applied.
//!
//! *Access ends at the time itself.* Every check of access compares it ([`crate::caller`]); the background work only records
//! the suspension ([`crate::jobs`]). A user whose account has expired can be reactivated once the expiry is removed or set
//! to a later time.
//!
//! *Any user can expire, owners too, but not the last owner*: the rule about the last owner counts only owners whose
//! accounts don't expire ([`crate::collaborators`]).

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, SecondsFormat, SubsecRound, Utc};

/// The latest year that is accepted, so that every time has the usual form of RFC 3339.
const LAST_YEAR: i32 = 9999;

/// The last second of a day.
const END_OF_DAY: NaiveTime = match NaiveTime::from_hms_opt(23, 59, 59) {
    Some(time) => time,
    None => NaiveTime::MIN,
};

/// A time at which an account expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry(DateTime<Utc>);

/// Why a text is not an [`Expiry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidExpiry {
    /// Neither a date nor a time with a zone; with the date that another common form stands for.
    Malformed(Option<NaiveDate>),
    /// Not in the future.
    Past,
}

const FORMS: &str = "must be a date (the last day of access, in UTC), such as 2027-12-31, or a time with its zone, such as \
                     2027-12-31T18:00:00+01:00";

impl InvalidExpiry {
    /// The code of the finding.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed(_) => "expires_at_malformed",
            Self::Past => "expires_at_past",
        }
    }

    /// The message for people.
    #[must_use]
    pub fn message(self) -> Cow<'static, str> {
        match self {
            Self::Malformed(None) => FORMS.into(),
            Self::Malformed(Some(date)) => format!("{FORMS}; did you mean {date}?").into(),
            Self::Past => "is in the past; to end the access of a user now, suspend the user".into(),
        }
    }
}

impl Expiry {
    /// Parses a date, or a time in the form of RFC 3339.
    ///
    /// # Errors
    /// The reason why the text is not an expiry.
    pub fn parse(text: &str) -> Result<Self, InvalidExpiry> {
        let time = match date(text) {
            Some(date) => date.and_time(END_OF_DAY).and_utc(),
            None => DateTime::parse_from_rfc3339(text)
                .map_err(|_| InvalidExpiry::Malformed(other_date(text)))?
                .to_utc()
                .trunc_subsecs(6),
        };
        if time.year() > LAST_YEAR { Err(InvalidExpiry::Malformed(None)) } else { Ok(Self(time)) }
    }

    /// As [`Expiry::parse`], for a new account.
    ///
    /// # Errors
    /// Also for a time that is not after `now`.
    pub fn parse_new(text: &str, now: DateTime<Utc>) -> Result<Self, InvalidExpiry> {
        let expiry = Self::parse(text)?;
        if expiry.0 <= now { Err(InvalidExpiry::Past) } else { Ok(expiry) }
    }

    /// An expiry that was stored with an invitation; `None` if it has passed.
    pub(crate) fn from_stored(time: DateTime<Utc>, now: DateTime<Utc>) -> Option<Self> {
        (time > now).then_some(Self(time))
    }

    /// The time.
    #[must_use]
    pub const fn time(self) -> DateTime<Utc> {
        self.0
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self.0))
    }
}

/// The text of a time, as in JSON.
pub(super) fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A date in the form `2027-12-31`.
fn date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (date.format("%Y-%m-%d").to_string() == text).then_some(date)
}

/// The date in another common form: `31.12.2027`, `12/31/2027`, `31/12/2027`, `2027/12/31`, `2027-1-5`. `None` if the form
/// can stand for two days.
fn other_date(text: &str) -> Option<NaiveDate> {
    let separator = text.chars().find(|c| !c.is_ascii_digit()).filter(|c| ".-/".contains(*c))?;
    let mut parts = text.split(separator);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || [first, second, third].iter().any(|part| !part.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let date = |year: &str, month: &str, day: &str| {
        let has_lengths = year.len() == 4 && [month, day].iter().all(|part| (1..=2).contains(&part.len()));
        let date = NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
        date.filter(|_| has_lengths)
    };
    let (day_first, month_first) = (date(third, second, first), date(third, first, second));
    match (date(first, second, third), day_first, month_first) {
        (Some(date), _, _) | (None, Some(date), None) | (None, None, Some(date)) => Some(date),
        (None, Some(date), Some(other)) => (separator == '.' || date == other).then_some(date),
        (None, None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(input: &str) -> Result<String, InvalidExpiry> {
        let now = "2026-11-30T12:00:00Z".parse().unwrap();
        Expiry::parse_new(input, now).map(|expiry| text(expiry.time()))
    }

    #[test]
    fn a_date_is_the_last_day_of_access() {
        assert_eq!(parsed("2026-12-31").as_deref(), Ok("2026-12-31T23:59:59Z"));
        assert_eq!(parsed("2026-11-30").as_deref(), Ok("2026-11-30T23:59:59Z"), "today");
        assert_eq!(parsed("2028-02-29").as_deref(), Ok("2028-02-29T23:59:59Z"));
    }

    #[test]
    fn a_time_has_a_zone() {
        assert_eq!(parsed("2026-12-31T18:00:00+01:00").as_deref(), Ok("2026-12-31T17:00:00Z"));
        assert_eq!(parsed("2026-12-31T18:00:00.1234567Z").as_deref(), Ok("2026-12-31T18:00:00.123456Z"));
        for text in [
            "2026-12-31T18:00:00",
            "2026-12-31 18:00",
            "2026-02-30",
            "30.02.2026",
            "31.12.26",
            "31.12.2026 18:00",
            "04/03/2026",
            "1/2/3/2026",
            "31/12-2026",
            "+1.12.2026",
            " 2026-12-31",
            "+2026-12-31",
            "12026-12-31",
            "9999-12-31T23:59:59-01:00",
            "46022",
            "never",
            "",
        ] {
            assert_eq!(parsed(text), Err(InvalidExpiry::Malformed(None)), "{text}");
        }
    }

    #[test]
    fn a_date_in_another_form_is_recognized_if_it_is_one_day() {
        for (text, date) in [
            ("31.12.2026", "2026-12-31"),
            ("4.3.2026", "2026-03-04"),
            ("12/31/2026", "2026-12-31"),
            ("31/12/2026", "2026-12-31"),
            ("3/3/2026", "2026-03-03"),
            ("31-12-2026", "2026-12-31"),
            ("2026/12/31", "2026-12-31"),
            ("2026-1-5", "2026-01-05"),
        ] {
            assert_eq!(parsed(text), Err(InvalidExpiry::Malformed(date.parse().ok())), "{text}");
        }
    }

    #[test]
    fn the_past_is_rejected() {
        for text in ["2026-11-29", "2026-11-30T12:00:00Z", "2026-11-30T13:00:00+01:00", "0001-01-01"] {
            assert_eq!(parsed(text), Err(InvalidExpiry::Past), "{text}");
        }
        assert!(parsed("2026-11-30T12:00:00.000001Z").is_ok());
    }
}
