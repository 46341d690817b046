//! The routes of the API, one resource per file: parse the request, call one operation, render the result.

pub(super) mod api_keys;
pub(super) mod apply;
pub(super) mod audit;
pub(super) mod batches;
pub(super) mod cli_usage;
pub(super) mod collaborators;
mod created_users;
pub(super) mod group_members;
pub(super) mod groups;
pub(super) mod invitations;
pub(super) mod logins;
pub(super) mod mails;
pub(super) mod password_links;
pub(super) mod permissions;
pub(super) mod policies;
pub(super) mod scim_migration;
pub(super) mod service_accounts;
pub(super) mod sessions;
pub(super) mod sign_in;
pub(super) mod sign_in_policy;
pub(super) mod sso;
pub(super) mod sso_identities;
pub(super) mod sso_providers;
pub(super) mod user;
pub(super) mod user_lists;
pub(super) mod userinfo;
pub(super) mod users;
pub(super) mod vendor_keys;

use actix_web::http::header::{ETAG, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::Result;
use crate::http::{extract, log};
use crate::page::Page;

/// A response with one resource.
#[derive(Serialize, ToSchema)]
struct Single<T: ToSchema> {
    result: T,
}

/// A response with a list, or a page of a list.
#[derive(Serialize, ToSchema)]
struct Listing<T: ToSchema> {
    results: Vec<T>,
    metadata: Metadata,
}

/// Metadata of a list.
#[derive(Serialize, ToSchema)]
struct Metadata {
    /// Number of items on all pages; `null` where counting is too expensive.
    total: Option<usize>,
    /// The `paging_token` of the next page; `null` on the last page.
    next_paging_token: Option<String>,
}

fn single<T: Serialize + ToSchema>(result: T) -> HttpResponse {
    HttpResponse::Ok().json(Single { result })
}

fn page<R, T: Serialize + ToSchema>(request: &HttpRequest, page: Page<R>, convert: impl FnMut(R) -> T) -> HttpResponse {
    log::rows(request, page.rows.len());
    let metadata = Metadata { total: None, next_paging_token: page.next };
    HttpResponse::Ok().json(Listing { results: page.rows.into_iter().map(convert).collect(), metadata })
}

fn complete<R, T: Serialize + ToSchema + From<R>>(request: &HttpRequest, rows: Vec<R>) -> HttpResponse {
    log::rows(request, rows.len());
    let metadata = Metadata { total: Some(rows.len()), next_paging_token: None };
    HttpResponse::Ok().json(Listing { results: rows.into_iter().map(T::from).collect(), metadata })
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct DryRun {
    /// `true` to validate the list without writing.
    dry_run: Option<String>,
}

fn is_dry_run(request: &HttpRequest) -> Result<bool> {
    let query: DryRun = extract::query(request)?;
    Ok(extract::flag("dry_run", query.dry_run.as_deref())?.unwrap_or(false))
}

/// A response with one resource and its revision as `ETag`.
fn with_etag<T: Serialize + ToSchema>(revision: i64, result: T) -> HttpResponse {
    let mut response = single(result);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Rejects all query parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what http::headers reads")]
struct IfMatch {
    /// Expected `ETag`; the request is rejected with 412 if it differs.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}
