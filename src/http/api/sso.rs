//! `/api/v2/users/sso_login_info`: where the people of an organization sign in.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Single, single};
use crate::app::App;
use crate::error::Result;
use crate::http::error::ErrorBody;
use crate::http::{extract, public_url::public_url};
use crate::sign_in_policies::{self, SignInPolicy, SsoMode};
use crate::{organizations, sso};

#[derive(Deserialize)]
struct Parameters {
    organization_id: Option<String>,
    return_to: Option<String>,
}

/// Where to sign in. The name of the field is the vendor's; the protocol is OpenID Connect.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct LoginInfo {
    /// Address at which a sign-in through the first identity provider of the organization begins; `null` if there is none.
    saml_idp_url: Option<String>,
    /// Whether the organization requires single sign-on.
    sso_required: bool,
}

/// Find out where to sign in
///
/// An unknown organization has no identity provider.
#[utoipa::path(get, path = "/api/v2/users/sso_login_info", operation_id = "sso_login_info", tag = "sign-in",
    params(
        ("organization_id" = Option<String>, Query, description = "ID or short name of the organization. May be absent if the server has one organization."),
        ("return_to" = Option<String>, Query, description = "Page of this server to go to after the sign-in."),
    ),
    responses(
        (status = 200, description = "Where to sign in.", body = Single<LoginInfo>),
        (status = 400, description = "Invalid query string.", body = ErrorBody),
    ),
    security(()))]
pub(in crate::http) async fn login_info(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse> {
    let Parameters { organization_id, return_to } = extract::query(&request)?;
    let (providers, policy) = match organization_id.as_deref() {
        None if organizations::only_name(&app).await?.is_none() => (Vec::new(), SignInPolicy::default()),
        organization => {
            (sso::enabled(&app, organization).await?, sign_in_policies::of_organization(&app, organization).await?)
        }
    };
    let start = |provider: &sso::Provider| {
        let url = format!("{}{}", public_url(&request, &app.config.server)?, provider.start_path());
        let query = return_to.as_deref().map(|page| format!("?return_to={}", extract::encoded(page)));
        Ok::<_, crate::error::Error>(url + &query.unwrap_or_default())
    };
    let saml_idp_url = providers.first().map(start).transpose()?;
    Ok(single(LoginInfo { saml_idp_url, sso_required: policy.sso_mode == SsoMode::Required }))
}
