//! `/api/v2/users/password_links` and `reset_password`: links with which users set their passwords.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use muster_client::{PasswordLink, PasswordLinks, PasswordLinksMetadata, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sign_in::StartedLogin;
use super::{Single, single};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::public_url::{link_warning, public_url};
use crate::http::{browser, extract, log, session};
use crate::links::{self, For, LinkRequest, NewLink};
use crate::secret::Secret;

/// The users for whom links are made: `users` or `batch_id`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewPasswordLinks {
    /// The users. Each must be able to use a link.
    users: Option<Vec<LinkUser>>,
    /// A batch: links are made for those of its users who can use one.
    #[schema(example = "bat_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    batch_id: Option<String>,
    /// Lifetime of the links in hours. Default: setting `links.hours`.
    #[schema(minimum = 1, maximum = 720, example = 72)]
    expires_in_hours: Option<u32>,
    /// Whether to send each link to its user by mail, too. Default: `false`.
    #[serde(default)]
    send: bool,
}

/// A user of the list.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LinkUser {
    /// ID or e-mail address of the user.
    #[schema(example = "ada@example.com")]
    user: String,
}

/// Create links to set passwords, all or none
///
/// Each user gets one link, with which they set a password and are signed in. A new link replaces the open one. Users of a batch
/// who have chosen a password, or whose hash was imported, get none. The links are in this response only. Requires an owner; for links
/// of owners, a key must not be limited to scopes, and a session needs a recent sign-in.
#[utoipa::path(post, path = "/api/v2/users/password_links", operation_id = "password_link_create", tag = "sign-in",
    request_body = NewPasswordLinks,
    responses(
        (status = 200, description = "The links, in the order of the request.", body = PasswordLinks),
        (status = 404, description = "No such batch.", body = ErrorBody),
        (status = 409, description = "No user of the batch needs a link and can use one; or `send` is set, and mail or the seal key is not configured \
            (`mail_not_configured`, `seal_key_missing`).", body = ErrorBody),
        (status = 422, description = "Users with findings (`batch_rejected`): unknown, twice in the list, suspended, expired, with single \
            sign-on, or a service account.", body = ErrorBody),
    ))]
pub(in crate::http) async fn create(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let base = public_url(&body.request, &app.config.server)?;
    let created = links::create(&app, &caller, link_request(&mut body)).await?;
    log::rows(&body.request, created.links.len());
    let metadata = PasswordLinksMetadata {
        total: created.links.len(),
        skipped: created.skipped,
        with_password: created.with_password,
        next_paging_token: None,
        warning: link_warning(&base, &app.config.server),
    };
    let results = created.links.into_iter().map(|link| link.into_password_link(&base)).collect();
    Ok(HttpResponse::Ok().json(PasswordLinks { results, metadata }))
}

async fn link_request(body: &mut Body) -> Result<LinkRequest> {
    let NewPasswordLinks { users, batch_id, expires_in_hours, send } = body.object().await?;
    let users = match (users, batch_id) {
        (Some(users), None) => For::Users(users.into_iter().map(|user| user.user).collect()),
        (None, Some(batch_id)) => {
            let parsed = batch_id.parse().map_err(|error| Error::invalid(format!("`batch_id` is {error}")));
            For::Batch(parsed?)
        }
        _ => return Err(Error::invalid("name either `users` or `batch_id`")),
    };
    Ok(LinkRequest { users, expires_in_hours, send })
}

impl NewLink {
    /// `base`: the URL of the server, without a trailing slash.
    pub(crate) fn into_password_link(self, base: &str) -> PasswordLink {
        PasswordLink {
            id: self.link_id.to_string(),
            user_id: self.user_id.to_string(),
            email: self.email,
            name: self.name,
            link: SecretString::from(format!("{base}/password/{}", self.token.expose())),
            expires_at: self.expires_at,
        }
    }
}

/// An open link.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct OpenPasswordLink {
    /// Address of the user.
    #[schema(example = "ada@example.com")]
    email: String,
    /// Name of the organization.
    organization_name: String,
    /// When the link expires.
    expires_at: DateTime<Utc>,
}

/// Show a link to set a password
///
/// Changes nothing: the link stays open.
#[utoipa::path(get, path = "/api/v2/users/reset_password/{token}", operation_id = "password_link_get", tag = "sign-in",
    params(("token" = String, Path)),
    responses(
        (status = 200, description = "The link is open.", body = Single<OpenPasswordLink>),
        (status = 404, description = "The link is invalid; `detail` says why.", body = ErrorBody),
        (status = 429, description = "Too many invalid links from this network; see `Retry-After`.", body = ErrorBody),
    ),
    security(()))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let token = request.match_info().get("token").unwrap_or_default();
    let link = links::open(&app, token, extract::origin(&request)).await?;
    let links::OpenLink { email, organization_name, expires_at, .. } = link;
    Ok(single(OpenPasswordLink { email, organization_name, expires_at }))
}

/// A link and a new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PasswordReset {
    /// Token at the end of the link.
    #[schema(value_type = String, example = "aml_…")]
    token: Secret,
    /// New password.
    #[schema(value_type = String, max_length = 256, format = "password")]
    new_password: Secret,
}

/// Set a password with a link
///
/// Uses the link up, ends all sessions of the user and starts one.
#[utoipa::path(post, path = "/api/v2/users/reset_password", operation_id = "password_link_use", tag = "sign-in",
    request_body = PasswordReset,
    responses(
        (status = 200, description = "The password is set, and the user is signed in.", body = Single<StartedLogin>),
        (status = 400, description = "The body is not JSON, or lacks a field.", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time.", body = ErrorBody),
        (status = 413, description = "The body is too long.", body = ErrorBody),
        (status = 415, description = "A browser sent a body without a JSON media type.", body = ErrorBody),
        (status = 403, description = "A page of another site sent the request (`cross_site`).", body = ErrorBody),
        (status = 404, description = "The link is invalid; `detail` says why.", body = ErrorBody),
        (status = 422, description = "The password can't be used (`password_rejected`); `detail` has all reasons. The link stays open.",
            body = ErrorBody),
        (status = 429, description = "Too many invalid links from this network, or attempts with this link (`throttled`); see \
            `Retry-After`.", body = ErrorBody),
    ),
    security(()))]
pub(in crate::http) async fn set_password(app: web::Data<App>, mut body: Body) -> Result<HttpResponse> {
    browser::check_origin(&body.request, session::has_cookie(&body.request))?;
    let PasswordReset { token, new_password } = body.object().await?;
    let used = links::set_password(&app, token.expose(), &new_password, &session::client(&body.request)).await?;
    let mut response = single(StartedLogin::from(&used.session));
    session::set(&mut response, &used.session, used.device.as_ref(), app.clock.now());
    Ok(response)
}
