//! Reads: the caller, members, the audit log, and retries.

use std::time::{Duration, Instant};

use muster_client::{AuditFilter, Client, CollaboratorFilter, CollaboratorType, Error, PageMetadata};
use serde_json::json;

use crate::server::{Answer, Server, TOKEN};

const USER_INFO: &str = r#"{"result":{"id":"usr_1","email":"ada@example.org","name":"Ada","lastname":null,"username":"ada@example.org",
    "verified":true,"organization_permission_level":"owner","organization_ids":["org_1"],"ld_hash":"","ld_hash_fields":[],
    "pylon_hash":"","organizations":[{"id":"org_1","name":"Example","public_identifier":"example","sso_mode":"optional",
    "is_general_platform_enabled":false,"is_private_endpoints_enabled":false,"is_usage_blocked":false}]}}"#;

const COLLABORATOR: &str = r#"{"id":"ide_1","user_id":"usr_1","name":"Ada","full_name":"Ada Lovelace","email":"ada@example.org",
    "permission_level":"owner","base_role":"owner","additional_roles":[],"is_service_account":false,
    "created_at":"2026-11-23T10:00:00Z"}"#;

fn busy(seconds: &str) -> Answer {
    let body = r#"{"error":{"code":"unavailable","detail":"the database can't be reached"}}"#;
    Answer::new("503 Service Unavailable", body).header("retry-after", seconds)
}

#[tokio::test]
async fn user_info_returns_the_caller_and_the_organizations() {
    let server = Server::start([Answer::new("200 OK", USER_INFO)]).await;
    let me = server.client().user_info().await.unwrap();
    assert_eq!(server.lines(), ["GET /api/v2/userinfo/ HTTP/1.1"]);
    assert_eq!((me.id.as_str(), me.organization_permission_level.as_str(), me.lastname), ("usr_1", "owner", None));
    assert_eq!(me.organizations.len(), 1);
    assert_eq!(me.organizations[0].public_identifier, "example");
    assert_eq!(me.organizations[0].sso_mode.as_deref(), Some("optional"));
}

#[tokio::test]
async fn a_path_prefix_is_kept_and_a_trailing_slash_ignored() {
    let server = Server::start([Answer::new("200 OK", USER_INFO)]).await;
    Client::new(&format!("{}/muster/", server.url), TOKEN).unwrap().user_info().await.unwrap();
    assert_eq!(server.lines(), ["GET /muster/api/v2/userinfo/ HTTP/1.1"]);
}

#[tokio::test]
async fn collaborators_are_filtered_and_paged_like_in_the_vendors_client() {
    let body = format!(r#"{{"results":[{COLLABORATOR}],"metadata":{{"total":2,"next_paging_token":"pt-3"}}}}"#);
    let server = Server::start([Answer::new("200 OK", body)]).await;
    let filter = CollaboratorFilter {
        email: Some("a+b@x.y".to_owned()),
        name: Some("N N".to_owned()),
        collaborator_type: Some(CollaboratorType::OnlyUserAccounts),
        is_service_account: Some(true),
        ..CollaboratorFilter::default()
    };
    let page = server.client().list_collaborators(&filter, 2, Some("pt-2")).await.unwrap();
    assert_eq!(
        server.lines(),
        ["GET /api/v2/organization_collaborators/?email=a%2Bb%40x.y&name=N+N&collaborator_type=only_user_accounts\
          &is_service_account=True&paging_token=pt-2&count=2 HTTP/1.1"]
    );
    assert_eq!(page.metadata, PageMetadata { total: Some(2), next_paging_token: Some("pt-3".to_owned()) });
    assert_eq!(page.results.len(), 1);
    assert_eq!(page.results[0].user_id.as_deref(), Some("usr_1"));
}

#[tokio::test]
async fn finding_a_collaborator_requests_one_and_may_find_none() {
    let found = format!(r#"{{"results":[{COLLABORATOR}],"metadata":{{"total":1,"next_paging_token":null}}}}"#);
    let server = Server::start([Answer::new("200 OK", found), Answer::new("200 OK", r#"{"results":[]}"#)]).await;
    let client = server.client();
    let ada = client.find_collaborator(&CollaboratorFilter::by_email("ada@example.org")).await.unwrap().unwrap();
    assert_eq!(ada.id, "ide_1");
    assert_eq!(client.find_collaborator(&CollaboratorFilter::by_name("Nobody")).await.unwrap(), None);
    assert_eq!(
        server.lines(),
        [
            "GET /api/v2/organization_collaborators/?email=ada%40example.org&count=1 HTTP/1.1",
            "GET /api/v2/organization_collaborators/?name=Nobody&count=1 HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn an_empty_filter_is_rejected_before_sending() {
    let server = Server::start([]).await;
    let error = server.client().find_collaborator(&CollaboratorFilter::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "a filter to find a collaborator requires an e-mail address or a name");
}

#[tokio::test]
async fn audit_events_may_have_null_fields() {
    let body = r#"{"results":[
        {"event_id":"evt_2","occurred_at":"2026-11-23T10:00:01Z","actor_kind":"api_key","actor_id":"key_1","actor_name":"ci",
         "action":"user.batch_create","outcome":"success","reason":null,"target_kind":"batch","target_id":"bat_1",
         "batch_id":"bat_1","request_id":"req_1","source_address":"127.0.0.1","details":{"users":2}},
        {"event_id":"evt_1","occurred_at":"2026-11-23T10:00:00Z","actor_kind":"anonymous","actor_id":null,"actor_name":null,
         "action":"user.batch_create","outcome":"denied","reason":"unknown_key","target_kind":null,"target_id":null,
         "batch_id":null,"request_id":null,"source_address":null,"details":{}}
    ],"metadata":{"total":null,"next_paging_token":null}}"#;
    let server = Server::start([Answer::new("200 OK", body)]).await;
    let filter = AuditFilter {
        since: Some("2026-11-23T10:00:00Z".parse().unwrap()),
        action: Some("user.batch_create".to_owned()),
        ..AuditFilter::default()
    };
    let page = server.client().audit_events(&filter, 50, None).await.unwrap();
    assert_eq!(
        server.lines(),
        ["GET /api/v2/audit/events?since=2026-11-23T10%3A00%3A00Z&action=user.batch_create&count=50 HTTP/1.1"]
    );
    assert_eq!(page.metadata, PageMetadata::default());
    assert_eq!(serde_json::Value::from(page.results[0].details.clone()), json!({"users": 2}));
    assert_eq!(page.results[1].reason.as_deref(), Some("unknown_key"));
    assert_eq!(page.results[1].actor_id, None);
}

#[tokio::test]
async fn an_overloaded_server_is_retried_after_the_requested_delay() {
    let server = Server::start([busy("1"), busy("0"), Answer::new("200 OK", USER_INFO)]).await;
    let begin = Instant::now();
    server.client().user_info().await.unwrap();
    assert_eq!(server.requests().len(), 3);
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_read_is_attempted_at_most_four_times() {
    let server = Server::start([busy("0"), busy("0"), busy("0"), busy("0"), busy("0")]).await;
    let error = server.client().user_info().await.unwrap_err();
    assert_eq!(server.requests().len(), 4);
    assert_eq!(error.to_string(), "the database can't be reached");
    assert_eq!(error.api_error().unwrap().retry_after, Some(Duration::ZERO));
}

#[tokio::test]
async fn a_503_without_retry_after_is_not_retried() {
    let body = r#"{"error":{"code":"overloaded","detail":"later"}}"#;
    let server = Server::start([Answer::new("429 Too Many Requests", body), Answer::new("200 OK", USER_INFO)]).await;
    let error = server.client().user_info().await.unwrap_err();
    assert!(matches!(&error, Error::Rejected(error_body) if error_body.status == 429), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}
