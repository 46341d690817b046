//! Three instances on one machine and one database, compared with one instance: sharing must cost nothing.

use super::client::{Client, saturate};
use super::{CLOSE_PAIRS, Served, pairs};
use crate::Line;
use crate::baseline::settle;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::sso;

/// Client connections, divided among the instances.
const CONNECTIONS: usize = 15;
const SECONDS: u64 = 2;

/// One instance with the default settings, and three on the same database that divide its threads and database connections, as
/// `docs/how-to/several-instances.md` recommends.
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

    /// Starts and warms up all instances: the key is cached, the connections are open, the database is vacuumed.
    fn ready() -> Self {
        let instances = Self::start();
        for (to, clients) in [("one", instances.to_one()), ("all", instances.to_all())] {
            saturate(clients, 1, |client, connection, n| {
                client.send_create(&format!("[{}]", sso(&format!("ready-{to}-{connection}-{n}@example.com"))), "");
            });
        }
        settle(&instances.one.database);
        instances
    }

    /// All client connections to the single instance.
    fn to_one(&self) -> Vec<Client> {
        (0..CONNECTIONS).map(|_| self.one.client()).collect()
    }

    /// A third of the client connections to each of the three instances.
    fn to_all(&self) -> Vec<Client> {
        let key = self.one.server.key.as_deref().unwrap();
        let instances = self.three.iter().cycle();
        (0..CONNECTIONS).zip(instances).map(|(_, instance)| Client::new(instance.address, key)).collect()
    }
}

/// Fresh instances and a fresh database for each pair, so that effects of a process's memory layout average out.
#[derive(Default)]
struct PerPair(Option<(usize, Instances)>);

impl PerPair {
    fn get(&mut self, pair: usize) -> &Instances {
        if self.0.as_ref().is_none_or(|(of, _)| *of != pair) {
            // Stop the previous instances first.
            self.0 = None;
            self.0 = Some((pair, Instances::ready()));
        }
        &self.0.as_ref().unwrap().1
    }
}

pub fn lines() -> Vec<Line> {
    vec![reading(), creating()]
}

const USERINFO: &str = "/api/v2/userinfo/";

fn reading() -> Line {
    let send = |client: &mut Client, _: usize, _: usize| client.send_get(USERINFO);
    let rates = pairs(
        CLOSE_PAIRS,
        &mut PerPair::default(),
        |of, pair| saturate(of.get(pair).to_one(), SECONDS, send),
        |of, pair| saturate(of.get(pair).to_all(), SECONDS, send),
    );
    Line::at_least(
        "userinfo, requests/s of three instances / of one",
        rates.ratio,
        1.0,
        format!("{:.2} ({:.0} / {:.0})", rates.ratio, rates.b, rates.a),
    )
}

fn creating() -> Line {
    let send = |of: &'static str| {
        move |client: &mut Client, connection: usize, n: usize| {
            client.send_create(&format!("[{}]", sso(&format!("{of}-{connection}-{n}@example.com"))), "");
        }
    };
    let rates = pairs(
        CLOSE_PAIRS,
        &mut PerPair::default(),
        |of, pair| saturate(of.get(pair).to_one(), SECONDS, send("one")),
        |of, pair| saturate(of.get(pair).to_all(), SECONDS, send("all")),
    );
    Line::at_least(
        "single creates, requests/s of three instances / of one",
        rates.ratio,
        1.0,
        format!("{:.2} ({:.0} / {:.0})", rates.ratio, rates.b, rates.a),
    )
}
