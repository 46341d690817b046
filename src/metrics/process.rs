//! The process, as every client library of Prometheus names it. What a system can't tell is left out.

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

/// The process, since it started.
#[derive(Debug)]
pub(super) struct Process {
    started: f64,
}

impl Process {
    pub(super) fn started(now: DateTime<Utc>) -> Self {
        Self { started: seconds(now.timestamp(), now.timestamp_subsec_micros()) }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            let used = of(usage.user_time()) + of(usage.system_time());
            let help = "Processor time, of user and system.";
            let cpu = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
            ConstCounter::new(used).encode(cpu)?;
        }
        let mut gauge = |name: &str, help: &str, value: Option<i64>| match value {
            None => Ok(()),
            Some(value) => {
                ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
            }
        };
        gauge("process_resident_memory_bytes", "Resident memory.", resident())?;
        gauge("process_threads", "Threads.", entries("/proc/self/task"))?;
        gauge("process_open_fds", "Open file descriptors.", entries("/proc/self/fd"))?;
        let most = getrlimit(Resource::RLIMIT_NOFILE).ok().and_then(|(most, _)| i64::try_from(most).ok());
        gauge("process_max_fds", "The most file descriptors that may be open.", most)?;
        let help = "When muster started, in seconds since 1970.";
        let start = encoder.encode_descriptor("process_start_time_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(self.started).encode(start)
    }
}

/// Bytes of memory that the process has in use: the second number of Linux' `statm`, in pages.
fn resident() -> Option<i64> {
    let pages: i64 = fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(sysconf(SysconfVar::PAGE_SIZE).ok()??)
}

fn entries(folder: &str) -> Option<i64> {
    fs::read_dir(folder).ok().and_then(|entries| i64::try_from(entries.count()).ok())
}

fn of(time: TimeVal) -> f64 {
    seconds(time.tv_sec(), u32::try_from(time.tv_usec()).unwrap_or_default())
}

/// Exact up to the year 2106.
fn seconds(whole: i64, micros: u32) -> f64 {
    f64::from(u32::try_from(whole).unwrap_or_default()) + f64::from(micros) / 1e6
}
