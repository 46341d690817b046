//! `/console/find`: the search field of the frame. An ID leads to its page, anything else to the people with that name or address.

use actix_web::{HttpRequest, web};
use serde::Deserialize;

use super::shell::Place;
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::http::{extract, pages};
use crate::id::{ApiKey, Batch, Event, Group, Id, Invitation, Request as RequestId, SsoProvider, User};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    q: Option<String>,
}

/// `GET /console/find`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    Visit::of(&request, &app, Place::None).await?;
    let query: Query = extract::query(&request)?;
    let text = query.q.unwrap_or_default();
    Ok(pages::redirect(&request, &page(text.trim())))
}

/// The page that a text leads to.
fn page(text: &str) -> String {
    if let Ok(user_id) = text.parse::<Id<User>>() {
        return format!("console/people/{user_id}");
    }
    if let Ok(event_id) = text.parse::<Id<Event>>() {
        return format!("console/audit/{event_id}");
    }
    if let Ok(request_id) = text.parse::<Id<RequestId>>() {
        return format!("console/audit?request={request_id}");
    }
    if let Ok(batch_id) = text.parse::<Id<Batch>>() {
        return format!("console/batches/{batch_id}");
    }
    if let Ok(group_id) = text.parse::<Id<Group>>() {
        return format!("console/groups/{group_id}");
    }
    if let Ok(key_id) = text.parse::<Id<ApiKey>>() {
        return format!("console/keys/{key_id}");
    }
    if let Ok(invitation_id) = text.parse::<Id<Invitation>>() {
        return format!("console/invitations/{invitation_id}");
    }
    if let Ok(provider_id) = text.parse::<Id<SsoProvider>>() {
        return format!("console/providers/{provider_id}");
    }
    match text {
        "" => "console/people".to_owned(),
        text => format!("console/people?q={}", extract::encoded(text)),
    }
}
