//! Baselines: the least work that produces the same result.

mod hashes;
mod pgbench;
mod rows;

pub use hashes::{Hashes, libsodium};
pub use pgbench::{Lookup, Pgbench};
pub use rows::{Rows, execute, fill, forget_users, insert_select, settle};

use sqlx::postgres::PgConnectOptions;
use std::process::Command;

/// A PostgreSQL client program for a database.
fn program(name: &str, database: &PgConnectOptions) -> Command {
    let mut command = Command::new(name);
    command.args(["-h", database.get_host(), "-U", "muster"]);
    command
}
