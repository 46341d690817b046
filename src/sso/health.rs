//! The health of providers, for `muster doctor`.

use chrono::TimeDelta;
use sqlx::PgConnection;
use tokio::task::JoinSet;

use super::cache;
use super::fetch::Fetcher;
use super::oidc::issuer::Transport;
use super::provider::base_url;
use super::read;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::metrics::SsoMetrics;
use crate::seal::{OpenError, SealKeys};

/// The health of an enabled provider.
#[derive(Debug)]
pub struct Health {
    /// The name of the provider, and that of its organization.
    pub provider: String,
    /// Why its metadata and keys can't be used.
    pub failure: Option<String>,
    /// Why its client secret can't be opened.
    pub unreadable: Option<OpenError>,
    /// By how much its clock is ahead.
    pub clock_ahead: Option<TimeDelta>,
}

/// Examines all enabled providers of all organizations, at once: it takes as long as the slowest one, and 10 seconds at most. The inner
/// error: no provider can be reached, because TLS can't be set up.
///
/// # Errors
/// Those of the database.
pub async fn health(
    connection: &mut PgConnection,
    config: &Config,
    seal_keys: &SealKeys,
    clock: &Clock,
) -> Result<std::result::Result<Vec<Health>, String>> {
    let mut providers = read::providers(connection, None, None).await?;
    providers.retain(|provider| provider.settings.enabled);
    if providers.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let fetcher = std::sync::Arc::new(Fetcher::new(&config.sso, SsoMetrics::default()).map_err(Error::internal)?);
    if let Err(why) = fetcher.client() {
        return Ok(Err(why));
    }
    let mut examined = JoinSet::new();
    for (number, provider) in providers.into_iter().enumerate() {
        let (fetcher, clock) = (std::sync::Arc::clone(&fetcher), clock.clone());
        let transport = Transport::for_issuer(&provider.settings.issuer, base_url(&config.server).unwrap_or_default());
        let unreadable = provider.secrets(seal_keys).err();
        examined.spawn(async move {
            let fetched = cache::fetch(&fetcher, &provider.settings.issuer, transport).await;
            let date = fetched.as_ref().ok().and_then(|fetched| fetched.date);
            let health = Health {
                provider: format!("{} of {}", provider.name, provider.organization),
                failure: fetched.and_then(cache::Fetched::usable).err(),
                unreadable,
                clock_ahead: date.map(|date| date - clock.now()),
            };
            (number, health)
        });
    }
    let mut examined = examined.join_all().await;
    examined.sort_by_key(|(number, _)| *number);
    Ok(Ok(examined.into_iter().map(|(_, health)| health).collect()))
}
