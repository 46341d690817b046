//! The console: the pages of administrators, below `/console`.
//!
//! | file | what it has |
//! |---|---|
//! | `shell.rs` | the frame of every page: navigation, who is signed in |
//! | `numbers.rs` | numbers with their nouns |
//! | `visit.rs` | who visits a page; forms, also of those whose session has ended meanwhile |
//! | `error.rs` | errors, inside the frame |
//! | `audit/` | the audit log, and the history of a person |
//! | `find.rs` | the search field of the frame |
//! | `overview.rs` | what needs attention, and what happened lately |
//! | `people.rs`, `people_query.rs`, `people_export.rs` | the list of people, its parameters, the list as a file |
//! | `download.rs` | files that are downloaded |
//! | `person.rs`, `state.rs` | one person, what an account is like now |
//! | `import/` | a file becomes people |
//! | `changes.rs` | a file that says what people are to be |
//! | `unusable.rs` | why a file can't be used |
//! | `bulk.rs`, `bulk_review.rs` | changes of many people: the selection, and its review |
//! | `person_edit.rs`, `person_action.rs`, `person_link.rs` | changes of one person |
//! | `groups.rs`, `group.rs`, `group_policy.rs` | the list of groups, one group, who becomes an owner through it |
//! | `keys.rs`, `key.rs`, `key_new.rs`, `key_rotate.rs`, `key_revoke.rs` | the list of API keys, one key, its changes |
//! | `key_made.rs`, `form_id.rs` | a new key, shown once; a form that is sent twice makes one |
//! | `services.rs`, `service.rs` | the list of service accounts, one of them |
//! | `settings.rs`, `settings_sign_in.rs` | the settings of the organization; how its people sign in |
//! | `invitations.rs`, `invitation.rs`, `invitation_new.rs`, `invitation_links.rs` | the list of invitations, one invitation, inviting people, their links |
//! | `providers.rs`, `provider.rs`, `provider_action.rs` | the identity providers, one of them, changes of one |
//! | `sessions.rs`, `sessions_end.rs` | where people are signed in, ending the sessions of a person or of everybody |
//! | `batches.rs`, `batch.rs`, `batch_undo.rs`, `batch_links.rs` | the list of batches, one batch, its undo, links for its people |
//!
//! A page calls the same operations as the API, with the session as the caller, and decides no permission itself.
//!
//! # Decisions
//!
//! *Everything works without scripts.* The one script saves clicks: it selects rows, moves between them by keys, takes dropped
//! files, copies. Controls that need it are hidden without it.
//!
//! *State is in the address or in the database*, never only in the browser: a page can be reloaded, bookmarked and sent to a colleague.
//!
//! *Forms have no CSRF tokens*, so none expires: browsers tell where a request comes from ([`super::browser`]).

mod audit;
mod batch;
mod batch_links;
mod batch_undo;
mod batches;
mod bulk;
mod bulk_review;
mod changes;
mod download;
mod error;
mod find;
mod form_id;
mod group;
mod group_policy;
mod groups;
mod import;
mod invitation;
mod invitation_links;
mod invitation_new;
mod invitations;
mod key;
mod key_made;
mod key_new;
mod key_revoke;
mod key_rotate;
mod keys;
mod numbers;
mod overview;
mod people;
mod people_export;
mod people_query;
mod person;
mod person_action;
mod person_edit;
mod person_link;
mod provider;
mod provider_action;
mod providers;
mod service;
mod services;
mod sessions;
mod sessions_end;
mod settings;
mod settings_sign_in;
mod shell;
mod state;
mod unusable;
mod visit;

use actix_web::http::StatusCode;
use actix_web::web::ServiceConfig;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use chrono::TimeDelta;
use serde::Deserialize;

use super::Method::{Get, PostForm, PostList, Read};
use super::body::Body;
use super::pages::{self, Policy};
use super::session;
use super::{endpoint, resource};
use crate::app::App;
use crate::caller::PermissionLevel;
use crate::error::{Code, Error, Result};

pub(super) use error::text as error_text;
use shell::Place;
use visit::{Handled, Visit};

/// The pages below `/console`.
pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/", vec![endpoint(Read, root)]));
    config.service(resource("/collaborators", vec![endpoint(Read, collaborators)]));
    config.service(resource("/console", vec![endpoint(Read, overview::show)]));
    config.service(resource("/console/shortcuts", vec![endpoint(PostForm, turn_shortcuts)]));
    config.service(resource("/console/find", vec![endpoint(Read, find::show)]));
    config.service(resource("/console/people", vec![endpoint(Read, people::show), endpoint(PostForm, bulk::begin)]));
    config.service(resource(
        "/console/people/changes",
        vec![endpoint(Read, changes::show_form), endpoint(PostList, changes::begin)],
    ));
    config.service(resource(
        "/console/people/changes/{draft_id}",
        vec![endpoint(Read, changes::show), endpoint(PostForm, changes::submit)],
    ));
    config.service(resource("/console/people/export", vec![endpoint(Get, people_export::download)]));
    config.service(resource(
        "/console/people/review/{draft_id}",
        vec![endpoint(Read, bulk_review::show), endpoint(PostForm, bulk_review::submit)],
    ));
    config.service(resource("/console/people/{user_id}", vec![endpoint(Read, person::show)]));
    config.service(resource(
        "/console/people/{user_id}/edit",
        vec![endpoint(Read, person_edit::show), endpoint(PostForm, person_edit::submit)],
    ));
    config.service(resource("/console/people/{user_id}/sessions", vec![endpoint(PostForm, person::end_sessions)]));
    config.service(resource(
        "/console/people/{user_id}/link",
        vec![endpoint(Read, person_link::show), endpoint(PostForm, person_link::submit)],
    ));
    config.service(resource(
        "/console/people/{user_id}/{doing}",
        vec![endpoint(Read, person_action::show), endpoint(PostForm, person_action::submit)],
    ));
    config.service(resource("/console/audit", vec![endpoint(Read, audit::list::show)]));
    config.service(resource("/console/audit/export", vec![endpoint(Get, audit::export::download)]));
    config.service(resource("/console/audit/{event_id}", vec![endpoint(Read, audit::event::show)]));
    config.service(resource("/console/batches", vec![endpoint(Read, batches::show)]));
    config.service(resource("/console/batches/{batch_id}", vec![endpoint(Read, batch::show)]));
    config.service(resource("/console/batches/{batch_id}/cancel", vec![endpoint(PostForm, batch::cancel)]));
    config.service(resource(
        "/console/batches/{batch_id}/undo",
        vec![endpoint(Read, batch_undo::show), endpoint(PostForm, batch_undo::submit)],
    ));
    config.service(resource(
        "/console/batches/{batch_id}/links",
        vec![endpoint(Read, batch_links::show), endpoint(PostForm, batch_links::submit)],
    ));
    config.service(resource("/console/groups", vec![endpoint(Read, groups::show), endpoint(PostForm, groups::create)]));
    config.service(resource("/console/groups/{group_id}", vec![endpoint(Read, group::show)]));
    config.service(resource("/console/groups/{group_id}/members", vec![endpoint(PostForm, group::change_members)]));
    config.service(resource("/console/groups/{group_id}/rename", vec![endpoint(PostForm, group::rename)]));
    config.service(resource("/console/groups/{group_id}/delete", vec![endpoint(PostForm, group::delete)]));
    config.service(resource(
        "/console/groups/{group_id}/policy",
        vec![endpoint(Read, group_policy::show), endpoint(PostForm, group_policy::submit)],
    ));
    config.service(resource(
        "/console/import",
        vec![endpoint(Read, import::file::show), endpoint(PostList, import::file::submit)],
    ));
    config.service(resource("/console/import/template.csv", vec![endpoint(Get, import::file::example)]));
    config.service(resource("/console/import/{draft_id}", vec![endpoint(Read, import::overview)]));
    config.service(resource("/console/import/{draft_id}/discard", vec![endpoint(PostForm, import::discard)]));
    config.service(resource(
        "/console/import/{draft_id}/columns",
        vec![endpoint(Read, import::columns::show), endpoint(PostForm, import::columns::submit)],
    ));
    config.service(resource(
        "/console/import/{draft_id}/rows",
        vec![endpoint(Read, import::rows::show), endpoint(PostForm, import::rows::submit)],
    ));
    config.service(resource("/console/import/{draft_id}/wrong.csv", vec![endpoint(Read, import::wrong::show)]));
    config.service(resource(
        "/console/import/{draft_id}/review",
        vec![endpoint(Read, import::review::show), endpoint(PostForm, import::review::submit)],
    ));
    access_routes(config);
    sign_in_routes(config);
    config.service(resource("/console/{rest:.*}", vec![endpoint(Read, unknown)]));
}

/// Those about what an organization decides, and who gets in.
fn access_routes(config: &mut ServiceConfig) {
    config.service(resource("/console/keys", vec![endpoint(Read, keys::show)]));
    config.service(resource(
        "/console/keys/new",
        vec![endpoint(Read, key_new::show), endpoint(PostForm, key_new::submit)],
    ));
    config.service(resource("/console/keys/{key_id}", vec![endpoint(Read, key::show)]));
    config.service(resource(
        "/console/keys/{key_id}/rotate",
        vec![endpoint(Read, key_rotate::show), endpoint(PostForm, key_rotate::submit)],
    ));
    config.service(resource(
        "/console/keys/{key_id}/revoke",
        vec![endpoint(Read, key_revoke::show), endpoint(PostForm, key_revoke::submit)],
    ));
    config.service(resource(
        "/console/services",
        vec![endpoint(Read, services::show), endpoint(PostForm, services::create)],
    ));
    config.service(resource("/console/services/{user_id}", vec![endpoint(Read, service::show)]));
    config.service(resource("/console/settings", vec![endpoint(Read, settings::show)]));
    config.service(resource("/console/settings/name", vec![endpoint(PostForm, settings::rename)]));
    config.service(resource("/console/settings/keys", vec![endpoint(PostForm, settings::limit_keys)]));
    config.service(resource(
        "/console/settings/sign-in",
        vec![endpoint(Read, settings_sign_in::show), endpoint(PostForm, settings_sign_in::submit)],
    ));
}

/// Those about who may sign in, by what means, and who has.
fn sign_in_routes(config: &mut ServiceConfig) {
    config.service(resource("/console/invitations", vec![endpoint(Read, invitations::show)]));
    config.service(resource(
        "/console/invitations/new",
        vec![endpoint(Read, invitation_new::show), endpoint(PostForm, invitation_new::submit)],
    ));
    config.service(resource(
        "/console/invitations/{invitation_id}",
        vec![endpoint(Read, invitation::show), endpoint(PostForm, invitation::revoke)],
    ));
    config.service(resource("/console/providers", vec![endpoint(Read, providers::show)]));
    config.service(resource("/console/providers/{provider}", vec![endpoint(Read, provider::show)]));
    config.service(resource("/console/providers/{provider}/test", vec![endpoint(PostForm, provider::test)]));
    config.service(resource(
        "/console/providers/{provider}/{doing}",
        vec![endpoint(Read, provider_action::show), endpoint(PostForm, provider_action::submit)],
    ));
    config.service(resource(
        "/console/sessions",
        vec![endpoint(Read, sessions::show), endpoint(PostForm, sessions::end)],
    ));
    config.service(resource(
        "/console/sessions/end",
        vec![endpoint(Read, sessions_end::show), endpoint(PostForm, sessions_end::submit)],
    ));
}

/// `/`: the console for owners, their account for everybody else.
async fn root(request: HttpRequest) -> Result<HttpResponse> {
    let is_owner = match pages::Visitor::of(&request).await? {
        pages::Visitor::SignedIn(holder) => holder.permission == PermissionLevel::Owner,
        pages::Visitor::Anonymous { .. } => false,
    };
    Ok(pages::redirect(&request, if is_owner { "console" } else { "account" }))
}

/// `/collaborators`, an address that the vendor's client prints.
async fn collaborators(request: HttpRequest) -> Result<HttpResponse> {
    Ok(pages::redirect(&request, "console/people"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: String,
    return_to: String,
}

/// `POST /console/shortcuts`: turns keyboard shortcuts on or off in this browser.
async fn turn_shortcuts(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (_, form) = Visit::with_form::<Keys>(&request, &app, Place::None, &mut body).await?;
    let mut response = pages::redirect_back(&request, pages::return_to(Some(&form.return_to)));
    match form.keys.as_str() {
        "off" => session::add(&mut response, shell::NO_KEYS, "1", TimeDelta::days(365)),
        _ => session::add(&mut response, shell::NO_KEYS, "", TimeDelta::zero()),
    }
    Ok(response)
}

/// Any other address below `/console`.
async fn unknown(request: HttpRequest, app: web::Data<App>) -> Handled {
    Visit::of(&request, &app, Place::None).await?;
    Err(Error::new(Code::NotFound, "there is no page at this address").into())
}

/// A page of the console.
fn respond(page: &impl Template) -> HttpResponse {
    respond_with(StatusCode::OK, page)
}

/// As [`respond`], with a status.
fn respond_with(status: StatusCode, page: &impl Template) -> HttpResponse {
    pages::fill(HttpResponse::new(status), page, Policy::Console)
}

/// Sends the browser to sign in again, and back to this page: what it asks for needs a recent sign-in.
fn again(request: &HttpRequest) -> HttpResponse {
    again_at(request, request.uri().path_and_query().map_or(request.path(), |page| page.as_str()))
}

/// As [`again`], and back to another page, such as this one with the values of a form.
fn again_at(request: &HttpRequest, page: &str) -> HttpResponse {
    pages::redirect(request, &format!("{}&again=1", pages::with_return("sign-in", page)))
}

/// The page of a form that can't be accepted, with the status of the error.
fn reject(error: Error, page: &impl Template) -> HttpResponse {
    pages::fill(HttpResponse::from_error(error), page, Policy::Console)
}
