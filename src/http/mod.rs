//! The HTTP door.
//!
//! # Rules of this API
//!
//! - It speaks the vendor's dialect under `/api/v2`: paths, slashes, parameters and shapes are
//!   those of the vendor's unmodified client; what muster adds can't disturb it.
//! - Single things come as `{"result": …}`, lists as `{"results": […], "metadata": {"total",
//!   "next_paging_token"}}`. The token is `null`, never empty, on the last page.
//! - Every error is `{"error": {"code", "detail", "request_id"}}`, from every route and for
//!   every cause; `detail` is one line for people. Codes: [`crate::error`].
//! - A key that opens nothing gives 401, one that may not gives 403.
//! - Every answer has the headers that keep browsers from doing more with it than showing it: `surface`.
//! - Every answer has `x-request-id` and `x-trace-id`; the log and the audit have the same.
//! - No redirects but that of `/docs`: some clients lose their body or their key on the way.
//!
//! Known quirks of the dialect, not to be copied into new routes: some paths end in a slash and
//! some don't; booleans in queries are `True` and `False`; `id` of a collaborator is the
//! membership's, not the user's.

mod api;
mod body;
mod connection;
mod deadline;
mod error;
mod extract;
mod head;
mod headers;
mod health;
mod log;
mod metrics;
mod openapi;
mod pages;
mod public_url;
mod server;
mod stream;
mod surface;
mod unheard;

use std::collections::BTreeMap;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig, delete, patch, post, put};
use actix_web::{FromRequest, Handler, Resource, Responder, Route, Scope, guard};

use crate::metrics::Endpoint;

pub(crate) use api::audit::AuditEvent;
pub use metrics::serve as serve_metrics;
pub use openapi::document as openapi_document;
pub use server::serve;

/// What the paths of the API begin with, and have a noun behind.
const API: &str = "/api/v2/";

/// The methods of a route that only reads.
const READ: &str = "GET, HEAD";

/// A route that is read from.
fn read<F, Args>(handler: F) -> Route
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    reading(get().to(handler))
}

/// A route that writes nothing: it is given up when the database does not answer in time.
fn reading(route: Route) -> Route {
    route.wrap(from_fn(deadline::read))
}

fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// The URL table.
fn routes(config: &mut ServiceConfig) {
    let mut nouns = Nouns::default();
    let mut at = |path, allowed, routes| nouns.add(path, allowed, routes);
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
    // Behind those with a word in the place of the id.
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
    // Before the one with an id in the same place.
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
    // The page's parts are beside it, so its own address needs the slash. Relative: muster may be
    // behind a prefix.
    config.service(web::redirect("/docs", "docs/"));
    nouns.register(config);
}

/// The paths by their nouns. A path with a parameter is compared by a regular expression, which takes as long as
/// all the rest of a request: so a request is compared with those of its noun only, in the order of the table.
#[derive(Default)]
struct Nouns(BTreeMap<&'static str, Vec<Resource>>);

impl Nouns {
    fn add(&mut self, path: &'static str, allowed: &'static str, routes: Vec<Route>) {
        let end =
            path.match_indices('/').nth(if path.starts_with(API) { 3 } else { 1 }).map_or(path.len(), |(at, _)| at);
        let (noun, rest) = path.split_at(end);
        let resource =
            web::resource(rest).app_data(Endpoint::new(path)).default_service(error::method_not_allowed(allowed));
        self.0.entry(noun).or_default().push(routes.into_iter().fold(resource, Resource::route));
    }

    fn register(self, config: &mut ServiceConfig) {
        for (noun, resources) in self.0 {
            config.service(resources.into_iter().fold(web::scope(noun), Scope::service));
        }
    }
}
