//! Sending spans to a collector.

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

use super::queue::Waiting;
use crate::config::{Config, ConfigError};
use crate::metrics::SpanMetrics;

/// Where a collector takes traces, under its address (OTLP/HTTP).
const PATH: &str = "/v1/traces";

/// How long a collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the log says that it doesn't.
const COMPLAINT: Duration = Duration::from_secs(60);

/// What a collector answers is read up to here: it has nothing to tell.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Sends, counts, and complains when it can't.
#[derive(Debug)]
pub(super) struct Exporter {
    otlp: SpanExporter,
    spans: SpanMetrics,
    waiting: Waiting,
    complained: Mutex<Option<Instant>>,
}

impl Exporter {
    pub(super) fn new(
        config: &Config,
        headers: HashMap<String, String>,
        spans: SpanMetrics,
        waiting: Waiting,
    ) -> Result<Self, ConfigError> {
        let unusable = |error: &dyn std::fmt::Display| ConfigError::starting(format!("traces can't be sent: {error}"));
        // The one that muster uses everywhere; a second time is no fault.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
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
        Ok(Self { otlp, spans, waiting, complained: Mutex::default() })
    }

    fn complain(&self, error: &dyn std::fmt::Display, spans: usize) {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|latest| latest.elapsed() >= COMPLAINT) {
            *complained = Some(Instant::now());
            tracing::warn!(%error, spans, "traces can't be sent to traces.endpoint and are dropped; said once a minute");
        }
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.waiting.leave(count);
        let sent = self.otlp.export(batch).await;
        match &sent {
            Ok(()) => self.spans.sent(count),
            Err(error) => {
                self.spans.failed(count);
                self.complain(error, count);
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

/// HTTP by the program's own runtime: spans are collected on a thread that has none.
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
                // Without the URL: it may have a key in it.
                let mut answer = client.execute(request).await.map_err(reqwest::Error::without_url)?;
                let status = answer.status();
                let mut body = Vec::new();
                while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
                    if body.len() + chunk.len() > LONGEST_ANSWER {
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
