//! API keys, service accounts and device logins.

use std::time::Duration;

use muster_client::{Client, Error, ExposeSecret, NewApiKey, SecretString};

use crate::server::{Answer, Server};

const KEY: &str = r#""key_id":"key_1","user_id":"usr_1","name":"ci","permission_level":"collaborator","scopes":["users:read"],
    "status":"active","created_at":"2026-11-23T10:00:00Z","expires_at":"2026-11-24T10:00:00Z""#;

fn single(fields: &str) -> Answer {
    Answer::new("200 OK", format!(r#"{{"result":{{{fields}}}}}"#))
}

#[tokio::test]
async fn a_key_is_created_rotated_read_listed_and_revoked() {
    let with_token = format!(r#"{KEY},"token":"amk_new""#);
    let page = Answer::new(
        "200 OK",
        format!(r#"{{"results":[{{{KEY}}}],"metadata":{{"total":null,"next_paging_token":null}}}}"#),
    );
    let server = Server::start([single(&with_token), single(&with_token), single(KEY), page, single(KEY)]).await;
    let client = server.client();
    let made = client.create_api_key(&NewApiKey::new("ci").for_user("usr_1")).await.unwrap();
    assert_eq!((made.expose_token(), made.key.scopes.as_deref()), ("amk_new", Some(&["users:read".to_owned()][..])));
    assert!(!format!("{made:?}").contains("amk_new"));
    client.rotate_api_key("key_1", Some(Duration::from_secs(60))).await.unwrap();
    assert_eq!(client.get_api_key("key_1").await.unwrap().previous_expires_at, None);
    assert_eq!(client.list_api_keys(Some("usr_1"), 50, Some("pt-1")).await.unwrap().results[0], made.key);
    client.revoke_api_key("key_1").await.unwrap();
    assert_eq!(
        server.lines(),
        [
            "POST /api/v2/api_keys HTTP/1.1",
            "POST /api/v2/api_keys/key_1/rotate HTTP/1.1",
            "GET /api/v2/api_keys/key_1 HTTP/1.1",
            "GET /api/v2/api_keys?user_id=usr_1&paging_token=pt-1&count=50 HTTP/1.1",
            "DELETE /api/v2/api_keys/key_1 HTTP/1.1",
        ]
    );
    let bodies: Vec<String> = server.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies[..2], [r#"{"name":"ci","user_id":"usr_1"}"#, r#"{"overlap_seconds":60}"#]);
}

#[tokio::test]
async fn a_service_account_is_created_with_keys_through_the_vendors_routes() {
    let account = r#""user_id":"usr_1","identity_id":"ide_1","name":"c i","organization_id":"org_1","email":"ci@x.y",
        "permission_level":"collaborator","created_at":"2026-11-23T10:00:00Z""#;
    let server = Server::start([
        single(account),
        single(r#""server_session_id":"amk_new""#),
        single(r#""user_id":"usr_1","keys":2"#),
    ])
    .await;
    let client = server.client();
    assert_eq!(client.create_service_account("c i").await.unwrap().identity_id.as_deref(), Some("ide_1"));
    let hundred_years = Duration::from_secs(3_153_600_000);
    assert_eq!(client.create_api_key_for("usr_1", hundred_years, None).await.unwrap().expose_secret(), "amk_new");
    assert_eq!(client.rotate_api_keys_for_user("usr_1").await.unwrap(), 2);
    assert_eq!(
        server.lines(),
        [
            "POST /api/v2/users/service_accounts?name=c+i HTTP/1.1",
            "POST /api/v2/users/create_api_key HTTP/1.1",
            "POST /api/v2/organization_collaborators/rotate_api_key_for_user/usr_1 HTTP/1.1",
        ]
    );
    assert_eq!(server.requests()[1].body, r#"{"duration":3153600000,"user_id":"usr_1"}"#);
    assert!(matches!(client.rotate_api_keys_for_user("../x").await, Err(Error::Config(_))));
}

#[tokio::test]
async fn a_login_requires_no_token_and_returns_one_when_approved() {
    let server = Server::start([
        single(r#""url":"http://h/login/otp_1","otp":"otp_1","code":"BDWP-HQPK""#),
        single(r#""valid":false,"server_session_id":"""#),
        single(r#""valid":true,"server_session_id":"amk_new""#),
        single(
            r#""requested_at":"2026-11-23T09:50:00Z","expires_at":"2026-11-23T10:00:00Z","client_address":null,"user_agent":null,
            "machine":"my laptop""#,
        ),
        single(r#""permission_level":"owner","expires_at":"2026-11-23T10:00:00Z""#),
    ])
    .await;
    let client = Client::builder(&server.url).build_without_token().unwrap();
    let login = client.start_login(Duration::from_secs(604_800), Some("my laptop")).await.unwrap();
    assert_eq!((login.url.as_str(), login.otp.expose_secret()), ("http://h/login/otp_1", "otp_1"));
    assert!(client.fetch_login(&login.otp).await.unwrap().is_none());
    assert_eq!(client.fetch_login(&login.otp).await.unwrap().unwrap().expose_secret(), "amk_new");
    assert_eq!(login.code.as_deref(), Some("BDWP-HQPK"));
    assert_eq!(server.client().get_login("BDWP-HQPK").await.unwrap().machine.as_deref(), Some("my laptop"));
    assert_eq!(server.client().approve_login("otp_1").await.unwrap().user_id, None);
    let requests = server.requests();
    assert!(
        requests[..3].iter().all(|request| !request.headers.iter().any(|header| header.starts_with("authorization:")))
    );
    assert_eq!(
        server.lines(),
        [
            "GET /api/v2/users/create_otp_token?duration_seconds=604800&machine=my+laptop HTTP/1.1",
            "GET /api/v2/users/request_otp_token/otp_1 HTTP/1.1",
            "GET /api/v2/users/request_otp_token/otp_1 HTTP/1.1",
            "GET /api/v2/users/otp_tokens/BDWPHQPK HTTP/1.1",
            "POST /api/v2/users/approve_otp_token HTTP/1.1",
        ]
    );
    assert_eq!(requests[4].body, r#"{"otp":"otp_1"}"#);
    assert!(matches!(client.fetch_login(&SecretString::from("../userinfo")).await, Err(Error::Config(_))));
    assert!(matches!(client.get_login("../userinfo").await, Err(Error::Config(_))));
}

#[tokio::test]
async fn the_maximum_lifetime_of_keys_is_read_and_set() {
    let days = |days: &str| single(&format!(r#""max_api_key_expiration_days":{days}"#));
    let server = Server::start([days("30"), days("null"), days("7"), days("null")]).await;
    let client = server.client();
    assert_eq!(client.max_api_key_days().await.unwrap(), Some(30));
    assert_eq!(client.max_api_key_days().await.unwrap(), None);
    client.set_max_api_key_days(Some(7)).await.unwrap();
    client.set_max_api_key_days(None).await.unwrap();
    let path = "/api/v2/organizations/api_key_expiration HTTP/1.1";
    assert_eq!(server.lines(), ["GET", "GET", "PUT", "PUT"].map(|method| format!("{method} {path}")));
    let bodies: Vec<String> = server.requests().into_iter().skip(2).map(|request| request.body).collect();
    assert_eq!(bodies, [r#"{"max_api_key_expiration_days":7}"#, r#"{"max_api_key_expiration_days":null}"#]);
}
