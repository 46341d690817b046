//! `/console/audit`: the audit log.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::form::{AuditQuery, Chip, Choice};
use super::log::{Day, days};
use crate::app::App;
use crate::audit;
use crate::caller::Caller;
use crate::error::{Code, Error, Result};
use crate::http::console::numbers::{counted, number};
use crate::http::console::shell::{Place, Shell};
use crate::http::console::visit::{Handled, Visit};
use crate::http::console::{reject, respond};
use crate::http::{extract, pages};
use crate::page::Slice;

#[derive(Template)]
#[template(path = "console/audit.html")]
pub(in crate::http::console) struct AuditPage {
    pub(in crate::http::console) shell: Shell,
    pub(in crate::http::console) query: AuditQuery,
    pub(in crate::http::console) actions: Vec<Choice>,
    pub(in crate::http::console) outcomes: Vec<Choice>,
    pub(in crate::http::console) chips: Vec<Chip>,
    pub(in crate::http::console) days: Vec<Day>,
    /// What the page has, in numbers.
    pub(in crate::http::console) summary: String,
    /// The parameters of the pages with later and with earlier entries.
    pub(in crate::http::console) newer: Option<String>,
    pub(in crate::http::console) older: Option<String>,
    /// Why there is no list.
    pub(in crate::http::console) problem: Option<String>,
}

impl AuditPage {
    fn new(shell: Shell, query: AuditQuery) -> Self {
        Self {
            shell,
            actions: query.actions(),
            outcomes: query.outcomes(),
            chips: query.chips(),
            days: Vec::new(),
            summary: String::new(),
            newer: None,
            older: None,
            problem: None,
            query,
        }
    }

    fn is_filtered(&self) -> bool {
        self.query.is_filtered()
    }

    /// The filters without a field.
    fn hidden(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let AuditQuery { user, batch, request, entries, .. } = &self.query;
        let all = [("user", user), ("batch", batch), ("request", request), ("entries", entries)];
        all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.as_str()))
    }

    /// The parameters of a download of the same entries.
    fn export(&self, format: &str) -> String {
        self.query.with("count", &[("format", format)])
    }
}

/// `GET /console/audit`.
pub(in crate::http::console) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Audit).await?;
    let query: AuditQuery = extract::query(&request)?;
    let read = read(&app, &visit.caller, &query).await;
    let mut page = AuditPage::new(visit.shell, query);
    let (slice, names) = match read {
        Ok(read) => read,
        // The fields are filled as they were.
        Err(error) if matches!(error.code(), Code::InvalidRequest | Code::NotFound | Code::Overloaded) => {
            page.problem = Some(pages::sentence(&error.to_string()));
            return Ok(reject(error, &page));
        }
        Err(error) => return Err(error.into()),
    };
    page.days = days(&slice.rows, &names, visit.now);
    page.summary = summary(&page.days);
    page.newer = slice.previous.map(|token| page.query.with("", &[("before", &token)]));
    page.older = slice.next.map(|token| page.query.with("", &[("after", &token)]));
    Ok(respond(&page))
}

/// # Errors
/// `forbidden`; `invalid_request`; `not_found` for a name that nothing has; `overloaded`.
async fn read(app: &App, caller: &Caller, query: &AuditQuery) -> Result<(Slice<audit::Entry>, audit::Names)> {
    let slice = audit::list_span(app, caller, query.filter()?, &query.span()?).await?;
    let names = audit::names(app, caller, &slice.rows).await?;
    Ok::<_, Error>((slice, names))
}

fn summary(days: &[Day]) -> String {
    let rows = days.iter().flat_map(|day| &day.rows);
    let (lines, folded) = rows.fold((0, 0), |(lines, folded), row| (lines + 1, folded + row.folded as u64));
    let lines = counted(lines, "entry", "entries");
    match folded {
        0 => lines,
        folded => format!("{lines}, with {} folded in", number(folded)),
    }
}
