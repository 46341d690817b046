//! Process metrics, with the standard names of Prometheus client libraries. Values the system does not provide are
//! left out.

use std::fmt;
use std::fs;

use chrono::{DateTime, Utc};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeVal;
use nix::unistd::{SysconfVar, sysconf};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Process metrics; `started` is in seconds since 1970.
#[derive(Debug)]
pub(super) struct ProcessMetrics {
    started: f64,
}

impl ProcessMetrics {
    pub(super) fn started(now: DateTime<Utc>) -> Self {
        Self { started: seconds(now.timestamp(), now.timestamp_subsec_micros()) }
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            let used = time_seconds(usage.user_time()) + time_seconds(usage.system_time());
            let help = "User and system CPU time.";
            let cpu = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
            ConstCounter::new(used).encode(cpu)?;
        }
        let mut gauge = |name: &str, help: &str, value: Option<i64>| match value {
            None => Ok(()),
            Some(value) => {
                ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
            }
        };
        gauge("process_resident_memory_bytes", "Resident memory size.", resident_bytes())?;
        gauge("process_threads", "OS threads.", count_entries("/proc/self/task"))?;
        gauge("process_open_fds", "Open file descriptors.", count_entries("/proc/self/fd"))?;
        let max = getrlimit(Resource::RLIMIT_NOFILE).ok().and_then(|(soft, _)| i64::try_from(soft).ok());
        gauge("process_max_fds", "Limit of open file descriptors.", max)?;
        let help = "Start time, in seconds since 1970.";
        let start = encoder.encode_descriptor("process_start_time_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(self.started).encode(start)
    }
}

/// Resident memory in bytes: the second number of Linux's `/proc/self/statm`, in pages.
fn resident_bytes() -> Option<i64> {
    let pages: i64 = fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(sysconf(SysconfVar::PAGE_SIZE).ok()??)
}

fn count_entries(folder: &str) -> Option<i64> {
    fs::read_dir(folder).ok().and_then(|entries| i64::try_from(entries.count()).ok())
}

fn time_seconds(time: TimeVal) -> f64 {
    seconds(time.tv_sec(), u32::try_from(time.tv_usec()).unwrap_or_default())
}

/// Seconds as a float. Times after the year 2106 become 0.
fn seconds(whole: i64, micros: u32) -> f64 {
    f64::from(u32::try_from(whole).unwrap_or_default()) + f64::from(micros) / 1e6
}
