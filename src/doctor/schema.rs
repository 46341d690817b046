//! Whether the schema has all objects that the migrations create.
//!
//! # Decisions
//!
//! *The schema is compared with a list of objects*, not with the recorded migrations: the record does not change when an
//! administrator drops a table or restores half a backup. A test keeps the list current. Additional objects are allowed.

use std::collections::BTreeSet;

use super::Finding;

/// The objects that the migrations create: `table users`, `column users.name`, `constraint users.users_pkey`, `index users.users_name`.
pub const OBJECTS: &str = include_str!("schema.txt");

/// How many missing objects the finding names.
const MAX_NAMED: usize = 5;

/// The missing objects, tables first, without the columns, constraints, indexes and triggers of missing tables.
pub(super) fn missing(existing: &[String]) -> Vec<&'static str> {
    let existing: BTreeSet<&str> = existing.iter().map(String::as_str).collect();
    let missing: Vec<&str> = OBJECTS.lines().filter(|object| !existing.contains(object)).collect();
    let is_of_missing_table = |object: &&str| {
        let table = object.split_once(' ').and_then(|(_, name)| name.split_once('.')).map(|(table, _)| table);
        table.is_some_and(|table| missing.iter().any(|other| other.strip_prefix("table ") == Some(table)))
    };
    let mut named: Vec<&str> = missing.iter().filter(|object| !is_of_missing_table(object)).copied().collect();
    named.sort_by_key(|object| !object.starts_with("table "));
    named
}

pub(super) fn assess(missing: &[&str]) -> Finding {
    const CHECK: &str = "database.schema";
    if missing.is_empty() {
        return Finding::ok(CHECK, "complete");
    }
    let more = missing.len().saturating_sub(MAX_NAMED);
    let mut named: Vec<String> = missing.iter().take(MAX_NAMED).map(|object| (*object).to_owned()).collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    Finding::problem(
        CHECK,
        format!("missing: {}", named.join(", ")),
        "requests that need them get 500; without a constraint or trigger, invalid rows can be written",
        "find out who removed them, and restore the database from a backup; applied migrations do not run again",
    )
}
