//! The account of the system that the embedded PostgreSQL runs as when muster runs as root: PostgreSQL refuses to run as root.
//!
//! # Decisions
//!
//! *The account belongs to muster alone.* An account can read the data of every PostgreSQL that runs as it: the system's
//! `postgres` runs other databases, whose administrators would read muster's, and `nobody` is shared by many services.
//! These are used only where no account can be created, as in a container without `useradd` or with a read-only `/etc`.

use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, User};

/// The name of the account.
const NAME: &str = "muster-postgres";

/// The account to run as, which is created if necessary; `None` if none can be created, nor is there one to fall back to.
pub(super) fn prepare() -> Option<(Uid, Gid)> {
    find(NAME)
        .or_else(|| {
            create();
            // Another process may have created it first.
            find(NAME)
        })
        .or_else(|| ["postgres", "nobody"].into_iter().find_map(find))
}

fn find(name: &str) -> Option<(Uid, Gid)> {
    User::from_name(name).ok().flatten().map(|user| (user.uid, user.gid))
}

/// Creates the account with the program of most distributions, or with that of BusyBox. Without a password, a shell and a
/// home directory, nobody can log in as it.
fn create() {
    let useradd = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"];
    let adduser = ["adduser", "-S", "-D", "-H", "-h", "/nonexistent"];
    for (words, shell) in [(&useradd, "--shell"), (&adduser, "-s")] {
        let [program, arguments @ ..] = words;
        let mut command = Command::new(program);
        command.args(arguments).args([shell, "/usr/sbin/nologin", NAME]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if status.is_ok_and(|status| status.success()) {
            return;
        }
    }
}
