//! Operations on providers.

use serde::Serialize;

use super::cache::{self, Known};
use super::oidc::issuer::Transport;
use super::provider::{ProviderName, ProviderSettings, redirect_uri};
use super::read::{self, StoredProvider};
use super::write::{self, Ended, SealedSecrets};
use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller};
use crate::error::{Code, Error, Result};
use crate::id::{Id, SsoProvider};
use crate::seal::{OpenError, Purpose};
use crate::secret::Secret;

/// The secrets of a client: the current one, and while it is rotated, another one.
#[derive(Debug, Default)]
pub struct ClientSecrets {
    /// The secret; `None` for a public client.
    pub first: Option<Secret>,
    /// The secret that is tried when the first one is wrong.
    pub second: Option<Secret>,
}

/// A provider, without its secrets.
#[derive(Debug, Serialize)]
pub struct ProviderSummary {
    /// The provider's ID.
    pub provider_id: Id<SsoProvider>,
    /// The name, part of the redirect URI.
    pub name: String,
    /// The settings.
    #[serde(flatten)]
    pub settings: ProviderSettings,
    /// The number of secrets: 2 while the secret is rotated.
    pub client_secrets: usize,
    /// The redirect URI to register at the provider.
    pub redirect_uri: String,
    /// When the provider was added.
    pub created_at: chrono::DateTime<chrono::Utc>,
}

/// What a provider says about itself.
#[derive(Debug, Serialize)]
pub struct Probe {
    /// The address to which people are sent.
    pub authorization_endpoint: String,
    /// The address at which codes are exchanged.
    pub token_endpoint: String,
    /// The address of more claims.
    pub userinfo_endpoint: Option<String>,
    /// The address at which people sign out.
    pub end_session_endpoint: Option<String>,
    /// The algorithms of ID tokens that both sides support.
    pub algorithms: Vec<String>,
    /// The number of keys that muster can use.
    pub keys: usize,
}

impl StoredProvider {
    pub(super) fn transport(&self, app: &App) -> Transport {
        Transport::for_issuer(&self.settings.issuer, &app.config.server.public_url)
    }

    pub(super) fn redirect_uri(&self, app: &App) -> String {
        redirect_uri(&app.config.server.public_url, &self.organization, &self.name)
    }

    /// The secrets in the order in which they are tried.
    pub(super) fn secrets(&self, app: &App) -> Result<Vec<Secret>, OpenError> {
        let sealed = [&self.secret_sealed, &self.secret2_sealed];
        sealed.into_iter().flatten().map(|sealed| open(app, self, sealed)).collect()
    }

    fn summary(&self, app: &App) -> ProviderSummary {
        ProviderSummary {
            provider_id: self.provider_id,
            name: self.name.clone(),
            settings: self.settings.clone(),
            client_secrets: [&self.secret_sealed, &self.secret2_sealed].into_iter().flatten().count(),
            redirect_uri: self.redirect_uri(app),
            created_at: self.created_at,
        }
    }

    /// Metadata and keys.
    ///
    /// # Errors
    /// `sso_unreachable`.
    pub(super) async fn known(&self, app: &App) -> Result<Known, super::Denial> {
        let sso = &app.sso;
        let known = sso.cache.get(&sso.fetcher, self.provider_id, &self.settings.issuer, self.transport(app));
        app.in_runtime(known).await
    }
}

fn open(app: &App, provider: &StoredProvider, sealed: &[u8]) -> Result<Secret, OpenError> {
    let (organization, id) = (uuid::Uuid::from(provider.organization_id), uuid::Uuid::from(provider.provider_id));
    app.seal_keys.open(Purpose::SsoClientSecret, &[organization.as_bytes(), id.as_bytes()], sealed)
}

fn seal(app: &App, caller: &Caller, provider_id: Id<SsoProvider>, secrets: &ClientSecrets) -> Result<SealedSecrets> {
    let (organization, id) = (uuid::Uuid::from(caller.organization_id), uuid::Uuid::from(provider_id));
    let seal = |secret: &Option<Secret>| {
        let secret = secret.as_ref();
        secret
            .map(|secret| {
                app.seal_keys.seal(Purpose::SsoClientSecret, &[organization.as_bytes(), id.as_bytes()], secret)
            })
            .transpose()
    };
    Ok(SealedSecrets { first: seal(&secrets.first)?, second: seal(&secrets.second)? })
}

/// Checks settings, and that the server has an address for redirect URIs.
fn check(app: &App, settings: &mut ProviderSettings) -> Result<Transport> {
    let public_url = &app.config.server.public_url;
    if public_url.is_empty() {
        return Err(Error::new(
            Code::Conflict,
            "single sign-on needs `server.public_url`, the address with which the redirect URI begins; set it, such as \
             https://muster.example.org",
        ));
    }
    let transport = Transport::for_issuer(&settings.issuer, public_url);
    settings.check(transport).map_err(Error::invalid)?;
    Ok(transport)
}

/// Reads the metadata and keys of an issuer.
async fn probe(app: &App, issuer: &str, transport: Transport) -> Result<Probe> {
    let fetched = app.in_runtime(cache::fetch(&app.sso.fetcher, issuer, transport)).await;
    let (metadata, keys) = fetched.map_err(|why| Error::new(Code::Conflict, why))?;
    if keys.len() == 0 {
        let why = format!(
            "{} has no key that muster can use; muster uses RSA of at least 2048 bits, P-256, P-384 and Ed25519",
            metadata.jwks_uri
        );
        return Err(Error::new(Code::Conflict, why));
    }
    Ok(Probe {
        authorization_endpoint: metadata.authorization_endpoint.into(),
        token_endpoint: metadata.token_endpoint.into(),
        userinfo_endpoint: metadata.userinfo_endpoint.map(Into::into),
        end_session_endpoint: metadata.end_session_endpoint.map(Into::into),
        algorithms: metadata.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect(),
        keys: keys.len(),
    })
}

/// Adds a provider, after its metadata and keys were read.
///
/// # Errors
/// `forbidden`; `invalid_request`; `conflict` if the name is taken, the provider can't be used, or `server.public_url` is missing;
/// `seal_key_missing`.
pub async fn create(
    app: &App,
    caller: &Caller,
    name: &ProviderName,
    mut settings: ProviderSettings,
    secrets: &ClientSecrets,
) -> Result<(ProviderSummary, Probe)> {
    app.authorize(caller, Action::SsoProviderCreate).await?;
    let transport = check(app, &mut settings)?;
    let provider_id = Id::new(app.clock.now());
    let sealed = seal(app, caller, provider_id, secrets)?;
    let probe = probe(app, &settings.issuer, transport).await?;
    app.change(caller, Action::SsoProviderCreate, Target::SsoProvider(provider_id), async |change| {
        write::insert(change, provider_id, name.as_str(), &settings, &sealed).await
    })
    .await?;
    Ok((find(app, caller, name.as_str()).await?.summary(app), probe))
}

async fn find(app: &App, caller: &Caller, name: &str) -> Result<StoredProvider> {
    let mut connection = app.reader(&app.db.interactive).await?;
    let found = read::providers(&mut connection, Some(&caller.organization_id.to_string()), Some(name)).await?.pop();
    found.ok_or_else(|| Error::not_found("identity provider", name.escape_debug()))
}

/// Lists the providers of the caller's organization, by name.
///
/// # Errors
/// `forbidden`.
pub async fn list(app: &App, caller: &Caller) -> Result<Vec<ProviderSummary>> {
    let mut connection = app.read(caller, Action::SsoProviderList).await?;
    let providers = read::providers(&mut connection, Some(&caller.organization_id.to_string()), None).await?;
    Ok(providers.iter().map(|provider| provider.summary(app)).collect())
}

/// Shows a provider.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn get(app: &App, caller: &Caller, name: &str) -> Result<ProviderSummary> {
    app.authorize(caller, Action::SsoProviderList).await?;
    Ok(find(app, caller, name).await?.summary(app))
}

/// Changes the settings of a provider, its secrets, or both. `secrets` gets the current ones. With other settings for the issuer, the
/// metadata and keys are read first.
///
/// # Errors
/// As [`create`]; `not_found`.
pub async fn update(
    app: &App,
    caller: &Caller,
    name: &str,
    edit: impl FnOnce(&mut ProviderSettings),
    secrets: impl FnOnce(&mut ClientSecrets),
) -> Result<ProviderSummary> {
    app.authorize(caller, Action::SsoProviderUpdate).await?;
    let provider = find(app, caller, name).await?;
    let mut current = provider.secrets(app).map_err(|error| Error::new(Code::Conflict, error.to_string()))?.into_iter();
    let mut client = ClientSecrets { first: current.next(), second: current.next() };
    secrets(&mut client);
    if client.first.is_none() {
        client.first = client.second.take();
    }
    let mut settings = provider.settings.clone();
    edit(&mut settings);
    let transport = check(app, &mut settings)?;
    let sealed = seal(app, caller, provider.provider_id, &client)?;
    if settings.issuer != provider.settings.issuer {
        probe(app, &settings.issuer, transport).await?;
    }
    let provider_id = provider.provider_id;
    app.change(caller, Action::SsoProviderUpdate, Target::SsoProvider(provider_id), async |change| {
        if !write::update(change, provider_id, &settings, &sealed).await? {
            return Err(Error::not_found("identity provider", name));
        }
        let sessions = match provider.settings.enabled && !settings.enabled {
            true => write::end_sessions(change, provider_id, &Ended::Provider, "provider_disabled").await?,
            false => 0,
        };
        change.record(Event::SsoProviderUpdated { provider_id, sessions });
        Ok(())
    })
    .await?;
    Ok(find(app, caller, name).await?.summary(app))
}

/// Removes a provider with its identities, and ends the sessions that were started through it. Returns their number.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn remove(app: &App, caller: &Caller, name: &str) -> Result<usize> {
    app.authorize(caller, Action::SsoProviderDelete).await?;
    let provider_id = find(app, caller, name).await?.provider_id;
    app.change(caller, Action::SsoProviderDelete, Target::SsoProvider(provider_id), async |change| {
        change.confirm_access().await?;
        let sessions = write::end_sessions(change, provider_id, &Ended::Provider, "provider_removed").await?;
        write::delete(change, provider_id).await?;
        change.record(Event::SsoProviderDeleted { provider_id, sessions });
        Ok(sessions)
    })
    .await
}

/// Reads the metadata and keys of a provider now, and opens its secrets.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` if the provider can't be used.
pub async fn test(app: &App, caller: &Caller, name: &str) -> Result<Probe> {
    app.authorize(caller, Action::SsoProviderList).await?;
    let provider = find(app, caller, name).await?;
    let mut settings = provider.settings.clone();
    let transport = check(app, &mut settings)?;
    provider.secrets(app).map_err(|error| Error::new(Code::Conflict, error.to_string()))?;
    probe(app, &settings.issuer, transport).await
}

/// Checks that the configured seal keys open all stored secrets.
///
/// # Errors
/// `seal_key_missing`; those of the database.
pub async fn check_seal_keys(app: &App) -> Result<()> {
    let mut connection = app.reader(&app.db.interactive).await?;
    let needed = read::seal_keys(&mut connection).await?;
    match needed.iter().find(|id| !app.seal_keys.has(id)) {
        None => Ok(()),
        Some(id) => Err(Error::new(
            Code::SealKeyMissing,
            format!(
                "stored secrets are encrypted with the seal key {}, which is not in `secrets.seal_key`; add the key, or remove \
                 the identity providers (`muster sso provider remove`)",
                hex::encode(id)
            ),
        )),
    }
}
