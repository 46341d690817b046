//! Exports spans to a collector.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanData;
use reqwest::redirect::Policy;
use tokio::runtime::Handle;

use super::queue::QueueLen;
use crate::config::{Config, ConfigError};
use crate::metrics::SpanMetrics;

/// The path for traces in OTLP/HTTP.
const PATH: &str = "/v1/traces";

/// How long the collector may take to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often at most a failed export is logged.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// The largest part of a response that is read, in bytes; its content does not matter.
const MAX_RESPONSE: usize = 64 * 1024;

/// An OTLP exporter that counts spans and logs failures.
#[derive(Debug)]
pub(super) struct Exporter {
    otlp: SpanExporter,
    spans: SpanMetrics,
    queued: QueueLen,
    warned_at: Mutex<Option<Instant>>,
}

impl Exporter {
    pub(super) fn new(
        config: &Config,
        headers: HashMap<String, String>,
        spans: SpanMetrics,
        queued: QueueLen,
    ) -> Result<Self, ConfigError> {
        let unusable =
            |error: &dyn std::fmt::Display| ConfigError::starting(format!("traces can't be exported: {error}"));
        // Fails if a provider is installed already, which is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| unusable(&error))?;
        let runtime = Handle::try_current().map_err(|error| unusable(&error))?;
        let endpoint = config.traces.endpoint.trim_end_matches('/');
        let endpoint = if endpoint.ends_with(PATH) { endpoint.to_owned() } else { format!("{endpoint}{PATH}") };
        let otlp = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_headers(headers)
            .with_http_client(Client { client, runtime })
            .build()
            .map_err(|error| unusable(&error))?;
        Ok(Self { otlp, spans, queued, warned_at: Mutex::default() })
    }

    fn warn(&self, error: &dyn std::fmt::Display, spans: usize) {
        let mut warned_at = self.warned_at.lock().unwrap_or_else(PoisonError::into_inner);
        if warned_at.is_none_or(|latest| latest.elapsed() >= WARN_INTERVAL) {
            *warned_at = Some(Instant::now());
            tracing::warn!(%error, spans, "traces can't be exported to `traces.endpoint` and are dropped; logged once a minute");
        }
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.queued.remove(count);
        let sent = self.otlp.export(batch).await;
        match &sent {
            Ok(()) => self.spans.sent(count),
            Err(error) => {
                self.spans.failed(count);
                self.warn(error, count);
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.otlp.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

/// Sends HTTP requests on the program's runtime: the batch processor runs on a thread without one.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(
        &self,
        request: opentelemetry_http::Request<Bytes>,
    ) -> Result<opentelemetry_http::Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        self.runtime
            .spawn(async move {
                // Without the URL, which may contain a key.
                let mut response = client.execute(request).await.map_err(reqwest::Error::without_url)?;
                let status = response.status();
                let mut body = Vec::new();
                while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
                    if body.len() + chunk.len() > MAX_RESPONSE {
                        break;
                    }
                    body.extend_from_slice(&chunk);
                }
                let mut response = opentelemetry_http::Response::new(Bytes::from(body));
                *response.status_mut() = status;
                Ok(response)
            })
            .await?
    }
}
