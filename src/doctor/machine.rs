//! The memory of the machine, compared with what hashing needs.

use std::path::Path;

use super::Finding;
use crate::config::Config;

const MIB: u64 = 1024 * 1024;

/// Memory in addition to hashing, with a batch of the maximum length.
const BASE: u64 = 200 * MIB;

/// The additional memory of verifying an imported hash.
const IMPORTED_HASH: u64 = 256 * MIB;

/// The number of hash threads.
pub(super) fn hash_threads(config: &Config) -> usize {
    match config.passwords.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    }
}

/// The load average of the last minute per core (`loadavg`, proc(5)); `None` if the system does not report it.
pub(super) fn load(proc: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(proc.join("loadavg")).ok()?;
    let load: f64 = text.split(' ').next()?.parse().ok()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Some(load / f64::from(u32::try_from(cores).ok()?))
}

pub(super) fn memory(config: &Config) -> Finding {
    let hashing = u64::try_from(hash_threads(config)).unwrap_or(u64::MAX);
    let hashing = hashing.saturating_mul(u64::from(config.passwords.memory_kib)).saturating_mul(1024);
    assess(hashing, limit(Path::new("/proc"), Path::new("/sys/fs/cgroup")))
}

/// `hashing` and the limit are in bytes; the limit comes with its source.
pub(super) fn assess(hashing: u64, limit: Option<(u64, &str)>) -> Finding {
    const CHECK: &str = "machine.memory";
    let hashing_mib = hashing.div_ceil(MIB);
    let Some((limit, source)) = limit else {
        return Finding::ok(CHECK, format!("hashing needs {hashing_mib} MiB; the memory of this machine is unknown"));
    };
    let found = format!("hashing needs {hashing_mib} MiB of the {} MiB {source}", limit / MIB);
    let advice = "raise the limit, or lower `passwords.threads` (each thread needs `passwords.memory_kib`)";
    if hashing.saturating_add(BASE) > limit {
        return Finding::problem(
            CHECK,
            found,
            "the system kills muster when it hashes a batch (out of memory)",
            advice,
        );
    }
    if hashing.saturating_add(BASE).saturating_add(IMPORTED_HASH) > limit {
        return Finding::warning(
            CHECK,
            found,
            "a sign-in with an imported hash may need 256 MiB more, and the system would kill muster",
            advice,
        );
    }
    Finding::ok(CHECK, found)
}

/// The memory of the machine or the limit of the control group, whichever is less, in bytes.
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

/// The least limit of the process's control group and its parents: cgroups(7), versions 2 and 1.
fn group_limit(proc: &Path, cgroup: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(proc.join("self/cgroup")).ok()?;
    let mut files = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (root, file) = match controllers {
            "" => (cgroup.to_path_buf(), "memory.max"),
            list if list.split(',').any(|controller| controller == "memory") => {
                (cgroup.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // In a container, the path may be that of the host, and only the root is visible.
        files.extend(Path::new(path).ancestors().map(|group| root.join(group).join(file)));
    }
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}
