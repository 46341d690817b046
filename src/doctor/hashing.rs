//! How fast this machine hashes, and what other parameters would cost.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Finding, machine};
use crate::config::Config;
use crate::passwords::{Parameters, Policy, Pool};

const CHECK: &str = "passwords.speed";

/// Parameters that are compared with those that are set: the rows of OWASP ASVS 5.0, appendix C, and the second choice
/// of RFC 9106 with one lane. KiB and iterations.
const OTHERS: [(u32, u32); 4] = [(19456, 2), (47104, 1), (12288, 3), (65536, 3)];

/// Hashes on each thread at the same time. The median counts.
const ROUNDS: usize = 3;

/// The longest that a hash should take (OWASP: less than a second).
const SLOW: f64 = 1000.0;

/// From which load on, for each core, the figures are those of a busy machine.
const BUSY: f64 = 1.0;

/// What argon2id costs here with one choice of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// KiB for each hash.
    pub memory_kib: u32,
    /// How often they are gone over.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// How long one hash takes while all threads hash, in milliseconds.
    pub milliseconds: f64,
    /// Hashes a second, on all threads.
    pub per_second: f64,
}

/// Measures the parameters that are set, and then the others that take no more memory than four times that. With the
/// pool that hashes in production, its priority and its memory.
pub(super) async fn measure(config: &Config) -> Vec<Cost> {
    let set = (config.passwords.memory_kib, config.passwords.iterations, config.passwords.parallelism);
    let others = OTHERS.iter().map(|(memory, iterations)| (*memory, *iterations, 1));
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
    // Strong enough for any policy, long enough for any length.
    let password = Policy::new(&config.passwords).check(&hex::encode(rand::random::<[u8; 128]>()), &[]).ok()?;
    let round = || async {
        let begun = Instant::now();
        pool.hash_batch(vec![password.clone(); threads], std::sync::Arc::default()).await.ok()?;
        Some(begun.elapsed().as_secs_f64() * 1000.0)
    };
    // The first touches the memory.
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

/// As exact as it is measured.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// `load` of the machine for each core, before it was measured.
pub(super) fn judge(config: &Config, cost: Option<&Cost>, load: Option<f64>) -> Finding {
    let Some(Cost { memory_kib, iterations, parallelism, milliseconds, per_second }) = cost else {
        return Finding::warning(
            CHECK,
            "not measured",
            "how long a batch takes is not known",
            "mend what keeps hashing from its memory, and try again",
        );
    };
    let users = u32::try_from(config.batch.max_users).unwrap_or(u32::MAX);
    let mut found = format!(
        "argon2id with m={memory_kib} KiB, t={iterations}, p={parallelism}: {milliseconds:.0} ms a hash, {per_second:.0} a \
         second on {} threads; {users} passwords take {:.0} s",
        machine::hash_threads(config),
        f64::from(users) / per_second
    );
    if let Some(load) = load.filter(|load| *load > BUSY) {
        found.push_str(&format!("; measured while others were at work (load {load:.1} a core): it is faster alone"));
    }
    if *milliseconds > SLOW {
        return Finding::warning(
            CHECK,
            found,
            "each sign-in takes as long, and few can be at it at the same time",
            "lower passwords.memory_kib and passwords.iterations, to what OWASP ASVS 5.0 allows at the least",
        );
    }
    Finding::ok(CHECK, found)
}
