//! `muster audit list`: the audit log, directly in the database, as the local operator.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use muster_client::AuditEvent;

use super::args::LocalArgs;
use super::local::with_operator;
use super::output::{self, Format, TableRow};
use super::{Exit, listing};
use crate::audit::{self, ActorFilter, Filter};
use crate::caller::Action;
use crate::error::Error;
use crate::page::PageRequest;

/// Default number of entries in a table.
const DEFAULT_ITEMS: u32 = 50;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// List audit events, denied requests included, newest first.
    List(ListArgs),
}

#[derive(clap::Args, Debug)]
pub(super) struct ListArgs {
    /// Only events since this time: 2026-11-23T10:00:00Z, a day such as 2026-11-23, `today` or `yesterday` (days begin at
    /// midnight UTC), or a duration before now, such as 24h.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<When>,
    /// Only events before this time; the same forms.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<When>,
    /// Only events of this action.
    #[arg(long, value_parser = action())]
    action: Option<Action>,
    /// Only events of this API key, of this user (with any of their keys), or of this invitation.
    #[arg(long, value_name = "ID", value_parser = parse_who)]
    actor: Option<ActorFilter>,
    /// Maximum number of events [default: 50 in a table, else all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_items: Option<u32>,
    /// Same as `-o json`.
    #[arg(long, conflicts_with = "output")]
    json: bool,
    #[command(flatten)]
    local: LocalArgs,
}

/// Parses the dotted name of an action. The list of names lets shells complete it.
fn action() -> impl TypedValueParser<Value = Action> {
    let names = PossibleValuesParser::new(Action::ALL.iter().copied().map(Action::as_str));
    names.try_map(|name| Action::parse(&name).ok_or("unknown action"))
}

fn parse_who(text: &str) -> Result<ActorFilter, &'static str> {
    text.parse()
}

/// A time, absolute or relative to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Time(DateTime<Utc>),
    Ago(chrono::Duration),
    /// The midnight at which this day began; 0 is today.
    DaysAgo(u64),
}

impl When {
    pub(super) fn at(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Time(time) => time,
            Self::Ago(duration) => now - duration,
            Self::DaysAgo(days) => midnight(now.date_naive() - Days::new(days)),
        }
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

pub(super) fn parse_time(text: &str) -> Result<When, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(When::Time(time.to_utc()));
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(When::Time(midnight(day)));
    }
    match text {
        "today" => Ok(When::DaysAgo(0)),
        "yesterday" => Ok(When::DaysAgo(1)),
        _ => output::parse_duration(text).map(When::Ago).map_err(|_| {
            "expected a time with a zone, such as 2026-11-23T10:00:00Z, a day, such as 2026-11-23 or `yesterday`, or a \
             duration, such as 24h or 7d"
                .to_owned()
        }),
    }
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    let Command::List(args) = command;
    let format = if args.json { Format::Json } else { args.local.output };
    let limit = args.max_items.or(format.is_table().then_some(DEFAULT_ITEMS));
    with_operator(args.local.config.load()?, async |app, caller| {
        let filter = Filter {
            since: args.since.map(|since| since.at(app.clock.now())),
            until: args.until.map(|until| until.at(app.clock.now())),
            action: args.action,
            actor: args.actor,
        };
        listing::stream(format, limit, async |count, token| {
            let request = PageRequest::new(Some(count.into()), token.as_deref())?;
            let entries = audit::list(app, caller, &filter, &request).await?;
            Ok::<_, Error>(listing::page(entries, AuditEvent::from))
        })
        .await
    })
    .await
}

impl TableRow for AuditEvent {
    const HEADER: &'static [&'static str] = &["TIME", "ACTOR", "ACTION", "OUTCOME", "TARGET", "FROM"];

    fn cells(&self, format: Format) -> Vec<String> {
        let or_placeholder = |text: &Option<String>| text.as_deref().unwrap_or(format.placeholder()).to_owned();
        vec![
            output::time(self.occurred_at),
            self.actor_name.as_ref().unwrap_or(&self.actor_kind).clone(),
            self.action.clone(),
            self.reason.as_ref().map_or_else(|| self.outcome.clone(), |reason| format!("{}: {reason}", self.outcome)),
            or_placeholder(&self.target_id),
            or_placeholder(&self.source_address),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_days_or_durations() {
        let at = |text: &str| Ok(When::Time(text.parse().unwrap()));
        assert_eq!(parse_time("2026-11-23T10:00:00+02:00"), at("2026-11-23T08:00:00Z"));
        assert_eq!(parse_time("2026-11-23"), at("2026-11-23T00:00:00Z"));
        assert_eq!(parse_time("today"), Ok(When::DaysAgo(0)));
        assert_eq!(parse_time("yesterday"), Ok(When::DaysAgo(1)));
        assert_eq!(parse_time("24h"), Ok(When::Ago(chrono::Duration::hours(24))));
        for text in ["", "2026-11-23T10:00:00", "2026-02-30", "tomorrow", "23.11.2026"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
