//! The resources, one file each: what comes in, what goes out, and the one operation between.

pub(super) mod api_keys;
pub(super) mod audit;
pub(super) mod batches;
pub(super) mod cli_usage;
pub(super) mod collaborators;
mod created_users;
pub(super) mod group_members;
pub(super) mod groups;
pub(super) mod invitations;
pub(super) mod logins;
pub(super) mod permissions;
pub(super) mod policies;
pub(super) mod scim;
pub(super) mod service_accounts;
pub(super) mod user;
pub(super) mod user_lists;
pub(super) mod userinfo;
pub(super) mod users;

use actix_web::HttpResponse;
use actix_web::http::header::{ETAG, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

/// One thing.
#[derive(Serialize, ToSchema)]
struct Single<T: ToSchema> {
    result: T,
}

/// A list, or a page of one.
#[derive(Serialize, ToSchema)]
struct Listing<T: ToSchema> {
    results: Vec<T>,
    metadata: Metadata,
}

/// About a list.
#[derive(Serialize, ToSchema)]
struct Metadata {
    /// How many there are in all; `null` where counting would cost too much.
    total: Option<usize>,
    /// Asks for the next page, as `paging_token`; `null` on the last one.
    next_paging_token: Option<String>,
}

/// One thing that has a revision, which its `ETag` tells.
fn revised<T: Serialize + ToSchema>(revision: i64, result: T) -> HttpResponse {
    let mut response = HttpResponse::Ok().json(Single { result });
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}
