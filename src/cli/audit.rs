//! `muster audit list`.

use chrono::{DateTime, Utc};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::listing::{Stream, rest, say_more};
use super::local::with_operator;
use super::output::{self, Format};
use super::{Exit, OperatorArgs};
use crate::app::App;
use crate::audit::{self, ActorFilter, Entry, Filter};
use crate::caller::{Action, Caller};
use crate::http::AuditEvent;
use crate::page::{MAX_COUNT, PageRequest};

/// How many entries a table has if nobody says otherwise.
const USUAL: u32 = 50;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// List what was done and what was refused, newest first.
    List(ListArgs),
}

#[derive(clap::Args, Debug)]
pub(super) struct ListArgs {
    /// Only what happened since: a time such as 2026-11-23T10:00:00Z, or a span such as 24h.
    #[arg(long, value_name = "TIME|SPAN", value_parser = parse_time)]
    since: Option<When>,
    /// Only what happened before: a time, or a span before now.
    #[arg(long, value_name = "TIME|SPAN", value_parser = parse_time)]
    until: Option<When>,
    /// Only this action.
    #[arg(long, value_parser = action())]
    action: Option<Action>,
    /// Only what was done with this API key, by this user with any key of theirs, or with this invitation.
    #[arg(long, value_name = "ID", value_parser = parse_who)]
    actor: Option<ActorFilter>,
    /// The most entries [default: 50 as a table, else all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_items: Option<u32>,
    /// The same as `-o json`.
    #[arg(long, conflicts_with = "output")]
    json: bool,
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    config: OperatorArgs,
}

/// One of the actions, by its dotted name: so shells can complete it.
fn action() -> impl TypedValueParser<Value = Action> {
    let names = PossibleValuesParser::new(Action::ALL.iter().copied().map(Action::as_str));
    names.try_map(|name| Action::parse(&name).ok_or("is no action"))
}

fn parse_who(text: &str) -> Result<ActorFilter, &'static str> {
    text.parse()
}

/// A time, or a span before now.
#[derive(Clone, Copy, Debug)]
enum When {
    Time(DateTime<Utc>),
    Span(chrono::Duration),
}

impl When {
    fn at(self, app: &App) -> DateTime<Utc> {
        match self {
            Self::Time(time) => time,
            Self::Span(span) => app.clock.now() - span,
        }
    }
}

fn parse_time(text: &str) -> Result<When, String> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(When::Time(time.to_utc())),
        Err(_) => output::parse_span(text).map(When::Span).map_err(|_| {
            "has to be a time with its zone, such as 2026-11-23T10:00:00Z, or a span, such as 24h or 7d".to_owned()
        }),
    }
}

const HEADER: [&str; 6] = ["TIME", "ACTOR", "ACTION", "OUTCOME", "TARGET", "FROM"];

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    let Command::List(args) = command;
    let format = if args.json { Format::Json } else { args.output };
    with_operator(args.config.load()?, async |app, caller| {
        let filter = Filter {
            since: args.since.map(|since| since.at(app)),
            until: args.until.map(|until| until.at(app)),
            action: args.action,
            actor: args.actor,
        };
        match format {
            Format::Table => show(app, caller, &filter, args.max_items.unwrap_or(USUAL)).await,
            Format::Json | Format::Csv => stream(app, caller, &filter, args.max_items, format).await,
        }
    })
    .await
}

async fn show(app: &App, caller: &Caller, filter: &Filter, most: u32) -> Result<(), Exit> {
    let mut rows = Vec::new();
    let is_cut = each_page(app, caller, filter, Some(most), |page| {
        rows.extend(page.iter().map(|entry| row(entry, Format::Table)));
        Ok(true)
    });
    let is_cut = is_cut.await?;
    let count = rows.len();
    output::print_table(&HEADER, rows)?;
    if is_cut {
        say_more(count);
    }
    Ok(())
}

async fn stream(app: &App, caller: &Caller, filter: &Filter, most: Option<u32>, format: Format) -> Result<(), Exit> {
    let mut out = Stream::begin(format, &HEADER)?;
    let is_cut = each_page(app, caller, filter, most, |page| {
        let rows = page.iter().map(|entry| row(entry, format)).collect();
        let shown: Vec<_> = page.into_iter().map(AuditEvent::from).collect();
        out.push(&shown, rows)
    });
    let is_cut = is_cut.await?;
    let count = out.count;
    out.end()?;
    if is_cut {
        say_more(count);
    }
    Ok(())
}

/// Hands over one page after the other, until there were `most` entries, or all, or nobody wants more. Says whether
/// there are more.
async fn each_page(
    app: &App,
    caller: &Caller,
    filter: &Filter,
    most: Option<u32>,
    mut take: impl FnMut(Vec<Entry>) -> Result<bool, Exit>,
) -> Result<bool, Exit> {
    let (mut count, mut after) = (0, None);
    loop {
        let rest = rest(most, count).map_or(MAX_COUNT, |rest| u16::try_from(rest).unwrap_or(MAX_COUNT).min(MAX_COUNT));
        if rest == 0 {
            return Ok(true);
        }
        let page = audit::list(app, caller, filter, &PageRequest { count: rest, after }).await?;
        count += page.rows.len();
        after = page.rows.last().map(|entry| entry.event_id);
        let goes_on = page.next.is_some();
        if !take(page.rows)? || !goes_on {
            return Ok(false);
        }
    }
}

fn row(entry: &Entry, format: Format) -> Vec<String> {
    let or_nothing = |text: Option<&String>| text.map_or(format.nothing(), String::as_str).to_owned();
    vec![
        output::time(entry.occurred_at),
        entry.actor_name.clone().unwrap_or_else(|| entry.actor_kind.as_str().to_owned()),
        entry.action.clone(),
        entry.reason.as_ref().map_or_else(
            || entry.outcome.as_str().to_owned(),
            |reason| format!("{}: {reason}", entry.outcome.as_str()),
        ),
        or_nothing(entry.target_id.as_ref()),
        or_nothing(entry.source_address.as_ref()),
    ]
}
