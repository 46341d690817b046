//! Groups and policies.

use muster_client::{GroupUser, PolicyBinding};

use crate::server::{Answer, Server};

const GROUP: &str = r#"{"id":"ug_1","name":"team","org_id":"org_1","source":null,"deleted_at":null,
    "organization_permissions":{"base_role":"owner","additional_roles":null},
    "created_at":"2026-11-23T10:00:00Z","updated_at":"2026-11-23T10:00:00Z"}"#;

fn single(result: &str) -> Answer {
    Answer::new("200 OK", format!(r#"{{"result":{result}}}"#))
}

#[tokio::test]
async fn groups_are_created_renamed_read_and_deleted() {
    let page = format!(r#"{{"results":[{GROUP}],"metadata":null}}"#);
    let server =
        Server::start([single(GROUP), single(GROUP), single(GROUP), single(GROUP), Answer::new("200 OK", page)]).await;
    let client = server.client();
    let made = client.create_group("team").await.unwrap();
    assert_eq!((made.id.as_str(), made.source), ("ug_1", None));
    assert_eq!(made.organization_permissions.unwrap().base_role.as_deref(), Some("owner"));
    client.rename_group("ug_1", "the team").await.unwrap();
    client.get_group("ug_1").await.unwrap();
    client.delete_group("ug_1").await.unwrap();
    assert_eq!(client.list_groups(2, Some("ug_0")).await.unwrap().results.len(), 1);
    assert_eq!(
        server.lines(),
        [
            "POST /api/v2/user_groups/ HTTP/1.1",
            "PATCH /api/v2/user_groups/ug_1 HTTP/1.1",
            "GET /api/v2/user_groups/ug_1 HTTP/1.1",
            "DELETE /api/v2/user_groups/ug_1 HTTP/1.1",
            "GET /api/v2/user_groups/?paging_token=ug_0&count=2 HTTP/1.1",
        ]
    );
    let bodies: Vec<String> = server.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [r#"{"name":"team"}"#, r#"{"name":"the team"}"#, "", "", ""]);
}

#[tokio::test]
async fn members_are_added_and_removed() {
    let server = Server::start([
        single(r#"{"group_id":"ug_1","added":1,"unchanged":1}"#),
        single(r#"{"group_id":"ug_1","removed":2,"unchanged":0}"#),
        single(
            r#"{"groups":[{"group_id":"ug_1","group_name":"team","members":[
            {"user_id":"usr_1","user_email":"ada@example.org","user_name":"Ada"}]}]}"#,
        ),
    ])
    .await;
    let client = server.client();
    let users = [GroupUser::new("usr_1"), GroupUser::new("ada@example.org")];
    let added = client.add_group_members("ug_1", &users, false).await.unwrap();
    assert_eq!((added.added, added.removed, added.unchanged), (1, 0, 1));
    let removed = client.remove_group_members("ug_1", &users, true).await.unwrap();
    assert_eq!((removed.added, removed.removed, removed.unchanged), (0, 2, 0));
    let groups = client.group_memberships().await.unwrap();
    assert_eq!((groups[0].members[0].user_id.as_str(), groups[0].members[0].added_at), ("usr_1", None));
    assert_eq!(
        server.lines(),
        [
            "POST /api/v2/user_groups/ug_1/members/add HTTP/1.1",
            "POST /api/v2/user_groups/ug_1/members/remove?dry_run=true HTTP/1.1",
            "GET /api/v2/user_groups/memberships/list HTTP/1.1",
        ]
    );
    assert_eq!(server.requests()[0].body, r#"[{"user":"usr_1"},{"user":"ada@example.org"}]"#);
}

#[tokio::test]
async fn a_policy_is_replaced_and_permissions_are_read() {
    let policy = r#"{"bindings":[{"role_name":"owner","principals":["ug_1"]}],"sync_status":"success"}"#;
    let permissions = r#"{"organization_id":"org_1","org_owners":[],"users":[
        {"user_id":"usr_1","user_email":"ada@example.org","is_service_account":false,"clouds":[]}]}"#;
    let server = Server::start([single(policy), single(policy), single(permissions)]).await;
    let client = server.client();
    let bindings = [PolicyBinding { role_name: "owner".to_owned(), principals: vec!["ug_1".to_owned()] }];
    assert_eq!(client.set_policy(&bindings).await.unwrap().bindings, bindings);
    assert_eq!(client.policy().await.unwrap().sync_status, "success");
    assert_eq!(client.user_permissions(Some("usr_1")).await.unwrap().users[0].user_email, "ada@example.org");
    assert_eq!(
        server.lines(),
        [
            "PUT /api/v2/policy/organization/_ HTTP/1.1",
            "GET /api/v2/policy/organization/_ HTTP/1.1",
            "GET /api/v2/scim/list-user-permissions?user_id=usr_1 HTTP/1.1",
        ]
    );
    let sent: serde_json::Value = serde_json::from_str(&server.requests()[0].body).unwrap();
    assert_eq!(sent, serde_json::json!({"bindings": [{"role_name": "owner", "principals": ["ug_1"]}]}));
}
