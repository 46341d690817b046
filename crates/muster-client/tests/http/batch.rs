//! Creating batches.

use std::time::Duration;

use muster_client::{
    AdminCreateUser, AdminCreatedUser, ApiError, BatchOutcome, BatchState, Client, CreatedBatch, Error, PlannedBatch,
    PlannedCredential, PlannedUser, RowFinding,
};
use serde_json::json;

use crate::server::{Answer, Server, TOKEN};

pub const CREATED: &str = r#"{"results":[
    {"user_id":"usr_1","email":"test1@anyscale.com","created_at":"2026-11-23T10:00:00.123456Z","name":"name1",
     "is_sso_user":false,"lastname":"lastname1","title":"title1"},
    {"user_id":"usr_2","email":"test2@anyscale.com","created_at":"2026-11-23T10:00:00.123456Z","name":"name2",
     "is_sso_user":true}
],"metadata":{"total":2}}"#;

pub fn users() -> [AdminCreateUser; 2] {
    [
        AdminCreateUser::new("name1", "test1@anyscale.com").password("").lastname("lastname1").title("title1"),
        AdminCreateUser::new("name2", "test2@anyscale.com").sso(),
    ]
}

#[tokio::test]
async fn a_batch_is_one_post_of_a_bare_array_and_returns_the_created_users() {
    let server = Server::start([Answer::new("200 OK", CREATED)]).await;
    let created = server.client().admin_batch_create(&users()).await.unwrap();

    let at = "2026-11-23T10:00:00.123456Z".parse().unwrap();
    let user = |id: &str, number: u8, is_sso_user, lastname: Option<&str>, title: Option<&str>| AdminCreatedUser {
        user_id: id.to_owned(),
        name: format!("name{number}"),
        email: format!("test{number}@anyscale.com"),
        created_at: at,
        is_sso_user,
        lastname: lastname.map(str::to_owned),
        title: title.map(str::to_owned),
        expires_at: None,
    };
    assert_eq!(
        created,
        [user("usr_1", 1, false, Some("lastname1"), Some("title1")), user("usr_2", 2, true, None, None)]
    );

    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].line, "POST /api/v2/users/admin_batch_create HTTP/1.1");
    assert_eq!(
        requests[0].body,
        concat!(
            r#"[{"name":"name1","email":"test1@anyscale.com","password":"","is_sso_user":false,"#,
            r#""lastname":"lastname1","title":"title1"},"#,
            r#"{"name":"name2","email":"test2@anyscale.com","is_sso_user":true}]"#
        )
    );
    let agent = concat!("user-agent: muster-client/", env!("CARGO_PKG_VERSION")).to_owned();
    for header in [
        format!("authorization: Bearer {TOKEN}"),
        "accept: application/json".to_owned(),
        "content-type: application/json".to_owned(),
        agent,
    ] {
        assert!(requests[0].headers.contains(&header), "{header} is missing in {:?}", requests[0].headers);
    }
}

#[tokio::test]
async fn rows_of_any_json_are_sent_unchanged() {
    let server = Server::start([Answer::new("200 OK", r#"{"results":[],"metadata":null}"#)]).await;
    let rows = [json!({"name": 5, "surprise": [null]}), json!("not even an object")];
    assert_eq!(server.client().admin_batch_create_rows(&rows).await.unwrap(), []);
    assert_eq!(server.requests()[0].body, r#"[{"name":5,"surprise":[null]},"not even an object"]"#);
}

#[tokio::test]
async fn an_empty_batch_is_sent_as_an_empty_array() {
    let server = Server::start([Answer::new("200 OK", r#"{"results":[]}"#)]).await;
    server.client().admin_batch_create(&[]).await.unwrap();
    assert_eq!(server.requests()[0].body, "[]");
}

#[tokio::test]
async fn a_rejected_batch_has_all_findings() {
    let body = r#"{"error":{"code":"batch_rejected","detail":"2 of 2 users can't be created: …","request_id":"req_7","rows":[
        {"index":0,"field":"email","code":"email_taken","message":"already exists"},
        {"index":1,"field":null,"code":"duplicate","message":"same as users[0]","other_index":0}]}}"#;
    let server = Server::start([Answer::new("422 Unprocessable Entity", body)]).await;
    let error = server.client().admin_batch_create(&users()).await.unwrap_err();

    assert_eq!(error.to_string(), "2 of 2 users can't be created: …");
    assert!(!error.outcome_unknown());
    let rows = [
        RowFinding {
            index: 0,
            field: Some("email".to_owned()),
            code: "email_taken".to_owned(),
            message: "already exists".to_owned(),
            other_index: None,
        },
        RowFinding {
            index: 1,
            field: None,
            code: "duplicate".to_owned(),
            message: "same as users[0]".to_owned(),
            other_index: Some(0),
        },
    ];
    assert_eq!(error.rows(), rows);
    let Error::Rejected(error_body) = error else { panic!("{error:?}") };
    assert_eq!(
        *error_body,
        ApiError {
            status: 422,
            code: "batch_rejected".to_owned(),
            detail: "2 of 2 users can't be created: …".to_owned(),
            rows: rows.to_vec(),
            more_findings: 0,
            batch_id: None,
            request_id: Some("req_7".to_owned()),
            retry_after: None,
            idempotency_key: None,
        }
    );
}

#[tokio::test]
async fn the_read_timeout_does_not_apply_to_a_batch() {
    let server = Server::start([Answer::new("200 OK", CREATED).after(Duration::from_millis(400))]).await;
    let client = Client::builder(&server.url).token(TOKEN).read_timeout(Duration::from_millis(50)).build().unwrap();
    assert_eq!(client.admin_batch_create(&users()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn options_become_headers_and_the_response_names_the_batch() {
    let body = r#"{"results":[],"metadata":{"total":0,"next_paging_token":null,"batch_id":"bat_1",
        "warnings":[{"index":1,"field":"password_hash","code":"weak_hash","message":"is rehashed at the next sign-in"}]}}"#;
    let server = Server::start([Answer::new("200 OK", body)]).await;
    let sha256 = "AB".repeat(32);
    let answer = server
        .client()
        .batch(&users())
        .idempotency_key("import-2026")
        .plan("plan1_x")
        .file("Jahresübersicht 2026 (neu).yaml", &sha256)
        .wait(Duration::from_millis(1500))
        .send()
        .await
        .unwrap();

    let warning = RowFinding {
        index: 1,
        field: Some("password_hash".to_owned()),
        code: "weak_hash".to_owned(),
        message: "is rehashed at the next sign-in".to_owned(),
        other_index: None,
    };
    let created =
        CreatedBatch { users: vec![], batch_id: Some("bat_1".to_owned()), warnings: vec![warning], replayed: false };
    assert_eq!(answer, BatchOutcome::Created(created));
    let request = &server.requests()[0];
    assert_eq!(request.line, "POST /api/v2/users/admin_batch_create HTTP/1.1");
    for (name, value) in [
        ("idempotency-key", "import-2026"),
        ("muster-plan", "plan1_x"),
        ("muster-file-name", "Jahres%C3%BCbersicht%202026%20%28neu%29.yaml"),
        ("muster-file-sha256", sha256.to_ascii_lowercase().as_str()),
        ("prefer", "respond-async, wait=2"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn an_accepted_batch_is_running() {
    let body = r#"{"result":{"batch_id":"bat_1","state":"running","requested_by_kind":"api_key","requested_by_id":"key_1",
        "requested_by_name":"ci","request_id":"req_1","source":"muster_client","created_at":"2026-11-23T10:00:00Z",
        "user_count":2000,"hash_count":1900,"hashed":40,"weak_hash_count":0,"estimated_seconds_left":37}}"#;
    let server = Server::start([Answer::new("202 Accepted", body).header("location", "/api/v2/batches/bat_1")]).await;
    let answer = server.client().batch(&users()).wait(Duration::ZERO).send().await.unwrap();
    let BatchOutcome::Running(batch) = answer else { panic!("{answer:?}") };
    assert_eq!((batch.batch_id.as_str(), &batch.state), ("bat_1", &BatchState::Running));
    assert_eq!((batch.user_count, batch.hash_count, batch.hashed), (2000, 1900, 40));
    assert_eq!(batch.estimated_seconds_left, Some(37));
    assert_eq!(server.requests()[0].header("prefer"), Some("respond-async, wait=0"));
}

#[tokio::test]
async fn a_dry_run_sends_no_key_and_returns_the_plan() {
    let body = r#"{"results":[{"email":"test1@anyscale.com","name":"name1","is_sso_user":false,"lastname":"lastname1",
        "permission_level":"owner","credential":"password_hash"}],"metadata":{"total":1,"next_paging_token":null},"plan":"plan1_abc"}"#;
    let server = Server::start([Answer::none(), Answer::new("200 OK", body)]).await;
    let planned = server.client().batch(&users()).idempotency_key("k").plan("plan1_old").dry_run().await.unwrap();
    let user = PlannedUser {
        email: "test1@anyscale.com".to_owned(),
        name: "name1".to_owned(),
        is_sso_user: false,
        lastname: Some("lastname1".to_owned()),
        title: None,
        permission_level: "owner".to_owned(),
        credential: PlannedCredential::PasswordHash,
        attributes: serde_json::Map::new(),
        expires_at: None,
    };
    assert_eq!(planned, PlannedBatch { users: vec![user], plan: "plan1_abc".to_owned(), warnings: vec![] });
    // Sent twice, because the first response was lost.
    assert_eq!(server.lines(), ["POST /api/v2/users/admin_batch_create?dry_run=true HTTP/1.1"; 2]);
    for request in server.requests() {
        assert_eq!((request.header("idempotency-key"), request.header("muster-plan")), (None, None));
    }
}

#[tokio::test]
async fn invalid_header_values_are_rejected_before_sending() {
    let server = Server::start([]).await;
    let client = server.client();
    let users = users();
    let batch = || client.batch(&users);
    let key = "invalid idempotency key; expected 1 to 255 visible ASCII characters";
    for (request, sentence) in [
        (batch().idempotency_key(""), key),
        (batch().idempotency_key("a b"), key),
        (batch().idempotency_key("schl\u{fc}ssel"), key),
        (batch().idempotency_key("k".repeat(256)), key),
        (batch().plan("plan\n"), "invalid plan; expected 1 to 255 visible ASCII characters"),
        (batch().file("users.yaml", "abc"), "invalid SHA-256 of the file; expected 64 hexadecimal digits"),
    ] {
        let error = request.send().await.unwrap_err();
        assert_eq!(error.to_string(), sentence);
        assert!(matches!(error, Error::Config(_)), "{error:?}");
    }
}

#[tokio::test]
async fn debug_output_of_a_request_omits_its_rows() {
    let server = Server::start([]).await;
    let client = server.client();
    let users = [AdminCreateUser::new("Ada", "ada@example.org").password("hunter2")];
    assert_eq!(
        format!("{:?}", client.batch(&users).idempotency_key("k")),
        r#"BatchRequest { rows: 1, key: Some("k"), plan: None, file: None, wait: None, .. }"#
    );
}
