//! A server with metrics, and the values of its metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;

use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, Answer, migrated_database};

pub struct Watched {
    pub server: ServerProcess,
    pub metrics: SocketAddr,
    pub owner: Actor,
}

impl Watched {
    pub async fn start(change: impl FnOnce(&mut Command)) -> Self {
        let database = migrated_database().await;
        let mut command = muster();
        command
            .env("MUSTER_DATABASE__URL", url(&database))
            .env("MUSTER_METRICS__LISTEN", "127.0.0.1:0")
            .env("MUSTER_LOG__LEVEL", "warn");
        change(&mut command);
        let server = ServerProcess::start(&mut command);
        let owner = server.actor(server.key.as_deref().unwrap());
        let metrics = server
            .announced
            .iter()
            .find_map(|line| line.strip_prefix("metrics: http://")?.strip_suffix("/metrics"))
            .unwrap_or_else(|| panic!("{:?}", server.announced));
        let metrics = metrics.parse().unwrap();
        Self { server, metrics, owner }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Actor::new(self.metrics, None).get(path).await
    }

    pub async fn read(&self) -> Values {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200);
        Values::of(&answer.text)
    }
}

/// Values by series, such as `name{label="value"}`.
#[derive(Debug)]
pub struct Values(pub BTreeMap<String, f64>);

impl Values {
    pub fn of(text: &str) -> Self {
        let series = text.lines().filter(|line| !line.starts_with('#'));
        Self(
            series
                .map(|line| {
                    let (series, value) = line.rsplit_once(' ').unwrap();
                    (series.to_owned(), value.parse().unwrap())
                })
                .collect(),
        )
    }

    pub fn get(&self, series: &str) -> f64 {
        let known =
            || self.0.keys().filter(|key| key.starts_with(series.split('{').next().unwrap())).collect::<Vec<_>>();
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", known()))
    }

    /// The names of all series.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.keys().map(|series| series.split('{').next().unwrap()).collect();
        names.dedup();
        names
    }
}
