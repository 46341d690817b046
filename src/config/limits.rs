//! Limits that are not settings, because no operator has a reason to change them. Tests set the fields.

use std::time::Duration;

/// Limits of the HTTP server.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// The longest request line and headers together, in bytes. Common servers and proxies allow 8 to 64 KiB.
    pub header_bytes: usize,
    /// How long a client may take to send the headers of a request, or for the TLS handshake. Slowloris attacks hold
    /// connections by sending them slowly; the slowest legitimate client needs a few round trips.
    pub header_timeout: Duration,
    /// How long a client may take to send the body of a request: 32 MiB at 5 Mbit/s.
    pub body_timeout: Duration,
    /// How often the pace of a body is checked: a body that stalls longer loses its memory.
    pub body_interval: Duration,
    /// How long a client may read nothing of a response that is being sent (slow-read attacks).
    pub send_timeout: Duration,
    /// Concurrent requests on one HTTP/2 connection: the value that RFC 9113 recommends at least.
    pub http2_requests: usize,
    /// The estimated time from which the vendor's client gets the head of the response to a list at once, and blanks until
    /// the rest follows; and how long a request that joins an earlier one waits before it gets them. Load balancers end a
    /// connection without data after 60 seconds or less.
    pub slow_batch: Duration,
    /// How often such a response gets a blank.
    pub blank_interval: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        let limits = Self {
            header_bytes: 32 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            body_interval: Duration::from_secs(10),
            send_timeout: Duration::from_secs(30),
            http2_requests: 100,
            slow_batch: Duration::from_secs(15),
            blank_interval: Duration::from_secs(10),
        };
        #[cfg(feature = "failpoints")]
        let limits = limits.for_tests(&super::environment("MUSTER_TEST_LIMITS").unwrap_or_default());
        limits
    }
}

impl HttpLimits {
    /// Applies `MUSTER_TEST_LIMITS`: names and numbers, such as `body_timeout=1 http2_requests=10`.
    #[cfg(feature = "failpoints")]
    fn for_tests(mut self, limits: &str) -> Self {
        for (name, value) in limits.split(' ').filter_map(|limit| limit.split_once('=')) {
            let Ok(value) = value.parse::<u16>() else { continue };
            match name {
                "header_timeout" => self.header_timeout = Duration::from_secs(value.into()),
                "body_timeout" => self.body_timeout = Duration::from_secs(value.into()),
                "body_interval" => self.body_interval = Duration::from_secs(value.into()),
                "send_timeout" => self.send_timeout = Duration::from_secs(value.into()),
                "slow_batch" => self.slow_batch = Duration::from_secs(value.into()),
                "blank_interval" => self.blank_interval = Duration::from_secs(value.into()),
                "http2_requests" => self.http2_requests = value.into(),
                _ => {}
            }
        }
        self
    }
}

/// How long a request waits for a database connection before it gets 503: longer than a burst, shorter than the timeouts
/// of load balancers.
pub(super) const fn acquire_timeout() -> Duration {
    Duration::from_secs(3)
}

/// The maximum number of queued passwords of all batches, and likewise of those whose strength is to be checked: a limit on
/// memory (about 20 MiB each), in addition to the limit on time, `batch.max_wait_seconds`. If the queue is empty, a batch is
/// always accepted.
pub(super) const fn hash_queue() -> usize {
    20_000
}
