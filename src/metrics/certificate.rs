//! Metrics of the server's TLS certificate; absent without TLS.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::tls::Tls;

/// Reads the certificate metrics from the server's TLS state, once that is set.
#[derive(Clone, Debug, Default)]
pub(super) struct CertificateMetrics(Arc<OnceLock<Arc<Tls>>>);

impl CertificateMetrics {
    pub(super) fn set(&self, tls: Arc<Tls>) {
        let _ = self.0.set(tls);
    }
}

impl Collector for CertificateMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(tls) = self.0.get() else { return Ok(()) };
        if let Some(expires_at) = tls.expires_at() {
            let (name, help) = ("tls_certificate_expiry_timestamp_seconds", "Expiry of the certificate in use.");
            let expiry = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(expires_at.timestamp()).encode(expiry)?;
        }
        let (name, help) = ("tls_certificate_reload_failures", "Changed TLS files that could not be loaded.");
        ConstCounter::new(tls.failures()).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
    }
}
