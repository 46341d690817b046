//! The metadata and keys of providers, which are kept for a while.
//!
//! # Decisions
//!
//! *Nothing is fetched at the start*: a provider that is away must not keep the server from starting.
//!
//! *What is known is used for a day when the provider is away*, and a failure is remembered for 10 seconds only, so that a
//! provider that is back is noticed.
//!
//! *A key that is unknown leads to one fetch*, at most every 30 seconds for each provider: providers rotate their keys, and
//! strangers invent key IDs. One fetch at a time: others wait for its result.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::denial::Denial;
use super::fetch::{Fetcher, Response};
use super::oidc::discovery::Metadata;
use super::oidc::issuer::{Transport, discovery_url};
use super::oidc::keys::KeySet;
use crate::id::{Id, SsoProvider};
use crate::metrics::{Refresh, SsoEndpoint};

/// How long metadata and keys are used without a question.
const FRESH: Duration = Duration::from_hours(1);

/// How long they are used when the provider is away.
const STALE: Duration = Duration::from_hours(24);

/// How long a failure is remembered.
const FAILED: Duration = Duration::from_secs(10);

/// How often keys are fetched again because of an unknown one.
const REFRESH: Duration = Duration::from_secs(30);

/// The metadata and the keys of a provider at one time.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) keys: Arc<KeySet>,
    /// Increments with each fetch.
    generation: u64,
}

#[derive(Debug, Default)]
struct Entry {
    known: Option<(Known, Instant)>,
    failure: Option<(String, Instant)>,
    /// The first of the failures since the last success.
    away_since: Option<Instant>,
    /// The last fetch because of an unknown key.
    refreshed_at: Option<Instant>,
}

/// What the last requests to a provider came to, and how long ago.
#[derive(Debug)]
pub(crate) enum Contact {
    /// The metadata and keys were read.
    Answered { elapsed: Duration },
    /// It has not answered since then; why the last request failed.
    Away { why: String, elapsed: Duration },
}

/// What is known about an issuer. Locked while the provider is asked.
type Shared = Arc<AsyncMutex<Entry>>;

/// The providers that were asked.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<HashMap<(Id<SsoProvider>, String), Shared>>);

impl Cache {
    fn entry(&self, provider_id: Id<SsoProvider>, issuer: &str) -> Shared {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(entries.entry((provider_id, issuer.to_owned())).or_default())
    }

    /// For how long a provider has not responded. `None`: it has, was not asked, or is being asked.
    pub(crate) fn away_for(&self, provider_id: Id<SsoProvider>, issuer: &str) -> Option<Duration> {
        let entry = self.entry(provider_id, issuer);
        let away_since = entry.try_lock().ok()?.away_since;
        away_since.map(|since| since.elapsed())
    }

    /// What the requests to a provider came to. `None`: it was not asked, or is being asked.
    pub(crate) fn contact(&self, provider_id: Id<SsoProvider>, issuer: &str) -> Option<Contact> {
        let entry = self.entry(provider_id, issuer);
        let entry = entry.try_lock().ok()?;
        match (&entry.failure, entry.away_since, &entry.known) {
            (Some((why, _)), Some(since), _) => Some(Contact::Away { why: why.clone(), elapsed: since.elapsed() }),
            (_, _, Some((_, fetched_at))) => Some(Contact::Answered { elapsed: fetched_at.elapsed() }),
            _ => None,
        }
    }

    /// The metadata and keys of a provider.
    ///
    /// # Errors
    /// `sso_unreachable`.
    pub(crate) async fn get(
        &self,
        fetcher: &Fetcher,
        provider_id: Id<SsoProvider>,
        issuer: &str,
        transport: Transport,
    ) -> Result<Known, Denial> {
        let entry = self.entry(provider_id, issuer);
        let mut entry = entry.lock().await;
        if let Some((known, fetched_at)) = &entry.known
            && fetched_at.elapsed() < FRESH
        {
            return Ok(known.clone());
        }
        let why = if entry.known.is_some() { Refresh::Expired } else { Refresh::First };
        entry.fetch(fetcher, issuer, transport, why).await
    }

    /// The keys, fetched again because none of `used` made a signature. `None`: they were fetched a moment ago, and are the same.
    ///
    /// # Errors
    /// `sso_unreachable`.
    pub(crate) async fn refresh(
        &self,
        fetcher: &Fetcher,
        provider_id: Id<SsoProvider>,
        transport: Transport,
        used: &Known,
    ) -> Result<Option<Known>, Denial> {
        let issuer = &used.metadata.issuer;
        let entry = self.entry(provider_id, issuer);
        let mut entry = entry.lock().await;
        if let Some((known, _)) = &entry.known
            && known.generation != used.generation
        {
            return Ok(Some(known.clone()));
        }
        if entry.refreshed_at.is_some_and(|at| at.elapsed() < REFRESH) {
            return Ok(None);
        }
        entry.refreshed_at = Some(Instant::now());
        let known = entry.fetch(fetcher, issuer, transport, Refresh::UnknownKey).await?;
        Ok((known.generation != used.generation).then_some(known))
    }
}

impl Entry {
    async fn fetch(
        &mut self,
        fetcher: &Fetcher,
        issuer: &str,
        transport: Transport,
        why: Refresh,
    ) -> Result<Known, Denial> {
        let failure = self.failure.as_ref().filter(|(_, at)| at.elapsed() < FAILED).map(|(why, _)| why.clone());
        let fetched = match failure {
            Some(why) => Err(why),
            None => {
                fetcher.metrics.count_refresh(why);
                fetch(fetcher, issuer, transport).await
            }
        };
        match fetched {
            Ok(Fetched { metadata, keys, .. }) => {
                let generation = self.known.as_ref().map_or(0, |(known, _)| known.generation + 1);
                let known = Known { metadata: Arc::new(metadata), keys: Arc::new(keys), generation };
                (self.failure, self.away_since) = (None, None);
                self.known = Some((known.clone(), Instant::now()));
                Ok(known)
            }
            Err(why) => {
                self.away_since.get_or_insert_with(Instant::now);
                if self.failure.as_ref().is_none_or(|(_, at)| at.elapsed() >= FAILED) {
                    self.failure = Some((why.clone(), Instant::now()));
                }
                match &self.known {
                    Some((known, fetched_at)) if fetched_at.elapsed() < STALE => {
                        tracing::warn!(
                            issuer,
                            error = why,
                            "failed to read an identity provider's metadata; the last ones are used"
                        );
                        Ok(known.clone())
                    }
                    _ => Err(Denial::unreachable(why)),
                }
            }
        }
    }
}

/// The metadata and the keys of an issuer, and what its clock says.
pub(crate) struct Fetched {
    pub(crate) metadata: Metadata,
    pub(crate) keys: KeySet,
    pub(crate) date: Option<DateTime<Utc>>,
}

impl Fetched {
    /// # Errors
    /// No key can be used.
    pub(crate) fn usable(self) -> Result<Self, String> {
        if self.keys.len() > 0 {
            return Ok(self);
        }
        Err(format!(
            "{} has no key that muster can use; muster uses RSA of at least 2048 bits, P-256, P-384 and Ed25519",
            self.metadata.jwks_uri
        ))
    }
}

/// Reads the metadata and the keys of an issuer.
///
/// # Errors
/// What is wrong, for people who configure the provider.
pub(crate) async fn fetch(fetcher: &Fetcher, issuer: &str, transport: Transport) -> Result<Fetched, String> {
    let url = discovery_url(issuer);
    let address = transport.parse(&url).map_err(|why| format!("issuer `{issuer}`: {why}"))?;
    let found = fetcher.get(SsoEndpoint::Discovery, &address, None).await;
    let found = found.map_err(|why| format!("can't read {url}: {why}"))?;
    let date = found.date;
    let metadata = Metadata::parse(issuer, transport, &ok(&url, found)?).map_err(|why| format!("{url}: {why}"))?;
    let url = metadata.jwks_uri.as_str();
    let found = fetcher.get(SsoEndpoint::Jwks, &metadata.jwks_uri, None).await;
    let found = found.map_err(|why| format!("can't read the keys at {url}: {why}"))?;
    let keys = KeySet::parse(&ok(url, found)?).map_err(|why| format!("{url}: {why}"))?;
    Ok(Fetched { metadata, keys, date })
}

fn ok(url: &str, response: Response) -> Result<Vec<u8>, String> {
    if response.status == 200 {
        return Ok(response.body);
    }
    let hint = if (300..400).contains(&response.status) { "; redirects are not followed" } else { "" };
    Err(format!("{url} answered {}{hint}", response.status))
}
