//! The account and the machine from which the local operator acts, which the operator's events name.
//!
//! They tell which administrator acted, as far as the system knows. An administrator of the database can write any event, so they
//! identify honest operators only.

use std::sync::LazyLock;

use nix::sys::utsname::uname;
use nix::unistd::{Uid, User};
use serde_json::{Map, Value};

use crate::config::environment;

static OPERATOR: LazyLock<Map<String, Value>> = LazyLock::new(read);

/// The fields `os_user`, `host` and, under `sudo`, `sudo_user`.
pub(super) fn details() -> &'static Map<String, Value> {
    &OPERATOR
}

fn read() -> Map<String, Value> {
    let uid = Uid::current();
    let name = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    let host = uname().ok().and_then(|system| system.nodename().to_str().map(str::to_owned));
    [("os_user", Some(name)), ("sudo_user", environment("SUDO_USER")), ("host", host)]
        .into_iter()
        .filter_map(|(field, value)| Some((field.to_owned(), Value::from(value?))))
        .collect()
}
