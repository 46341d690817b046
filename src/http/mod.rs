//! The HTTP API: the URL table, and what is common to all routes.
//!
//! # Rules of this API
//!
//! - `/api/v2` follows the vendor's API: paths, slashes, parameters and response shapes are those of the vendor's
//!   unmodified client. Additions must not break that client.
//! - Single resources are returned as `{"result": …}`, lists as `{"results": […], "metadata": {"total",
//!   "next_paging_token"}}`. The token is `null`, never empty, on the last page.
//! - Every error response is `{"error": {"code", "detail", "request_id"}}`; `detail` is one line for people.
//!   [`crate::error`] lists the codes.
//! - An invalid key gets 401, a valid key without permission 403.
//! - Malformed HTTP is the exception to all of this: the HTTP library rejects it with an empty 400, 408 or 431 and closes the
//!   connection.
//! - Every response has the security headers of `security_headers`.
//! - Every response has `x-request-id` and `x-trace-id`; the log and the audit log use the same values.
//! - There are no redirects except from `/docs`: some clients drop the body or the key when they follow one.
//!
//! Known quirks of the vendor's API, not to be copied into new routes: some paths end in a slash and some don't; booleans
//! in queries are `True` and `False`; the `id` of a collaborator is that of the membership, not of the user.

mod api;
mod bare_lf;
mod body;
mod connection;
mod deadline;
mod error;
mod extract;
mod headers;
mod health;
mod limits;
mod log;
mod metrics;
mod openapi;
mod pages;
mod public_url;
mod security_headers;
mod server;
mod stream;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig, delete, patch, post, put};
use actix_web::{FromRequest, Handler, Resource, Responder, Route, guard};

use log::RouteTemplate;

pub(crate) use api::audit::AuditEvent;
pub use metrics::serve as serve_metrics;
pub use openapi::document as openapi_document;
pub use server::serve;

/// The `Allow` header of a read-only route.
const READ: &str = "GET, HEAD";

/// A GET and HEAD route.
fn read<F, Args>(handler: F) -> Route
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    reading(get().to(handler))
}

/// Applies the read deadline to a read-only route: 503 if the database does not answer in time.
fn reading(route: Route) -> Route {
    route.wrap(from_fn(deadline::read))
}

fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// The URL table.
fn routes(config: &mut ServiceConfig) {
    let mut at = |path, allowed, routes: Vec<Route>| {
        let resource =
            web::resource(path).app_data(RouteTemplate(path)).default_service(error::method_not_allowed(allowed));
        config.service(routes.into_iter().fold(resource, Resource::route));
    };
    at("/livez", READ, vec![read(health::livez)]);
    at("/readyz", READ, vec![read(health::readyz)]);
    at("/openapi.json", READ, vec![read(openapi::json)]);
    at("/api/v2/userinfo/", READ, vec![read(api::userinfo::get)]);
    at("/api/v2/users/admin_batch_create", "POST", vec![post().to(api::users::admin_batch_create)]);
    at("/api/v2/users/admin_batch_update", "POST", vec![post().to(api::user_lists::update)]);
    at("/api/v2/users/admin_batch_suspend", "POST", vec![post().to(api::user_lists::suspend)]);
    at("/api/v2/users/admin_batch_reactivate", "POST", vec![post().to(api::user_lists::reactivate)]);
    at("/api/v2/users/admin_batch_delete", "POST", vec![post().to(api::user_lists::delete)]);
    at("/api/v2/batches", READ, vec![read(api::batches::list)]);
    at("/api/v2/batches/{batch_id}", READ, vec![read(api::batches::get)]);
    at("/api/v2/batches/{batch_id}/results", READ, vec![read(api::batches::results)]);
    at("/api/v2/batches/{batch_id}/cancel", "POST", vec![post().to(api::batches::cancel)]);
    at("/api/v2/batches/{batch_id}/undo", "POST", vec![post().to(api::batches::undo)]);
    at("/api/v2/organization_collaborators/", READ, vec![read(api::collaborators::list)]);
    at("/api/v2/organization_collaborators/search", "POST", vec![reading(post().to(api::collaborators::search))]);
    at(
        "/api/v2/organization_collaborators/{identity_id}",
        "GET, HEAD, PUT, DELETE",
        vec![read(api::collaborators::get), put().to(api::collaborators::put), delete().to(api::collaborators::delete)],
    );
    at(
        "/api/v2/organization_collaborators/rotate_api_key_for_user/{user_id}",
        "POST",
        vec![post().to(api::service_accounts::rotate_for_user)],
    );
    at("/api/v2/users/service_accounts", "POST", vec![post().to(api::service_accounts::create)]);
    at("/api/v2/users/create_api_key", "POST", vec![post().to(api::service_accounts::create_api_key)]);
    at("/api/v2/api_keys", "GET, HEAD, POST", vec![read(api::api_keys::list), post().to(api::api_keys::create)]);
    at(
        "/api/v2/api_keys/{key_id}",
        "GET, HEAD, DELETE",
        vec![read(api::api_keys::get), delete().to(api::api_keys::revoke)],
    );
    at("/api/v2/api_keys/{key_id}/rotate", "POST", vec![post().to(api::api_keys::rotate)]);
    at("/api/v2/users/create_otp_token", READ, vec![read(api::logins::start)]);
    at("/api/v2/users/request_otp_token/{otp}", READ, vec![get().to(api::logins::fetch)]);
    at("/api/v2/users/approve_otp_token", "POST", vec![post().to(api::logins::approve)]);
    at("/login/{otp}", READ, vec![read(api::logins::page)]);
    // After the routes with a fixed word in place of the id: the first match wins.
    at(
        "/api/v2/users/{user_id}",
        "GET, HEAD, PATCH, DELETE",
        vec![read(api::user::get), patch().to(api::user::patch), delete().to(api::user::delete)],
    );
    at("/api/v2/users/{user_id}/suspend", "POST", vec![post().to(api::user::suspend)]);
    at("/api/v2/users/{user_id}/reactivate", "POST", vec![post().to(api::user::reactivate)]);
    at("/api/v2/organization_invitations/", READ, vec![read(api::invitations::list)]);
    at("/api/v2/organization_invitations/batch_create", "POST", vec![post().to(api::invitations::batch_create)]);
    at("/api/v2/organization_invitations/accept", "POST", vec![post().to(api::invitations::accept)]);
    at(
        "/api/v2/organization_invitations/{invitation_id}/invalidate",
        "POST",
        vec![post().to(api::invitations::invalidate)],
    );
    at(
        "/invitations/{token}",
        "GET, HEAD, POST",
        vec![read(pages::invitation::show), post().to(pages::invitation::accept)],
    );
    at("/api/v2/user_groups/", "GET, HEAD, POST", vec![read(api::groups::list), post().to(api::groups::create)]);
    // Before the route with an id in the same place.
    at("/api/v2/user_groups/memberships/list", READ, vec![read(api::group_members::memberships)]);
    at(
        "/api/v2/user_groups/{group_id}",
        "GET, HEAD, PATCH, DELETE",
        vec![read(api::groups::get), patch().to(api::groups::update), delete().to(api::groups::delete)],
    );
    at("/api/v2/user_groups/{group_id}/members", READ, vec![read(api::group_members::members)]);
    at("/api/v2/user_groups/{group_id}/members/add", "POST", vec![post().to(api::group_members::add_members)]);
    at("/api/v2/user_groups/{group_id}/members/remove", "POST", vec![post().to(api::group_members::remove_members)]);
    at("/api/v2/policy/clouds", READ, vec![read(api::policies::clouds)]);
    at("/api/v2/policy/projects", READ, vec![read(api::policies::projects)]);
    at(
        "/api/v2/policy/{resource_type}/{resource_id}",
        "GET, HEAD, PUT",
        vec![read(api::policies::get), put().to(api::policies::set)],
    );
    at("/api/v2/scim/list-user-permissions", READ, vec![read(api::permissions::list)]);
    at("/api/v2/scim/scim-migration-preview", READ, vec![read(api::scim::migration_preview)]);
    at("/api/v2/scim/migrate-permissions", "POST", vec![post().to(api::scim::migrate)]);
    at("/api/v2/audit/events", READ, vec![read(api::audit::list)]);
    at("/api/v2/cli_usage/", "POST", vec![post().to(api::cli_usage::post)]);
    at("/docs/{part:.*}", READ, vec![read(openapi::page)]);
    // The page refers to its assets by relative paths, so it needs the trailing slash. The redirect is relative because
    // muster may run behind a path prefix.
    config.service(web::redirect("/docs", "docs/"));
}
