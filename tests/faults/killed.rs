//! `kill -9` at every step of a batch: afterwards all of its users exist, or none.

use sqlx::ConnectOptions;

use crate::support::server::{ServerProcess, muster, url};
use crate::support::{BATCH, db_counts, migrated_database, with_password};

/// Every step at which a batch can be interrupted, in order, and how many of its three users exist after a restart.
const STEPS: [(&str, i64); 13] = [
    ("batch::authorized", 0),
    ("batch::received", 0),
    ("batch::checked", 0),
    ("batch::claimed", 0),
    ("batch::hashing", 0),
    ("batch::hashed", 0),
    ("batch::begun", 0),
    ("batch::inserted", 0),
    ("change::written", 0),
    ("change::confirmed", 0),
    ("change::audited", 0),
    ("change::committed", 3),
    ("batch::committed", 3),
];

#[test]
fn the_steps_are_complete() {
    let mut known: Vec<&str> = STEPS.iter().map(|(step, _)| *step).collect();
    let sources = format!("{}/src", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(format!("{sources}/batches")).unwrap().map(|file| file.unwrap().path());
    let sources: Vec<String> = files
        .chain([format!("{sources}/change.rs").into()])
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let mut found: Vec<&str> = sources
        .iter()
        .flat_map(|text| text.split("failpoints::reach(\"").skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    // Reached only in a conflict: see `contention.rs`; by a second request: see `joining.rs`; by a rejected one: see
    // `hang_up.rs`.
    known.extend(["batch::conflict", "batch::waiting", "lease::releasing"]);
    known.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, known);
}

async fn created_batches(connection: &mut sqlx::PgConnection) -> i64 {
    sqlx::query_scalar("select count(*) from batches where state = 'created'").fetch_one(connection).await.unwrap()
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
        command
            .env("MUSTER_DATABASE__URL", url(&database))
            .env("MUSTER_BATCH__LEASE_SECONDS", "2")
            .env("MUSTER_SECRETS__SERVER_KEY", "a key that the next process has as well")
            .env("MUSTER_KILL_AT", step);
        let mut doomed = ServerProcess::start(&mut command);
        let answer = doomed.actor(&key).request("POST", BATCH).body(users.to_string()).send().await;
        assert!(answer.is_err(), "{step}: the server should have been killed");
        assert!(!doomed.wait().success());

        let mut command = muster();
        command.env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_BATCH__LEASE_SECONDS", "2");
        command.env("MUSTER_SECRETS__SERVER_KEY", "a key that the next process has as well");
        let again = ServerProcess::start(&mut command);
        let mut connection = database.connect().await.unwrap();
        let passwords = if expected > 0 { 1 } else { 0 };
        let [users_now, members, hashes, _, events] = db_counts(&mut connection).await;
        assert_eq!([users_now, members, hashes], [expected, expected, passwords], "{step}");
        assert_eq!(events, if expected > 0 { 4 } else { 0 }, "{step}");
        // A repeated request creates the users once the lease has expired, or gets the response that was lost.
        let answer = again.actor(&key).create(&users).await;
        assert_eq!(answer.status, 200, "{step}: {}", answer.text);
        assert_eq!(answer.headers.contains_key("idempotency-replayed"), expected > 0, "{step}");
        let [users_now, members, hashes, ..] = db_counts(&mut connection).await;
        assert_eq!([users_now, members, hashes], [3, 3, 1], "{step}");
        assert_eq!(created_batches(&mut connection).await, 1, "{step}");
        assert_eq!(again.actor(&key).create(&users).await.status, 409, "{step}");
    }
}
