//! Two pictures: people over 90 days, and sign-ins over 14 days.

use chrono::{DateTime, Days, NaiveDate, SecondsFormat, Utc};

use super::plot;
use crate::app::App;
use crate::caller::Caller;
use crate::collaborators::Total;
use crate::daily_counts::{self, DailyCounts};
use crate::error::Result;
use crate::http::console::numbers::{number, short};
use crate::http::extract::encoded;

/// The days of the picture of people.
const DAYS: u16 = 90;

/// The days of the picture of sign-ins.
const SIGN_IN_DAYS: usize = 14;

/// With how many days ago the number of people is compared.
const COMPARED: u64 = 30;

/// The numbers, and the pictures if days were counted already.
pub(super) struct Pictures {
    /// How many people there are; `None` if counting them takes too long.
    pub(super) people: Option<String>,
    pub(super) days: Option<CountedDays>,
}

pub(super) struct CountedDays {
    pub(super) people: Plot,
    pub(super) sign_ins: Plot,
    /// How the number of people changed.
    pub(super) change: String,
    /// Until when the last day was counted, such as `14:00`.
    pub(super) until: String,
    /// The sign-ins of the last day.
    pub(super) signed_in: Part,
    /// The refused ones.
    pub(super) refused: Part,
    /// The day before the last one on which the most were refused.
    pub(super) worst: Option<Part>,
    /// The last day, such as `today`.
    pub(super) last: String,
    /// The days on which the number of people changed, the first one and the last one.
    pub(super) people_rows: Vec<DailyCounts>,
    pub(super) sign_in_rows: Vec<DailyCounts>,
}

/// A number with the list that it counts; there is none of nothing.
pub(super) struct Part {
    pub(super) text: String,
    pub(super) path: Option<String>,
}

/// A curve and the area below it, or bars on top of each other.
pub(super) struct Plot {
    /// What one sees.
    pub(super) sentence: String,
    pub(super) lower: String,
    pub(super) upper: String,
    /// The end, the half and the beginning of the scale.
    pub(super) scale: [String; 3],
    /// The first day, the one in the middle, and the last one.
    pub(super) days: [String; 3],
}

/// The pictures of an organization that has `people`.
pub(super) async fn read(app: &App, caller: &Caller, people: Option<Total>) -> Result<Pictures> {
    let rows = daily_counts::recent(app, caller, DAYS).await?;
    Ok(pictures(&rows, people, app.clock.now()))
}

fn pictures(rows: &[DailyCounts], people: Option<Total>, now: DateTime<Utc>) -> Pictures {
    let Some(last) = rows.last() else {
        return Pictures { people: people.map(short), days: None };
    };
    // The list of people has the same number, if it is counted there.
    let current = match people {
        Some(Total::Exactly(people)) => i64::from(people),
        Some(Total::Many) | None => last.people,
    };
    let mut days = every_day(rows, last.day);
    if let Some(today) = days.last_mut().filter(|day| day.day == now.date_naive()) {
        today.people = current;
    }
    let recent = days.get(days.len().saturating_sub(SIGN_IN_DAYS)..).unwrap_or_default();
    let (exact, until) =
        (last.counted_at.to_rfc3339_opts(SecondsFormat::Micros, true), last.counted_at.format("%H:%M"));
    let part = |count: i64, text: String, outcome: &str| Part {
        text,
        path: (count > 0).then(|| attempts(outcome, &last.day.to_string(), &exact)),
    };
    let worst = recent.iter().filter(|day| day.day < last.day && day.refused > 0).max_by_key(|day| day.refused);
    let day = if last.day == now.date_naive() { String::new() } else { format!("{}, ", in_full(last.day)) };
    let as_of =
        if matches!(people, Some(Total::Exactly(_))) { String::new() } else { format!(" · as of {day}{until}") };
    let before = last.day.checked_sub_days(Days::new(COMPARED));
    let before = days.iter().find(|day| Some(day.day) == before).map_or(0, |day| day.people);
    Pictures {
        people: Some(number(current)),
        days: Some(CountedDays {
            people: people_plot(&days),
            sign_ins: sign_in_plot(recent),
            change: format!("{} {COMPARED} days ago{as_of}", difference(current - before)),
            until: until.to_string(),
            signed_in: part(last.sign_ins, number(last.sign_ins), "success"),
            refused: part(last.refused, refusals(last.refused), "refused"),
            worst: worst.map(|day| Part {
                text: format!("{}: {}", in_full(day.day), refusals(day.refused)),
                path: Some(attempts("refused", &day.day.to_string(), &day.day.to_string())),
            }),
            last: if last.day == now.date_naive() { "today".to_owned() } else { in_full(last.day) },
            people_rows: changes(&days),
            sign_in_rows: recent.to_vec(),
        }),
    }
}

/// All days of the picture of people: before an organization was created, it had none.
fn every_day(rows: &[DailyCounts], last: NaiveDate) -> Vec<DailyCounts> {
    let days = (0..u64::from(DAYS)).rev().filter_map(|ago| last.checked_sub_days(Days::new(ago)));
    let found = days.map(|day| {
        let nothing = DailyCounts { day, ..DailyCounts::default() };
        rows.iter().find(|row| row.day == day).cloned().unwrap_or(nothing)
    });
    found.collect()
}

fn people_plot(days: &[DailyCounts]) -> Plot {
    let values: Vec<i64> = days.iter().map(|day| day.people).collect();
    let [first, last] = [values.first(), values.last()].map(|value| number(value.copied().unwrap_or_default()));
    let steps = days.iter().zip(days.iter().skip(1)).map(|(before, day)| (day.day, day.people - before.people));
    let largest = steps.filter(|(_, step)| *step != 0).max_by_key(|(_, step)| step.abs());
    let sentence = match largest {
        None => format!("People {}: {last} on each day", period(days)),
        Some((day, step)) => {
            let largest = format!("{} on {}", more_or_fewer(step), in_full(day));
            format!("People {}: from {first} to {last}; the largest change is {largest}", period(days))
        }
    };
    let end = plot::scale(values.iter().copied().max().unwrap_or_default());
    let line = plot::line(&values, end);
    Plot { sentence, lower: plot::area(&line), upper: line, scale: scale(end), days: labels(days) }
}

fn sign_in_plot(days: &[DailyCounts]) -> Plot {
    let [sign_ins, refused]: [Vec<i64>; 2] =
        [|day: &DailyCounts| day.sign_ins, |day: &DailyCounts| day.refused].map(|of| days.iter().map(of).collect());
    let said = |values: &[i64]| {
        let most = days.iter().zip(values).max_by_key(|(_, value)| **value).filter(|(_, value)| **value > 0);
        let total = number(values.iter().sum::<i64>());
        most.map(|(day, most)| format!("{total}, at most {} on {}", number(most), in_full(day.day)))
    };
    let sentence = format!(
        "Sign-ins {}: {}; refused: {}",
        period(days),
        said(&sign_ins).unwrap_or_else(|| "none".to_owned()),
        said(&refused).unwrap_or_else(|| "none".to_owned())
    );
    let end = plot::scale(days.iter().map(|day| day.sign_ins + day.refused).max().unwrap_or_default());
    Plot {
        sentence,
        lower: plot::bars(&sign_ins, &vec![0; sign_ins.len()], end),
        upper: plot::bars(&refused, &sign_ins, end),
        scale: scale(end),
        days: labels(days),
    }
}

/// The first day, those on which the number changed, and the last one.
fn changes(days: &[DailyCounts]) -> Vec<DailyCounts> {
    let (first, last) = (days.first().map(|day| day.day), days.last().map(|day| day.day));
    let is_shown =
        |day: &&DailyCounts| day.created != 0 || day.deleted != 0 || Some(day.day) == first || Some(day.day) == last;
    days.iter().filter(is_shown).cloned().collect()
}

/// The path of the sign-ins with an outcome in the audit log.
fn attempts(outcome: &str, since: &str, until: &str) -> String {
    format!("audit?action=session.start&outcome={outcome}&since={since}&until={}", encoded(until))
}

fn refusals(count: i64) -> String {
    if count == 0 { "none refused".to_owned() } else { format!("{} refused", number(count)) }
}

fn difference(people: i64) -> String {
    match people {
        0 => "as many as".to_owned(),
        _ => format!("{} than", more_or_fewer(people)),
    }
}

fn more_or_fewer(people: i64) -> String {
    format!("{} {}", number(people.abs()), if people < 0 { "fewer" } else { "more" })
}

fn period(days: &[DailyCounts]) -> String {
    let [first, last] = [days.first(), days.last()].map(|day| day.map(|day| in_full(day.day)).unwrap_or_default());
    format!("from {first} to {last}")
}

fn in_full(day: NaiveDate) -> String {
    day.format("%-d %B").to_string()
}

fn labels(days: &[DailyCounts]) -> [String; 3] {
    [days.first(), days.get(days.len() / 2), days.last()].map(|day| day.map(short_day).unwrap_or_default())
}

/// A day in a table, and below a picture.
pub(super) fn short_day(day: &DailyCounts) -> String {
    day.day.format("%-d %b").to_string()
}

fn scale(end: i64) -> [String; 3] {
    [number(end), number(end / 2), number(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: &str, [people, created, deleted, sign_ins, refused]: [i64; 5]) -> DailyCounts {
        let counted_at = format!("{day}T14:00:01.5Z").parse().unwrap();
        DailyCounts { day: day.parse().unwrap(), people, created, deleted, sign_ins, refused, counted_at }
    }

    fn at(time: &str) -> DateTime<Utc> {
        time.parse().unwrap()
    }

    #[test]
    fn the_pictures_say_what_one_sees() {
        let rows = [
            day("2026-11-28", [3_120, 3_120, 0, 940, 0]),
            day("2026-11-29", [5_214, 2_100, 6, 0, 131]),
            day("2026-11-30", [5_213, 0, 1, 71, 3]),
        ];
        let found = pictures(&rows, Some(Total::Exactly(5_220)), at("2026-11-30T14:20:00Z"));
        assert_eq!(found.people.as_deref(), Some("5,220"));
        let days = found.days.unwrap();
        assert_eq!(days.change, "5,220 more than 30 days ago");
        assert_eq!(
            days.people.sentence,
            "People from 2 September to 30 November: from 0 to 5,220; the largest change is 3,120 more on 28 November"
        );
        assert_eq!(
            days.sign_ins.sentence,
            "Sign-ins from 17 November to 30 November: 1,011, at most 940 on 28 November; refused: 134, at most 131 on 29 November"
        );
        assert_eq!((days.last.as_str(), days.until.as_str()), ("today", "14:00"));
        assert_eq!(days.people.scale, ["6,000", "3,000", "0"]);
        assert_eq!(days.people.days, ["2 Sep", "17 Oct", "30 Nov"]);
        assert_eq!(days.sign_ins.days, ["17 Nov", "24 Nov", "30 Nov"]);
        let [signed_in, refused, worst] = [days.signed_in, days.refused, days.worst.unwrap()];
        assert_eq!((signed_in.text.as_str(), refused.text.as_str()), ("71", "3 refused"));
        assert_eq!(
            refused.path.unwrap(),
            "audit?action=session.start&outcome=refused&since=2026-11-30&until=2026%2D11%2D30T14%3A00%3A01%2E500000Z"
        );
        assert_eq!(worst.text, "29 November: 131 refused");
        assert_eq!(
            worst.path.unwrap(),
            "audit?action=session.start&outcome=refused&since=2026-11-29&until=2026%2D11%2D29"
        );
        let shown: Vec<String> = days.people_rows.iter().map(short_day).collect();
        assert_eq!(shown, ["2 Sep", "28 Nov", "29 Nov", "30 Nov"]);
        assert_eq!(days.sign_in_rows.len(), SIGN_IN_DAYS);
    }

    #[test]
    fn a_number_that_is_not_counted_for_the_list_is_of_the_last_count() {
        let rows = [day("2026-10-31", [20_007, 0, 0, 0, 0]), day("2026-11-30", [20_000, 0, 7, 0, 0])];
        let found = pictures(&rows, Some(Total::Many), at("2026-12-01T00:00:05Z"));
        assert_eq!(found.people.as_deref(), Some("20,000"));
        let days = found.days.unwrap();
        assert_eq!(days.change, "7 fewer than 30 days ago · as of 30 November, 14:00");
        assert_eq!(days.last, "30 November");
        assert!(days.worst.is_none() && days.signed_in.path.is_none());
        assert_eq!(days.sign_ins.sentence, "Sign-ins from 17 November to 30 November: none; refused: none");
    }

    #[test]
    fn without_counted_days_there_is_only_the_number() {
        let found = pictures(&[], Some(Total::Many), at("2026-11-30T14:20:00Z"));
        assert!(found.days.is_none());
        assert_eq!(found.people.as_deref(), Some("10,000+"));
    }
}
