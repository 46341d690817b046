//! `/console/audit/export`: the entries of the list, all pages, as a file.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use csv::{Terminator, WriterBuilder};
use futures_util::stream;
use muster_client::AuditEvent;
use serde_json::Value;

use super::form::AuditQuery;
use crate::app::App;
use crate::audit::{self, Filter};
use crate::caller::{Action, Caller};
use crate::error::{Error, Result};
use crate::http::console::shell::Place;
use crate::http::console::visit::{Handled, Visit};
use crate::http::extract;
use crate::id::{Event, Id};
use crate::page::PageRequest;
use crate::users_file::escape_formula;

/// Entries of each read.
const COUNT: u16 = 1000;

#[derive(Clone, Copy)]
enum Format {
    JsonLines,
    Csv,
}

impl Format {
    const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::JsonLines => ("jsonl", "application/jsonl"),
            Self::Csv => ("csv", "text/csv; charset=utf-8"),
        }
    }

    /// Writes a page; the first one with the names of the columns.
    fn write(self, events: &[AuditEvent], is_first: bool) -> Result<Vec<u8>> {
        match self {
            Self::JsonLines => {
                let mut text = Vec::new();
                for event in events {
                    serde_json::to_writer(&mut text, event).map_err(Error::internal)?;
                    text.push(b'\n');
                }
                Ok(text)
            }
            Self::Csv => {
                let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
                if is_first {
                    writer.write_record(COLUMNS).map_err(Error::internal)?;
                }
                for event in events {
                    writer.write_record(cells(event)?.map(escape_formula)).map_err(Error::internal)?;
                }
                writer.into_inner().map_err(|error| Error::internal(error.to_string()))
            }
        }
    }
}

const COLUMNS: [&str; 17] = [
    "event_id",
    "occurred_at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "actor_user_id",
    "action",
    "outcome",
    "reason",
    "target_kind",
    "target_id",
    "batch_id",
    "file_name",
    "request_id",
    "source_address",
    "client",
    "details",
];

/// The values of [`COLUMNS`].
fn cells(event: &AuditEvent) -> Result<[String; COLUMNS.len()]> {
    let Value::Object(fields) = serde_json::to_value(event).map_err(Error::internal)? else {
        return Err(Error::internal("an audit event is not an object"));
    };
    Ok(COLUMNS.map(|column| match fields.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(details)) if details.is_empty() => String::new(),
        Some(value) => value.to_string(),
    }))
}

/// What is left to read.
struct Rest {
    app: web::Data<App>,
    caller: Caller,
    filter: Filter,
    after: Option<Id<Event>>,
    format: Format,
}

impl Rest {
    /// The next piece, and what is left after it.
    async fn read(self) -> Result<(Bytes, Option<Self>)> {
        let page = PageRequest { count: COUNT, after: self.after };
        let page = audit::list(&self.app, &self.caller, self.filter.clone(), &page).await?;
        let last = page.rows.last().map(|entry| entry.event_id).filter(|_| page.next.is_some());
        let events: Vec<AuditEvent> = page.rows.into_iter().map(AuditEvent::from).collect();
        let piece = self.format.write(&events, self.after.is_none())?;
        Ok((piece.into(), last.map(|last| Self { after: Some(last), ..self })))
    }
}

/// `GET /console/audit/export`.
pub(in crate::http::console) async fn download(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Audit).await?;
    app.authorize(&visit.caller, Action::AuditList).await?;
    let query: AuditQuery = extract::query(&request)?;
    let format = match query.format.as_deref() {
        Some("jsonl") => Format::JsonLines,
        Some("csv") => Format::Csv,
        _ => return Err(Error::invalid("`format` must be `jsonl` or `csv`").into()),
    };
    let rest = Rest { app, caller: visit.caller, filter: query.filter()?, after: None, format };
    // The first piece is read before the response begins, so that its errors become pages.
    let (first, rest) = rest.read().await?;
    let all = stream::try_unfold((Some(first), rest), |(ready, rest)| async move {
        if let Some(piece) = ready {
            return Ok::<_, Error>(Some((piece, (None, rest))));
        }
        let Some(rest) = rest else { return Ok(None) };
        let (piece, rest) = rest.read().await.inspect_err(|error| {
            tracing::error!(error = error.chain(), "streamed response aborted: {error}");
        })?;
        Ok(Some((piece, (None, rest))))
    });
    let (extension, kind) = format.name();
    let day = visit.now.format("%Y-%m-%d");
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"audit-{day}.{extension}\"")))
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(all))
}
