//! `muster audit list`: the audit log, from a server, or directly in the database as the local operator.
//!
//! # Decisions
//!
//! *The server is asked unless `--local` is given*, because an auditor has an API key, not the database. The operator on the
//! server's machine has the database, and perhaps no key: the message names both ways, and nothing is guessed, since the server and
//! the database that the settings name may belong to different installations.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use muster_client::{AuditEvent, AuditFilter, Page};
use serde_json::Value;

use super::args::OperatorArgs;
use super::local::with_operator;
use super::output::{self, Format, TableRow};
use super::remote::ServerArgs;
use super::{Exit, listing};
use crate::audit::{self, ActionFilter, ActorFilter, Filter, OutcomeFilter, TargetFilter};
use crate::clock::Clock;
use crate::error::Error;
use crate::id::{self, Id};
use crate::page::PageRequest;
use crate::proxies::Network;

/// Default number of entries in a table.
const DEFAULT_ITEMS: u32 = 50;

const EXAMPLES: &str = "\
Examples:
  Who created, invited or deleted ada@example.com, also after the deletion:
    muster audit list --target ada@example.com
  What the API key `ci` did yesterday:
    muster audit list --actor ci --since yesterday --until today
  Everything of one request, for a program:
    muster audit list --request req_01k9h6m3x0e8wbz1v5n7q2r4t6 -o ndjson";

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// List audit events, denied requests included, newest first.
    #[command(after_help = EXAMPLES)]
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
    /// Only events of this action, or of this group of actions; `changes` are all that change something, except signing in.
    #[arg(long, value_parser = action())]
    action: Option<ActionFilter>,
    /// Only events with this outcome; `refused` are `denied` and `rejected`.
    #[arg(long, value_parser = outcome())]
    outcome: Option<String>,
    /// Only events of this actor: an API key by ID or name; a user (with any of their keys) by ID, name or e-mail address,
    /// which also finds deleted users; an invitation by ID; `operator` (who ran muster on its machine), `system` (muster itself, such as for accounts that
    /// expire) or `anonymous` (who sent no valid API key).
    #[arg(long, value_name = "NAME|EMAIL|ID", value_parser = parsed::<ActorFilter>)]
    actor: Option<String>,
    /// Only events about this target: an ID; an e-mail address, for the accounts that have or had it and the invitations to it,
    /// deleted ones included; or the name of a user, group, API key or identity provider.
    #[arg(long, value_name = "NAME|EMAIL|ID", value_parser = parsed::<TargetFilter>)]
    target: Option<String>,
    /// Only what this user did, and what happened to the user and the user's API keys.
    #[arg(long, value_name = "ID", value_parser = parsed::<Id<id::User>>)]
    user: Option<String>,
    /// Only events of this batch.
    #[arg(long, value_name = "ID", value_parser = parsed::<Id<id::Batch>>)]
    batch: Option<String>,
    /// Only events of this request: the `x-request-id` of its response.
    #[arg(long, value_name = "ID", value_parser = parsed::<Id<id::Request>>)]
    request: Option<String>,
    /// Only events of clients with this IP address, or in this network, such as 203.0.113.0/24.
    #[arg(long, value_name = "ADDRESS|NETWORK", value_parser = parsed::<Network>)]
    from: Option<String>,
    /// Leave out the events of the single users that batches created or deleted; the event of the batch has their number.
    #[arg(long)]
    fold: bool,
    /// Maximum number of events [default: 50 in a table, else all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_items: Option<u32>,
    #[arg(short, long, value_enum, default_value = "table")]
    output: LogFormat,
    /// Same as `-o json`.
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// Read the database directly, as the local operator, without an API key.
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    config: OperatorArgs,
}

/// Format of the log on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Aligned columns, for people.
    Table,
    /// For programs: every field, as one array.
    Json,
    /// For programs: every field, one event per line.
    Ndjson,
    /// For spreadsheets.
    Csv,
}

/// Checks a filter, which is sent as it is.
fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<String, String> {
    text.parse::<T>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Parses the name of an action or of a group of actions. The list of names lets shells complete it.
fn action() -> impl TypedValueParser<Value = ActionFilter> {
    PossibleValuesParser::new(ActionFilter::names()).try_map(|name| name.parse::<ActionFilter>())
}

fn outcome() -> PossibleValuesParser {
    PossibleValuesParser::new(OutcomeFilter::names())
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
    match args.local {
        true => list_locally(args).await,
        false => list(args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), Exit> {
    if args.config.names_database() {
        return Err(Exit::usage("`--database-url` needs `--local`; without it, the log is read from a server"));
    }
    let client = args.server.client().map_err(|exit| match exit {
        Exit::Usage(message) => Exit::Usage(format!(
            "{message}; or read the log directly in the database with `--local`, on a machine that has it"
        )),
        exit => exit,
    })?;
    let now = Clock::System.now();
    let filter = AuditFilter {
        since: args.since.map(|since| since.at(now)),
        until: args.until.map(|until| until.at(now)),
        action: args.action.map(|action| action.as_str().to_owned()),
        outcome: args.outcome.clone(),
        actor: args.actor.clone(),
        target: args.target.clone(),
        user_id: args.user.clone(),
        batch_id: args.batch.clone(),
        request_id: args.request.clone(),
        from: args.from.clone(),
        fold: args.fold,
    };
    args.print(async |count, token| client.audit_events(&filter, count, token.as_deref()).await).await
}

async fn list_locally(args: ListArgs) -> Result<(), Exit> {
    with_operator(args.config.load()?, async |app, caller| {
        let now = app.clock.now();
        args.print(async |count, token| {
            let filter = Filter {
                since: args.since.map(|since| since.at(now)),
                until: args.until.map(|until| until.at(now)),
                action: args.action,
                outcome: parse(args.outcome.as_deref())?,
                actor: parse(args.actor.as_deref())?,
                target: parse(args.target.as_deref())?,
                user: parse(args.user.as_deref())?,
                batch: parse(args.batch.as_deref())?,
                request: parse(args.request.as_deref())?,
                network: parse(args.from.as_deref())?,
                is_folded: args.fold,
            };
            let request = PageRequest::new(Some(count.into()), token.as_deref())?;
            let entries = audit::list(app, caller, filter, &request).await?;
            Ok::<_, Error>(listing::page(entries, AuditEvent::from))
        })
        .await
    })
    .await
}

fn parse<T: FromStr<Err: Display>>(text: Option<&str>) -> Result<Option<T>, Error> {
    text.map(|text| text.parse().map_err(|error: T::Err| Error::invalid(error.to_string()))).transpose()
}

impl ListArgs {
    async fn print<E: Into<Exit>>(
        &self,
        next: impl AsyncFnMut(u8, Option<String>) -> Result<Page<AuditEvent>, E>,
    ) -> Result<(), Exit> {
        let format = match self.output {
            _ if self.json => Format::Json,
            LogFormat::Ndjson => return listing::stream_lines(self.max_items, next).await,
            LogFormat::Table => Format::Table,
            LogFormat::Json => Format::Json,
            LogFormat::Csv => Format::Csv,
        };
        let limit = self.max_items.or((format == Format::Table).then_some(DEFAULT_ITEMS));
        listing::stream(format, limit, next).await
    }
}

impl TableRow for AuditEvent {
    const HEADER: &'static [&'static str] = &["TIME", "ACTOR", "ACTION", "OUTCOME", "TARGET", "FROM", "DETAILS"];

    fn cells(&self, format: Format) -> Vec<String> {
        let or_placeholder = |text: Option<String>| text.unwrap_or_else(|| format.placeholder().to_owned());
        vec![
            output::time(self.occurred_at),
            self.actor_name.as_ref().unwrap_or(&self.actor_kind).clone(),
            self.action.clone(),
            self.reason.as_ref().map_or_else(|| self.outcome.clone(), |reason| format!("{}: {reason}", self.outcome)),
            or_placeholder(self.target_id.clone()),
            or_placeholder(self.source_address.clone()),
            or_placeholder(details(self)),
        ]
    }
}

/// What only some events have: `from=collaborator to=owner`.
fn details(event: &AuditEvent) -> Option<String> {
    let batch = event.batch_id.clone().filter(|batch_id| Some(batch_id) != event.target_id.as_ref());
    let own = event.details.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let common = [("batch", batch), ("file", event.file_name.clone())];
    let common = common.into_iter().filter_map(|(name, value)| Some((name, Value::from(value?))));
    let shown: Vec<String> = own
        .chain(common)
        .map(|(name, value)| match value {
            Value::String(text) if !text.contains(' ') => format!("{name}={text}"),
            value => format!("{name}={value}"),
        })
        .collect();
    (!shown.is_empty()).then(|| shown.join(" "))
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
