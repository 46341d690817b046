//! Creating users.

use std::time::Duration;

use muster_client::{AdminCreateUser, AdminCreatedUser, Client, Error, Rejection, RowFinding};
use serde_json::json;

use crate::server::{Answer, Server, TOKEN};

const CREATED: &str = r#"{"results":[
    {"user_id":"usr_1","email":"test1@anyscale.com","created_at":"2026-11-23T10:00:00.123456Z","name":"name1",
     "is_sso_user":false,"lastname":"lastname1","title":"title1"},
    {"user_id":"usr_2","email":"test2@anyscale.com","created_at":"2026-11-23T10:00:00.123456Z","name":"name2",
     "is_sso_user":true}
],"metadata":{"total":2}}"#;

fn users() -> [AdminCreateUser; 2] {
    [
        AdminCreateUser::new("name1", "test1@anyscale.com").password("").lastname("lastname1").title("title1"),
        AdminCreateUser::new("name2", "test2@anyscale.com").sso(),
    ]
}

#[tokio::test]
async fn a_batch_is_one_post_of_a_bare_array_and_answers_the_created_users() {
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
async fn rows_without_a_type_are_sent_as_they_are() {
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
async fn a_refused_batch_tells_every_finding_of_every_row() {
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
    let Error::Rejected(rejection) = error else { panic!("{error:?}") };
    assert_eq!(
        rejection,
        Rejection {
            status: 422,
            code: "batch_rejected".to_owned(),
            detail: "2 of 2 users can't be created: …".to_owned(),
            rows: rows.to_vec(),
            request_id: Some("req_7".to_owned()),
            retry_after: None,
        }
    );
}

#[tokio::test]
async fn a_busy_server_is_not_asked_twice_to_create_users() {
    let busy = || {
        let body = r#"{"error":{"code":"overloaded","detail":"too many batches right now","request_id":"req_8"}}"#;
        Answer::new("503 Service Unavailable", body).header("retry-after", "0")
    };
    let server = Server::start([busy(), busy()]).await;
    let error = server.client().admin_batch_create(&users()).await.unwrap_err();

    assert_eq!(server.requests().len(), 1);
    assert_eq!(error.to_string(), "too many batches right now (request id: req_8)");
    assert!(!error.outcome_unknown());
    let Error::Server(rejection) = error else { panic!("{error:?}") };
    assert_eq!(rejection.retry_after, Some(Duration::ZERO));
    assert_eq!((rejection.status, rejection.code.as_str()), (503, "overloaded"));
}

#[tokio::test]
async fn a_batch_may_take_longer_than_a_read() {
    let server = Server::start([Answer::new("200 OK", CREATED).after(Duration::from_millis(400))]).await;
    let client = Client::builder(&server.url).token(TOKEN).read_timeout(Duration::from_millis(50)).build().unwrap();
    assert_eq!(client.admin_batch_create(&users()).await.unwrap().len(), 2);
}
