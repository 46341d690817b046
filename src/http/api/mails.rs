//! `/api/v2/mails`: the messages that were sent by mail, or are to be.

use actix_web::{HttpRequest, HttpResponse, web};
use muster_client::Mail;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::{Listing, Single, single};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::error::ErrorBody;
use crate::http::extract;
use crate::mail::{self, MailState};
use crate::page::PageRequest;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Query {
    /// Only messages in this state.
    #[param(schema_with = states)]
    state: Option<String>,
    /// The `next_paging_token` of the previous page.
    paging_token: Option<String>,
    /// Messages per page: 1 to 50, default 50.
    count: Option<String>,
}

fn states() -> Schema {
    let names = MailState::ALL.iter().copied().map(MailState::as_str);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
}

/// List the messages that were sent by mail, newest first
///
/// Also those that are to be sent, and those that could not be sent. They are kept for 30 days. Requires an owner.
#[utoipa::path(get, path = "/api/v2/mails", operation_id = "mail_list", tag = "sign-in", params(Query),
    responses((status = 200, description = "A page of messages.", body = Listing<Mail>)))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let query: Query = extract::query(&request)?;
    let state = |name: String| {
        MailState::parse(&name)
            .ok_or_else(|| Error::invalid(format!("invalid `state`; expected one of {}", MailState::list())))
    };
    let state = query.state.map(state).transpose()?;
    let page = PageRequest::parse(query.count.as_deref(), query.paging_token.as_deref())?;
    let page = mail::list(&app, &caller, state, &page).await?;
    Ok(super::page(&request, page, Mail::from))
}

/// Send a failed message again
///
/// Requires an owner.
#[utoipa::path(post, path = "/api/v2/mails/{mail_id}/retry", operation_id = "mail_retry", tag = "sign-in",
    params(("mail_id" = String, Path, example = "mail_01k9h6m3x0e8wbz1v5n7q2r4t6")),
    responses(
        (status = 200, description = "The message is queued.", body = Single<Mail>),
        (status = 404, description = "No such message.", body = ErrorBody),
        (status = 409, description = "The message has not failed, its link can no longer be used, or mail is not configured \
            (`mail_not_configured`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn retry(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let mail_id = extract::id(&request, "mail_id", "message")?;
    Ok(single(Mail::from(mail::retry(&app, &caller, mail_id).await?)))
}

impl From<mail::Mail> for Mail {
    fn from(mail: mail::Mail) -> Self {
        Self {
            id: mail.mail_id.to_string(),
            user_id: mail.user_id.to_string(),
            email: mail.to_address,
            kind: mail.kind,
            next_at: (mail.state == MailState::Queued).then_some(mail.next_at),
            state: mail.state.as_str().to_owned(),
            attempts: u32::try_from(mail.attempts).unwrap_or_default(),
            last_error: mail.last_error,
            created_at: mail.created_at,
            sent_at: mail.sent_at,
        }
    }
}
