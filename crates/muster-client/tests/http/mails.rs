//! Messages that the server sends by mail.

use muster_client::{ExposeSecret, LinksFor};

use crate::server::{Answer, Server};

const MAIL: &str = r#"{"id":"mail_1","user_id":"usr_1","email":"ada@example.org","kind":"link","state":"failed","attempts":2,
    "next_at":null,"last_error":"no such user","created_at":"2026-11-23T10:00:00Z","sent_at":null}"#;

#[tokio::test]
async fn links_are_sent_and_messages_listed_and_sent_again() {
    let link = r#"{"results":[{"id":"lnk_1","user_id":"usr_1","email":"ada@example.org","name":"Ada","link":"https://m/password/aml_1",
        "expires_at":"2026-11-23T10:00:00Z"}],"metadata":{"total":1,"skipped":0,"next_paging_token":null}}"#;
    let page = format!(r#"{{"results":[{MAIL}],"metadata":null}}"#);
    let server = Server::start([
        Answer::new("200 OK", link),
        Answer::new("200 OK", page),
        Answer::new("200 OK", format!(r#"{{"result":{MAIL}}}"#)),
    ])
    .await;
    let client = server.client();
    let links = client.send_password_links(LinksFor::Batch("bat_1"), None).await.unwrap();
    assert_eq!(links.results[0].link.expose_secret(), "https://m/password/aml_1");
    let mails = client.list_mails(Some("failed"), 2, Some("mail_2")).await.unwrap().results;
    assert_eq!((mails[0].attempts, mails[0].last_error.as_deref()), (2, Some("no such user")));
    assert_eq!(client.retry_mail("mail_1").await.unwrap(), mails[0]);
    assert_eq!(
        server.lines(),
        [
            "POST /api/v2/users/password_links HTTP/1.1",
            "GET /api/v2/mails?count=2&state=failed&paging_token=mail_2 HTTP/1.1",
            "POST /api/v2/mails/mail_1/retry HTTP/1.1",
        ]
    );
    assert_eq!(server.requests()[0].body, r#"{"batch_id":"bat_1","send":true}"#);
}
