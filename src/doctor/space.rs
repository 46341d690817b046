//! The disk under the private PostgreSQL. That of another server can't be seen from here.

use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::Finding;

const CHECK: &str = "machine.disk";
const MIB: u64 = 1024 * 1024;

/// Below this PostgreSQL is about to stop: it writes its log in files of 16 MiB.
const PROBLEM: u64 = 256 * MIB;

/// Below this, or below a tenth of the disk, it is time to look after it.
const WARNING: u64 = 2048 * MIB;

pub(super) fn examine(data_dir: &Path) -> Finding {
    match statvfs(data_dir) {
        // Some systems count in u32.
        Ok(disk) => {
            #[allow(
                clippy::useless_conversion,
                clippy::unnecessary_fallible_conversions,
                reason = "u32 on some systems"
            )]
            let bytes = |blocks| u64::try_from(blocks).unwrap_or(u64::MAX).saturating_mul(disk.fragment_size());
            judge(data_dir, bytes(disk.blocks_available()), bytes(disk.blocks()))
        }
        Err(error) => Finding::warning(
            CHECK,
            format!("{}: {error}", data_dir.display()),
            "how much is free can't be told",
            "look at the folder's rights",
        ),
    }
}

/// What is free for muster, and all there is, in bytes.
pub(super) fn judge(data_dir: &Path, free: u64, all: u64) -> Finding {
    let found = format!("{} MiB of {} MiB free in {}", free / MIB, all / MIB, data_dir.display());
    let meaning = "when the disk is full PostgreSQL stops, and muster answers 503";
    let advice = "make room, or move the data directory to a larger disk";
    if free < PROBLEM {
        Finding::problem(CHECK, found, meaning, advice)
    } else if free < WARNING || free < all / 10 {
        Finding::warning(CHECK, found, meaning, advice)
    } else {
        Finding::ok(CHECK, found)
    }
}
