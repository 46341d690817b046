//! Several instances that share a machine, against one that has it to itself: that they share a database costs nothing.

use super::client::{Client, saturate};
use super::{CLOSE_PAIRS, Served, pairs};
use crate::Line;
use crate::baseline::settle;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::sso;

/// Connections, shared out among the instances.
const CONNECTIONS: usize = 15;
const SECONDS: u64 = 2;

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

    /// All of them have created users, so they know the key and have their connections; the database is tidy.
    fn ready() -> Self {
        let instances = Self::start();
        for (to, clients) in [("one", instances.to_one()), ("all", instances.to_all())] {
            saturate(clients, 1, |client, connection, n| {
                client.ask_for(&format!("[{}]", sso(&format!("ready-{to}-{connection}-{n}@example.com"))), "");
            });
        }
        settle(&instances.one.database);
        instances
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

/// For each pair others, in a database of their own: how a process happens to lie in memory falls now on one side, now on
/// the other.
#[derive(Default)]
struct OfPair(Option<(usize, Instances)>);

impl OfPair {
    fn get(&mut self, pair: usize) -> &Instances {
        if self.0.as_ref().is_none_or(|(of, _)| *of != pair) {
            // Those before end first.
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
    let ask = |client: &mut Client, _: usize, _: usize| client.ask(USERINFO);
    let rates = pairs(
        CLOSE_PAIRS,
        &mut OfPair::default(),
        |of, pair| saturate(of.get(pair).to_one(), SECONDS, ask),
        |of, pair| saturate(of.get(pair).to_all(), SECONDS, ask),
    );
    Line::at_least(
        "userinfo a second, from three instances / from one",
        rates.ratio,
        1.0,
        format!("{:.2} ({:.0} / {:.0})", rates.ratio, rates.b, rates.a),
    )
}

fn creating() -> Line {
    let ask = |of: &'static str| {
        move |client: &mut Client, connection: usize, n: usize| {
            client.ask_for(&format!("[{}]", sso(&format!("{of}-{connection}-{n}@example.com"))), "");
        }
    };
    let rates = pairs(
        CLOSE_PAIRS,
        &mut OfPair::default(),
        |of, pair| saturate(of.get(pair).to_one(), SECONDS, ask("one")),
        |of, pair| saturate(of.get(pair).to_all(), SECONDS, ask("all")),
    );
    Line::at_least(
        "users created one by one a second, by three instances / by one",
        rates.ratio,
        1.0,
        format!("{:.2} ({:.0} / {:.0})", rates.ratio, rates.b, rates.a),
    )
}
