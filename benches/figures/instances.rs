//! Several instances that share a machine, against one that has it to itself: that they share a database costs nothing.

use super::client::{Client, saturate};
use super::{Served, paired};
use crate::Line;
use crate::baseline::settle;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::sso;

/// Connections, shared out among the instances.
const CONNECTIONS: usize = 15;
const SECONDS: u64 = 6;

/// One instance as it comes, and on the same database three that share out what that has, as
/// `docs/how-to/several-instances.md` says: its threads, and its connections to the database.
struct Instances {
    one: Served,
    three: [ServerProcess; 3],
}

impl Instances {
    fn start() -> Self {
        let one = Served::start();
        let a_third = || {
            ServerProcess::start(
                muster()
                    .env("MUSTER_DATABASE__URL", url(&one.database))
                    .env("MUSTER_DATABASE__CONNECTIONS", "3")
                    .env("MUSTER_DATABASE__BATCH_CONNECTIONS", "5")
                    .env("MUSTER_SERVER__WORKERS", "1")
                    .env("MUSTER_PASSWORDS__THREADS", "1")
                    .env("MUSTER_LOG__LEVEL", "error"),
            )
        };
        let three = [a_third(), a_third(), a_third()];
        Self { one, three }
    }

    /// All connections to the one instance.
    fn to_one(&self) -> Vec<Client> {
        (0..CONNECTIONS).map(|_| self.one.client()).collect()
    }

    /// A third of the connections to each of the instances.
    fn to_all(&self) -> Vec<Client> {
        let key = self.one.server.key.as_deref().unwrap();
        let instances = self.three.iter().cycle();
        (0..CONNECTIONS).zip(instances).map(|(_, instance)| Client::new(instance.address, key)).collect()
    }
}

pub fn lines() -> Vec<Line> {
    let mut instances = Instances::start();
    // All of them know the key, and have their connections to the database.
    for clients in [instances.to_one(), instances.to_all()] {
        saturate(clients, 1, |client, _, _| client.ask(USERINFO));
    }
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
    settle(&instances.one.database);
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
