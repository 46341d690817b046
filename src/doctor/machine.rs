//! The memory that there is, against what hashing takes.

use std::path::Path;

use super::Finding;
use crate::config::Config;

const MIB: u64 = 1024 * 1024;

/// What muster takes besides hashing, with a batch of the greatest length in it.
const BESIDES: u64 = 200 * MIB;

/// What verifying a hash that was made elsewhere may take on top, for a moment.
const IMPORTED: u64 = 256 * MIB;

/// How many threads hash.
pub(super) fn hash_threads(config: &Config) -> usize {
    match config.passwords.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        some => some,
    }
}

/// How many threads have wanted to run in the last minute, for each core: the first number of `loadavg`, proc(5). `None`
/// where that can't be told.
pub(super) fn load(proc: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(proc.join("loadavg")).ok()?;
    let load: f64 = text.split(' ').next()?.parse().ok()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Some(load / f64::from(u32::try_from(cores).ok()?))
}

pub(super) fn memory(config: &Config) -> Finding {
    let hashing = u64::try_from(hash_threads(config)).unwrap_or(u64::MAX);
    let hashing = hashing.saturating_mul(u64::from(config.passwords.memory_kib)).saturating_mul(1024);
    judge(hashing, limit(Path::new("/proc"), Path::new("/sys/fs/cgroup")))
}

/// `hashing` and the limit in bytes; the limit with what sets it.
pub(super) fn judge(hashing: u64, limit: Option<(u64, &str)>) -> Finding {
    const CHECK: &str = "machine.memory";
    let hashing_mib = hashing.div_ceil(MIB);
    let Some((limit, whose)) = limit else {
        return Finding::ok(CHECK, format!("hashing takes {hashing_mib} MiB; how much there is can't be told here"));
    };
    let found = format!("hashing takes {hashing_mib} MiB of the {} MiB {whose}", limit / MIB);
    let advice = "raise the limit, or lower passwords.threads (each hashes with passwords.memory_kib)";
    if hashing.saturating_add(BESIDES) > limit {
        return Finding::problem(CHECK, found, "the system ends muster when a batch is hashed", advice);
    }
    if hashing.saturating_add(BESIDES).saturating_add(IMPORTED) > limit {
        return Finding::warning(
            CHECK,
            found,
            "a sign-in with a hash that was made elsewhere may take 256 MiB more, and end muster",
            advice,
        );
    }
    Finding::ok(CHECK, found)
}

/// The least of what the machine has and of what the control group and those around it allow, in bytes.
pub(super) fn limit(proc: &Path, cgroup: &Path) -> Option<(u64, &'static str)> {
    let machine = machine_memory(proc).map(|bytes| (bytes, "of this machine"));
    let group = group_limit(proc, cgroup).map(|bytes| (bytes, "that the control group (container) allows"));
    [machine, group].into_iter().flatten().min_by_key(|(bytes, _)| *bytes)
}

/// `MemTotal:       16384000 kB`, of proc(5).
fn machine_memory(proc: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(proc.join("meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit of the process's control group and of those around it: cgroups(7), versions 2 and 1.
fn group_limit(proc: &Path, cgroup: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(proc.join("self/cgroup")).ok()?;
    let mut files = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (root, file) = match controllers {
            "" => (cgroup.to_path_buf(), "memory.max"),
            some if some.split(',').any(|one| one == "memory") => (cgroup.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        // In a container the path may be the one outside; then only the root is there.
        files.extend(Path::new(path).ancestors().map(|group| root.join(group).join(file)));
    }
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}
