//! Single sign-on by OpenID Connect: people authenticate at their organization's identity provider.
//!
//! | module | contents |
//! |---|---|
//! | `oidc` | the protocol, without network and database |
//! | `fetch`, `cache` | requests to providers; their metadata and keys |
//! | `cookie` | what a sign-in in progress has to remember |
//! | `provider`, `providers` | the settings of a provider; the operations on providers |
//! | `matching` | which account an identity belongs to |
//! | `sign_in`, `linking` | the way to the provider and back: to a session, or to another identity of an account |
//! | `answer`, `arrival` | what the provider says about a person; who that is here |
//! | `logout` | the provider ends sessions, and signing out there |
//! | `identities` | binding identities by command; users of single sign-on |
//! | `denial` | why a sign-in fails |
//! | `health`, `status` | what `muster doctor` examines; how the providers are, for a page |

mod answer;
mod arrival;
mod cache;
mod cookie;
mod denial;
mod fetch;
mod health;
mod identities;
mod linking;
mod logout;
mod matching;
mod oidc;
mod provider;
mod providers;
mod read;
mod service;
mod sign_in;
mod status;
mod write;

pub(crate) use cookie::{
    LIFETIME as COOKIE_LIFETIME, PREFIX as COOKIE_PREFIX, made_at as cookie_made_at, of_query as cookie_of_query,
};
pub use denial::{Denial, DenialClass};
pub use health::{Health, health};
pub use identities::{bind, identities, own_identities, set_sso, unbind, unlink};
pub use logout::provider_of;
pub use provider::{EmailProof, Preset, ProviderName, ProviderSettings, TokenAuth, base_url, redirect_uri};
pub use providers::{
    ClientSecrets, Probe, ProviderSummary, ProviderUses, Resealed, authorize, check_seal_keys, create, get, list,
    may_configure, remove, reseal, test, update, uses,
};
pub use read::{Identity, StoredProvider};
pub use service::Sso;
pub use sign_in::{Arrived, Departed, Departure, Provider, Purpose, SsoError, enabled};
pub use status::{ListedProvider, Reachability, browse, reachability};
pub(crate) use write::delete_old_uses;
