//! `/api/v2/organizations/sign_in_policy`: how the people of the organization sign in.

use actix_web::{HttpResponse, web};
use muster_client::SignInPolicy;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Single, single};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::sign_in_policies::{self, OwnersSso, SsoMode};

/// A new sign-in policy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewSignInPolicy {
    /// `off`: nobody signs in through an identity provider. `optional`: people who have an identity may. `required`: passwords don't
    /// sign in.
    #[schema(example = "required")]
    sso_mode: String,
    /// `optional`: owners may use passwords although `sso_mode` is `required`. `required`: they may not. Default: `optional`.
    #[schema(example = "optional")]
    owners_sso: Option<String>,
}

impl NewSignInPolicy {
    fn check(&self) -> Result<sign_in_policies::SignInPolicy> {
        let unknown = |field: &str, names: String| Error::invalid(format!("`{field}` must be one of {names}"));
        let sso_mode = SsoMode::parse(&self.sso_mode).ok_or_else(|| unknown("sso_mode", SsoMode::list()))?;
        let owners_sso = match &self.owners_sso {
            Some(text) => OwnersSso::parse(text).ok_or_else(|| unknown("owners_sso", OwnersSso::list()))?,
            None => OwnersSso::default(),
        };
        Ok(sign_in_policies::SignInPolicy { sso_mode, owners_sso, changed_at: None })
    }
}

fn shown(policy: sign_in_policies::SignInPolicy, ended_sessions: Option<usize>) -> SignInPolicy {
    SignInPolicy {
        sso_mode: policy.sso_mode.as_str().to_owned(),
        owners_sso: policy.owners_sso.as_str().to_owned(),
        changed_at: policy.changed_at,
        ended_sessions,
    }
}

/// Get the sign-in policy
///
/// Requires an owner.
#[utoipa::path(get, path = "/api/v2/organizations/sign_in_policy", operation_id = "sign_in_policy_get", tag = "sign-in",
    responses((status = 200, description = "The policy.", body = Single<SignInPolicy>)))]
pub(in crate::http) async fn get(app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    Ok(single(shown(sign_in_policies::get(&app, &caller).await?, None)))
}

/// Set the sign-in policy
///
/// Takes effect immediately, and ends the sessions that the new policy does not allow: with `off`, those through identity providers; with
/// `required`, those of the people whom it binds, unless they were started through an identity provider or with a link of the local
/// operator. API keys are not affected. Requires an owner, and for a session a recent sign-in.
#[utoipa::path(put, path = "/api/v2/organizations/sign_in_policy", operation_id = "sign_in_policy_set", tag = "sign-in",
    request_body = NewSignInPolicy,
    responses(
        (status = 200, description = "The new policy, and the number of sessions that were ended.", body = Single<SignInPolicy>),
        (status = 409, description = "No active owner has signed in through an enabled identity provider in the last 30 days \
            (`would_lock_out`), or no owner could sign in any more (`last_owner`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn set(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    let policy = async { body.object::<NewSignInPolicy>().await?.check() };
    let (policy, sessions) = sign_in_policies::set(&app, &caller, false, policy).await?;
    Ok(single(shown(policy, Some(sessions))))
}
