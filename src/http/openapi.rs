//! The description of this API, generated from the code, and a page to read it on.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{CONTENT_SECURITY_POLICY, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::Config;

use super::error;
use super::{api, health, pages};
use crate::error::{Error, Result};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "muster",
        description = "Creates users on an administrator's word: a list of people becomes accounts, all of them \
            or none, with a complete report and a record of who did it.\n\nEvery error has the same shape, and \
            every answer the headers `x-request-id` and `x-trace-id`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        api::users::admin_batch_create,
        api::user_lists::update,
        api::user_lists::suspend,
        api::user_lists::reactivate,
        api::user_lists::delete,
        api::user::get,
        api::user::patch,
        api::user::delete,
        api::user::suspend,
        api::user::reactivate,
        api::batches::list,
        api::batches::get,
        api::batches::results,
        api::batches::cancel,
        api::batches::undo,
        api::userinfo::get,
        api::collaborators::list,
        api::collaborators::search,
        api::collaborators::get,
        api::collaborators::put,
        api::collaborators::delete,
        api::service_accounts::create,
        api::service_accounts::create_api_key,
        api::service_accounts::rotate_for_user,
        api::api_keys::list,
        api::api_keys::create,
        api::api_keys::get,
        api::api_keys::revoke,
        api::api_keys::rotate,
        api::logins::start,
        api::logins::fetch,
        api::logins::approve,
        api::logins::page,
        api::invitations::batch_create,
        api::invitations::list,
        api::invitations::invalidate,
        api::invitations::accept,
        pages::invitation::show,
        pages::invitation::accept,
        api::groups::list,
        api::groups::create,
        api::groups::get,
        api::groups::update,
        api::groups::delete,
        api::group_members::members,
        api::group_members::add_members,
        api::group_members::remove_members,
        api::group_members::memberships,
        api::policies::get,
        api::policies::set,
        api::policies::clouds,
        api::policies::projects,
        api::permissions::list,
        api::scim::migration_preview,
        api::scim::migrate,
        api::audit::list,
        api::cli_usage::post,
        health::livez,
        health::readyz,
    ),
    tags(
        (name = "users", description = "People's accounts: creating, changing, suspending and deleting them"),
        (name = "batches", description = "Lists of users that are created together"),
        (name = "collaborators", description = "Who belongs to the organization"),
        (name = "service accounts", description = "Accounts of programs, and their keys as the vendor's client makes them"),
        (name = "keys", description = "API keys: making, looking at, rotating and revoking them"),
        (name = "logins", description = "Getting an API key with a one-time password that somebody approves"),
        (name = "invitations", description = "Links that each end in one account"),
        (name = "groups", description = "Users who get permissions together"),
        (name = "policies", description = "What the members of groups may do, and who may do what"),
        (name = "audit", description = "Who did what"),
        (name = "client", description = "What the vendor's client asks for besides"),
        (name = "health", description = "For probes"),
    ),
    modifiers(&Keys),
)]
struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("cli_token"))));
    }
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

pub(super) async fn json() -> Result<HttpResponse> {
    // Written once: making it takes as long as a hundred other requests, and anybody may ask.
    static WRITTEN: LazyLock<Result<Bytes, String>> =
        LazyLock::new(|| serde_json::to_vec(&document()).map(Bytes::from).map_err(|error| error.to_string()));
    let written = WRITTEN.as_ref().map_err(|error| Error::internal(error.as_str()))?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(written.clone()))
}

/// Scripts and requests of the page's own server; the page sets styles and has pictures in itself.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; \
                           img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Swagger UI, built into the binary. `validator_url`: without it the page would send the
/// document's address to a service of its makers.
pub(super) async fn page(request: HttpRequest, part: web::Path<String>) -> Result<HttpResponse> {
    let config = Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true);
    match utoipa_swagger_ui::serve(&part, Arc::new(config)) {
        Ok(Some(file)) => Ok(HttpResponse::Ok()
            .content_type(file.content_type)
            .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
            .body(file.bytes.into_owned())),
        Ok(None) => error::not_found(request).await,
        Err(cause) => Err(Error::internal(cause.to_string())),
    }
}
