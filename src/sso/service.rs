//! What single sign-on shares between requests: connections to providers, and what is known about them.

use super::cache::Cache;
use super::fetch::Fetcher;
use crate::config::{Config, ConfigError};
use crate::metrics::SsoMetrics;

/// Single sign-on of this instance.
#[derive(Debug)]
pub struct Sso {
    pub(super) fetcher: Fetcher,
    pub(super) cache: Cache,
}

impl Sso {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// Settings that can't be used.
    pub(crate) fn new(config: &Config, metrics: SsoMetrics) -> Result<Self, ConfigError> {
        Ok(Self { fetcher: Fetcher::new(&config.sso, metrics)?, cache: Cache::default() })
    }
}
