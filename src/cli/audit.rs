//! `muster audit list`.

use chrono::{DateTime, Utc};

use super::local::with_operator;
use super::output::{self, Format};
use super::{Exit, OperatorArgs};
use crate::app::App;
use crate::audit::{self, Entry, Filter};
use crate::caller::Caller;
use crate::page::{MAX_COUNT, PageRequest};

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// List what was done and what was refused, newest first.
    List {
        /// Only what happened since: a time such as 2026-11-23T10:00:00Z, or a span such as 24h.
        #[arg(long, value_name = "TIME|SPAN", value_parser = parse_since)]
        since: Option<Since>,
        /// Only this action, such as `user.batch_create`.
        #[arg(long)]
        action: Option<String>,
        /// The most entries.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        max_items: u32,
        /// The same as `-o json`.
        #[arg(long, conflicts_with = "output")]
        json: bool,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
        #[command(flatten)]
        config: OperatorArgs,
    },
}

/// A time, or a span before now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Since {
    Time(DateTime<Utc>),
    Span(chrono::Duration),
}

fn parse_since(text: &str) -> Result<Since, String> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(Since::Time(time.to_utc())),
        Err(_) => output::parse_span(text).map(Since::Span).map_err(|_| {
            "has to be a time with its zone, such as 2026-11-23T10:00:00Z, or a span, such as 24h or 7d".to_owned()
        }),
    }
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    let Command::List { since, action, max_items, json, output, config } = command;
    let entries = with_operator(config.load()?, async |app, caller| {
        let since = since.map(|since| match since {
            Since::Time(time) => time,
            Since::Span(span) => app.clock.now() - span,
        });
        entries(app, caller, &Filter { since, action }, usize::try_from(max_items).unwrap_or(usize::MAX)).await
    })
    .await?;
    let format = if json { Format::Json } else { output };
    let rows: Vec<_> = entries.iter().map(row).collect();
    let shown: Vec<_> = entries.into_iter().map(crate::http::AuditEvent::from).collect();
    output::print_list(format, &shown, &["TIME", "ACTOR", "ACTION", "OUTCOME", "TARGET", "FROM"], rows)
}

async fn entries(app: &App, caller: &Caller, filter: &Filter, max_items: usize) -> Result<Vec<Entry>, Exit> {
    let mut entries = Vec::new();
    let mut after = None;
    while entries.len() < max_items {
        let rest = u16::try_from(max_items - entries.len()).unwrap_or(MAX_COUNT).min(MAX_COUNT);
        let page = audit::list(app, caller, filter, &PageRequest { count: rest, after }).await?;
        entries.extend(page.rows);
        after = entries.last().map(|entry| entry.event_id);
        if page.next.is_none() {
            break;
        }
    }
    Ok(entries)
}

fn row(entry: &Entry) -> Vec<String> {
    let or_dash = |text: Option<&String>| text.map_or_else(|| "-".to_owned(), Clone::clone);
    vec![
        output::time(entry.occurred_at),
        entry.actor_name.clone().unwrap_or_else(|| entry.actor_kind.clone()),
        entry.action.clone(),
        entry.reason.as_ref().map_or_else(|| entry.outcome.clone(), |reason| format!("{}: {reason}", entry.outcome)),
        or_dash(entry.target_id.as_ref()),
        or_dash(entry.source_address.as_ref()),
    ]
}
