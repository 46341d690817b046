//! `/api/v2/sso/providers`: identity providers, for owners, if the operator lets them configure them.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Listing, Single, complete, single};
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::{Error, Result};
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::secret::Secret;
use crate::sso::{
    self, ClientSecrets, EmailProof, Preset, Probe, ProviderName, ProviderSettings, ProviderSummary, TokenAuth,
};

/// An identity provider. Its client secrets are never shown.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct SsoProvider {
    #[schema(example = "idp_01k9h6m3x0e8wbz1v5n7q2r4t6")]
    provider_id: String,
    /// Name, part of the redirect URI.
    #[schema(example = "entra")]
    name: String,
    /// Text of the button on the sign-in page.
    title: String,
    /// Issuer, exactly as the provider's metadata spell it.
    issuer: String,
    client_id: String,
    /// `auto`, `basic`, `post` or `none`.
    token_auth: &'static str,
    scopes: String,
    /// Domains of addresses for which the provider is responsible.
    domains: Vec<String>,
    subject_claim: String,
    email_claim: String,
    /// `email_verified`, `xms_edov` or `issuer`.
    email_proof: &'static str,
    #[schema(value_type = Object)]
    required_claims: Map<String, Value>,
    creates: bool,
    max_age: Option<u32>,
    logout: bool,
    enabled: bool,
    /// Number of client secrets: 2 while the secret is rotated.
    client_secrets: usize,
    /// Redirect URI to register at the provider.
    redirect_uri: String,
    /// Post-logout redirect URI to register there, if `logout` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    post_logout_redirect_uri: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<ProviderSummary> for SsoProvider {
    fn from(provider: ProviderSummary) -> Self {
        let settings = provider.settings;
        Self {
            provider_id: provider.provider_id.to_string(),
            name: provider.name,
            title: settings.title,
            issuer: settings.issuer,
            client_id: settings.client_id,
            token_auth: settings.token_auth.as_str(),
            scopes: settings.scopes,
            domains: settings.domains,
            subject_claim: settings.subject_claim,
            email_claim: settings.email_claim,
            email_proof: settings.email_proof.as_str(),
            required_claims: settings.required_claims,
            creates: settings.creates,
            max_age: settings.max_age,
            logout: settings.logout,
            enabled: settings.enabled,
            client_secrets: provider.client_secrets,
            redirect_uri: provider.redirect_uri,
            post_logout_redirect_uri: provider.post_logout_redirect_uri,
            created_at: provider.created_at,
        }
    }
}

/// What the provider says about itself.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct SsoProviderMetadata {
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    /// Algorithms of ID tokens that both sides support.
    algorithms: Vec<String>,
    /// Number of keys that muster can use.
    keys: usize,
}

impl From<Probe> for SsoProviderMetadata {
    fn from(probe: Probe) -> Self {
        let Probe { authorization_endpoint, token_endpoint, userinfo_endpoint, end_session_endpoint, algorithms, keys } =
            probe;
        Self { authorization_endpoint, token_endpoint, userinfo_endpoint, end_session_endpoint, algorithms, keys }
    }
}

/// A new identity provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewSsoProvider {
    /// Name, part of the redirect URI: 1 to 32 lower-case letters, digits and `-`. It can't be changed.
    #[schema(pattern = "^[a-z0-9-]{1,32}$", example = "entra")]
    name: String,
    /// Issuer, exactly as the provider's metadata spell it.
    #[schema(example = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0")]
    issuer: String,
    client_id: String,
    /// Settings of a product: `entra`, `google`, `okta` or `keycloak`. The other fields take precedence.
    preset: Option<String>,
    /// Client secret. Without one, the client is a public one.
    #[schema(value_type = Option<String>, write_only)]
    client_secret: Option<Secret>,
    /// Text of the button on the sign-in page. Default: the name.
    title: Option<String>,
    /// Domains of addresses for which the provider is responsible. Unknown people are matched by address only in these domains.
    domains: Option<Vec<String>>,
    /// Scopes, with a space between them. Default: `openid email profile`.
    scopes: Option<String>,
    /// How muster authenticates to the token endpoint: `auto` (default), `basic`, `post` or `none`.
    token_auth: Option<String>,
    /// Claim that identifies people. Default: `sub`.
    subject_claim: Option<String>,
    /// Claim with the e-mail address. Default: `email`.
    email_claim: Option<String>,
    /// How the provider vouches for an address: `email_verified` (default), `xms_edov` or `issuer`.
    email_proof: Option<String>,
    /// Claims that must have these values.
    #[schema(value_type = Option<Object>)]
    required_claims: Option<Map<String, Value>>,
    /// Whether to create accounts for unknown people of the domains, as collaborators. Default: `false`.
    creates: Option<bool>,
    /// How long ago the provider may have authenticated a person, in seconds.
    max_age: Option<u32>,
    /// Whether signing out leads to the provider, too. Default: `false`.
    logout: Option<bool>,
}

/// A change of an identity provider. What is absent stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SsoProviderChange {
    issuer: Option<String>,
    client_id: Option<String>,
    /// Client secret; `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, write_only)]
    client_secret: Option<Option<Secret>>,
    /// Client secret that is tried when the first one is wrong; `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, write_only)]
    second_client_secret: Option<Option<Secret>>,
    /// Whether people can sign in through it. Disabling ends their sessions.
    enabled: Option<bool>,
    title: Option<String>,
    domains: Option<Vec<String>>,
    scopes: Option<String>,
    token_auth: Option<String>,
    subject_claim: Option<String>,
    email_claim: Option<String>,
    email_proof: Option<String>,
    #[schema(value_type = Option<Object>)]
    required_claims: Option<Map<String, Value>>,
    creates: Option<bool>,
    /// `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>)]
    max_age: Option<Option<u32>>,
    logout: Option<bool>,
}

/// Tells `null` from a field that is absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The value with a name.
fn named<T>(field: &str, name: Option<&str>, parse: fn(&str) -> Option<T>, all: fn() -> String) -> Result<Option<T>> {
    let value = |name| parse(name).ok_or_else(|| Error::invalid(format!("`{field}` must be one of {}", all())));
    name.map(value).transpose()
}

/// A change with the types of the settings.
struct Edit {
    token_auth: Option<TokenAuth>,
    email_proof: Option<EmailProof>,
    change: SsoProviderChange,
}

impl TryFrom<SsoProviderChange> for Edit {
    type Error = Error;

    fn try_from(change: SsoProviderChange) -> Result<Self> {
        let token_auth = named("token_auth", change.token_auth.as_deref(), TokenAuth::parse, TokenAuth::list)?;
        let email_proof = named("email_proof", change.email_proof.as_deref(), EmailProof::parse, EmailProof::list)?;
        Ok(Self { token_auth, email_proof, change })
    }
}

impl Edit {
    fn apply(self, settings: &mut ProviderSettings) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        let change = self.change;
        set(&mut settings.issuer, change.issuer);
        set(&mut settings.client_id, change.client_id);
        set(&mut settings.enabled, change.enabled);
        set(&mut settings.title, change.title);
        set(&mut settings.domains, change.domains);
        set(&mut settings.scopes, change.scopes);
        set(&mut settings.token_auth, self.token_auth);
        set(&mut settings.subject_claim, change.subject_claim);
        set(&mut settings.email_claim, change.email_claim);
        set(&mut settings.email_proof, self.email_proof);
        set(&mut settings.required_claims, change.required_claims);
        set(&mut settings.creates, change.creates);
        set(&mut settings.max_age, change.max_age);
        set(&mut settings.logout, change.logout);
    }
}

fn name(request: &HttpRequest) -> &str {
    request.match_info().get("provider").unwrap_or_default()
}

/// List the identity providers of the organization
///
/// By name. Requires an owner.
#[utoipa::path(get, path = "/api/v2/sso/providers", operation_id = "sso_provider_list", tag = "single sign-on",
    responses((status = 200, description = "The identity providers.", body = Listing<SsoProvider>)))]
pub(in crate::http) async fn list(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    Ok(complete::<_, SsoProvider>(&request, sso::list(&app, &caller).await?))
}

/// Read an identity provider
///
/// Requires an owner.
#[utoipa::path(get, path = "/api/v2/sso/providers/{provider}", operation_id = "sso_provider_get", tag = "single sign-on",
    params(("provider" = String, Path, description = "Name or ID of the identity provider.")),
    responses((status = 200, description = "The identity provider.", body = Single<SsoProvider>)))]
pub(in crate::http) async fn get(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    Ok(single(SsoProvider::from(sso::get(&app, &caller, name(&request)).await?)))
}

/// Add an identity provider
///
/// Reads the metadata and keys of the provider first. Requires an owner, a recent sign-in if the request is authenticated by a session, and
/// the server setting `sso.owners_may_configure`.
#[utoipa::path(post, path = "/api/v2/sso/providers", operation_id = "sso_provider_create", tag = "single sign-on",
    request_body = NewSsoProvider,
    responses(
        (status = 200, description = "The identity provider, with the redirect URI to register there.", body = Single<SsoProvider>),
        (status = 409, description = "The name is taken, the provider can't be used, or `server.public_url` or the seal key is not \
            configured (`seal_key_missing`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn create(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    sso::authorize(&app, &caller, Action::SsoProviderCreate).await?;
    let new: NewSsoProvider = body.object().await?;
    let name: ProviderName = new.name.parse().map_err(Error::invalid)?;
    let mut settings = ProviderSettings::new(name.as_str(), &new.issuer, &new.client_id);
    settings.domains = new.domains.clone().unwrap_or_default();
    if let Some(preset) = named("preset", new.preset.as_deref(), Preset::parse, Preset::list)? {
        settings.apply(preset).map_err(Error::invalid)?;
    }
    let mut required_claims = settings.required_claims.clone();
    required_claims.extend(new.required_claims.unwrap_or_default());
    let change = SsoProviderChange {
        title: new.title,
        domains: new.domains,
        scopes: new.scopes,
        token_auth: new.token_auth,
        subject_claim: new.subject_claim,
        email_claim: new.email_claim,
        email_proof: new.email_proof,
        required_claims: Some(required_claims),
        creates: new.creates,
        max_age: new.max_age.map(Some),
        logout: new.logout,
        ..SsoProviderChange::default()
    };
    Edit::try_from(change)?.apply(&mut settings);
    let secrets = ClientSecrets { first: new.client_secret, second: None };
    let (provider, _) = sso::create(&app, &caller, &name, settings, &secrets).await?;
    Ok(single(SsoProvider::from(provider)))
}

/// Change an identity provider
///
/// Requires an owner, a recent sign-in if the request is authenticated by a session, and the server setting
/// `sso.owners_may_configure`.
#[utoipa::path(patch, path = "/api/v2/sso/providers/{provider}", operation_id = "sso_provider_update", tag = "single sign-on",
    params(("provider" = String, Path, description = "Name or ID of the identity provider.")), request_body = SsoProviderChange,
    responses(
        (status = 200, description = "The identity provider.", body = Single<SsoProvider>),
        (status = 409, description = "The provider can't be used, or the seal key is not configured (`seal_key_missing`).", body = ErrorBody),
    ))]
pub(in crate::http) async fn update(app: web::Data<App>, caller: Caller, mut body: Body) -> Result<HttpResponse> {
    sso::authorize(&app, &caller, Action::SsoProviderUpdate).await?;
    let mut change: SsoProviderChange = body.object().await?;
    let (first, second) = (change.client_secret.take(), change.second_client_secret.take());
    let edit = Edit::try_from(change)?;
    let set_secrets = |secrets: &mut ClientSecrets| {
        if let Some(first) = first {
            secrets.first = first;
        }
        if let Some(second) = second {
            secrets.second = second;
        }
    };
    let edit = |settings: &mut ProviderSettings| edit.apply(settings);
    let (provider, _) = sso::update(&app, &caller, name(&body.request), edit, set_secrets).await?;
    Ok(single(SsoProvider::from(provider)))
}

/// Remove an identity provider
///
/// Also removes the identities of its users, and ends the sessions that were started through it. Requires an owner, a recent sign-in if the
/// request is authenticated by a session, and the server setting `sso.owners_may_configure`.
#[utoipa::path(delete, path = "/api/v2/sso/providers/{provider}", operation_id = "sso_provider_delete", tag = "single sign-on",
    params(("provider" = String, Path, description = "Name or ID of the identity provider.")),
    responses((status = 204, description = "The identity provider is removed.")))]
pub(in crate::http) async fn delete(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    sso::remove(&app, &caller, name(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Read the metadata and keys of an identity provider now
///
/// Requires an owner, and the server setting `sso.owners_may_configure`.
#[utoipa::path(post, path = "/api/v2/sso/providers/{provider}/test", operation_id = "sso_provider_test", tag = "single sign-on",
    params(("provider" = String, Path, description = "Name or ID of the identity provider.")),
    responses(
        (status = 200, description = "What the provider says about itself.", body = Single<SsoProviderMetadata>),
        (status = 409, description = "The provider can't be used; `detail` says why.", body = ErrorBody),
    ))]
pub(in crate::http) async fn test(request: HttpRequest, app: web::Data<App>, caller: Caller) -> Result<HttpResponse> {
    Ok(single(SsoProviderMetadata::from(sso::test(&app, &caller, name(&request)).await?)))
}
