//! Existing users and members.

use muster_client::{ApplyOptions, CollaboratorSearch, Error, PermissionLevel, UserChange, UserRow};

use crate::server::{Answer, Server};

const USER: &str = r#"{"user_id":"usr_1","identity_id":"ide_1","email":"ada@example.org","name":"Ada","lastname":null,
    "title":"Countess","is_sso_user":true,"is_service_account":false,"status":"active","permission_level":"owner",
    "created_at":"2026-11-23T10:00:00Z","updated_at":"2026-11-24T10:00:00Z","revision":3}"#;

const MEMBER: &str = r#"{"id":"ide_1","user_id":"usr_1","name":"Ada","full_name":"Ada Lovelace","email":"ada@example.org",
    "permission_level":"owner","base_role":"owner","additional_roles":[],"is_service_account":false,"status":"suspended",
    "created_at":"2026-11-23T10:00:00Z"}"#;

fn single(thing: &str) -> Answer {
    Answer::new("200 OK", format!(r#"{{"result":{thing}}}"#))
}

fn list(thing: &str) -> Answer {
    Answer::new("200 OK", format!(r#"{{"results":[{thing}],"metadata":{{"total":1,"next_paging_token":null}}}}"#))
}

fn changed(user: &str) -> Answer {
    let change = r#"{"user_id":"usr_1","field":"email","before":null,"after":"b@x.org"}"#;
    let metadata = format!(r#"{{"total":1,"next_paging_token":null,"changed":1,"unchanged":0,"changes":[{change}]}}"#);
    Answer::new("200 OK", format!(r#"{{"results":[{user}],"metadata":{metadata}}}"#))
}

#[tokio::test]
async fn a_user_is_read_and_changed() {
    let server =
        Server::start([single(USER), single(USER), single(USER), single(USER), Answer::new("204 No Content", "")])
            .await;
    let client = server.client();
    let user = client.get_user("usr_1").await.unwrap();
    assert_eq!((user.revision, user.lastname.as_deref(), user.title.as_deref()), (3, None, Some("Countess")));
    let change = UserChange { name: Some("Ada".to_owned()), lastname: Some(None), ..UserChange::default() };
    client.update_user("usr_1", &change, Some(3)).await.unwrap();
    client.suspend_user("usr_1", None).await.unwrap();
    client.reactivate_user("usr_1", Some(4)).await.unwrap();
    client.delete_user("usr_1", Some(5)).await.unwrap();
    assert_eq!(
        server.lines(),
        [
            "GET /api/v2/users/usr_1 HTTP/1.1",
            "PATCH /api/v2/users/usr_1 HTTP/1.1",
            "POST /api/v2/users/usr_1/suspend HTTP/1.1",
            "POST /api/v2/users/usr_1/reactivate HTTP/1.1",
            "DELETE /api/v2/users/usr_1 HTTP/1.1",
        ]
    );
    let requests = server.requests();
    assert_eq!(requests[1].body, r#"{"name":"Ada","lastname":null}"#);
    let tags: Vec<_> = requests.iter().map(|request| request.header("if-match")).collect();
    assert_eq!(tags, [None, Some("\"3\""), None, Some("\"4\""), Some("\"5\"")]);
    assert_eq!(requests[2].header("content-length"), Some("0"));
}

#[tokio::test]
async fn lists_of_users_are_not_retried() {
    let findings = r#"{"error":{"code":"batch_rejected","detail":"no","rows":[
        {"index":0,"field":"user","code":"unknown_user","message":"there is no such user"}]}}"#;
    let server = Server::start([
        changed(USER),
        changed(USER),
        changed(USER),
        Answer::new("422 Unprocessable Entity", findings),
        Answer::none(),
    ])
    .await;
    let client = server.client();
    let change = UserChange { email: Some("b@x.org".to_owned()), ..UserChange::default() };
    let row = UserRow { change, if_match: Some(2), ..UserRow::new("a@x.org") };
    let updated = client.update_users(&[row], true).await.unwrap();
    let change = &updated.metadata.changes[0];
    assert_eq!((updated.results.len(), updated.metadata.changed, updated.metadata.unchanged), (1, 1, 0));
    assert_eq!(
        (change.field.as_str(), change.before.as_deref(), change.after.as_deref()),
        ("email", None, Some("b@x.org"))
    );
    client.suspend_users(&[UserRow::new("usr_1")], false).await.unwrap();
    client.reactivate_users(&[UserRow::new("usr_1")], false).await.unwrap();
    let error = client.delete_users(&[UserRow::new("usr_1")], false).await.unwrap_err();
    assert_eq!(error.rows()[0].code, "unknown_user");
    assert!(client.delete_users(&[UserRow::new("usr_1")], false).await.unwrap_err().outcome_unknown());
    assert_eq!(
        server.lines(),
        [
            "POST /api/v2/users/admin_batch_update?dry_run=true HTTP/1.1",
            "POST /api/v2/users/admin_batch_suspend HTTP/1.1",
            "POST /api/v2/users/admin_batch_reactivate HTTP/1.1",
            "POST /api/v2/users/admin_batch_delete HTTP/1.1",
            "POST /api/v2/users/admin_batch_delete HTTP/1.1",
        ]
    );
    assert_eq!(server.requests()[0].body, r#"[{"user":"a@x.org","email":"b@x.org","if_match":2}]"#);
    assert_eq!(server.requests()[1].body, r#"[{"user":"usr_1"}]"#);
}

#[tokio::test]
async fn members_are_searched_changed_and_removed() {
    let server = Server::start([list(MEMBER), single(MEMBER), single(MEMBER), Answer::new("204 No Content", "")]).await;
    let client = server.client();
    let search = CollaboratorSearch {
        permission_level: Some(PermissionLevel::Owner),
        status: Some("suspended".to_owned()),
        ..CollaboratorSearch::new("love")
    };
    let page = client.search_collaborators(&search, 7, Some("pt-1")).await.unwrap();
    assert_eq!(page.results[0].status.as_deref(), Some("suspended"));
    assert_eq!(client.get_collaborator("ide_1").await.unwrap().user_id.as_deref(), Some("usr_1"));
    client.set_permission_level("ide_1", PermissionLevel::Collaborator, Some(1)).await.unwrap();
    client.remove_collaborator("ide_1", None).await.unwrap();
    assert_eq!(
        server.lines(),
        [
            "POST /api/v2/organization_collaborators/search HTTP/1.1",
            "GET /api/v2/organization_collaborators/ide_1 HTTP/1.1",
            "PUT /api/v2/organization_collaborators/ide_1 HTTP/1.1",
            "DELETE /api/v2/organization_collaborators/ide_1 HTTP/1.1",
        ]
    );
    let requests = server.requests();
    let body = r#"{"query":"love","permission_level":"owner","status":"suspended","count":7,"paging_token":"pt-1"}"#;
    assert_eq!(requests[0].body, body);
    assert_eq!(requests[2].body, r#"{"permission_level":"collaborator"}"#);
    assert_eq!((requests[2].header("if-match"), requests[3].header("if-match")), (Some("\"1\""), None));
}

#[tokio::test]
async fn a_malformed_id_is_rejected_before_sending() {
    let server = Server::start([]).await;
    let error = server.client().get_user("../audit").await.unwrap_err();
    assert!(matches!(error, Error::Config(_)));
    assert_eq!(error.to_string(), "invalid ID `../audit`; expected `usr_…`");
    let error = server.client().remove_collaborator("", None).await.unwrap_err();
    assert_eq!(error.to_string(), "invalid ID ``; expected `ide_…`");
}

#[tokio::test]
async fn a_list_is_applied_with_the_plan_of_its_dry_run() {
    let planned = r#"{"results":[{"action":"change","user_id":"usr_1","email":"a@x.org","changes":[
        {"field":"title","before":null,"after":"Boss"}]}],"metadata":{"total":2,"next_paging_token":null,"created":0,
        "changed":1,"suspended":0,"unchanged":1},"plan":"plan1_x"}"#;
    let applied = planned.replace(r#","plan":"plan1_x""#, "");
    let server = Server::start([Answer::new("200 OK", planned), Answer::new("200 OK", &applied)]).await;
    let client = server.client();
    let rows = [serde_json::json!({"email": "a@x.org", "title": "Boss"})];
    let options = ApplyOptions { dry_run: true, suspend_missing: true, plan: None };
    let planned = client.apply_users(&rows, &options).await.unwrap();
    let change = &planned.results[0].changes[0];
    assert_eq!(
        (change.field.as_str(), change.before.as_deref(), change.after.as_deref()),
        ("title", None, Some("Boss"))
    );
    let options = ApplyOptions { dry_run: false, plan: planned.plan, ..options };
    let applied = client.apply_users(&rows, &options).await.unwrap();
    assert_eq!((applied.metadata.changed, applied.plan), (1, None));
    assert_eq!(
        server.lines(),
        [
            "POST /api/v2/users/admin_batch_apply?dry_run=true&suspend_missing=true HTTP/1.1",
            "POST /api/v2/users/admin_batch_apply?suspend_missing=true HTTP/1.1",
        ]
    );
    let requests = server.requests();
    assert_eq!((requests[0].header("muster-plan"), requests[1].header("muster-plan")), (None, Some("plan1_x")));
    assert_eq!(requests[1].body, r#"[{"email":"a@x.org","title":"Boss"}]"#);
}
