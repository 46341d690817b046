//! `/api/v2/users/{user_id}/sso_identities`: the identities of users at identity providers.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Listing, complete};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::extract;
use crate::sso::{self, Identity};

/// An identity: a person at an identity provider, who signs in as the user.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct SsoIdentity {
    #[schema(example = "sid_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    identity_id: String,
    user_id: String,
    /// Name of the identity provider.
    provider: String,
    /// Issuer when the identity was bound.
    issuer: String,
    /// Value of the claim that identifies the person.
    subject: String,
    bound_at: DateTime<Utc>,
    /// `address` (at a sign-in), `created` (with the account), `account` (by the user), `owner` or `operator`.
    bound_how: String,
    /// Latest sign-in.
    last_used_at: Option<DateTime<Utc>>,
    /// Address that the provider named last. It may differ from the user's, and has no influence on who signs in.
    email_seen: Option<String>,
}

impl From<Identity> for SsoIdentity {
    fn from(identity: Identity) -> Self {
        Self {
            identity_id: identity.identity_id.to_string(),
            user_id: identity.user_id.to_string(),
            provider: identity.provider,
            issuer: identity.issuer,
            subject: identity.subject,
            bound_at: identity.bound_at,
            bound_how: identity.bound_how,
            last_used_at: identity.last_used_at,
            email_seen: identity.email_seen,
        }
    }
}

/// The identity to bind.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewSsoIdentity {
    /// Name or ID of the identity provider.
    #[schema(example = "entra")]
    provider: String,
    /// Value of the claim that identifies the person, usually `sub`.
    #[schema(min_length = 1, max_length = 255)]
    subject: String,
}

/// List the identities of a user
///
/// The latest first. Requires an owner.
#[utoipa::path(get, path = "/api/v2/users/{user_id}/sso_identities", operation_id = "sso_identity_list", tag = "single sign-on",
    params(("user_id" = String, Path)),
    responses((status = 200, description = "The identities.", body = Listing<SsoIdentity>)))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let user_id = extract::id(&request, "user_id", "user")?;
    Ok(complete::<_, SsoIdentity>(&request, sso::identities(&app, &caller, user_id).await?))
}

/// Bind an identity to a user
///
/// The person with this subject at the provider signs in as the user from then on. The user must be one of single sign-on. Requires an owner,
/// and a recent sign-in if the request is authenticated by a session.
#[utoipa::path(post, path = "/api/v2/users/{user_id}/sso_identities", operation_id = "sso_identity_bind", tag = "single sign-on",
    params(("user_id" = String, Path)), request_body = NewSsoIdentity,
    responses(
        (status = 200, description = "The identities of the user.", body = Listing<SsoIdentity>),
        (status = 409, description = "The user is not one of single sign-on, or the user or the subject is bound at this provider already.",
            body = ErrorBody),
    ))]
pub(in crate::http) async fn bind(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let user_id = extract::id(&body.request, "user_id", "user")?;
    app.authorize(&caller, Action::SsoIdentityBind).await?;
    let NewSsoIdentity { provider, subject } = body.object().await?;
    let identities = sso::bind(&app, &caller, user_id, &provider, &subject).await?;
    Ok(complete::<_, SsoIdentity>(&body.request, identities))
}

/// Unbind an identity
///
/// Ends all sessions of the user. Requires an owner, and a recent sign-in if the request is authenticated by a session.
#[utoipa::path(delete, path = "/api/v2/users/{user_id}/sso_identities/{sso_identity_id}", operation_id = "sso_identity_unbind",
    tag = "single sign-on", params(("user_id" = String, Path), ("sso_identity_id" = String, Path)),
    responses((status = 204, description = "The identity is unbound.")))]
pub(in crate::http) async fn unbind(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    let user_id = extract::id(&request, "user_id", "user")?;
    let identity_id = extract::id(&request, "sso_identity_id", "identity")?;
    sso::unbind(&app, &caller, user_id, identity_id).await?;
    Ok(HttpResponse::NoContent().finish())
}
