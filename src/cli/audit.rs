//! `muster audit list`: the audit log, directly in the database, as the local operator.

use chrono::{DateTime, Utc};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use muster_client::AuditEvent;

use super::Exit;
use super::args::LocalArgs;
use super::listing::{Stream, remaining, say_truncated};
use super::local::with_operator;
use super::output::{self, Format};
use crate::app::App;
use crate::audit::{self, ActorFilter, Entry, Filter};
use crate::caller::{Action, Caller};
use crate::page::{MAX_COUNT, PageRequest};

/// Default number of entries in a table.
const DEFAULT_ITEMS: u32 = 50;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// List audit events, denied requests included, newest first.
    List(ListArgs),
}

#[derive(clap::Args, Debug)]
pub(super) struct ListArgs {
    /// Only events since this time, such as 2026-11-23T10:00:00Z, or within this duration, such as 24h.
    #[arg(long, value_name = "TIME|DURATION", value_parser = parse_time)]
    since: Option<When>,
    /// Only events before this time, or older than this duration.
    #[arg(long, value_name = "TIME|DURATION", value_parser = parse_time)]
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

/// A time, or a duration before now.
#[derive(Clone, Copy, Debug)]
enum When {
    Time(DateTime<Utc>),
    Ago(chrono::Duration),
}

impl When {
    fn at(self, app: &App) -> DateTime<Utc> {
        match self {
            Self::Time(time) => time,
            Self::Ago(duration) => app.clock.now() - duration,
        }
    }
}

fn parse_time(text: &str) -> Result<When, String> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(When::Time(time.to_utc())),
        Err(_) => output::parse_duration(text).map(When::Ago).map_err(|_| {
            "expected a time with a zone, such as 2026-11-23T10:00:00Z, or a duration, such as 24h or 7d".to_owned()
        }),
    }
}

const HEADER: [&str; 6] = ["TIME", "ACTOR", "ACTION", "OUTCOME", "TARGET", "FROM"];

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    let Command::List(args) = command;
    let format = if args.json { Format::Json } else { args.local.output };
    with_operator(args.local.config.load()?, async |app, caller| {
        let filter = Filter {
            since: args.since.map(|since| since.at(app)),
            until: args.until.map(|until| until.at(app)),
            action: args.action,
            actor: args.actor,
        };
        match format {
            Format::Table => show(app, caller, &filter, args.max_items.unwrap_or(DEFAULT_ITEMS)).await,
            Format::Json | Format::Csv => stream(app, caller, &filter, args.max_items, format).await,
        }
    })
    .await
}

async fn show(app: &App, caller: &Caller, filter: &Filter, limit: u32) -> Result<(), Exit> {
    let mut rows = Vec::new();
    let is_truncated = each_page(app, caller, filter, Some(limit), |page| {
        rows.extend(page.iter().map(|entry| row(entry, Format::Table)));
        Ok(true)
    });
    let is_truncated = is_truncated.await?;
    let count = rows.len();
    output::print_table(&HEADER, rows)?;
    if is_truncated {
        say_truncated(count);
    }
    Ok(())
}

async fn stream(app: &App, caller: &Caller, filter: &Filter, limit: Option<u32>, format: Format) -> Result<(), Exit> {
    let mut out = Stream::begin(format, &HEADER)?;
    let is_truncated = each_page(app, caller, filter, limit, |page| {
        let rows = page.iter().map(|entry| row(entry, format)).collect();
        let shown: Vec<_> = page.into_iter().map(AuditEvent::from).collect();
        out.push(&shown, rows)
    });
    let is_truncated = is_truncated.await?;
    let count = out.count;
    out.end()?;
    if is_truncated {
        say_truncated(count);
    }
    Ok(())
}

/// Passes page after page to `take`, up to `limit` entries or until `take` returns `false`. Returns whether there are
/// more entries.
async fn each_page(
    app: &App,
    caller: &Caller,
    filter: &Filter,
    limit: Option<u32>,
    mut take: impl FnMut(Vec<Entry>) -> Result<bool, Exit>,
) -> Result<bool, Exit> {
    let (mut count, mut after) = (0, None);
    loop {
        let page_size =
            remaining(limit, count).map_or(MAX_COUNT, |left| u16::try_from(left).unwrap_or(MAX_COUNT).min(MAX_COUNT));
        if page_size == 0 {
            return Ok(true);
        }
        let page = audit::list(app, caller, filter, &PageRequest { count: page_size, after }).await?;
        count += page.rows.len();
        after = page.rows.last().map(|entry| entry.event_id);
        let has_more = page.next.is_some();
        if !take(page.rows)? || !has_more {
            return Ok(false);
        }
    }
}

fn row(entry: &Entry, format: Format) -> Vec<String> {
    let or_placeholder = |text: Option<&String>| text.map_or(format.placeholder(), String::as_str).to_owned();
    vec![
        output::time(entry.occurred_at),
        entry.actor_name.clone().unwrap_or_else(|| entry.actor_kind.as_str().to_owned()),
        entry.action.clone(),
        entry.reason.as_ref().map_or_else(
            || entry.outcome.as_str().to_owned(),
            |reason| format!("{}: {reason}", entry.outcome.as_str()),
        ),
        or_placeholder(entry.target_id.as_ref()),
        or_placeholder(entry.source_address.as_ref()),
    ]
}
