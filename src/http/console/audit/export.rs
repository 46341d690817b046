//! `/console/audit/export`: the entries of the list, all pages, as a file.

use actix_web::{HttpRequest, web};
use bytes::Bytes;
use muster_client::AuditEvent;
use serde_json::Value;

use super::form::AuditQuery;
use crate::app::App;
use crate::audit::{self, Filter};
use crate::caller::{Action, Caller};
use crate::error::{Error, Result};
use crate::http::console::download::{self, Format, Pieces};
use crate::http::console::shell::Place;
use crate::http::console::visit::{Handled, Visit};
use crate::http::extract;
use crate::id::{Event, Id};
use crate::page::PageRequest;
use crate::users_file::csv_text;

/// Entries of each read.
const COUNT: u16 = 1000;

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

/// A page of entries; the first one of CSV with the names of the columns.
fn write(format: Format, events: &[AuditEvent], is_first: bool) -> Result<Vec<u8>> {
    match format {
        Format::JsonLines => {
            let mut text = Vec::new();
            for event in events {
                serde_json::to_writer(&mut text, event).map_err(Error::internal)?;
                text.push(b'\n');
            }
            Ok(text)
        }
        Format::Csv => {
            let names = is_first.then(|| COLUMNS.map(str::to_owned));
            let rows = events.iter().map(cells).collect::<Result<Vec<_>>>()?;
            let text = csv_text(names.into_iter().chain(rows)).map_err(|error| Error::internal(error.to_string()))?;
            Ok(text.into_bytes())
        }
    }
}

/// What is left to read.
struct Rest {
    filter: Filter,
    after: Option<Id<Event>>,
    format: Format,
}

impl Pieces for Rest {
    async fn read(self, app: &App, caller: &Caller) -> Result<(Bytes, Option<Self>)> {
        let page = PageRequest { count: COUNT, after: self.after };
        let page = audit::list(app, caller, self.filter.clone(), &page).await?;
        let last = page.rows.last().map(|entry| entry.event_id).filter(|_| page.next.is_some());
        let events: Vec<AuditEvent> = page.rows.into_iter().map(AuditEvent::from).collect();
        let piece = write(self.format, &events, self.after.is_none())?;
        Ok((piece.into(), last.map(|last| Self { after: Some(last), ..self })))
    }
}

/// `GET /console/audit/export`.
pub(in crate::http::console) async fn download(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Audit).await?;
    app.authorize(&visit.caller, Action::AuditList).await?;
    let query: AuditQuery = extract::query(&request)?;
    let format = Format::of(query.format.as_deref())?;
    let rest = Rest { filter: query.filter()?, after: None, format };
    Ok(download::stream(&request, app, &visit, rest, ("audit", format)).await?)
}
