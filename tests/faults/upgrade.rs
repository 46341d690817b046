//! Upgrades: a database of the previous version, and instances of two versions side by side.

use std::path::Path;

use muster::id::Id;
use muster::keys::Token;
use serde_json::json;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection, SqlSafeStr};
use uuid::Uuid;

use crate::support::server::ServerProcess;
use crate::support::{Actor, empty_database, sso, with_password};

/// The first migration that the previous version does not have.
const AFTER: &str = "20261126";

/// The statements of the previous version.
const STATEMENTS: &str = include_str!("../golden/statements-20261125.sql");

/// Migrates as the previous version does.
async fn migrate_as_before(connection: &mut PgConnection) {
    let dir = tempfile::tempdir().unwrap();
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for entry in std::fs::read_dir(all).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".sql") && name.as_str() < AFTER {
            std::fs::copy(entry.path(), dir.path().join(name)).unwrap();
        }
    }
    let migrator = Migrator::new(dir.path()).await.unwrap();
    assert_eq!(migrator.iter().count(), 10);
    migrator.run(connection).await.unwrap();
}

/// Writes an organization as the previous version does: an owner with a key, a batch of two users, one of them with a
/// password, a failed batch, and the audit events. Returns the key.
async fn write_as_before(connection: &mut PgConnection, organization: u128, name: &str) -> String {
    let id = |n: u128| Uuid::from_u128(organization << 64 | 0x7000_8000_0000_0000_0000 | n);
    let organization_id = id(1);
    let token = Token::generate(Id::from_uuid(organization_id), Id::from_uuid(id(2)));
    let script = format!(
        "insert into organizations values ('{organization_id}', '{name}', '{name}', now());
        insert into users (organization_id, user_id, email, email_key, email_key_version, name, is_sso_user, status,
                created_at, updated_at)
            values ('{organization_id}', '{owner}', 'owner@{name}', 'owner@{name}', 1, 'Owner', true, 'active', now(), now());
        insert into collaborators (organization_id, user_id, identity_id, permission_level, granted_by_kind, granted_at)
            values ('{organization_id}', '{owner}', '{owner_identity}', 'owner', 'operator', now());
        insert into api_keys (organization_id, key_id, user_id, name, secret_sha256, permission_level, created_by_kind,
                created_at, expires_at)
            values ('{organization_id}', '{key}', '{owner}', 'first', '\\x{secret}', 'owner', 'operator', now(),
                now() + interval '90 days');
        insert into batches (organization_id, batch_id, requested_by_kind, requested_by_id, source, user_count, created_at,
                state, finished_at, hash_count, hashed)
            values ('{organization_id}', '{batch}', 'api_key', '{key}', 'vendor_client', 2, now(), 'created', now(), 1, 1);
        insert into batches (organization_id, batch_id, requested_by_kind, requested_by_id, source, user_count, created_at,
                state, finished_at, failure)
            values ('{organization_id}', '{failed}', 'api_key', '{key}', 'http', 0, now(), 'failed', now(),
                '{{\"code\": \"interrupted\", \"detail\": \"it was left\"}}');
        insert into users (organization_id, user_id, email, email_key, email_key_version, name, lastname, is_sso_user,
                status, batch_id, created_at, updated_at)
            values ('{organization_id}', '{ada}', 'Ada@{name}', 'ada@{name}', 1, 'Ada', 'Lovelace', false, 'active',
                    '{batch}', now(), now()),
                ('{organization_id}', '{ben}', 'ben@{name}', 'ben@{name}', 1, 'Ben', null, true, 'suspended', '{batch}',
                    now(), now());
        insert into passwords (organization_id, user_id, phc, must_change, set_at)
            values ('{organization_id}', '{ada}', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$x', true, now());
        insert into collaborators (organization_id, user_id, identity_id, permission_level, granted_by_kind,
                granted_by_id, granted_at)
            values ('{organization_id}', '{ada}', '{ada_identity}', 'collaborator', 'api_key', '{key}', now()),
                ('{organization_id}', '{ben}', '{ben_identity}', 'collaborator', 'api_key', '{key}', now());
        insert into audit_events (organization_id, event_id, occurred_at, actor_kind, actor_id, action, outcome,
                target_kind, target_id, batch_id)
            values ('{organization_id}', '{event}', now(), 'api_key', '{key}', 'user.batch_create', 'success', 'batch',
                '{batch}', '{batch}');",
        key = id(2),
        secret = hex::encode(token.sha256()),
        owner = id(3),
        owner_identity = id(4),
        batch = id(5),
        failed = id(6),
        ada = id(7),
        ben = id(8),
        ada_identity = id(9),
        ben_identity = id(10),
        event = id(11),
    );
    sqlx::raw_sql(AssertSqlSafe(script)).execute(connection).await.unwrap();
    token.text().expose().to_owned()
}

/// Checks that the organization's data is complete and can be changed.
async fn is_usable(owner: &Actor, name: &str) {
    let me = owner.get("/api/v2/userinfo/").await;
    assert_eq!((me.status, &me.json()["result"]["email"]), (200, &json!(format!("owner@{name}"))), "{}", me.text);
    let list = owner.get("/api/v2/organization_collaborators/").await.json();
    let people: Vec<_> = list["results"].as_array().unwrap().iter().map(|person| person["email"].clone()).collect();
    assert_eq!(people, [format!("owner@{name}"), format!("Ada@{name}"), format!("ben@{name}")]);
    let found = owner.post("/api/v2/organization_collaborators/search", &json!({"query": "lovel"})).await;
    assert_eq!(
        (found.status, &found.json()["results"][0]["email"]),
        (200, &json!(format!("Ada@{name}"))),
        "{}",
        found.text
    );
    let batches = owner.get("/api/v2/batches").await.json();
    let states: Vec<_> = batches["results"].as_array().unwrap().iter().map(|batch| batch["state"].clone()).collect();
    assert_eq!(states, ["failed", "created"]);
    let created = batches["results"][1]["batch_id"].as_str().unwrap();
    let results = owner.get(&format!("/api/v2/batches/{created}/results")).await;
    assert_eq!((results.status, &results.json()["metadata"]["total"]), (200, &json!(2)), "{}", results.text);
    let events = owner.get("/api/v2/audit/events?action=user.batch_create").await.json();
    assert_eq!(events["results"].as_array().unwrap().len(), 1);
    let taken = owner.create(&json!([sso(&format!("ADA@{name}"))])).await;
    assert_eq!(taken.status, 409, "{}", taken.text);
    let more = json!([sso(&format!("carl@{name}")), with_password(&format!("dora@{name}"), "kT9$wqzPlr")]);
    assert_eq!(owner.create(&more).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_previous_version_is_migrated_and_still_serves_that_version() {
    let database = empty_database().await;
    let mut connection = database.connect().await.unwrap();
    migrate_as_before(&mut connection).await;
    let key = write_as_before(&mut connection, 1, "early.example").await;
    let statements: Vec<&'static str> = STATEMENTS.split("\n----\n").skip(1).collect();
    assert_eq!(statements.len(), 39);
    let prepare = async |connection: &mut PgConnection, statement: &'static str| {
        connection.prepare(statement.into_sql_str()).await.map(drop)
    };
    for statement in &statements {
        prepare(&mut connection, statement).await.unwrap_or_else(|error| panic!("{error}, before: {statement}"));
    }

    let server = ServerProcess::start_on(&database);
    assert_eq!(server.key, None, "the database already has an owner");
    is_usable(&server.actor(&key), "early.example").await;

    // An instance of the previous version continues, on connections that it had and on new ones.
    let late = write_as_before(&mut connection, 2, "late.example").await;
    is_usable(&server.actor(&late), "late.example").await;
    let mut new = database.connect().await.unwrap();
    for statement in &statements {
        prepare(&mut connection, statement)
            .await
            .unwrap_or_else(|error| panic!("{error}, on an old connection: {statement}"));
        prepare(&mut new, statement).await.unwrap_or_else(|error| panic!("{error}, after: {statement}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_stays_ready_when_a_newer_one_has_migrated_the_database() {
    let database = empty_database().await;
    let server = ServerProcess::start_on(&database);
    let owner = server.actor(&server.key.clone().unwrap());
    let mut connection = database.connect().await.unwrap();
    sqlx::query("alter table users add column of_the_future text").execute(&mut connection).await.unwrap();
    sqlx::query("insert into _sqlx_migrations values (29990101000000, 'of the future', now(), true, '', 0)")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(owner.get("/readyz").await.status, 200);
    assert_eq!(owner.create(&json!([sso("a@example.com")])).await.status, 200);
    // A missing migration of the instance's own version makes it not ready.
    sqlx::query("delete from _sqlx_migrations where version = 20261126000007").execute(&mut connection).await.unwrap();
    sqlx::query("delete from _sqlx_migrations where version = 29990101000000").execute(&mut connection).await.unwrap();
    let lacking = owner.get("/readyz").await;
    assert_eq!(lacking.status, 503, "{}", lacking.text);
    assert_eq!(lacking.error()["detail"], "the database schema is outdated; run `muster migrate`");
}
