//! Several instances on one database.

use std::process::Child;

use muster::caller::PermissionLevel;
use muster::clock::Clock;
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::support::gate::eventually;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, TestApp, empty_database, migrated_database, sso};

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_concurrently_on_an_empty_database_create_one_organization() {
    let database = empty_database().await;
    let starting: Vec<_> = (0..4)
        .map(|_| {
            let database = database.clone();
            std::thread::spawn(move || ServerProcess::start_on(&database))
        })
        .collect();
    let servers: Vec<ServerProcess> = starting.into_iter().map(|starting| starting.join().unwrap()).collect();
    let keys: Vec<&str> = servers.iter().filter_map(|server| server.key.as_deref()).collect();
    assert_eq!(keys.len(), 1, "one instance creates the first key");
    for (n, server) in servers.iter().enumerate() {
        assert_eq!(Actor::new(server.address, None).get("/readyz").await.status, 200);
        let answer = server.actor(keys[0]).create(&json!([sso(&format!("user{n}@example.com"))])).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let mut connection = database.connect().await.unwrap();
    let organizations: i64 =
        sqlx::query_scalar("select count(*) from organizations").fetch_one(&mut connection).await.unwrap();
    assert_eq!(organizations, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_is_rejected_with_one_line() {
    let database = empty_database().await;
    drop(ServerProcess::start_on(&database));
    let mut connection = database.connect().await.unwrap();
    sqlx::query("insert into _sqlx_migrations values (29990101000000, 'of the future', now(), true, '', 0)")
        .execute(&mut connection)
        .await
        .unwrap();
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["key", "list"]] {
        let output = muster().env("MUSTER_DATABASE__URL", url(&database)).args(command).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            format!(
                "error: the database was migrated by a newer version of muster (muster {} does not have migration \
                 29990101000000); start that version, or restore the backup from before the upgrade\n",
                env!("CARGO_PKG_VERSION")
            )
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_revoked_on_the_command_line_is_rejected_by_all_instances_within_a_second() {
    let database = empty_database().await;
    let (one, other) = (ServerProcess::start_on(&database), ServerProcess::start_on(&database));
    let key = one.key.clone().unwrap();
    assert_eq!(other.actor(&key).get("/api/v2/userinfo/").await.status, 200);
    let list =
        muster().env("MUSTER_DATABASE__URL", url(&database)).args(["key", "list", "-o", "json"]).output().unwrap();
    let keys: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    let id = keys[0]["key_id"].as_str().unwrap();
    let revoked = muster().env("MUSTER_DATABASE__URL", url(&database)).args(["key", "revoke", id]).output().unwrap();
    assert!(revoked.status.success());
    for server in [one, other] {
        server.actor(&key).is_rejected_within_a_second().await;
    }
}

/// A statement that blocks a migration in the middle of the set while the table `test.held` exists, as a large table would.
const LINGER: &str = "
    create schema test;
    create table test.held ();
    create function test.linger() returns event_trigger language plpgsql as $$
    begin
        if exists (select from pg_event_trigger_ddl_commands() where object_identity = 'public.collaborators') then
            while exists (select from pg_tables where schemaname = 'test' and tablename = 'held') loop
                perform pg_sleep(0.02);
            end loop;
        end if;
    end $$;
    create event trigger linger on ddl_command_end when tag in ('CREATE TABLE') execute function test.linger();";

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_killed_while_it_migrates_does_not_prevent_others_from_starting() {
    let database = empty_database().await;
    let mut connection = database.connect().await.unwrap();
    sqlx::raw_sql(LINGER).execute(&mut connection).await.unwrap();
    // Each has its own role, so that the database shows which one migrates.
    let roles = ["first", "second", "third"];
    for role in roles {
        // Roles belong to the whole PostgreSQL, which other tests use too.
        let make = format!("create role {role} login superuser");
        sqlx::query(AssertSqlSafe(make)).execute(&mut connection).await.unwrap();
    }
    let start = |role: &str| {
        let url = url(&database).replace("muster@", &format!("{role}@"));
        ServerProcess::launch("127.0.0.1:0", muster().env("MUSTER_DATABASE__URL", url))
    };
    let mut starting: Vec<(&str, Child)> = roles.iter().map(|role| (*role, start(role))).collect();
    let lingering = "select usename::text from pg_stat_activity
        where datname = current_database() and wait_event = 'PgSleep'";
    let mut migrating: Option<String> = None;
    eventually("an instance migrates", async || {
        migrating = sqlx::query_scalar(lingering).fetch_optional(&mut connection).await.unwrap();
        migrating.is_some()
    })
    .await;
    let migrating = migrating.unwrap();
    let place = starting.iter().position(|(role, _)| *role == migrating).unwrap();
    let (role, mut doomed) = starting.remove(place);
    doomed.kill().unwrap();
    assert!(!doomed.wait().unwrap().success());
    sqlx::query("drop table test.held").execute(&mut connection).await.unwrap();

    let waiting = starting.into_iter().map(|(_, child)| std::thread::spawn(|| ServerProcess::when_it_listens(child)));
    let waiting: Vec<_> = waiting.collect();
    let mut servers: Vec<ServerProcess> = waiting.into_iter().map(|waiting| waiting.join().unwrap()).collect();
    servers.push(ServerProcess::when_it_listens(start(role)));
    let keys: Vec<&str> = servers.iter().filter_map(|server| server.key.as_deref()).collect();
    assert_eq!(keys.len(), 1, "one instance creates the first key");
    for (n, server) in servers.iter().enumerate() {
        let answer = server.actor(keys[0]).create(&json!([sso(&format!("user{n}@example.com"))])).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let counts: (i64, i64) = sqlx::query_as(
        "select (select count(*) from organizations), (select count(*) from _sqlx_migrations where not success)",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(counts, (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_started_on_one_instance_is_approved_by_its_code_on_another() {
    let database = empty_database().await;
    let (one, other) = (ServerProcess::start_on(&database), ServerProcess::start_on(&database));
    let key = one.key.clone().unwrap();
    let guest = Actor::new(one.address, None);
    let started = guest.get("/api/v2/users/create_otp_token?duration_seconds=3600&machine=laptop").await.json();
    let (code, otp) = (started["result"]["code"].as_str().unwrap(), started["result"]["otp"].as_str().unwrap());
    let owner = other.actor(&key);
    let shown = owner.get(&format!("/api/v2/users/otp_tokens/{code}")).await;
    assert_eq!(shown.json()["result"]["machine"], "laptop", "{}", shown.text);
    assert_eq!(owner.post("/api/v2/users/approve_otp_token", &json!({"otp": code})).await.status, 200);
    let fetched = guest.get(&format!("/api/v2/users/request_otp_token/{otp}")).await;
    assert_eq!(fetched.json()["result"]["valid"], true, "{}", fetched.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_ends_access_on_another_instance_that_has_cached_the_key() {
    let database = migrated_database().await;
    let other = ServerProcess::start(muster().env("MUSTER_DATABASE__URL", url(&database)));
    let one = TestApp::spawn_on(database, Clock::System, |_| {}).await;
    let (user_id, ada) = one.person("ada@example.com", PermissionLevel::Collaborator).await;
    let ada = other.actor(ada.token());
    assert_eq!(ada.get("/api/v2/userinfo/").await.status, 200);
    // The account has expired when the change is announced, whatever the speed of the machine.
    one.db_execute("update users set expires_at = now() where email = 'ada@example.com'").await;
    let change = one.owner.request("PATCH", &format!("/api/v2/users/{user_id}")).body(r#"{"title": "Boss"}"#);
    assert_eq!(Actor::send(change).await.status, 200);
    ada.is_rejected_within_a_second().await;
}
