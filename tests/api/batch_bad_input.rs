//! Rejected batches: each writes nothing except one audit event, and gets an error message.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::gate::HeldHashing;
use crate::support::{BATCH, TestApp, sso, with_password};

/// Sends a body and asserts that only an audit event of the rejection was written.
async fn refused(app: &TestApp, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let before = app.db_counts().await;
    let answer = app.owner.create_raw(body).await;
    assert_eq!(app.db_counts().await, before);
    let last: (String, String) = {
        use sqlx::ConnectOptions;
        let mut connection = app.database.connect().await.unwrap();
        sqlx::query_as("select outcome, reason from audit_events order by event_id desc limit 1")
            .fetch_one(&mut connection)
            .await
            .unwrap()
    };
    let error = answer.error();
    assert_eq!(last, ("rejected".to_owned(), error["code"].as_str().unwrap().to_owned()));
    (answer.status, error)
}

#[tokio::test]
async fn a_body_that_is_not_a_list_of_users_is_rejected() {
    let app = TestApp::spawn().await;
    let shape = "the body must be a JSON array of users: [{\"name\": …, \"email\": …}, …]";
    let cases: [(&[u8], u16, &str, &str); 8] = [
        (b"hello", 400, "invalid_json", "the body is not valid JSON: expected value at line 1 column 1"),
        (b"", 400, "invalid_json", "the body is not valid JSON: EOF while parsing a value at line 1 column 0"),
        (
            b"[{\"name\": \"a\"}",
            400,
            "invalid_json",
            "the body is not valid JSON: EOF while parsing a list at line 1 column 14",
        ),
        (b"[] []", 400, "invalid_json", "the body is not valid JSON: trailing characters at line 1 column 4"),
        (
            b"[{\"name\": \"\xff\"}]",
            400,
            "invalid_json",
            "the body is not valid JSON: invalid unicode code point at line 1 column 12",
        ),
        (b"{\"create_users\": []}", 400, "invalid_request", shape),
        (b"\"users\"", 400, "invalid_request", shape),
        (b"[]", 400, "empty_batch", "the list is empty; there are no users to create"),
    ];
    for (body, status, code, detail) in cases {
        let (found, error) = refused(&app, body).await;
        assert_eq!(
            (found, error),
            (status, json!({"code": code, "detail": detail})),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
}

#[tokio::test]
async fn every_finding_of_every_row_is_reported() {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.create(&json!([sso("taken@example.com")])).await.status, 200);
    let users = json!([
        sso("fine@example.com"),
        {"email": "not an address", "is_sso_user": "yes", "nickname": "x"},
        17,
        {"name": "", "email": "FINE@example.com", "is_sso_user": true, "password": "kT9$wqzPlr"},
        {"name": "n\u{0}l", "email": 5, "is_sso_user": false, "password": "short"},
        {"name": "x".repeat(256), "email": format!("{}@example.com", "l".repeat(65)), "is_sso_user": false, "password": "password1", "lastname": "a\nb", "title": 7},
        sso("Taken@Example.com"),
        ["a"],
        {"name": null, "email": "", "is_sso_user": null},
    ]);
    let (status, error) = refused(&app, users.to_string()).await;
    assert_eq!(status, 422);
    assert_eq!(error["code"], "batch_rejected");
    assert_eq!(
        error["detail"],
        "8 of 9 users can't be created: users[1].name: is missing; users[1].email: not a valid \
         e-mail address; users[1].is_sso_user: must be true or false, not text; users[1].nickname: is unknown; the known \
         fields are name, email, password, is_sso_user, lastname, title, password_hash, must_change_password, \
         permission_level, expires_at, attributes; users[2]: must be an object with name, email, password, is_sso_user, lastname, title, \
         password_hash, must_change_password, permission_level, expires_at, attributes, not a number; and 15 more"
    );
    let mut found: Vec<(u64, String, String)> = error["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            assert!(!text("message").is_empty());
            (row["index"].as_u64().unwrap(), text("field"), text("code"))
        })
        .collect();
    assert!(found.is_sorted_by_key(|(index, ..)| *index));
    found.sort();
    let expected = [
        (1, "email", "email_invalid"),
        (1, "is_sso_user", "wrong_type"),
        (1, "name", "missing"),
        (1, "nickname", "unknown_field"),
        (2, "-", "wrong_type"),
        (3, "email", "email_duplicate"),
        (3, "name", "empty"),
        (3, "password", "password_for_sso_user"),
        (4, "email", "wrong_type"),
        (4, "name", "control_character"),
        (4, "password", "password_too_short"),
        (5, "email", "too_long"),
        (5, "lastname", "control_character"),
        (5, "name", "too_long"),
        (5, "title", "wrong_type"),
        (6, "email", "email_taken"),
        (7, "-", "wrong_type"),
        (8, "email", "empty"),
        (8, "is_sso_user", "missing"),
        (8, "name", "missing"),
    ];
    let expected: Vec<_> = expected.map(|(index, field, code)| (index, field.to_owned(), code.to_owned())).into();
    assert_eq!(found, expected);
    let twice = error["rows"].as_array().unwrap().iter().find(|row| row["code"] == "email_duplicate").unwrap();
    assert_eq!(
        twice,
        &json!({"index": 3, "field": "email", "code": "email_duplicate", "message": "the same address as users[0]", "other_index": 0})
    );
}

#[tokio::test]
async fn a_wrong_type_in_one_row_is_a_finding_of_that_row() {
    let app = TestApp::spawn().await;
    let mut users: Vec<Value> = (0..20).map(|n| sso(&format!("user{n}@example.com"))).collect();
    users[17]["name"] = json!(42);
    let (status, error) = refused(&app, json!(users).to_string()).await;
    assert_eq!(status, 422);
    assert_eq!(
        error,
        json!({
            "code": "batch_rejected",
            "detail": "1 of 20 users can't be created: users[17].name: must be text, not a number",
            "rows": [{"index": 17, "field": "name", "code": "wrong_type", "message": "must be text, not a number"}],
        })
    );
}

#[tokio::test]
async fn a_duplicate_field_is_a_finding() {
    let app = TestApp::spawn().await;
    let body = r#"[{"name": "a", "email": "a@example.com", "is_sso_user": true, "email": "b@example.com"}]"#;
    let (status, error) = refused(&app, body).await;
    assert_eq!(status, 422);
    assert_eq!(error["detail"], "the user can't be created: users[0].email: occurs twice");
}

#[tokio::test]
async fn no_error_repeats_a_password() {
    let app = TestApp::spawn().await;
    for password in ["hunter2", "canary-canary", "c\u{1}nary-correct-horse", &"canary".repeat(100)] {
        let mut user = with_password("canary@example.com", password);
        user["title"] = json!(1);
        let answer = app.owner.create(&json!([user])).await;
        assert_eq!(answer.status, 422);
        assert!(
            !answer.text.contains("hunter2") && !answer.text.contains("nary-") && !answer.text.contains("canarycanary")
        );
    }
    let kept = app.db_value::<Option<String>>("select string_agg(details::text, '') from audit_events").await.unwrap();
    assert!(!kept.contains("nary"), "{kept}");
}

#[tokio::test]
async fn too_many_users_are_rejected() {
    let app = TestApp::spawn().await;
    for count in [10_001, 100_001] {
        let users: Vec<Value> = (0..count).map(|n| sso(&format!("user{n}@example.com"))).collect();
        let (status, error) = refused(&app, json!(users).to_string()).await;
        assert_eq!(status, 413);
        assert_eq!(
            error,
            json!({"code": "too_large", "detail": "more than 10000 users in one batch (setting `batch.max_users`); send several batches"})
        );
    }
}

#[tokio::test]
async fn a_body_of_33_mib_is_rejected_with_and_without_content_length() {
    let app = TestApp::spawn().await;
    let body = vec![b' '; 33 * 1024 * 1024];
    let expected = json!({"code": "too_large", "detail": "the request body exceeds 33554432 bytes (setting `server.body_limit`); split the list into several batches"});
    assert_eq!(refused(&app, body.clone()).await, (413, expected.clone()));
    let chunks = body.chunks(1024 * 1024).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
    let streamed = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    assert_eq!(refused(&app, streamed).await, (413, expected));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_rejected() {
    let app = TestApp::spawn_with(|config| config.server.limits.body_timeout = Duration::from_secs(1)).await;
    let before = app.db_counts().await;
    let (address, token) = (app.address, app.owner.token().to_owned());
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST {BATCH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 1000\r\n\r\n["
        )
        .unwrap();
        // Less than the default of a minute.
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).unwrap();
        String::from_utf8(answer[..length].to_vec()).unwrap()
    })
    .await
    .unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("the request body did not arrive within 1 seconds"), "{answer}");
    assert_eq!(app.db_counts().await, before);
}

#[tokio::test]
async fn a_full_hash_queue_rejects_with_retry_after() {
    let app = TestApp::spawn_with(|config| {
        config.batch.max_wait_seconds = 86_400;
        config.passwords.queue = 10;
    })
    .await;
    // An empty queue accepts a batch of any size.
    let first = HeldHashing::start(&app.app);
    let users: Value = (0..200).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect();
    let before = app.db_counts().await;
    let answer = app.owner.create(&users).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    let seconds: u64 = answer.header("retry-after").parse().expect("whole seconds");
    let longest = 2 * app.app.hasher.time_for(20_000).as_secs();
    assert!((1..=longest).contains(&seconds), "{seconds} of {longest}");
    assert_eq!(answer.error()["code"], "overloaded");
    assert_eq!(app.db_counts().await, before);
    drop(first);
    assert_eq!(app.owner.create(&users).await.status, 200);
}

#[tokio::test]
async fn a_row_with_only_unknown_fields_gets_a_short_response() {
    let app = TestApp::spawn().await;
    let fields: Vec<String> = (0..1_000_000).map(|n| format!("\"f{n}\":0")).collect();
    let body = format!(
        r#"[{{"name":"a","name":"b","name":"c","email":"a@example.com","is_sso_user":true,{}}}]"#,
        fields.join(",")
    );
    let (status, error) = refused(&app, body).await;
    assert_eq!(status, 422);
    let rows = error["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 7, "{error}");
    assert!(rows.iter().any(|row| row["message"] == "has 999995 more unknown fields" && row["field"].is_null()));
}
