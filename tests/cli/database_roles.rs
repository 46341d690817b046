//! A database whose tables another role owns than the one that muster serves with.

use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::run;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{empty_database, sso};

#[tokio::test(flavor = "multi_thread")]
async fn one_role_migrates_and_another_serves() {
    let database = empty_database().await;
    let name = database.get_database().unwrap().to_owned();
    let mut admin = database.connect().await.unwrap();
    for statement in [
        format!("create role {name}_owner login"),
        format!("create role {name}_app login"),
        format!("alter database {name} owner to {name}_owner"),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut admin).await.unwrap();
    }
    let of = |role: &str| url(&database).replace("//muster@", &format!("//{name}_{role}@"));
    let app = format!("{name}_app");

    let ran = run(muster().env("MUSTER_DATABASE__URL", of("owner")).args(["migrate", "--grant-to", "nobody_else"]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.ends_with(": role \"nobody_else\" does not exist\n"), "{}", ran.err);
    assert!(ran.out.starts_with("owner key: amk_"), "the first key is shown only once: {}", ran.out);
    let owner = format!("{name}_owner");
    let ran = run(muster().env("MUSTER_DATABASE__URL", of("owner")).args(["migrate", "--grant-to", &owner]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.ends_with(&format!(": role \"{owner}\" owns the tables, so it needs no grants\n")), "{}", ran.err);

    let ran = run(muster().env("MUSTER_DATABASE__URL", of("owner")).args(["migrate", "--grant-to", &app]));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "the database is up to date\n"));
    let ran = run(muster()
        .env("MUSTER_DATABASE__URL", of("app"))
        .args(["key", "create", "--name", "first", "--role", "owner"]));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let server = ServerProcess::start(muster().env("MUSTER_DATABASE__URL", of("app")));
    let owner = server.actor(ran.out.trim());
    let users = json!([sso("a@example.com"), {"name": "B", "email": "b@example.com", "is_sso_user": false,
        "password": "correct horse battery staple"}]);
    assert_eq!(owner.create(&users).await.status, 200);
    let ran = run(muster().env("MUSTER_DATABASE__URL", of("app")).args(["doctor", "--no-hashing"]));
    for sentence in [
        format!("database.role             {app}, without special attributes\n"),
        format!("database.audit_rights     {app} can add audit events and read them, nothing else\n"),
    ] {
        assert!(ran.out.contains(&sentence), "{}", ran.out);
    }
    sqlx::query(AssertSqlSafe(format!("grant update, truncate on audit_events to {app}")))
        .execute(&mut admin)
        .await
        .unwrap();
    let ran = run(muster().env("MUSTER_DATABASE__URL", of("app")).args(["doctor", "--no-hashing"]));
    assert!(
        ran.out.contains(&format!("warning  database.audit_rights     {app} has update, truncate on audit_events\n")),
        "{}",
        ran.out
    );
    admin.close().await.unwrap();
}
