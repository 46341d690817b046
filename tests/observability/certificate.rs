//! Metrics of the server certificate.

use std::path::PathBuf;

use chrono::{Datelike, Days, NaiveTime, Utc};

use crate::support::gate::eventually;
use crate::watched::Watched;

const EXPIRY: &str = "muster_tls_certificate_expiry_timestamp_seconds";
const FAILURES: &str = "muster_tls_certificate_reload_failures_total";

/// The certificate files of a server.
pub struct Files(tempfile::TempDir);

impl Files {
    /// Creates a certificate that expires in so many days.
    pub fn new(days: u64) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.replace(days);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces the certificate; returns its expiry, in seconds since 1970.
    fn replace(&self, days: u64) -> f64 {
        let day = Utc::now().date_naive() + Days::new(days);
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after =
            rcgen::date_time_ymd(day.year(), u8::try_from(day.month()).unwrap(), u8::try_from(day.day()).unwrap());
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(self.path("pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(self.path("key"), key.serialize_pem()).unwrap();
        f64::from(u32::try_from(day.and_time(NaiveTime::MIN).and_utc().timestamp()).unwrap())
    }
}

/// Starts a server with this certificate.
pub async fn watched(files: &Files) -> Watched {
    Watched::start(|command| {
        command.env("MUSTER_SERVER__TLS_CERTIFICATE_FILE", files.path("pem"));
        command.env("MUSTER_SERVER__TLS_KEY_FILE", files.path("key"));
    })
    .await
}

async fn becomes(watched: &Watched, series: &str, value: f64) {
    eventually(&format!("{series} is {value}"), async || watched.read().await.get(series) == value).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_show_the_expiry_of_the_certificate_and_failed_reloads() {
    let files = Files::new(0);
    let first = files.replace(10);
    let watched = watched(&files).await;
    let values = watched.read().await;
    assert_eq!((values.get(EXPIRY), values.get(FAILURES)), (first, 0.0));

    let second = files.replace(90);
    becomes(&watched, EXPIRY, second).await;
    assert_eq!(watched.read().await.get(FAILURES), 0.0);

    std::fs::write(files.path("pem"), "no certificate").unwrap();
    becomes(&watched, FAILURES, 1.0).await;
    assert_eq!(watched.read().await.get(EXPIRY), second, "the previous certificate stays in use");
    let third = files.replace(91);
    watched.server.signal("-HUP");
    becomes(&watched, EXPIRY, third).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_there_are_no_certificate_metrics() {
    let values = Watched::start(|_| {}).await.read().await;
    let names = values.names();
    assert!(names.contains(&"muster_users_created_total"), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("muster_tls_")), "{names:?}");
}
