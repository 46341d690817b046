//! `kill -9` at every step of a batch: afterwards all of its users exist, or none.

use sqlx::ConnectOptions;

use crate::support::server::{ServerProcess, muster, url};
use crate::support::{BATCH, db_counts, migrated_database, with_password};

/// Every step at which a batch can be interrupted, in order, and how many of its three users exist after a restart.
const STEPS: [(&str, i64); 10] = [
    ("batch::authorized", 0),
    ("batch::received", 0),
    ("batch::checked", 0),
    ("batch::hashing", 0),
    ("batch::hashed", 0),
    ("batch::begun", 0),
    ("batch::inserted", 0),
    ("change::written", 0),
    ("change::audited", 0),
    ("batch::committed", 3),
];

#[test]
fn the_steps_are_complete() {
    let mut known: Vec<&str> = STEPS.iter().map(|(step, _)| *step).collect();
    let sources = ["batches/create.rs", "batches/job.rs", "batches/write.rs", "change.rs"]
        .map(|file| std::fs::read_to_string(format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap());
    let mut found: Vec<&str> = sources
        .iter()
        .flat_map(|text| text.split("failpoints::reach(\"").skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    // Reached only in a conflict: see `contention.rs`.
    known.push("batch::conflict");
    known.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_killed_at_any_step_exists_as_a_whole_or_not_at_all() {
    let users = serde_json::json!([
        with_password("a@example.com", "kT9$wqzPlr"),
        with_password("b@example.com", ""),
        crate::support::sso("c@example.com"),
    ]);
    for (step, expected) in STEPS {
        let database = migrated_database().await;
        let first = ServerProcess::start_on(&database);
        let key = first.key.clone().unwrap();
        drop(first);

        let mut command = muster();
        command.env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_KILL_AT", step);
        let mut doomed = ServerProcess::start(&mut command);
        let answer = doomed.actor(&key).request("POST", BATCH).body(users.to_string()).send().await;
        assert!(answer.is_err(), "{step}: the server should have been killed");
        assert!(!doomed.wait().success());

        let again = ServerProcess::start_on(&database);
        let mut connection = database.connect().await.unwrap();
        let passwords = if expected > 0 { 1 } else { 0 };
        let whole = [expected, expected, passwords, expected.min(1), if expected > 0 { 4 } else { 0 }];
        assert_eq!(db_counts(&mut connection).await, whole, "{step}");
        // A repeated request succeeds, or conflicts with the users that exist.
        let status = again.actor(&key).create(&users).await.status;
        assert_eq!(status, if expected > 0 { 409 } else { 200 }, "{step}");
        assert_eq!(db_counts(&mut connection).await, [3, 3, 1, 1, 4], "{step}");
    }
}
