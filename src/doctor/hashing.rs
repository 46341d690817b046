//! Measures Argon2id on this machine, with the configured parameters and with common alternatives.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Finding, machine};
use crate::config::Config;
use crate::passwords::{Parameters, Policy, Pool};

const CHECK: &str = "passwords.speed";

/// Alternatives: the rows of OWASP ASVS 5.0, appendix C, and the second recommendation of RFC 9106 with one lane. KiB and
/// iterations.
const ALTERNATIVES: [(u32, u32); 4] = [(19456, 2), (47104, 1), (12288, 3), (65536, 3)];

/// Rounds of one hash on every thread; the median counts.
const ROUNDS: usize = 3;

/// The longest acceptable hash in milliseconds (OWASP: less than a second).
const MAX_MILLISECONDS: f64 = 1000.0;

/// The load per core above which the measurement is unreliable.
const BUSY_LOAD: f64 = 1.0;

/// The cost of Argon2id on this machine with one set of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Memory per hash, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Number of lanes.
    pub parallelism: u32,
    /// Duration of a hash while all threads hash, in milliseconds.
    pub milliseconds: f64,
    /// Hashes per second, on all threads together.
    pub per_second: f64,
}

/// Measures the configured parameters, and then alternatives with up to four times the memory, on the same kind of pool
/// that the server uses.
pub(super) async fn measure(config: &Config) -> Vec<Cost> {
    let set = (config.passwords.memory_kib, config.passwords.iterations, config.passwords.parallelism);
    let others = ALTERNATIVES.iter().map(|(memory, iterations)| (*memory, *iterations, 1));
    let others = others.filter(|other| *other != set && other.0 <= set.0.saturating_mul(4));
    let mut costs = Vec::new();
    for (memory_kib, iterations, parallelism) in std::iter::once(set).chain(others) {
        costs.extend(cost(config, memory_kib, iterations, parallelism).await);
    }
    costs
}

async fn cost(config: &Config, memory_kib: u32, iterations: u32, parallelism: u32) -> Option<Cost> {
    let parameters = Parameters::new(memory_kib, iterations, parallelism).ok()?;
    let threads = machine::hash_threads(config);
    let pool = Pool::start(parameters, threads, usize::MAX, Duration::MAX).ok()?;
    // Satisfies every policy.
    let policy = Policy::new(config.passwords.min_length, config.passwords.min_strength);
    let password = policy.check(&hex::encode(rand::random::<[u8; 128]>()), &[]).ok()?;
    let round = || async {
        let begun = Instant::now();
        pool.hash_batch(vec![password.clone(); threads], std::sync::Arc::default()).await.ok()?;
        Some(begun.elapsed().as_secs_f64() * 1000.0)
    };
    // The first round allocates the memory.
    round().await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(round().await?);
    }
    rounds.sort_by(f64::total_cmp);
    let milliseconds = *rounds.get(ROUNDS / 2)?;
    let per_second = f64::from(u32::try_from(threads).ok()?) * 1000.0 / milliseconds;
    let (milliseconds, per_second) = (tenths(milliseconds), tenths(per_second));
    Some(Cost { memory_kib, iterations, parallelism, milliseconds, per_second })
}

/// Rounds to the precision of the measurement.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// `load`: the load per core before the measurement.
pub(super) fn assess(config: &Config, cost: Option<&Cost>, load: Option<f64>) -> Finding {
    let Some(Cost { memory_kib, iterations, parallelism, milliseconds, per_second }) = cost else {
        return Finding::warning(
            CHECK,
            "not measured",
            "the duration of batches is unknown",
            "make sure that the hash threads can allocate their memory, and retry",
        );
    };
    let users = u32::try_from(config.batch.max_users).unwrap_or(u32::MAX);
    let mut found = format!(
        "argon2id with m={memory_kib} KiB, t={iterations}, p={parallelism}: {milliseconds:.0} ms per hash, {per_second:.0} per \
         second on {} threads; {users} passwords take {:.0} s",
        machine::hash_threads(config),
        f64::from(users) / per_second
    );
    if let Some(load) = load.filter(|load| *load > BUSY_LOAD) {
        found.push_str(&format!("; measured under load ({load:.1} per core), so the machine is faster when idle"));
    }
    if *milliseconds > MAX_MILLISECONDS {
        return Finding::warning(
            CHECK,
            found,
            "each sign-in takes as long, and few can happen at the same time",
            "lower `passwords.memory_kib` and `passwords.iterations`, down to the minimum of OWASP ASVS 5.0",
        );
    }
    Finding::ok(CHECK, found)
}
