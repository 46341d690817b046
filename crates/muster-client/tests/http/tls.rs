//! TLS with a private certificate authority.

use std::sync::Arc;

use muster_client::{Client, Error};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::server::{Answer, TOKEN, exchange};

/// Created by `certificates/make.sh`. The server's certificate is for `localhost`, issued by [`AUTHORITY`].
const AUTHORITY: &str = include_str!("certificates/authority.pem");
const OTHER_AUTHORITY: &str = include_str!("certificates/other-authority.pem");
const SERVER: &[u8] = include_bytes!("certificates/server.der");
const SERVER_KEY: &[u8] = include_bytes!("certificates/server-key.der");

/// Serves one request; returns the port.
async fn serve_once() -> u16 {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![SERVER.into()], PrivatePkcs8KeyDer::from(SERVER_KEY).into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
            exchange(stream, &Answer::new("200 OK", r#"{"results":[]}"#)).await;
        }
    });
    port
}

/// The TLS error for `url`. Asserts that no part of the request was sent.
async fn tls_error(url: &str, authority: &str) -> String {
    let client = Client::builder(url).token(TOKEN).trust_certificates(authority).build().unwrap();
    let error = client.admin_batch_create(&[]).await.unwrap_err();
    assert!(!error.outcome_unknown());
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn an_added_authority_is_trusted() {
    let url = format!("https://localhost:{}", serve_once().await);
    let client = Client::builder(url).token(TOKEN).trust_certificates(AUTHORITY).build().unwrap();
    assert_eq!(client.admin_batch_create(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn an_unknown_authority_is_rejected() {
    let url = format!("https://localhost:{}", serve_once().await);
    let sentence = tls_error(&url, OTHER_AUTHORITY).await;
    assert_eq!(sentence, format!("no response from `{url}`: invalid peer certificate: UnknownIssuer"));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_rejected() {
    let url = format!("https://127.0.0.1:{}", serve_once().await);
    let sentence = tls_error(&url, AUTHORITY).await;
    let start = format!("no response from `{url}`: invalid peer certificate: certificate not valid for name");
    assert!(sentence.starts_with(&start), "{sentence}");
}
