//! `GET /api/v2/audit/events`.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, ToSchema};

use super::{Listing, Metadata};
use crate::app::App;
use crate::audit::{self, Entry, Filter, TargetKind};
use crate::caller::{Action, Caller};
use crate::error::{Error, Result};
use crate::http::error::ErrorBody;
use crate::http::{extract, log};
use crate::page::{Page, PageRequest};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// Only events of this time or later: RFC 3339, such as 2026-11-23T10:00:00Z.
    since: Option<String>,
    /// Only events before this time.
    until: Option<String>,
    /// Only events of this action, such as `user.batch_create`.
    #[param(schema_with = actions)]
    action: Option<String>,
    /// Only what was done with this API key (`key_…`), by this user with any key of theirs (`usr_…`), or with this
    /// invitation (`orginv_…`).
    actor_id: Option<String>,
    /// The `next_paging_token` of the page before.
    paging_token: Option<String>,
    /// Rows on a page: 1 to 50, 50 if absent.
    count: Option<String>,
}

/// An entry of the audit log: something that was done, or that was refused. People are named by id only.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEvent {
    #[schema(example = "evt_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    event_id: String,
    occurred_at: DateTime<Utc>,
    /// `api_key`, `invitation`, `operator` or `anonymous`.
    actor_kind: &'static str,
    actor_id: Option<String>,
    /// The key's name today.
    actor_name: Option<String>,
    #[schema(example = "user.batch_create")]
    action: String,
    /// `success`; `denied` when the actor is not let in or may not; `rejected` when what is there, or what is in the
    /// list, does not allow it.
    outcome: &'static str,
    /// Why it was denied or rejected, as a stable code: `last_owner`.
    reason: Option<String>,
    target_kind: Option<&'static str>,
    target_id: Option<String>,
    batch_id: Option<String>,
    request_id: Option<String>,
    source_address: Option<String>,
    #[schema(value_type = Object)]
    details: serde_json::Value,
}

/// List the audit log, newest first
///
/// What was done, and what was refused. For owners.
#[utoipa::path(get, path = "/api/v2/audit/events", operation_id = "audit_list", tag = "audit", params(Query),
    responses(
        (status = 200, description = "A page of it.", body = Listing<AuditEvent>),
        (status = 400, description = "A parameter that can't be used.", body = ErrorBody),
        (status = 401, description = "No valid API key.", body = ErrorBody),
        (status = 403, description = "Not an owner's API key.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    ),
    security(("bearer" = []), ("cookie" = [])))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let page = page(&request, &app, &caller).await?;
    log::rows(&request, page.rows.len());
    let results = page.rows.into_iter().map(AuditEvent::from).collect();
    Ok(HttpResponse::Ok().json(Listing { results, metadata: Metadata { total: None, next_paging_token: page.next } }))
}

async fn page(request: &HttpRequest, app: &App, caller: &Caller) -> Result<Page<Entry>> {
    let query: Query = extract::query(request)?;
    let action = |name: String| {
        Action::parse(&name).ok_or_else(|| {
            let known: Vec<&str> = Action::ALL.iter().copied().map(Action::as_str).collect();
            Error::invalid(format!("`action` has to be one of {}", known.join(", ")))
        })
    };
    let actor = |id: String| id.parse().map_err(|why| Error::invalid(format!("`actor_id` {why}")));
    let filter = Filter {
        since: time("since", query.since)?,
        until: time("until", query.until)?,
        action: query.action.map(action).transpose()?,
        actor: query.actor_id.map(actor).transpose()?,
    };
    let page = PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())?;
    audit::list(app, caller, &filter, &page).await
}

fn time(name: &str, text: Option<String>) -> Result<Option<DateTime<Utc>>> {
    let time = text.map(|text| DateTime::parse_from_rfc3339(&text)).transpose().map_err(|_| {
        Error::invalid(format!("`{name}` has to be a time of RFC 3339 with its zone, such as 2026-11-23T10:00:00Z"))
    })?;
    Ok(time.map(|time| time.to_utc()))
}

/// The names of all actions.
fn actions() -> Schema {
    let names = Action::ALL.iter().copied().map(Action::as_str);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
}

impl From<Entry> for AuditEvent {
    fn from(entry: Entry) -> Self {
        Self {
            event_id: entry.event_id.to_string(),
            occurred_at: entry.occurred_at,
            actor_kind: entry.actor_kind.as_str(),
            actor_id: entry.actor_id,
            actor_name: entry.actor_name,
            action: entry.action,
            outcome: entry.outcome.as_str(),
            reason: entry.reason,
            target_kind: entry.target_kind.map(TargetKind::as_str),
            target_id: entry.target_id,
            batch_id: entry.batch_id.map(|id| id.to_string()),
            request_id: entry.request_id.map(|id| id.to_string()),
            source_address: entry.source_address,
            details: entry.details,
        }
    }
}
