//! Operations on providers.
//!
//! # Decisions
//!
//! *Owners configure providers only if the operator has said so* (`sso.owners_may_configure`): a provider makes the server connect to
//! addresses that its owner chose. Reading providers, and binding identities, needs no such permission: an owner can let anybody sign in
//! as any user of the organization anyway, with a link.

use serde::Serialize;

use super::cache::{self, Known};
use super::oidc::issuer::Transport;
use super::provider::{ProviderName, ProviderSettings, base_url, post_logout_redirect_uri, redirect_uri};
use super::read::{self, StoredProvider};
use super::write::{self, Ended, SealedSecrets};
use crate::app::App;
use crate::audit::{AuditDenial, Event, Target};
use crate::caller::{Action, Caller, Principal};
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{Id, SsoProvider};
use crate::seal::{OpenError, Purpose, SealKeys};
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
    /// The post-logout redirect URI to register there, if signing out leads to the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_logout_redirect_uri: Option<String>,
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
        Transport::for_issuer(&self.settings.issuer, base_url(&app.config.server).unwrap_or_default())
    }

    pub(super) fn redirect_uri(&self, app: &App) -> String {
        redirect_uri(base_url(&app.config.server).unwrap_or_default(), &self.organization, &self.name)
    }

    /// The secrets in the order in which they are tried.
    pub(super) fn secrets(&self, seal_keys: &SealKeys) -> Result<Vec<Secret>, OpenError> {
        let sealed = [&self.secret_sealed, &self.secret2_sealed];
        sealed.into_iter().flatten().map(|sealed| open(seal_keys, self, sealed)).collect()
    }

    fn summary(&self, app: &App) -> ProviderSummary {
        ProviderSummary {
            provider_id: self.provider_id,
            name: self.name.clone(),
            settings: self.settings.clone(),
            client_secrets: [&self.secret_sealed, &self.secret2_sealed].into_iter().flatten().count(),
            redirect_uri: self.redirect_uri(app),
            post_logout_redirect_uri: self
                .settings
                .logout
                .then(|| post_logout_redirect_uri(base_url(&app.config.server).unwrap_or_default())),
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

fn open(seal_keys: &SealKeys, provider: &StoredProvider, sealed: &[u8]) -> Result<Secret, OpenError> {
    let (organization, id) = (uuid::Uuid::from(provider.organization_id), uuid::Uuid::from(provider.provider_id));
    seal_keys.open(Purpose::SsoClientSecret, &[organization.as_bytes(), id.as_bytes()], sealed)
}

/// The longest client secret, in bytes.
const LONGEST_SECRET: usize = 4096;

fn seal(app: &App, caller: &Caller, provider_id: Id<SsoProvider>, secrets: &ClientSecrets) -> Result<SealedSecrets> {
    for secret in [&secrets.first, &secrets.second].into_iter().flatten().map(Secret::expose) {
        if secret.is_empty() || secret.len() > LONGEST_SECRET || secret.chars().any(char::is_control) {
            return Err(Error::invalid(format!("a client secret must be one line with 1 to {LONGEST_SECRET} bytes")));
        }
    }
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

/// Whether this server lets the caller configure providers, if the caller has the permission.
#[must_use]
pub fn may_configure(app: &App, caller: &Caller) -> bool {
    app.config.sso.owners_may_configure || matches!(caller.principal, Principal::Operator)
}

/// Checks that the caller may configure providers: for doors that read a body afterwards.
///
/// # Errors
/// `forbidden`; `reauthentication_needed`.
pub async fn authorize(app: &App, caller: &Caller, action: Action) -> Result<()> {
    app.authorize(caller, action).await?;
    if may_configure(app, caller) {
        return Ok(());
    }
    app.record_denial(caller, action, &AuditDenial::Forbidden).await;
    let message = format!(
        "not permitted: `{action}` requires the setting `sso.owners_may_configure`, which is off on this server; its operator can run \
         `muster sso provider`"
    );
    Err(Error::new(Code::Forbidden, message))
}

/// Checks settings, and that the server has an address for redirect URIs.
fn check(app: &App, settings: &mut ProviderSettings) -> Result<Transport> {
    let base_url = base_url(&app.config.server).ok_or_else(|| {
        Error::new(
            Code::Conflict,
            "single sign-on needs `server.public_url`, the address with which the redirect URI begins; set it, such as \
             https://muster.example.org",
        )
    })?;
    let transport = Transport::for_issuer(&settings.issuer, base_url);
    settings.check(transport).map_err(Error::invalid)?;
    Ok(transport)
}

/// Reads the metadata and keys of an issuer, and checks that muster may connect to the addresses that it needs later.
async fn probe(app: &App, issuer: &str, transport: Transport) -> Result<Probe> {
    let fetcher = &app.sso.fetcher;
    let probed = app.in_runtime(async {
        let fetched = cache::fetch(fetcher, issuer, transport).await?.usable()?;
        let metadata = &fetched.metadata;
        let needed = [
            ("token_endpoint", Some(&metadata.token_endpoint)),
            ("userinfo_endpoint", metadata.userinfo_endpoint.as_ref()),
        ];
        for (name, url) in needed {
            if let Some(url) = url {
                fetcher.check(url).await.map_err(|why| format!("`{name}` {url}: {why}"))?;
            }
        }
        Ok(fetched)
    });
    let probed = probed.await.map_err(|why: String| Error::new(Code::Conflict, why));
    let cache::Fetched { metadata, keys, .. } = probed?;
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
    authorize(app, caller, Action::SsoProviderCreate).await?;
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
/// metadata and keys are read first. Also returns the number of sessions that ended because the provider was disabled.
///
/// # Errors
/// As [`create`]; `not_found`; `last_owner` if the provider is the only way in of the owners and is disabled, or gets another issuer.
pub async fn update(
    app: &App,
    caller: &Caller,
    name: &str,
    edit: impl FnOnce(&mut ProviderSettings),
    secrets: impl FnOnce(&mut ClientSecrets),
) -> Result<(ProviderSummary, usize)> {
    authorize(app, caller, Action::SsoProviderUpdate).await?;
    let provider = find(app, caller, name).await?;
    // Secrets whose seal key is lost can be replaced.
    let (current, unreadable) = match provider.secrets(&app.seal_keys) {
        Ok(current) => (current, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let mut current = current.into_iter();
    let mut client = ClientSecrets { first: current.next(), second: current.next() };
    secrets(&mut client);
    if let (Some(error), None) = (unreadable, &client.first) {
        return Err(Error::new(Code::Conflict, error.to_string()));
    }
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
    let changed = app.change(caller, Action::SsoProviderUpdate, Target::SsoProvider(provider_id), async |change| {
        owners::lock(change).await?;
        let could_sign_in = owners::can_sign_in(change).await?;
        if !write::update(change, provider_id, &settings, &sealed).await? {
            return Err(Error::not_found("identity provider", name));
        }
        let sessions = match provider.settings.enabled && !settings.enabled {
            true => write::end_sessions(change, provider_id, &Ended::Provider, "provider_disabled").await?,
            false => 0,
        };
        owners::require_sign_in(change, could_sign_in).await?;
        change.record(Event::SsoProviderUpdated { provider_id, sessions });
        Ok(sessions)
    });
    let sessions = changed.await?;
    Ok((find(app, caller, name).await?.summary(app), sessions))
}

/// What is removed with a provider.
#[derive(Clone, Copy, Debug)]
pub struct ProviderUses {
    /// The number of identities of users.
    pub identities: usize,
    /// The number of sessions that were started through the provider and are not over.
    pub sessions: usize,
}

/// What would be removed with a provider.
///
/// # Errors
/// `forbidden`; `not_found`.
pub async fn uses(app: &App, caller: &Caller, name: &str) -> Result<ProviderUses> {
    app.authorize(caller, Action::SsoProviderList).await?;
    let provider = find(app, caller, name).await?;
    let mut connection = app.reader(&app.db.interactive).await?;
    read::uses(&mut connection, caller.organization_id, provider.provider_id, app.clock.now()).await
}

/// Removes a provider with its identities, and ends the sessions that were started through it. Returns their numbers.
///
/// # Errors
/// `forbidden`; `not_found`; `last_owner` if the provider is the only way in of the owners.
pub async fn remove(app: &App, caller: &Caller, name: &str) -> Result<ProviderUses> {
    authorize(app, caller, Action::SsoProviderDelete).await?;
    let provider_id = find(app, caller, name).await?.provider_id;
    app.change(caller, Action::SsoProviderDelete, Target::SsoProvider(provider_id), async |change| {
        owners::lock(change).await?;
        change.confirm_access().await?;
        let could_sign_in = owners::can_sign_in(change).await?;
        let sessions = write::end_sessions(change, provider_id, &Ended::Provider, "provider_removed").await?;
        let (organization_id, now) = (change.organization_id(), change.now());
        let ProviderUses { identities, .. } =
            read::uses(change.connection(), organization_id, provider_id, now).await?;
        write::delete(change, provider_id).await?;
        owners::require_sign_in(change, could_sign_in).await?;
        change.record(Event::SsoProviderDeleted { provider_id, sessions });
        Ok(ProviderUses { identities, sessions })
    })
    .await
}

/// Reads the metadata and keys of a provider now, and opens its secrets.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` if the provider can't be used.
pub async fn test(app: &App, caller: &Caller, name: &str) -> Result<Probe> {
    authorize(app, caller, Action::SsoProviderTest).await?;
    let provider = find(app, caller, name).await?;
    let mut settings = provider.settings.clone();
    let transport = check(app, &mut settings)?;
    provider.secrets(&app.seal_keys).map_err(|error| Error::new(Code::Conflict, error.to_string()))?;
    probe(app, &settings.issuer, transport).await
}

/// What [`reseal`] did in one organization.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resealed {
    /// The number of providers whose secrets are encrypted with the first key now.
    pub moved: usize,
    /// The number of providers whose secrets were before.
    pub current: usize,
}

/// Encrypts the secrets of the organization's providers with the first seal key, one provider at a time. Secrets that another process
/// changes meanwhile stay as that process wrote them.
///
/// # Errors
/// `forbidden`; `seal_key_missing`; `conflict` for secrets that can't be opened, after all others are encrypted.
pub async fn reseal(app: &App, caller: &Caller) -> Result<Resealed> {
    app.authorize(caller, Action::SecretReseal).await?;
    let mut connection = app.reader(&app.db.interactive).await?;
    let providers = read::providers(&mut connection, Some(&caller.organization_id.to_string()), None).await?;
    drop(connection);
    let first_key = app.seal_keys.current_id()?;
    let (mut resealed, mut unreadable) = (Resealed::default(), Vec::new());
    for provider in providers {
        let mut sealed = [&provider.secret_sealed, &provider.secret2_sealed].into_iter().flatten().peekable();
        if sealed.peek().is_none() {
            continue;
        }
        if sealed.all(|sealed| sealed.starts_with(&first_key)) {
            resealed.current += 1;
            continue;
        }
        let mut secrets = match provider.secrets(&app.seal_keys) {
            Ok(secrets) => secrets.into_iter(),
            Err(error) => {
                unreadable.push(format!("{} of {}: {error}", provider.name, provider.organization));
                continue;
            }
        };
        let secrets = ClientSecrets { first: secrets.next(), second: secrets.next() };
        let sealed = seal(app, caller, provider.provider_id, &secrets)?;
        let target = Target::SsoProvider(provider.provider_id);
        let moved = app.change(caller, Action::SecretReseal, target, async |change| {
            let moved = write::reseal(change, &provider, &sealed).await?;
            if !moved {
                change.dry_run();
            }
            Ok(moved)
        });
        resealed.moved += usize::from(moved.await?);
    }
    if unreadable.is_empty() {
        return Ok(resealed);
    }
    let message = format!(
        "some client secrets can't be opened; set them again (`muster sso provider update NAME --client-secret-file FILE`): {}",
        unreadable.join(", ")
    );
    Err(Error::new(Code::Conflict, message))
}

/// Checks that the configured seal keys open all stored secrets. The server does not start otherwise: a new instance with a wrong key is
/// noticed while the others still run, and not by the people who can't sign in.
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
                "stored secrets are encrypted with the seal key {}, which is not in `secrets.seal_key`; add the key, or, if it is lost, \
                 set the client secrets of the identity providers again (`muster sso provider update NAME --client-secret-file FILE`)",
                hex::encode(id)
            ),
        )),
    }
}
