//! Sessions, and links to set passwords.

use muster_client::{ExposeSecret, LinksFor};
use serde_json::{Value, json};

use crate::server::{Answer, Server};

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let list = r#"{"results":[{"id":"ses_1","user_id":"usr_1","stage":"full","method":"link",
        "created_at":"2026-11-30T10:00:00Z","last_seen_at":"2026-11-30T10:00:00Z","expires_at":"2026-12-01T10:00:00Z",
        "network":null,"browser":"Firefox on Linux","is_this":false}],"metadata":{"total":1,"next_paging_token":null}}"#;
    let ended = r#"{"result":{"ended":2}}"#;
    let server = Server::start([
        Answer::new("200 OK", list),
        Answer::new("204 No Content", ""),
        Answer::new("200 OK", ended),
        Answer::new("200 OK", ended),
        Answer::new("200 OK", list),
        Answer::new("200 OK", ended),
    ])
    .await;
    let client = server.client();
    assert_eq!(client.list_sessions(Some("usr_1")).await.unwrap()[0].id, "ses_1");
    client.end_session("ses_1").await.unwrap();
    assert_eq!(client.end_sessions(Some("usr_1")).await.unwrap().ended, 2);
    assert_eq!(client.end_sessions(None).await.unwrap().ended, 2);
    assert_eq!(client.list_all_sessions(Some(10), Some("next")).await.unwrap().results.len(), 1);
    assert_eq!(client.end_all_sessions().await.unwrap().ended, 2);
    assert_eq!(
        server.lines(),
        [
            "GET /api/v2/users/sessions?user_id=usr_1 HTTP/1.1",
            "DELETE /api/v2/users/sessions/ses_1 HTTP/1.1",
            "POST /api/v2/users/sessions/end_all HTTP/1.1",
            "POST /api/v2/users/sessions/end_all HTTP/1.1",
            "GET /api/v2/users/sessions?everyone=true&count=10&paging_token=next HTTP/1.1",
            "POST /api/v2/users/sessions/end_all HTTP/1.1",
        ]
    );
    let bodies: Vec<String> = server.requests()[2..].iter().map(|request| request.body.clone()).collect();
    assert_eq!(bodies, [r#"{"user_id":"usr_1"}"#, "{}", "", r#"{"everyone":true}"#]);
}

#[tokio::test]
async fn links_are_made_for_users_or_a_batch_and_debug_redacts_them() {
    let made = r#"{"results":[{"id":"lnk_1","user_id":"usr_1","email":"ada@x.org","name":"Ada",
        "link":"https://m.example.org/password/aml_x","expires_at":"2026-12-03T10:00:00Z"}],
        "metadata":{"total":1,"skipped":2,"next_paging_token":null}}"#;
    let server = Server::start([Answer::new("200 OK", made), Answer::new("200 OK", made)]).await;
    let client = server.client();
    let links = client.create_password_links(LinksFor::Users(&["ada@x.org".to_owned()]), Some(24)).await.unwrap();
    assert_eq!(links.results[0].link.expose_secret(), "https://m.example.org/password/aml_x");
    assert!(!format!("{links:?}").contains("aml_x"));
    assert_eq!(client.create_password_links(LinksFor::Batch("bat_1"), None).await.unwrap().metadata.skipped, 2);
    let bodies: Vec<Value> =
        server.requests().iter().map(|request| serde_json::from_str(&request.body).unwrap()).collect();
    assert_eq!(
        bodies,
        [json!({"users": [{"user": "ada@x.org"}], "expires_in_hours": 24}), json!({"batch_id": "bat_1"})]
    );
}

#[tokio::test]
async fn making_links_is_not_retried() {
    let server = Server::start([Answer::none(), Answer::none()]).await;
    let error = server.client().create_password_links(LinksFor::Batch("bat_1"), None).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}
