//! Errors of the network and of the server.

use std::error::Error as _;
use std::time::Duration;

use muster_client::{Client, Error};
use tokio::net::TcpListener;

use crate::server::{Answer, Server, TOKEN};

/// The URL of a port without a listener.
async fn unused_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn an_invalid_key_returns_the_servers_message() {
    let body = r#"{"error":{"code":"unauthenticated","detail":"the API key is unknown or revoked"}}"#;
    let server = Server::start([Answer::new("401 Unauthorized", body).header("x-request-id", "req_3")]).await;
    let error = server.client().user_info().await.unwrap_err();
    assert_eq!(error.to_string(), "the API key is unknown or revoked");
    assert_eq!(error.rows(), []);
    let Error::Rejected(error_body) = error else { panic!("{error:?}") };
    assert_eq!((error_body.status, error_body.code.as_str()), (401, "unauthenticated"));
    assert_eq!(error_body.request_id.as_deref(), Some("req_3"));
}

#[tokio::test]
async fn a_refused_connection_names_the_url_and_the_cause() {
    let url = unused_url().await;
    let error = Client::new(&url, TOKEN).unwrap().admin_batch_create(&[]).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no response from `{url}`: Connection refused (os error 111)"));
    assert!(!error.outcome_unknown());
    assert!(error.source().is_some());
    assert!(matches!(error, Error::Unreachable { host, .. } if host == url));
}

#[tokio::test]
async fn a_slow_read_times_out() {
    let server = Server::start([Answer::new("200 OK", "{}").after(Duration::from_secs(600))]).await;
    let client = Client::builder(&server.url).token(TOKEN).read_timeout(Duration::from_millis(50)).build().unwrap();
    let error = client.user_info().await.unwrap_err();
    assert_eq!(error.to_string(), format!("no response from `{}`: operation timed out", server.url));
}

#[tokio::test]
async fn html_is_an_invalid_response() {
    let server = Server::start([Answer::new("200 OK", "\n<!DOCTYPE html><title>Sign in</title>")]).await;
    let error = server.client().user_info().await.unwrap_err();
    let sentence = "(status 200): the body is HTML, not JSON";
    assert_eq!(error.to_string(), format!("unexpected response from `{}` {sentence}", server.url));
    assert!(matches!(error, Error::InvalidResponse { status: 200, .. }));
}

#[tokio::test]
async fn unexpected_bodies_have_distinct_messages() {
    for (body, reason) in [
        ("", "the body is empty"),
        ("hello", "the body is not JSON: expected value at line 1 column 1"),
        (r#"{"result""#, "the body is not JSON: EOF while parsing an object at line 1 column 9"),
        ("{}", "unexpected JSON: missing field `result` at line 1 column 2"),
    ] {
        let server = Server::start([Answer::new("200 OK", body)]).await;
        let error = server.client().user_info().await.unwrap_err();
        let Error::InvalidResponse { reason: actual, .. } = error else { panic!("{error:?}") };
        assert_eq!(actual, reason);
    }
}

#[tokio::test]
async fn an_error_of_a_proxy_is_described_by_its_status() {
    let server = Server::start([Answer::new("504 Gateway Timeout", "<html>nginx</html>")]).await;
    let error = server.client_with(Duration::ZERO).admin_batch_create(&[]).await.unwrap_err();
    assert_eq!(error.to_string(), "504 Gateway Timeout");
    assert!(error.outcome_unknown() && error.idempotency_key().is_some(), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_only_its_host_is_shown() {
    let elsewhere = Server::start([Answer::new("200 OK", "{}")]).await;
    let location = format!("{}/sign-in?state=secret", elsewhere.url);
    for status in ["302 Found", "307 Temporary Redirect"] {
        let server = Server::start([Answer::new(status, "").header("location", &location)]).await;
        let error = server.client().admin_batch_create(&[]).await.unwrap_err();
        let Error::InvalidResponse { status: code, reason, .. } = error else { panic!("{error:?}") };
        assert_eq!(code.to_string(), status[..3]);
        assert_eq!(reason, format!("redirect to `{}`; redirects are not followed", elsewhere.url));
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_relative_redirect_names_the_same_host() {
    let server = Server::start([Answer::new("308 Permanent Redirect", "").header("location", "/elsewhere")]).await;
    let error = server.client().user_info().await.unwrap_err();
    let Error::InvalidResponse { reason, .. } = error else { panic!("{error:?}") };
    assert_eq!(reason, format!("redirect to `{}`; redirects are not followed", server.url));
}

#[tokio::test]
async fn errors_do_not_contain_the_token() {
    let server = Server::start([Answer::new("200 OK", "nonsense")]).await;
    let invalid = server.client().user_info().await.unwrap_err();
    let unreachable = Client::new(&unused_url().await, TOKEN).unwrap().user_info().await.unwrap_err();
    for error in [invalid, unreachable] {
        assert!(!format!("{error} {error:?}").contains(TOKEN), "{error:?}");
    }
}
