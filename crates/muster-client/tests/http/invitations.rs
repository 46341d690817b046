//! Invitations.

use muster_client::{AcceptInvitation, Client, Error, ExposeSecret, NewInvitation, SecretString};
use serde_json::{Value, json};

use crate::server::{Answer, Server};

const INVITATION: &str = r#"{"id":"orginv_1","email":"ada@example.org","organization_id":"org_1",
    "permission_level":"collaborator","created_at":"2026-11-26T10:00:00Z","expires_at":"2026-12-03T10:00:00Z",
    "accepted_at":null}"#;

#[tokio::test]
async fn each_address_has_an_outcome_and_debug_redacts_the_link() {
    let body = r#"{"results":[
        {"status":200,"data":{"id":"orginv_1","email":"ada@example.org","permission_level":"owner",
         "expires_at":"2026-12-03T10:00:00Z","link":"https://m.example.org/invitations/ami_x"}},
        {"status":409,"error":{"code":"email_taken","detail":"b@x.org is a member","message":"b@x.org is a member"}}]}"#;
    let server = Server::start([Answer::new("200 OK", body)]).await;
    let invited = [NewInvitation::new("ada@example.org").owner(), NewInvitation::new("b@x.org")];
    let outcomes = server.client().create_invitations(&invited).await.unwrap();
    assert_eq!(server.lines(), ["POST /api/v2/organization_invitations/batch_create HTTP/1.1"]);
    assert_eq!(
        serde_json::from_str::<Value>(&server.requests()[0].body).unwrap(),
        json!([{"email": "ada@example.org", "permission_level": "owner"}, {"email": "b@x.org"}])
    );
    let made = outcomes[0].as_ref().unwrap();
    assert_eq!((made.id.as_str(), made.link.expose_secret()), ("orginv_1", "https://m.example.org/invitations/ami_x"));
    assert!(!format!("{made:?}").contains("ami_x"));
    assert_eq!(outcomes[1].as_ref().unwrap_err().code, "email_taken");
}

#[tokio::test]
async fn a_response_with_missing_results_is_invalid() {
    for body in [r#"{"results":[]}"#, r#"{"results":[{"status":200}]}"#] {
        let server = Server::start([Answer::new("200 OK", body)]).await;
        let error = server.client().create_invitations(&[NewInvitation::new("a@x.org")]).await.unwrap_err();
        assert!(matches!(error, Error::InvalidResponse { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn inviting_is_not_retried() {
    let server = Server::start([Answer::none(), Answer::new("200 OK", r#"{"results":[]}"#)]).await;
    let error = server.client().create_invitations(&[NewInvitation::new("a@x.org")]).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn invitations_are_listed_and_revoked() {
    let list = format!(r#"{{"results":[{INVITATION}]}}"#);
    let single = format!(r#"{{"result":{INVITATION}}}"#);
    let server = Server::start([
        Answer::new("200 OK", list.clone()),
        Answer::new("200 OK", list),
        Answer::new("200 OK", single),
    ])
    .await;
    let client = server.client();
    assert_eq!(client.list_invitations(None).await.unwrap()[0].id, "orginv_1");
    assert_eq!(client.list_invitations(Some("a+b@x.org")).await.unwrap().len(), 1);
    assert_eq!(client.invalidate_invitation("orginv_1").await.unwrap().email, "ada@example.org");
    assert_eq!(
        server.lines(),
        [
            "GET /api/v2/organization_invitations/ HTTP/1.1",
            "GET /api/v2/organization_invitations/?email=a%2Bb%40x.org HTTP/1.1",
            "POST /api/v2/organization_invitations/orginv_1/invalidate HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn accepting_sends_no_key() {
    let body = r#"{"result":{"user_id":"usr_1","email":"ada@example.org","name":"Ada","lastname":null,"title":null,
        "is_sso_user":false,"permission_level":"collaborator","organization_id":"org_1",
        "created_at":"2026-11-26T10:00:00Z"}}"#;
    let server = Server::start([Answer::new("200 OK", body)]).await;
    let client = Client::builder(&server.url).build_without_token().unwrap();
    let acceptance = AcceptInvitation {
        token: SecretString::from("ami_x"),
        name: "Ada".to_owned(),
        lastname: None,
        title: None,
        password: Some(SecretString::from("tidal-anchor-Plum-91")),
        is_sso_user: false,
    };
    assert!(!format!("{acceptance:?}").contains("Plum"));
    assert_eq!(client.accept_invitation(&acceptance).await.unwrap().user_id, "usr_1");
    let request = server.requests()[0].clone();
    assert_eq!(request.line, "POST /api/v2/organization_invitations/accept HTTP/1.1");
    assert_eq!(request.header("authorization"), None);
    assert_eq!(
        serde_json::from_str::<Value>(&request.body).unwrap(),
        json!({"token": "ami_x", "name": "Ada", "password": "tidal-anchor-Plum-91", "is_sso_user": false})
    );
}

#[tokio::test]
async fn an_invitation_is_read_in_any_state() {
    let revoked =
        INVITATION.replace("\"accepted_at\":null", r#""accepted_at":null,"invalidated_at":"2026-11-27T10:00:00Z""#);
    let answer = |invitation: &str| Answer::new("200 OK", format!(r#"{{"result":{invitation}}}"#));
    let server = Server::start([answer(INVITATION), answer(&revoked)]).await;
    let client = server.client();
    assert_eq!(client.get_invitation("orginv_1").await.unwrap().invalidated_at, None);
    assert!(client.get_invitation("orginv_1").await.unwrap().invalidated_at.is_some());
    assert_eq!(server.lines(), ["GET /api/v2/organization_invitations/orginv_1 HTTP/1.1"; 2]);
}
