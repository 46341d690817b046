//! The certificate that the server shows; nothing at all where there is none.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::tls::Tls;

/// The server's TLS, once it is known that there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct OfServer(Arc<OnceLock<Arc<Tls>>>);

impl OfServer {
    pub(super) fn is(&self, tls: Arc<Tls>) {
        let _ = self.0.set(tls);
    }
}

impl Collector for OfServer {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(tls) = self.0.get() else { return Ok(()) };
        if let Some(expires_at) = tls.expires_at() {
            let (name, help) = ("tls_certificate_expiry_timestamp_seconds", "When the certificate expires.");
            let expiry = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(expires_at.timestamp()).encode(expiry)?;
        }
        let (name, help) = ("tls_certificate_reload_failures", "Changed files of TLS that could not be used.");
        ConstCounter::new(tls.failures()).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
    }
}
