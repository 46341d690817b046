//! A deleted user leaves only the ID in the audit log.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::support::{Actor, BATCH, TestApp};
use crate::user::send;

/// All tables as text.
async fn dump(app: &TestApp) -> String {
    let mut connection = app.database.connect().await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public' order by 1")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let mut dump = String::new();
    for table in tables {
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("select t::text from {table} t")))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        dump.extend(rows.into_iter().map(|row| format!("{table}: {row}\n")));
    }
    dump
}

const INVITATIONS: &str = "
    insert into invitations (organization_id, invitation_id, email, email_key, permission_level, secret_sha256,
        invited_by_kind, created_at, expires_at, accepted_at, user_id, invalidated_at)
    select organization_id, gen_random_uuid(), email, email_key, 'collaborator', sha256('x'), 'operator', now(),
        now() + interval '1 day', case when number = 1 then now() end, case when number = 1 then user_id end,
        case when number = 2 then now() end
    from users, generate_series(1, 3) as number where email like 'zenobia%'";

const KEY: &str = "
    insert into api_keys (organization_id, key_id, user_id, name, secret_sha256, permission_level, created_by_kind,
        created_at, expires_at)
    select organization_id, gen_random_uuid(), user_id, 'Zenobia at home', sha256(user_id::text::bytea), 'collaborator',
        'operator', now(), now() + interval '1 day'
    from users where email like 'zenobia%'";

/// An identity, and sessions that were started with it.
const IDENTITY: &str = "
    with provider as (
        insert into sso_providers (organization_id, provider_id, name, title, issuer, client_id, token_auth, scopes, domains,
            subject_claim, email_claim, email_proof, required_claims, creates, logout, created_at, updated_at)
        select organization_id, gen_random_uuid(), 'one', 'One', 'https://idp.example', 'muster', 'auto', 'openid', '{}', 'sub',
            'email', 'email_verified', '{}', false, false, now(), now()
        from organizations
        returning organization_id, provider_id
    ),
    identity as (
        insert into sso_identities (organization_id, identity_id, provider_id, issuer, subject, user_id, bound_at, bound_how,
            email_seen)
        select organization_id, gen_random_uuid(), provider_id, 'https://idp.example', 'subject of ' || email, user_id, now(),
            'owner', 'seen.' || email
        from users join provider using (organization_id) where email like 'zenobia%'
        returning organization_id, identity_id, provider_id, user_id
    )
    insert into sessions (organization_id, session_id, user_id, secret_sha256, stage, method, authenticated_at, created_at,
        last_seen_at, idle_expires_at, expires_at, agent, provider_id, identity_id, idp_sid)
    select organization_id, gen_random_uuid(), user_id, sha256(user_id::text::bytea), 'full', 'sso', now(), now(), now(),
        now() + interval '1 hour', now() + interval '1 hour', 'browser of Zenobia', provider_id, identity_id, 'sid of Zenobia'
    from identity";

#[tokio::test]
async fn a_deleted_user_leaves_no_personal_data_and_the_audit_log_keeps_its_events() {
    let app = TestApp::spawn().await;
    let user = |n: usize| {
        json!({"name": "Zenobia", "lastname": "Palmyra", "title": "Queen", "email": format!("zenobia{n}@example.com"),
            "is_sso_user": false, "password": "kT9$wqzPlr"})
    };
    let body = (0..4).map(user).collect::<Value>().to_string();
    let request = || app.owner.request("POST", BATCH).header("idempotency-key", "k").body(body.clone());
    let created = Actor::send(request()).await;
    assert_eq!(created.status, 200, "{}", created.text);
    app.db_execute(INVITATIONS).await;
    app.db_execute(KEY).await;
    app.db_execute(IDENTITY).await;
    let before = dump(&app).await;
    assert!(before.contains("Zenobia") && before.matches("zenobia3@example.com").count() > 3, "{before}");
    assert!(before.contains("seen.zenobia3@example.com") && before.contains("sid of Zenobia"), "{before}");
    let events: Vec<&str> = before.lines().filter(|line| line.starts_with("audit_events")).collect();

    let created = created.json();
    let id = |n: usize| created["results"][n]["user_id"].as_str().unwrap();
    let answer = send(&app.owner, "DELETE", &format!("/api/v2/users/{}", id(0)), &Value::Null).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let member = app.owner.get("/api/v2/organization_collaborators/?email=zenobia1%40example.com").await.json();
    let path = format!("/api/v2/organization_collaborators/{}", member["results"][0]["id"].as_str().unwrap());
    assert_eq!(send(&app.owner, "DELETE", &path, &Value::Null).await.status, 204);
    let list = json!([{"user": "zenobia2@example.com"}, {"user": id(3)}]);
    let answer = send(&app.owner, "POST", "/api/v2/users/admin_batch_delete", &list).await;
    assert_eq!(answer.status, 200, "{}", answer.text);

    let after = dump(&app).await;
    for word in ["zenobia", "palmyra", "queen"] {
        let found: Vec<&str> = after.lines().filter(|line| line.to_lowercase().contains(word)).collect();
        assert_eq!(found, Vec::<&str>::new());
    }
    for event in events {
        assert!(after.lines().any(|line| line == event), "{event} is missing");
    }
    let deleted = app.owner.get("/api/v2/audit/events?action=user.delete").await.json();
    let mut ids: Vec<&str> =
        deleted["results"].as_array().unwrap().iter().map(|event| event["target_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [id(0), id(1), id(2), id(3)]);

    let again = Actor::send(request()).await;
    let batch = created["metadata"]["batch_id"].as_str().unwrap();
    assert_eq!(
        (again.status, again.error()),
        (
            409,
            json!({
                "code": "conflict",
                "detail": format!("users of batch {batch} were deleted after it was created, and its stored response with \
                    them; nothing was written; `GET /api/v2/batches/{batch}/results` returns the remaining users"),
            })
        )
    );
}
