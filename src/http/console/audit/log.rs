//! Entries as lines, by day.
//!
//! # Decisions
//!
//! *The entries of one change are one line*: a list of 300 suspended people has 301 entries, one of which has the number. The
//! entries of the users of batches are not even read ([`crate::audit::Filter::is_folded`]): there can be 10,000.

use chrono::{DateTime, Datelike, SecondsFormat, Utc};

use super::sentence::{Context, Line, Sentence};
use crate::audit::{Entry, Names};
use crate::caller::Action;
use crate::http::console::numbers::number;
use crate::id::{Event, Id};

/// The lines of a day.
pub(in crate::http::console) struct Day {
    /// Such as `Today, 30 November 2026`.
    pub(in crate::http::console) title: String,
    pub(in crate::http::console) rows: Vec<Row>,
}

/// A line.
pub(in crate::http::console) struct Row {
    pub(in crate::http::console) event_id: Id<Event>,
    /// In the form of `datetime`.
    pub(in crate::http::console) iso: String,
    /// The time of the day.
    pub(in crate::http::console) time: String,
    pub(in crate::http::console) sentence: Sentence,
    /// How many further entries the line stands for.
    pub(in crate::http::console) folded: usize,
}

/// The lines of entries, newest first, by day.
pub(super) fn days(entries: &[Entry], names: &Names, now: DateTime<Utc>) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for group in entries.chunk_by(is_one_change) {
        let Some(row) = row(group, names) else { continue };
        let title = group.first().map(|entry| title(entry.occurred_at, now)).unwrap_or_default();
        match days.last_mut().filter(|day| day.title == title) {
            Some(day) => day.rows.push(row),
            None => days.push(Day { title, rows: vec![row] }),
        }
    }
    days
}

/// A time in the form of `datetime`.
fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn title(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let days = now.date_naive().signed_duration_since(at.date_naive()).num_days();
    let day = match days {
        0 => "Today".to_owned(),
        1 => "Yesterday".to_owned(),
        _ => at.format("%A").to_string(),
    };
    format!("{day}, {} {}", at.format("%-d %B"), at.year())
}

/// Whether two neighbors are entries of one list that was changed.
fn is_one_change(one: &Entry, next: &Entry) -> bool {
    let is_same = one.occurred_at == next.occurred_at
        && (one.actor_kind, &one.actor_id) == (next.actor_kind, &next.actor_id)
        && one.request_id == next.request_id
        && one.outcome == next.outcome;
    is_same && (one.action == next.action || is_of_list(one) || is_of_list(next))
}

/// Whether the entry is that of a whole list, whose users have entries as well.
fn is_of_list(entry: &Entry) -> bool {
    matches!(
        Action::parse(&entry.action),
        Some(
            Action::UserBatchCreate
                | Action::UserBatchUpdate
                | Action::UserBatchApply
                | Action::UserBatchSuspend
                | Action::UserBatchReactivate
                | Action::UserBatchDelete
                | Action::BatchUndo
                | Action::InvitationBatchCreate
        )
    )
}

fn row(group: &[Entry], names: &Names) -> Option<Row> {
    let of_list = group.iter().find(|entry| is_of_list(entry));
    let entry = of_list.or(group.first())?;
    let mut sentence = Sentence::of(entry, names);
    let folded = group.len().saturating_sub(1);
    match of_list {
        Some(_) if folded > 0 => {
            let of_people = group.iter().filter(|entry| entry.target_kind.as_deref() == Some("user"));
            let ids: Vec<&str> = of_people.filter_map(|entry| entry.target_id.as_deref()).collect();
            let objects = Context { entry, names }.objects(&ids);
            sentence.more = objects.then(" · ", sentence.more);
        }
        None if folded > 0 => {
            let more = Line::new(format!("and {} more at once", number(folded)));
            sentence.more = more.then(" · ", sentence.more);
        }
        _ => (),
    }
    Some(Row {
        event_id: entry.event_id,
        iso: iso(entry.occurred_at),
        time: entry.occurred_at.format("%H:%M").to_string(),
        sentence,
        folded,
    })
}
