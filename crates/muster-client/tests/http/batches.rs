//! Existing batches: reading, waiting, cancelling, undoing.

use std::time::{Duration, Instant};

use muster_client::{
    BatchEvent, BatchFilter, BatchState, BatchUser, Client, CreatedBatch, Error, KeptUser, PageMetadata, RowFinding,
    UndoneBatch,
};
use tokio::net::TcpListener;

use crate::batch::CREATED;
use crate::server::{Answer, Server, TOKEN, exchange};

/// A batch in a state, with additional fields.
fn batch(state: &str, more: &str) -> String {
    format!(
        r#"{{"batch_id":"bat_1","state":"{state}","requested_by_kind":"api_key","requested_by_id":"key_1",
        "requested_by_name":"ci","request_id":"req_1","source":"muster_client","file_name":"users.yaml",
        "file_digest":"hmac-sha256:ab","created_at":"2026-11-23T10:00:00Z","user_count":3,"hash_count":3,
        "weak_hash_count":0{more}}}"#
    )
}

fn single(state: &str, more: &str) -> Answer {
    Answer::new("200 OK", format!(r#"{{"result":{}}}"#, batch(state, more)))
}

fn error_response(status: &'static str, code: &str, rows: &str) -> Answer {
    Answer::new(status, format!(r#"{{"error":{{"code":"{code}","detail":"in words"{rows}}}}}"#))
}

#[tokio::test]
async fn a_batch_is_read_completely() {
    let more = r#","hashed":3,"finished_at":"2026-11-23T10:00:09Z""#;
    let server = Server::start([single("created", more)]).await;
    let batch = server.client().get_batch("bat_1").await.unwrap();
    assert_eq!(server.lines(), ["GET /api/v2/batches/bat_1 HTTP/1.1"]);
    assert_eq!((batch.state.clone(), batch.has_ended()), (BatchState::Created, true));
    assert_eq!(batch.requested_by_name.as_deref(), Some("ci"));
    assert_eq!(
        (batch.file_name.as_deref(), batch.file_digest.as_deref()),
        (Some("users.yaml"), Some("hmac-sha256:ab"))
    );
    assert_eq!(batch.finished_at, Some("2026-11-23T10:00:09Z".parse().unwrap()));
    assert_eq!((batch.hashed, batch.estimated_seconds_left, batch.error), (3, None, None));
}

#[tokio::test]
async fn batches_are_filtered_and_paged() {
    let body =
        format!(r#"{{"results":[{}],"metadata":{{"total":null,"next_paging_token":"pt-2"}}}}"#, batch("undone", ""));
    let server = Server::start([Answer::new("200 OK", body)]).await;
    let filter = BatchFilter { state: Some(BatchState::Undone), file_sha256: Some("ab".repeat(32)) };
    let page = server.client().list_batches(&filter, 1, Some("pt-1")).await.unwrap();
    let line =
        format!("GET /api/v2/batches?state=undone&file_sha256={}&paging_token=pt-1&count=1 HTTP/1.1", "ab".repeat(32));
    assert_eq!(server.lines(), [line]);
    assert_eq!(page.metadata, PageMetadata { total: None, next_paging_token: Some("pt-2".to_owned()) });
    assert_eq!(page.results[0].state, BatchState::Undone);
}

#[tokio::test]
async fn waiting_survives_lost_connections_and_a_restart() {
    let server = Server::start([
        single("running", r#","hashed":1,"estimated_seconds_left":2"#),
        Answer::none(),
        single("running", r#","hashed":2,"estimated_seconds_left":1"#).cut(100),
        error_response("503 Service Unavailable", "unavailable", "").header("retry-after", "0"),
        single("running", r#","hashed":2,"estimated_seconds_left":1"#),
        single("created", r#","hashed":3"#),
        Answer::none(),
        Answer::new("200 OK", CREATED),
    ])
    .await;
    let mut seen = Vec::new();
    let created = server
        .client()
        .wait_for_batch("bat_1", |batch| seen.push((batch.hashed, batch.estimated_seconds_left)))
        .await
        .unwrap();
    assert_eq!(seen, [(1, Some(2)), (2, Some(1)), (3, None)]);
    assert_eq!((created.users.len(), created.replayed), (2, false));
    let lines = server.lines();
    assert_eq!(lines[..6], ["GET /api/v2/batches/bat_1 HTTP/1.1"; 6]);
    assert_eq!(lines[6..], ["GET /api/v2/batches/bat_1/results HTTP/1.1"; 2]);
}

/// The result of waiting for a batch.
async fn wait_for(answers: impl IntoIterator<Item = Answer>) -> Result<CreatedBatch, Error> {
    let server = Server::start(answers).await;
    server.client_with(Duration::from_millis(600)).wait_for_batch("bat_1", |_| ()).await
}

#[tokio::test]
async fn a_batch_that_ends_without_users_is_an_error() {
    let failure = r#","error":{"code":"batch_rejected","detail":"1 of 3 users can't be created: …",
        "rows":[{"index":2,"field":"email","code":"email_taken","message":"already exists"}]}"#;
    let error = wait_for([single("failed", failure)]).await.unwrap_err();
    assert_eq!(error.to_string(), "1 of 3 users can't be created: …");
    let finding = RowFinding {
        index: 2,
        field: Some("email".to_owned()),
        code: "email_taken".to_owned(),
        message: "already exists".to_owned(),
        other_index: None,
    };
    assert_eq!(error.rows(), [finding]);
    assert!(!error.outcome_unknown());
    let Error::NotCreated(batch) = error else { panic!("{error:?}") };
    assert_eq!((batch.state, batch.error.unwrap().code), (BatchState::Failed, "batch_rejected".to_owned()));

    for (state, sentence) in [
        ("cancelled", "batch bat_1 was cancelled; nothing was created"),
        ("undone", "batch bat_1 was undone; its users were removed"),
    ] {
        let error = wait_for([single(state, "")]).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.rows()), (sentence, &[][..]));
    }
}

#[tokio::test]
async fn an_unknown_batch_is_an_error_and_waiting_has_a_limit() {
    let error = wait_for([error_response("404 Not Found", "not_found", "")]).await.unwrap_err();
    assert!(matches!(&error, Error::Rejected(error_body) if error_body.status == 404), "{error:?}");
    // Further connections are refused.
    let error = wait_for([single("running", ""), Answer::none()]).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn waiting_survives_an_outage_of_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let listener = TcpListener::bind(address).await.unwrap();
        for answer in [single("created", ""), Answer::new("200 OK", CREATED)] {
            exchange(listener.accept().await.unwrap().0, &answer).await;
        }
    });
    let client = Client::new(&format!("http://{address}"), TOKEN).unwrap();
    assert_eq!(client.wait_for_batch("bat_1", |_| ()).await.unwrap().users.len(), 2);
}

fn accepted() -> Answer {
    Answer::new("202 Accepted", format!(r#"{{"result":{}}}"#, batch("running", "")))
}

fn failed(code: &str) -> Answer {
    single("failed", &format!(r#","error":{{"code":"{code}","detail":"it ended"}}"#))
}

/// A description of each event.
fn told(events: &mut Vec<String>) -> impl FnMut(BatchEvent<'_>) {
    |event| {
        events.push(match event {
            BatchEvent::Running(batch) => batch.state.to_string(),
            BatchEvent::NoResponse => "no response".to_owned(),
            BatchEvent::NotReady => "not ready".to_owned(),
            BatchEvent::Resubmitted(batch) => format!("again after {}", batch.batch_id),
            other => panic!("{other:?}"),
        });
    }
}

#[tokio::test]
async fn an_interrupted_batch_is_resubmitted_with_the_same_key() {
    let server = Server::start([
        accepted(),
        Answer::none(),
        failed("interrupted"),
        accepted(),
        failed("unavailable"),
        error_response("503 Service Unavailable", "unavailable", "").header("retry-after", "0"),
        Answer::new("200 OK", CREATED),
    ])
    .await;
    let mut events = Vec::new();
    let request = [0; 2];
    let client = server.client();
    let created = client.batch(&request).wait(Duration::from_secs(2)).create(told(&mut events)).await.unwrap();
    assert_eq!(created.users.len(), 2);
    assert_eq!(
        events,
        [
            "running",
            "no response",
            "failed",
            "again after bat_1",
            "running",
            "failed",
            "again after bat_1",
            "not ready"
        ]
    );
    let posts: Vec<_> = server.requests().into_iter().filter(|request| request.line.starts_with("POST")).collect();
    assert_eq!(posts.len(), 4);
    for post in &posts {
        assert_eq!((&post.body, post.header("idempotency-key")), (&posts[0].body, posts[0].header("idempotency-key")));
    }
}

#[tokio::test]
async fn a_batch_is_resubmitted_at_most_three_times_and_only_after_an_interruption() {
    let interrupted = (0..4).flat_map(|_| [accepted(), failed("interrupted")]);
    let server = Server::start(interrupted).await;
    let error = server.client().batch(&[0]).create(|_| ()).await.unwrap_err();
    assert!(matches!(&error, Error::NotCreated(batch) if batch.was_interrupted()), "{error:?}");
    assert_eq!(server.requests().len(), 8);
    let server = Server::start([accepted(), failed("batch_rejected")]).await;
    let error = server.client().batch(&[0]).create(|_| ()).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), server.requests().len()), ("it ended", 2));
}

#[tokio::test]
async fn the_outcome_is_unknown_if_polling_fails() {
    // Further connections are refused.
    let server = Server::start([accepted()]).await;
    let client = server.client_with(Duration::from_secs(1));
    let begin = Instant::now();
    let error = client.batch(&[0]).idempotency_key("k").create(|_| ()).await.unwrap_err();
    assert!((Duration::from_millis(500)..Duration::from_secs(50)).contains(&begin.elapsed()), "{error:?}");
    assert_eq!((error.outcome_unknown(), error.idempotency_key()), (true, Some("k")));
    assert!(error.to_string().starts_with("no response from `http://127.0.0.1:"), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn creating_waits_for_a_running_batch() {
    let accepted = Answer::new("202 Accepted", format!(r#"{{"result":{}}}"#, batch("running", "")));
    let server = Server::start([accepted, single("created", ""), Answer::new("200 OK", CREATED)]).await;
    let created = server.client().admin_batch_create(&crate::batch::users()).await.unwrap();
    assert_eq!(created.len(), 2);
}

#[tokio::test]
async fn cancelling_and_undoing_are_not_retried() {
    let server = Server::start([single("cancelled", ""), Answer::none(), Answer::none()]).await;
    let client: Client = server.client();
    assert_eq!(client.cancel_batch("bat_1").await.unwrap().state, BatchState::Cancelled);
    assert!(client.cancel_batch("bat_1").await.unwrap_err().outcome_unknown());
    assert!(client.undo_batch("bat_1", false, true).await.unwrap_err().outcome_unknown());
    assert_eq!(
        server.lines(),
        [
            "POST /api/v2/batches/bat_1/cancel HTTP/1.1",
            "POST /api/v2/batches/bat_1/cancel HTTP/1.1",
            "POST /api/v2/batches/bat_1/undo?keep_used=true HTTP/1.1",
        ]
    );
    assert_eq!(server.requests()[0].header("content-length"), Some("0"));
}

#[tokio::test]
async fn undoing_returns_removed_and_kept_users() {
    let body = r#"{"results":[{"user_id":"usr_1","email":"a@x.org","name":"A","lastname":"B"}],
        "kept":[{"user_id":"usr_2","email":"c@x.org","name":"C","reason":"signed_in"}],
        "metadata":{"total":1,"next_paging_token":null}}"#;
    let in_use = r#","rows":[{"index":1,"field":null,"code":"signed_in","message":"has signed in"}]"#;
    let server =
        Server::start([Answer::new("200 OK", body), error_response("409 Conflict", "batch_in_use", in_use)]).await;
    let client = server.client();
    let user = |id: &str, email: &str, name: &str, lastname: Option<&str>| BatchUser {
        user_id: id.to_owned(),
        email: email.to_owned(),
        name: name.to_owned(),
        lastname: lastname.map(str::to_owned),
    };
    assert_eq!(
        client.undo_batch("bat_1", true, false).await.unwrap(),
        UndoneBatch {
            users: vec![user("usr_1", "a@x.org", "A", Some("B"))],
            kept: vec![KeptUser { user: user("usr_2", "c@x.org", "C", None), reason: "signed_in".to_owned() }],
        }
    );
    let error = client.undo_batch("bat_1", false, false).await.unwrap_err();
    assert_eq!(error.rows()[0].to_string(), "users[1]: has signed in");
    assert_eq!(
        server.lines(),
        ["POST /api/v2/batches/bat_1/undo?dry_run=true HTTP/1.1", "POST /api/v2/batches/bat_1/undo HTTP/1.1",]
    );
}
