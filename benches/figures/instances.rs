//! Several instances on one machine, against one: that they share a database costs nothing.

use super::client::{Client, saturate};
use super::{Served, paired};
use crate::Line;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::sso;

/// Connections, shared out among the instances.
const CONNECTIONS: usize = 15;
const SECONDS: u64 = 4;

/// One instance, and two more on the same database.
struct Instances {
    one: Served,
    others: [ServerProcess; 2],
}

impl Instances {
    fn start() -> Self {
        let one = Served::start();
        let another = || {
            ServerProcess::start(
                muster().env("MUSTER_DATABASE__URL", url(&one.database)).env("MUSTER_LOG__LEVEL", "error"),
            )
        };
        let others = [another(), another()];
        Self { one, others }
    }

    /// All connections to the one instance.
    fn to_one(&self) -> Vec<Client> {
        (0..CONNECTIONS).map(|_| self.one.client()).collect()
    }

    /// A third of the connections to each of the instances.
    fn to_all(&self) -> Vec<Client> {
        let key = self.one.server.key.as_deref().unwrap();
        let [second, third] = &self.others;
        let addresses = [self.one.server.address, second.address, third.address];
        (0..CONNECTIONS).map(|n| Client::new(addresses[n % addresses.len()], key)).collect()
    }
}

pub fn lines() -> Vec<Line> {
    let mut instances = Instances::start();
    // All of them know the key, and have their connections to the database.
    saturate(instances.to_all(), 1, |client, _, _| client.ask(USERINFO));
    vec![reading(&mut instances), creating(&mut instances)]
}

const USERINFO: &str = "/api/v2/userinfo/";

fn reading(instances: &mut Instances) -> Line {
    let ask = |client: &mut Client, _: usize, _: usize| client.ask(USERINFO);
    let rates = paired(
        instances,
        |instances, _| saturate(instances.to_one(), SECONDS, ask),
        |instances, _| saturate(instances.to_all(), SECONDS, ask),
    );
    Line::at_least(
        "userinfo a second, from three instances / from one",
        rates.ratio,
        1.0,
        format!("{:.2} ({:.0} / {:.0})", rates.ratio, rates.b, rates.a),
    )
}

fn creating(instances: &mut Instances) -> Line {
    let ask = |of: &'static str, pair: usize| {
        move |client: &mut Client, connection: usize, n: usize| {
            client.ask_for(&format!("[{}]", sso(&format!("{of}{pair}-{connection}-{n}@example.com"))), "");
        }
    };
    let rates = paired(
        instances,
        |instances, pair| saturate(instances.to_one(), SECONDS, ask("one", pair)),
        |instances, pair| saturate(instances.to_all(), SECONDS, ask("all", pair)),
    );
    Line::at_least(
        "users created one by one a second, by three instances / by one",
        rates.ratio,
        1.0,
        format!("{:.2} ({:.0} / {:.0})", rates.ratio, rates.b, rates.a),
    )
}
