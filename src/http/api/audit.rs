//! `GET /api/v2/audit/events`: the audit log.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use muster_client::AuditEvent;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::Listing;
use crate::app::App;
use crate::audit::{self, ActionFilter, Entry, Filter, OutcomeFilter};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::error::ErrorBody;
use crate::http::extract;
use crate::page::PageRequest;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// Earliest time, inclusive, in RFC 3339 format, such as 2026-11-23T10:00:00Z.
    since: Option<String>,
    /// Latest time, exclusive.
    until: Option<String>,
    /// Name of the action, such as `user.batch_create`, or of a group of actions: `people`, `batches`, `invitations`, `groups`
    /// (with policies), `keys`, `sign_ins`, `settings`, or `changes` (all that change something, except signing in).
    #[param(schema_with = actions)]
    action: Option<String>,
    /// How the action ended; `refused` selects `denied` and `rejected`.
    #[param(schema_with = outcomes)]
    outcome: Option<String>,
    /// Actor: the ID (`key_…`) or name of an API key; the ID (`usr_…`), name or e-mail address of a user with any of their keys,
    /// the address also of deleted users; the ID of an invitation (`orginv_…`), `operator` (who ran muster on its machine), `system` (muster itself, such as for
    /// accounts that expire) or `anonymous` (who sent no valid API key).
    #[serde(alias = "actor_id")]
    actor: Option<String>,
    /// Target: the ID of a user, batch, API key, group, invitation, session, identity provider or organization; an e-mail address,
    /// for the accounts that have or had it and the invitations to it, deleted ones included; or the name of a user, group, API
    /// key or identity provider.
    target: Option<String>,
    /// ID of a user (`usr_…`): what the user did, and what happened to the user and the user's API keys. Users that the user created
    /// or deleted with batches are left out, as by `fold`.
    user_id: Option<String>,
    /// ID of the batch that the entries are part of (`bat_…`).
    batch_id: Option<String>,
    /// ID of the request that led to the entries (`req_…`).
    request_id: Option<String>,
    /// IP address of the client, or a network, such as `203.0.113.0/24`.
    from: Option<String>,
    /// `true` leaves out the entries of the single users that batches created or deleted; the entry of the batch has their number.
    fold: Option<String>,
    /// The `next_paging_token` of the previous page.
    paging_token: Option<String>,
    /// Entries per page: 1 to 50, default 50.
    count: Option<String>,
}

/// List the audit log, newest first
///
/// Contains successful, denied and rejected actions. Requires an owner.
#[utoipa::path(get, path = "/api/v2/audit/events", operation_id = "audit_list", tag = "audit", params(Query),
    responses(
        (status = 200, description = "A page of entries.", body = Listing<AuditEvent>),
        (status = 404, description = "Nobody has the name or the address of `actor`, or nothing that of `target`.", body = ErrorBody),
    ))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: Query = extract::query(&request)?;
    let filter = Filter {
        since: time("since", query.since)?,
        until: time("until", query.until)?,
        action: parsed("action", query.action)?,
        outcome: parsed("outcome", query.outcome)?,
        actor: parsed("actor", query.actor)?,
        target: parsed("target", query.target)?,
        user: parsed("user_id", query.user_id)?,
        batch: parsed("batch_id", query.batch_id)?,
        request: parsed("request_id", query.request_id)?,
        network: parsed("from", query.from)?,
        is_folded: extract::flag("fold", query.fold.as_deref())?.unwrap_or(false),
    };
    let page = PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())?;
    let page = audit::list(&app, &caller, filter, &page).await?;
    Ok(super::page(&request, page, AuditEvent::from))
}

fn time(name: &str, text: Option<String>) -> Result<Option<DateTime<Utc>>> {
    let time = text.map(|text| DateTime::parse_from_rfc3339(&text)).transpose().map_err(|_| {
        Error::invalid(format!(
            "invalid `{name}`; expected an RFC 3339 time with a time zone, such as 2026-11-23T10:00:00Z"
        ))
    })?;
    Ok(time.map(|time| time.to_utc()))
}

fn parsed<T: FromStr<Err: Display>>(name: &str, text: Option<String>) -> Result<Option<T>> {
    text.map(|text| text.parse().map_err(|error| Error::invalid(format!("invalid `{name}`: {error}")))).transpose()
}

fn actions() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(ActionFilter::names())).into()
}

fn outcomes() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(OutcomeFilter::names())).into()
}

impl From<Entry> for AuditEvent {
    fn from(entry: Entry) -> Self {
        Self {
            event_id: entry.event_id.to_string(),
            occurred_at: entry.occurred_at,
            actor_kind: entry.actor_kind.as_str().to_owned(),
            actor_id: entry.actor_id,
            actor_name: entry.actor_name,
            actor_user_id: entry.actor_user_id.map(|user_id| user_id.to_string()),
            action: entry.action,
            outcome: entry.outcome.as_str().to_owned(),
            reason: entry.reason,
            target_kind: entry.target_kind,
            target_id: entry.target_id,
            batch_id: entry.batch_id.map(|id| id.to_string()),
            file_name: entry.file_name,
            request_id: entry.request_id.map(|id| id.to_string()),
            source_address: entry.source_address,
            client: entry.client,
            details: match entry.details {
                Value::Object(details) => details,
                _ => serde_json::Map::new(),
            },
        }
    }
}
