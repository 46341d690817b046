//! The rules of the database schema.

use std::path::Path;

use serde_json::Value;
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
             and conname not in ('organizations_public_identifier_key', 'login_approvals_otp_key',
                 'login_requests_pkey', 'login_requests_user_code_key')",
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
    // and one-time passwords are random, so a duplicate is a bug and an internal error. A login whose code is taken has none. An identity that is bound already
    // is not bound again.
    assert_eq!(
        names,
        [
            "collaborators_identity_key",
            "login_approvals_otp_key",
            "login_requests_user_code_key",
            "organizations_public_identifier_key",
            "sso_identities_subject_key",
            "sso_identities_user_key",
            "sso_providers_name_key",
            "user_groups_name_key_key",
            "users_email_key_key"
        ]
    );
}

#[tokio::test]
async fn undo_knows_every_table_with_data_of_a_user() {
    let app = TestApp::spawn().await;
    let tables = column(
        &app,
        "select distinct conrelid::regclass::text from pg_constraint
         where contype = 'f' and confrelid = 'users'::regclass order by 1",
    )
    .await;
    // Deleting a user deletes the rows of these tables. A new one belongs into `members` of `src/batches/read.rs`, which
    // decides whether a user was used since, or undoing a batch loses its data.
    // `invitations` refers to the user who accepted one, who is not of a batch. A session was started by a sign-in, which the user
    // has the time of; and a link that nobody has used is no use of the account, nor is the message with it. A draft is gone after a day in any case.
    let known = [
        "api_keys",
        "collaborators",
        "drafts",
        "invitations",
        "mails",
        "password_links",
        "passwords",
        "sessions",
        "sso_identities",
        "user_group_members",
    ];
    assert_eq!(tables, known);
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

/// The equations of two `organization_id` columns in a statement that the rule of the test below rejects.
fn equations(statement: &str) -> Vec<String> {
    let spaced = statement.replace('(', " ( ").replace(')', " ) ").replace('=', " = ").replace(',', " , ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let at = |index: usize| tokens.get(index).copied().unwrap_or_default();
    let is_column = |token: &str| token.rsplit('.').next() == Some("organization_id");
    let (mut equations, mut parentheses, mut is_pinned) = (Vec::new(), Vec::new(), false);
    for (index, token) in tokens.iter().enumerate() {
        match *token {
            "(" => parentheses.push(matches!(at(index + 1), "select" | "with" | "insert" | "update" | "delete")),
            ")" => drop(parentheses.pop()),
            _ => {}
        }
        let is_subquery = parentheses.contains(&true);
        let (left, sign, right) = (at(index), at(index + 1), at(index + 2));
        if is_column(left) && sign == "=" && right.starts_with('$') && !is_subquery {
            is_pinned = true;
        }
        let is_using =
            left == "using" && tokens[index..].iter().take_while(|token| **token != ")").any(|token| is_column(token));
        if is_using || (is_column(left) && sign == "=" && is_column(right)) {
            equations.push((is_subquery, format!("{left} {sign} {right}")));
        }
    }
    equations.into_iter().filter(|(is_subquery, _)| *is_subquery || !is_pinned).map(|(_, equation)| equation).collect()
}

/// The tables can be distributed by `organization_id` only if each statement about one organization names it as a
/// parameter in every place. So `x.organization_id = y.organization_id` and `using (organization_id, …)` are allowed
/// only outside subqueries, and only if the same level also has `organization_id = $n`: PostgreSQL and Citus then apply
/// the parameter to each table of the join. In a subquery, each table has its own `organization_id = $n`.
#[test]
fn statements_name_the_organization_as_a_parameter_in_every_subquery() {
    // These two look in all organizations: for a one-time password, and for API keys that are about to expire.
    let spanning = ["from login_approvals a", "from api_keys k join organizations o on"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let mut statements = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let query = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let query: Value = serde_json::from_str(&query).unwrap();
        let statement = query["query"].as_str().unwrap();
        statements += 1;
        if !spanning.iter().any(|part| statement.contains(part)) {
            assert_eq!(equations(statement), Vec::<String>::new(), "{statement}");
        }
    }
    assert!(statements > 100, "{statements}");
    let (pinned, correlated) = ("u.organization_id = $1", "u.organization_id = m.organization_id");
    let join = "select from users u join collaborators c using (organization_id, user_id) where";
    assert_eq!(equations(&format!("{join} {pinned}")), Vec::<String>::new());
    assert_eq!(equations(&format!("{join} u.user_id = $1")), ["using ( organization_id"]);
    assert_eq!(equations(&format!("select from m where exists (select from users u where {correlated})")).len(), 1);
    assert_eq!(equations(&format!("select from m where m.organization_id = $1 and exists ({join} {pinned})")).len(), 1);
}
