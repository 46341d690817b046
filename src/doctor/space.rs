//! The disk of the embedded PostgreSQL. The disk of another database server can't be checked from here.

use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::Finding;

const CHECK: &str = "machine.disk";
const MIB: u64 = 1024 * 1024;

/// Free space below which PostgreSQL is about to stop: its WAL has files of 16 MiB.
const PROBLEM: u64 = 256 * MIB;

/// Free space below which to warn, or a tenth of the disk.
const WARNING: u64 = 2048 * MIB;

pub(super) fn examine(data_dir: &Path) -> Finding {
    match statvfs(data_dir) {
        // u32 on some systems.
        Ok(disk) => {
            #[allow(
                clippy::useless_conversion,
                clippy::unnecessary_fallible_conversions,
                reason = "u32 on some systems"
            )]
            let bytes = |blocks| u64::try_from(blocks).unwrap_or(u64::MAX).saturating_mul(disk.fragment_size());
            assess(data_dir, bytes(disk.blocks_available()), bytes(disk.blocks()))
        }
        Err(error) => Finding::warning(
            CHECK,
            format!("{}: {error}", data_dir.display()),
            "the free space is unknown",
            "check the permissions of the directory",
        ),
    }
}

/// `free` and `total` are in bytes.
pub(super) fn assess(data_dir: &Path, free: u64, total: u64) -> Finding {
    let found = format!("{} MiB of {} MiB free in {}", free / MIB, total / MIB, data_dir.display());
    let meaning = "when the disk is full, PostgreSQL stops and muster answers 503";
    let advice = "free space, or move the data directory to a larger disk";
    if free < PROBLEM {
        Finding::problem(CHECK, found, meaning, advice)
    } else if free < WARNING || free < total / 10 {
        Finding::warning(CHECK, found, meaning, advice)
    } else {
        Finding::ok(CHECK, found)
    }
}
