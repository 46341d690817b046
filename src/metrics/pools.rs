//! Gauges of the hash queue and the database pools, read at scrape time.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::passwords::Pool;
use crate::postgres::{Database, Usage};

#[derive(Debug)]
pub(super) struct HashQueue(pub(super) Arc<Pool>);

impl Collector for HashQueue {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let waiting = self.0.waiting();
        let lanes = [("single", waiting.singles), ("batch", waiting.of_batches), ("check", waiting.unchecked)];
        let lanes = lanes.map(|(lane, waiting)| ([("lane", lane)], gauge(waiting)));
        family(&mut encoder, "hash_queue_length", "Passwords waiting for a hash thread.", &lanes)?;
        let threads = encoder.encode_descriptor("hash_threads", "Hash threads.", None, MetricType::Gauge)?;
        ConstGauge::new(gauge(self.0.threads())).encode(threads)
    }
}

#[derive(Debug)]
pub(super) struct Connections(pub(super) Database);

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let usage = self.0.usage();
        let mut connections = Vec::new();
        for Usage { pool, idle, in_use, .. } in &usage {
            connections.push(([("pool", *pool), ("state", "idle")], i64::from(*idle)));
            connections.push(([("pool", *pool), ("state", "in_use")], i64::from(*in_use)));
        }
        family(&mut encoder, "database_connections", "Open database connections.", &connections)?;
        let max: Vec<_> = usage.iter().map(|usage| ([("pool", usage.pool)], i64::from(usage.max))).collect();
        family(&mut encoder, "database_connections_max", "Largest number of database connections.", &max)
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn family<const N: usize>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: &[([(&'static str, &'static str); N], i64)],
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(*value).encode(family.encode_family(labels)?)?;
    }
    Ok(())
}
