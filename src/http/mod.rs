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
//! - An invalid key gets 401 with `WWW-Authenticate`, a valid key without permission 403.
//! - A change that a page of another site sends with a cookie gets 403 (`cross_site`).
//! - Malformed HTTP is the exception to all of this: the HTTP library rejects it with an empty 400, 408 or 431 and closes the
//!   connection.
//! - Every response has the security headers of `security_headers`.
//! - Every response has `x-request-id` and `x-trace-id`; the log and the audit log use the same values.
//! - There are no redirects except of pages and from `/docs`: some clients drop the body or the key when they follow one.
//!
//! Known quirks of the vendor's API, not to be copied into new routes: some paths end in a slash and some don't; booleans
//! in queries are `True` and `False`; the `id` of a collaborator is that of the membership, not of the user.

mod api;
mod bare_lf;
mod body;
mod browser;
mod client_addresses;
mod connection;
mod console;
mod deadline;
mod delivered;
mod disconnect;
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
mod sender;
mod server;
mod session;
mod stream;
mod upload;
mod vendor;

use actix_web::dev::HttpServiceFactory;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, Responder, Route, guard, http};
use utoipa::OpenApi;

use body::{BodySize, BodySizes};
use log::RouteTemplate;

pub use metrics::serve as serve_metrics;
pub use openapi::document as openapi_document;
pub(crate) use public_url::{is_loopback, link_warning};
pub use server::serve;

enum Method {
    /// GET and HEAD with the read deadline.
    Read,
    /// GET and HEAD without the read deadline.
    Get,
    /// POST with the read deadline, for a search with an object of up to 64 KiB.
    Search,
    /// POST with an object of up to 64 KiB.
    Post,
    /// POST with a list.
    PostList,
    /// POST without an API key, with up to 4 KiB.
    PostOpen,
    /// POST of a form of the console, with up to 256 KiB: a page of 200 rows.
    PostForm,
    /// PUT with an object of up to 64 KiB.
    Put,
    /// PATCH with an object of up to 64 KiB.
    Patch,
    /// DELETE; with an object of up to 64 KiB if the handler reads one.
    Delete,
}

/// A handler with its methods, as in the `Allow` header, and the size of its body.
struct Endpoint {
    allow: &'static str,
    route: Route,
    body: Option<(http::Method, BodySize)>,
}

fn endpoint<F, Args>(method: Method, handler: F) -> Endpoint
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let get = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    // 503 if the database does not respond in time.
    let with_deadline = |route: Route| route.wrap(from_fn(deadline::read));
    let (allow, route) = match method {
        Method::Read => ("GET, HEAD", with_deadline(get().to(handler))),
        Method::Get => ("GET, HEAD", get().to(handler)),
        Method::Search => ("POST", with_deadline(web::post().to(handler))),
        Method::Post | Method::PostList | Method::PostOpen | Method::PostForm => ("POST", web::post().to(handler)),
        Method::Put => ("PUT", web::put().to(handler)),
        Method::Patch => ("PATCH", web::patch().to(handler)),
        Method::Delete => ("DELETE", web::delete().to(handler)),
    };
    let body = match method {
        Method::Read | Method::Get => None,
        Method::Search | Method::Post => Some((http::Method::POST, BodySize::Short)),
        Method::PostList => Some((http::Method::POST, BodySize::List)),
        Method::PostOpen => Some((http::Method::POST, BodySize::Open)),
        Method::PostForm => Some((http::Method::POST, BodySize::Form)),
        Method::Put => Some((http::Method::PUT, BodySize::Short)),
        Method::Patch => Some((http::Method::PATCH, BodySize::Short)),
        Method::Delete => Some((http::Method::DELETE, BodySize::Short)),
    };
    Endpoint { allow, route, body }
}

fn resource(path: &'static str, endpoints: Vec<Endpoint>) -> impl HttpServiceFactory + 'static {
    let allow = endpoints.iter().map(|endpoint| endpoint.allow).collect::<Vec<_>>().join(", ");
    let sizes = BodySizes(endpoints.iter().filter_map(|endpoint| endpoint.body.clone()).collect());
    let resource = web::resource(path).app_data(RouteTemplate(path)).app_data(sizes);
    let resource = resource.default_service(error::method_not_allowed(allow));
    // Outside of the routes' deadline, which also drops handlers.
    endpoints
        .into_iter()
        .fold(resource, |resource, endpoint| resource.route(endpoint.route))
        .wrap(from_fn(disconnect::cancel))
}

/// Registers the handlers of each path and includes the same handlers in the OpenAPI document.
macro_rules! url_table {
    ($($path:literal => $($method:ident $($handler:ident)::+),+;)+) => {
        fn api_routes(config: &mut ServiceConfig) {
            $(config.service(resource($path, vec![$(endpoint(Method::$method, $($handler)::+)),+]));)+
        }

        #[derive(OpenApi)]
        #[openapi(paths($($($($handler)::+),+),+))]
        struct ApiRoutes;
    };
}

// The first match wins: a path with a fixed word precedes a path with an ID in the same place.
url_table! {
    "/livez" => Read health::livez;
    "/readyz" => Read health::readyz;
    "/api/v2/userinfo/" => Read api::userinfo::get;
    "/api/v2/userinfo/check_is_feature_flag_on" => Read api::userinfo::feature_flag;
    "/api/v2/users/admin_batch_create" => PostList api::users::create;
    "/api/v2/users/admin_batch_update" => PostList api::user_lists::update;
    "/api/v2/users/admin_batch_apply" => PostList api::apply::post;
    "/api/v2/users/admin_batch_suspend" => PostList api::user_lists::suspend;
    "/api/v2/users/admin_batch_reactivate" => PostList api::user_lists::reactivate;
    "/api/v2/users/admin_batch_delete" => PostList api::user_lists::delete;
    "/api/v2/batches" => Read api::batches::list;
    "/api/v2/batches/{batch_id}" => Read api::batches::get;
    "/api/v2/batches/{batch_id}/results" => Read api::batches::results;
    "/api/v2/batches/{batch_id}/cancel" => Post api::batches::cancel;
    "/api/v2/batches/{batch_id}/undo" => Post api::batches::undo;
    "/api/v2/organization_collaborators/" => Read api::collaborators::list;
    "/api/v2/organization_collaborators/search" => Search api::collaborators::search;
    "/api/v2/organization_collaborators/{identity_id}" => Read api::collaborators::get, Put api::collaborators::put, Delete api::collaborators::delete;
    "/api/v2/organization_collaborators/rotate_api_key_for_user/{user_id}" => Post api::service_accounts::rotate_for_user;
    "/api/v2/users/login" => PostOpen api::sign_in::login;
    "/api/v2/users/logout" => PostOpen api::sign_in::logout;
    "/api/v2/users/change_password" => PostOpen api::sign_in::change_password;
    "/api/v2/users/sessions" => Read api::sessions::list;
    "/api/v2/users/sessions/end_all" => Post api::sessions::end_all;
    "/api/v2/users/sessions/{session_id}" => Delete api::sessions::end;
    "/api/v2/users/password_links" => PostList api::password_links::create;
    "/api/v2/users/reset_password/{token}" => Read api::password_links::get;
    "/api/v2/users/reset_password" => PostOpen api::password_links::set_password;
    "/api/v2/users/request_password_reset" => PostOpen api::sign_in::request_reset;
    "/api/v2/mails" => Read api::mails::list;
    "/api/v2/mails/{mail_id}/retry" => Post api::mails::retry;
    "/api/v2/users/sso_login_info" => Read api::sso::login_info;
    "/api/v2/sso/providers" => Read api::sso_providers::list, Post api::sso_providers::create;
    "/api/v2/sso/providers/{provider}" => Read api::sso_providers::get, Patch api::sso_providers::update, Delete api::sso_providers::delete;
    "/api/v2/sso/providers/{provider}/test" => Post api::sso_providers::test;
    "/api/v2/users/service_accounts" => Post api::service_accounts::create;
    "/api/v2/users/create_api_key" => Post api::service_accounts::create_key;
    "/api/v2/api_keys" => Read api::api_keys::list, Post api::api_keys::create;
    "/api/v2/api_keys/{key_id}" => Read api::api_keys::get, Delete api::api_keys::revoke;
    "/api/v2/api_keys/{key_id}/rotate" => Post api::api_keys::rotate;
    "/api/v2/users/create_otp_token" => Read api::logins::start;
    "/api/v2/users/request_otp_token/{otp}" => Get api::logins::fetch;
    "/api/v2/users/otp_tokens/{otp}" => Read api::logins::get;
    "/api/v2/users/approve_otp_token" => Post api::logins::approve;
    "/api/v2/users/api_keys" => Read api::vendor_keys::list_own;
    "/api/v2/users/api_keys/revoke" => Post api::vendor_keys::revoke_own_list;
    "/api/v2/users/api_keys/{key_id}" => Delete api::vendor_keys::revoke_own;
    "/api/v2/users/admin/api_keys" => Read api::vendor_keys::list_all;
    "/api/v2/users/admin/api_keys/revoke" => Post api::vendor_keys::revoke_any_list;
    "/api/v2/users/admin/api_keys/{key_id}" => Delete api::vendor_keys::revoke_any;
    "/api/v2/users/{user_id}" => Read api::user::get, Patch api::user::patch, Delete api::user::delete;
    "/api/v2/users/{user_id}/sso_identities" => Read api::sso_identities::list, Post api::sso_identities::bind;
    "/api/v2/users/{user_id}/sso_identities/{sso_identity_id}" => Delete api::sso_identities::unbind;
    "/api/v2/users/{user_id}/suspend" => Post api::user::suspend;
    "/api/v2/users/{user_id}/reactivate" => Post api::user::reactivate;
    "/api/v2/organizations/api_key_expiration" => Read api::vendor_keys::expiration, Put api::vendor_keys::set_expiration;
    "/api/v2/organizations/sign_in_policy" => Read api::sign_in_policy::get, Put api::sign_in_policy::set;
    "/api/v2/organization_invitations/" => Read api::invitations::list, Post api::invitations::create;
    "/api/v2/organization_invitations/batch_create" => PostList api::invitations::batch_create;
    "/api/v2/organization_invitations/admin_batch_create" => PostList api::invitations::create_all;
    "/api/v2/organization_invitations/accept" => PostOpen api::invitations::accept;
    "/api/v2/organization_invitations/{invitation_id}" => Read api::invitations::get;
    "/api/v2/organization_invitations/{invitation_id}/invalidate" => Post api::invitations::invalidate;
    "/invitations/{token}" => Read pages::invitation::show, PostOpen pages::invitation::accept;
    "/api/v2/user_groups/" => Read api::groups::list, Post api::groups::create;
    "/api/v2/user_groups/memberships/list" => Read api::group_members::memberships;
    "/api/v2/user_groups/{group_id}" => Read api::groups::get, Patch api::groups::update, Delete api::groups::delete;
    "/api/v2/user_groups/{group_id}/members" => Read api::group_members::members, Post api::group_members::add_by_id, Delete api::group_members::remove_by_id;
    "/api/v2/user_groups/{group_id}/members/add" => PostList api::group_members::add;
    "/api/v2/user_groups/{group_id}/members/remove" => PostList api::group_members::remove;
    "/api/v2/policy/clouds" => Read api::policies::clouds;
    "/api/v2/policy/projects" => Read api::policies::projects;
    "/api/v2/policy/{resource_type}/{resource_id}" => Read api::policies::get, Put api::policies::set;
    "/api/v2/scim/list-user-permissions" => Read api::permissions::list;
    "/api/v2/scim/scim-migration-preview" => Read api::scim_migration::preview;
    "/api/v2/scim/migrate-permissions" => Post api::scim_migration::migrate;
    "/api/v2/audit/events" => Read api::audit::list;
    "/api/v2/cli_usage/" => Post api::cli_usage::post;
}

/// The pages for people, which the OpenAPI document leaves out.
fn page_routes(config: &mut ServiceConfig) {
    use Method::{Get, PostOpen, Read};
    use pages::{account, account_password, login, password, sign_in, sign_out};
    config.service(resource("/sign-in", vec![endpoint(Read, sign_in::show), endpoint(PostOpen, sign_in::submit)]));
    config.service(resource("/sign-in/check", vec![endpoint(Read, sign_in::check)]));
    config.service(resource("/sign-out", vec![endpoint(Read, sign_out::show), endpoint(PostOpen, sign_out::submit)]));
    config.service(resource(
        "/password/forgot",
        vec![endpoint(Get, password::forgot), endpoint(PostOpen, password::ask)],
    ));
    config.service(resource(
        "/password/{token}",
        vec![endpoint(Read, password::show), endpoint(PostOpen, password::submit)],
    ));
    config.service(resource("/account", vec![endpoint(Read, account::show)]));
    config.service(resource(
        "/account/password",
        vec![endpoint(Read, account_password::show), endpoint(PostOpen, account_password::submit)],
    ));
    config.service(resource("/account/sessions/end", vec![endpoint(PostOpen, account::end_other_sessions)]));
    config.service(resource("/account/sessions/{session_id}/end", vec![endpoint(PostOpen, account::end_session)]));
    config.service(resource("/account/identities/{provider}/link", vec![endpoint(PostOpen, pages::sso::link)]));
    config.service(resource("/account/identities/{identity_id}/unlink", vec![endpoint(PostOpen, account::unlink)]));
    config.service(resource("/login/{otp}", vec![endpoint(Read, login::show), endpoint(PostOpen, login::submit)]));
}

/// All routes.
fn routes(config: &mut ServiceConfig) {
    api_routes(config);
    page_routes(config);
    console::routes(config);
    config.service(resource("/v2/api-keys", vec![endpoint(Method::Get, pages::guide::api_keys)]));
    config.service(resource(
        "/sso/{organization}/{provider}/start",
        vec![endpoint(Method::Get, pages::sso::start), endpoint(Method::PostOpen, pages::sso::start_by_form)],
    ));
    config.service(resource(
        "/sso/{organization}/{provider}/callback",
        vec![endpoint(Method::Get, pages::sso::callback)],
    ));
    config.service(resource(
        "/sso/{organization}/{provider}/backchannel-logout",
        vec![endpoint(Method::Post, pages::sso::log_out)],
    ));
    config.service(resource("/assets/{name}", vec![endpoint(Method::Get, pages::assets::asset)]));
    config.service(resource("/openapi.json", vec![endpoint(Method::Read, openapi::json)]));
    config.service(resource("/docs/{part:.*}", vec![endpoint(Method::Read, openapi::page)]));
    // The page refers to its assets by relative paths, so it needs the trailing slash. The redirect is relative because
    // muster may run behind a path prefix.
    config.service(web::redirect("/docs", "docs/"));
}
