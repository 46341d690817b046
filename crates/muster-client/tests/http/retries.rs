//! Retries of a batch: the same key, the same body, and a limit.

use std::time::{Duration, Instant};

use muster_client::{BatchOutcome, Client, CreatedBatch, Error};
use tokio::net::TcpListener;

use crate::batch::{CREATED, users};
use crate::server::{Answer, Request, Server, TOKEN, exchange};

fn error_response(status: &'static str, code: &str) -> Answer {
    let body = format!(r#"{{"error":{{"code":"{code}","detail":"in words","request_id":"req_1"}}}}"#);
    Answer::new(status, body)
}

fn busy(seconds: &str) -> Answer {
    error_response("503 Service Unavailable", "overloaded").header("retry-after", seconds)
}

fn in_use() -> Answer {
    error_response("409 Conflict", "idempotency_key_in_use").header("retry-after", "1")
}

fn replay() -> Answer {
    Answer::new("200 OK", CREATED).header("idempotency-replayed", "true")
}

/// Asserts that all requests are identical, and returns their key.
fn only_key(requests: &[Request]) -> String {
    let first = &requests[0];
    for request in requests {
        assert_eq!((&request.line, &request.headers, &request.body), (&first.line, &first.headers, &first.body));
    }
    first.header("idempotency-key").unwrap().to_owned()
}

async fn created(client: &Client) -> CreatedBatch {
    match client.batch(&users()).send().await.unwrap() {
        BatchOutcome::Created(created) => created,
        other @ BatchOutcome::Running(_) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_call_has_its_own_key() {
    let server = Server::start([Answer::new("200 OK", CREATED), Answer::new("200 OK", CREATED)]).await;
    let client = server.client();
    client.admin_batch_create(&users()).await.unwrap();
    assert!(!created(&client).await.replayed);
    let keys: Vec<String> = server.requests().iter().map(|request| only_key(std::slice::from_ref(request))).collect();
    assert_ne!(keys[0], keys[1]);
    assert!(keys.iter().all(|key| key.len() == 36), "{keys:?}");
}

#[tokio::test]
async fn a_lost_response_is_retried_and_the_replay_is_returned() {
    let server = Server::start([Answer::none(), Answer::new("200 OK", CREATED).cut(150), replay()]).await;
    let created = created(&server.client()).await;
    assert_eq!((created.users.len(), created.replayed), (2, true));
    assert_eq!(server.requests().len(), 3);
    only_key(&server.requests());
}

#[tokio::test]
async fn an_overloaded_server_is_retried_after_the_requested_delay() {
    let server = Server::start([busy("1"), busy("0"), Answer::new("200 OK", CREATED)]).await;
    let begin = Instant::now();
    assert_eq!(server.client().admin_batch_create(&users()).await.unwrap().len(), 2);
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
    only_key(&server.requests());
}

#[tokio::test]
async fn a_requested_delay_beyond_the_limit_is_an_error() {
    let server = Server::start([busy("120")]).await;
    let begin = Instant::now();
    let error = server.client().admin_batch_create(&users()).await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(50), "{:?}", begin.elapsed());
    assert_eq!(error.to_string(), "in words (request ID: req_1)");
    assert!(!error.outcome_unknown());
    assert_eq!(error.idempotency_key(), Some(only_key(&server.requests()).as_str()));
    assert_eq!(error.api_error().unwrap().retry_after, Some(Duration::from_secs(120)));
}

#[tokio::test]
async fn a_request_in_progress_is_awaited_beyond_the_limit() {
    let server = Server::start([Answer::none(), in_use(), in_use(), replay()]).await;
    let begin = Instant::now();
    let client = server.client_with(Duration::from_millis(500));
    assert_eq!(client.admin_batch_create(&users()).await.unwrap().len(), 2);
    assert!(begin.elapsed() >= Duration::from_secs(2), "{:?}", begin.elapsed());
    only_key(&server.requests());
}

#[tokio::test]
async fn a_reused_key_is_not_retried() {
    let server = Server::start([error_response("422 Unprocessable Entity", "idempotency_key_reused")]).await;
    let error = server.client().batch(&users()).idempotency_key("k").send().await.unwrap_err();
    assert!(matches!(&error, Error::Rejected(error_body) if error_body.code == "idempotency_key_reused"), "{error:?}");
    assert_eq!((error.outcome_unknown(), error.idempotency_key()), (false, None));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn at_the_limit_the_outcome_is_unknown_and_the_error_has_the_key() {
    // Further connections are refused.
    let server = Server::start([Answer::none()]).await;
    let begin = Instant::now();
    let error = server.client_with(Duration::from_secs(1)).admin_batch_create(&users()).await.unwrap_err();
    let took = begin.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_secs(50)).contains(&took), "{took:?}");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.outcome_unknown());
    let key = error.idempotency_key().unwrap();
    assert_eq!(key, only_key(&server.requests()));
    assert!(!format!("{error} {error:?}").contains(TOKEN), "{error:?}");

    let server = Server::start([replay()]).await;
    let answer = server.client().batch(&users()).idempotency_key(key).send().await.unwrap();
    assert!(matches!(answer, BatchOutcome::Created(CreatedBatch { replayed: true, .. })), "{answer:?}");
}

#[tokio::test]
async fn a_starting_server_is_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let listener = TcpListener::bind(address).await.unwrap();
        exchange(listener.accept().await.unwrap().0, &Answer::new("200 OK", CREATED)).await;
    });
    let client = Client::new(&format!("http://{address}"), TOKEN).unwrap();
    assert_eq!(client.admin_batch_create(&users()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_wrong_address_fails_within_seconds() {
    let server = Server::start([]).await;
    let begin = Instant::now();
    let error = server.client().admin_batch_create(&users()).await.unwrap_err();
    // The limit of other retries is a minute.
    assert!(begin.elapsed() < Duration::from_secs(50), "{:?}", begin.elapsed());
    assert!(!error.outcome_unknown());
    assert!(error.idempotency_key().is_some());
}

#[tokio::test]
async fn a_limit_of_zero_disables_retries() {
    let server = Server::start([Answer::none(), replay()]).await;
    let error = server.client_with(Duration::ZERO).admin_batch_create(&users()).await.unwrap_err();
    assert!(error.outcome_unknown());
    assert_eq!(server.requests().len(), 1);
}
