//! How the providers of an organization are, for a page.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::cache::Contact;
use super::providers::{self, ProviderSummary};
use super::read;
use crate::app::App;
use crate::caller::{Action, Caller};
use crate::error::Result;
use crate::id::{Id, SsoProvider};

/// What this instance knows about reaching a provider. Other instances may know more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// Nothing: nobody has signed in through the provider since the server was started.
    Unknown,
    /// The provider answered at this time; a newer answer is not needed for an hour.
    Reachable(DateTime<Utc>),
    /// The provider has not answered since this time, and why not.
    Unreachable(DateTime<Utc>, String),
}

/// What this instance knows about reaching a provider.
#[must_use]
pub fn reachability(app: &App, provider: &ProviderSummary) -> Reachability {
    let before = |elapsed: Duration| app.clock.now() - TimeDelta::from_std(elapsed).unwrap_or_default();
    match app.sso.cache.contact(provider.provider_id, &provider.settings.issuer) {
        None => Reachability::Unknown,
        Some(Contact::Answered { elapsed }) => Reachability::Reachable(before(elapsed)),
        Some(Contact::Away { why, elapsed }) => Reachability::Unreachable(before(elapsed), why),
    }
}

/// A provider of a list.
#[derive(Debug)]
pub struct ListedProvider {
    /// The provider.
    pub provider: ProviderSummary,
    /// The number of identities that are bound.
    pub identities: i64,
    /// Whether it answers.
    pub reachability: Reachability,
}

/// Lists the providers of the caller's organization by name, with their state.
///
/// # Errors
/// `forbidden`.
pub async fn browse(app: &App, caller: &Caller) -> Result<Vec<ListedProvider>> {
    let providers = providers::list(app, caller).await?;
    let mut connection = app.read(caller, Action::SsoProviderList).await?;
    let counts: HashMap<Id<SsoProvider>, i64> =
        read::identity_counts(&mut connection, caller.organization_id).await?.into_iter().collect();
    let listed = providers.into_iter().map(|provider| ListedProvider {
        identities: counts.get(&provider.provider_id).copied().unwrap_or_default(),
        reachability: reachability(app, &provider),
        provider,
    });
    Ok(listed.collect())
}
