//! The rules of the database schema.

use sqlx::ConnectOptions;

use crate::support::TestApp;

async fn column(app: &TestApp, query: &'static str) -> Vec<String> {
    let mut connection = app.database.connect().await.unwrap();
    sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap()
}

#[tokio::test]
async fn the_organization_is_in_every_key_and_reference_and_last_in_unique_constraints() {
    let app = TestApp::spawn().await;
    let wrong = column(
        &app,
        "select conname::text from pg_constraint
         join pg_attribute on attrelid = conrelid
             and attnum = conkey[case contype when 'u' then array_upper(conkey, 1) else 1 end]
         where contype in ('p', 'u', 'f') and connamespace = 'public'::regnamespace
             and conrelid <> '_sqlx_migrations'::regclass and attname <> 'organization_id'
             and conname not in ('organizations_public_identifier_key', 'login_approvals_otp_key')",
    )
    .await;
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test]
async fn the_code_handles_every_unique_constraint_by_name() {
    let app = TestApp::spawn().await;
    let names = column(
        &app,
        "select conname::text from pg_constraint
         where contype = 'u' and connamespace = 'public'::regnamespace order by conname",
    )
    .await;
    // `users_email_key_key` becomes `email_taken`, the names of groups and organizations a `conflict`. Membership IDs
    // and one-time passwords are random, so a duplicate is a bug and an internal error.
    assert_eq!(
        names,
        [
            "collaborators_identity_key",
            "login_approvals_otp_key",
            "organizations_public_identifier_key",
            "user_groups_name_key_key",
            "users_email_key_key"
        ]
    );
}

#[tokio::test]
async fn an_organization_is_permanent_and_creating_users_does_not_lock_it() {
    let app = TestApp::spawn().await;
    let mut connection = app.database.connect().await.unwrap();
    for statement in [
        "delete from organizations",
        "truncate organizations cascade",
        "update organizations set organization_id = gen_random_uuid()",
    ] {
        let error = sqlx::query(statement).execute(&mut connection).await.unwrap_err();
        assert_eq!(
            error.as_database_error().unwrap().message(),
            "an organization stays, and so does its id",
            "{statement}"
        );
    }
    let referring = column(
        &app,
        "select conname::text from pg_constraint
         where contype = 'f' and confrelid = 'organizations'::regclass
             and conrelid in ('users'::regclass, 'batches'::regclass, 'collaborators'::regclass,
                 'passwords'::regclass, 'audit_events'::regclass)",
    )
    .await;
    assert_eq!(referring, Vec::<String>::new());
}

#[tokio::test]
async fn incomplete_audit_events_are_impossible() {
    let app = TestApp::spawn().await;
    let mut connection = app.database.connect().await.unwrap();
    for (columns, values, constraint) in [
        ("actor_kind, outcome", "'api_key', 'success'", "audit_events_actor_whole"),
        ("actor_kind, outcome", "'operator', 'denied'", "audit_events_outcome_whole"),
        ("actor_kind, outcome, target_kind", "'operator', 'success', 'user'", "audit_events_target_whole"),
    ] {
        let statement = format!(
            "insert into audit_events (organization_id, event_id, occurred_at, action, {columns})
             values (gen_random_uuid(), gen_random_uuid(), now(), 'x', {values})"
        );
        let error = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().constraint(), Some(constraint));
    }
}
