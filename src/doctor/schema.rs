//! Whether the tables are as the migrations made them, by the names of what they are made of.
//!
//! # Decisions
//!
//! *Compared with a list that is kept beside this file*, not with what the list of applied migrations says: that stays
//! what it was when somebody drops a table or restores half of a backup. A test makes sure that the list is what the
//! migrations make. What is there besides is nobody's business: others may have tables and indexes of their own.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::{Finding, read};

/// What the migrations make: `table users`, `column users.name`, `constraint users.users_pkey`, `index users.users_name`.
pub const OBJECTS: &str = include_str!("schema.txt");

/// How much of what is missing is named.
const NAMED: usize = 5;

/// What is there, in the words of [`OBJECTS`].
///
/// # Errors
/// Those of the database.
pub async fn objects(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    read::objects(connection).await
}

/// What is missing, tables first. Of a table that is, nothing else is named.
pub(super) fn missing(there: &[String]) -> Vec<&'static str> {
    let there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
    let missing: Vec<&str> = OBJECTS.lines().filter(|object| !there.contains(object)).collect();
    let is_of_missing_table = |object: &&str| {
        let table = object.split_once(' ').and_then(|(_, name)| name.split_once('.')).map(|(table, _)| table);
        table.is_some_and(|table| missing.iter().any(|other| other.strip_prefix("table ") == Some(table)))
    };
    let mut named: Vec<&str> = missing.iter().filter(|object| !is_of_missing_table(object)).copied().collect();
    named.sort_by_key(|object| !object.starts_with("table "));
    named
}

pub(super) fn judge(missing: &[&str]) -> Finding {
    const CHECK: &str = "database.schema";
    if missing.is_empty() {
        return Finding::ok(CHECK, "nothing of what the migrations made is missing");
    }
    let more = missing.len().saturating_sub(NAMED);
    let mut named: Vec<String> = missing.iter().take(NAMED).map(|object| (*object).to_owned()).collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    Finding::problem(
        CHECK,
        format!("missing: {}", named.join(", ")),
        "requests that need it get 500; where a constraint or a trigger is missing, nothing keeps bad rows out",
        "find out who removed it, and restore the database from a backup; migrations that have run do not run again",
    )
}
