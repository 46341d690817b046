//! Group members: atomic lists, and listing all groups with members.

use serde_json::{Value, json};

use crate::groups::{PATH, group, send};
use crate::support::{Actor, Answer, TestApp, sso};

async fn app_with(count: usize) -> TestApp {
    let app = TestApp::spawn_patient().await;
    let users: Vec<Value> = (0..count).map(|n| sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);
    app
}

fn users(numbers: impl IntoIterator<Item = usize>) -> Value {
    numbers.into_iter().map(|n| json!({"user": format!("user{n}@example.com")})).collect()
}

async fn add(app: &TestApp, id: &str, users: &Value) -> Answer {
    send(&app.owner, "POST", &format!("{PATH}{id}/members/add"), users).await
}

async fn remove(app: &TestApp, id: &str, users: &Value) -> Answer {
    send(&app.owner, "POST", &format!("{PATH}{id}/members/remove"), users).await
}

/// The addresses of the members.
async fn members(app: &TestApp, id: &str) -> Vec<String> {
    let answer = app.owner.get(&format!("{PATH}{id}/members")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    body["results"].as_array().unwrap().iter().map(|user| user["user_email"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn members_are_added_and_removed_by_id_and_address() {
    let app = app_with(4).await;
    let id = group(&app, "team").await;
    let found = app.owner.get("/api/v2/organization_collaborators/?email=user3%40example.com").await.json();
    let third = found["results"][0]["user_id"].clone();

    let added = add(&app, &id, &json!([{"user": "USER1@example.com"}, {"user": third}])).await;
    assert_eq!((added.status, added.json()), (200, json!({"result": {"group_id": id, "added": 2, "unchanged": 0}})));
    let added = add(&app, &id, &users([1, 0, 3])).await;
    assert_eq!(added.json(), json!({"result": {"group_id": id, "added": 1, "unchanged": 2}}));
    assert_eq!(members(&app, &id).await, ["user0@example.com", "user1@example.com", "user3@example.com"]);

    let removed = remove(&app, &id, &users([3, 2])).await;
    assert_eq!(
        (removed.status, removed.json()),
        (200, json!({"result": {"group_id": id, "removed": 1, "unchanged": 1}}))
    );
    assert_eq!(members(&app, &id).await, ["user0@example.com", "user1@example.com"]);
    let log = app.owner.get("/api/v2/audit/events?action=group.remove_members").await.json();
    assert_eq!(log["results"][0]["details"], json!({"user_ids": [third]}));
    assert_eq!(log["results"][0]["target_id"], json!(id));
}

#[tokio::test]
async fn a_member_is_listed_with_name_and_time() {
    let app = TestApp::spawn().await;
    let user = json!([{"name": "Ada", "lastname": "Lovelace", "email": "ada@example.com", "is_sso_user": true}]);
    assert_eq!(app.owner.create(&user).await.status, 200);
    let id = group(&app, "team").await;
    assert_eq!(add(&app, &id, &json!([{"user": "ada@example.com"}])).await.status, 200);
    let body = app.owner.get(&format!("{PATH}{id}/members")).await.json();
    let mut member = body["results"][0].clone();
    let fields = member.as_object_mut().unwrap();
    assert!(fields.remove("user_id").unwrap().as_str().unwrap().starts_with("usr_"));
    assert!(fields.remove("added_at").unwrap().as_str().unwrap().ends_with('Z'));
    assert_eq!(member, json!({"user_email": "ada@example.com", "user_name": "Ada Lovelace"}));
    assert_eq!(body["metadata"], json!({"total": null, "next_paging_token": null}));
}

#[tokio::test]
async fn member_lists_are_atomic_with_a_finding_for_every_row() {
    let app = app_with(3).await;
    let id = group(&app, "team").await;
    assert_eq!(add(&app, &id, &users([0])).await.status, 200);
    let list = json!([
        {"user": "user1@example.com"},
        {"user": "nobody@example.com"},
        {"user": "usr_01k9h6m3x0e8wbz1v5n7q2r4t6"},
        {"user": "ug_01k9h6m3x0e8wbz1v5n7q2r4t6"},
        {"user": "USER1@EXAMPLE.COM"},
        {"user": "%"},
        {"user": "x".repeat(10_000)},
        {"user": "user2@example.com", "why": "because"},
        7,
    ]);
    let answers = [("added", add(&app, &id, &list).await), ("removed", remove(&app, &id, &list).await)];
    for (done, answer) in answers {
        let error = answer.error();
        assert_eq!((answer.status, &error["code"]), (422, &json!("batch_rejected")));
        let rows: Vec<(u64, &str, &str)> = error["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                (row["index"].as_u64().unwrap(), row["field"].as_str().unwrap_or("-"), row["code"].as_str().unwrap())
            })
            .collect();
        assert_eq!(
            rows,
            [
                (1, "user", "unknown_user"),
                (2, "user", "unknown_user"),
                (3, "user", "user_invalid"),
                (4, "user", "user_duplicate"),
                (5, "user", "user_invalid"),
                (6, "user", "user_invalid"),
                (7, "why", "unknown_field"),
                (8, "-", "wrong_type"),
            ]
        );
        assert_eq!(error["rows"][3]["other_index"], 0);
        let detail = error["detail"].as_str().unwrap();
        let start = format!(
            "8 of 9 users can't be {done}: users[1].user (nobody@example.com): there is no such user; users[2].user \
             (usr_01k9h6m3x0e8wbz1v5n7q2r4t6): there is no such user; users[3].user: must be a user ID (`usr_…`) or an e-mail address; "
        );
        assert!(detail.starts_with(&start) && detail.ends_with("; and 3 more"), "{detail}");
    }
    assert_eq!(members(&app, &id).await, ["user0@example.com"]);
}

#[tokio::test]
async fn a_dry_run_previews_the_members_and_changes_nothing() {
    let app = app_with(2).await;
    let id = group(&app, "team").await;
    assert_eq!(add(&app, &id, &users([0])).await.status, 200);
    for (what, changed, unchanged) in [("add", "added", "unchanged"), ("remove", "removed", "unchanged")] {
        let path = format!("{PATH}{id}/members/{what}?dry_run=true");
        let planned = send(&app.owner, "POST", &path, &users([0, 1])).await;
        let expected = json!({"result": {"group_id": id, changed: 1, unchanged: 1}});
        assert_eq!((planned.status, planned.json()), (200, expected), "{what}");
        let nobody = send(&app.owner, "POST", &path, &json!([{"user": "nobody@example.com"}])).await;
        assert_eq!((nobody.status, nobody.error()["rows"][0]["code"].clone()), (422, json!("unknown_user")), "{what}");
        let odd = send(&app.owner, "POST", &path.replace("true", "maybe"), &users([1])).await;
        assert_eq!((odd.status, odd.error()["code"].clone()), (400, json!("invalid_request")), "{what}");
    }
    assert_eq!(members(&app, &id).await, ["user0@example.com"]);
    let log = app.owner.get("/api/v2/audit/events?action=group.add_members").await.json();
    assert_eq!(log["results"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_that_is_not_a_list_is_rejected() {
    let app = TestApp::spawn_with(|config| config.batch.max_users = 3).await;
    let id = group(&app, "team").await;
    for path in ["add", "remove"] {
        for (body, status, code) in [
            ("", 400, "invalid_json"),
            ("[", 400, "invalid_json"),
            ("{}", 400, "invalid_request"),
            ("[]", 400, "empty_batch"),
            ("[{},{},{},{}]", 413, "too_large"),
        ] {
            let answer = Actor::send(app.owner.request("POST", &format!("{PATH}{id}/members/{path}")).body(body)).await;
            assert_eq!((answer.status, answer.error()["code"].as_str()), (status, Some(code)), "{path} {body}");
        }
    }
}

#[tokio::test]
async fn users_of_another_organization_are_not_found() {
    let app = app_with(2).await;
    let id = group(&app, "team").await;
    app.db_execute(
        "insert into organizations (organization_id, name, public_identifier, created_at)
         select '00000000-0000-7000-8000-000000000001', 'Other', 'other', now()",
    )
    .await;
    app.db_execute("delete from collaborators where user_id = (select user_id from users where email like 'user1@%')")
        .await;
    app.db_execute(
        "update users set organization_id = '00000000-0000-7000-8000-000000000001', batch_id = null
         where email like 'user1@%'",
    )
    .await;
    let answer = add(&app, &id, &users([0, 1])).await;
    assert_eq!(
        (answer.status, answer.error()["detail"].as_str().unwrap()),
        (422, "1 of 2 users can't be added: users[1].user (user1@example.com): there is no such user")
    );
}

#[tokio::test]
async fn concurrent_lists_with_common_users_succeed() {
    let app = app_with(200).await;
    let (one, two) = (group(&app, "one").await, group(&app, "two").await);
    let (up, down) = (users(0..200), users((0..200).rev()));
    let answers = futures_util::future::join_all((0..8).map(|n| {
        let (id, list) = if n % 2 == 0 { (&one, &up) } else { (&two, &down) };
        add(&app, id, list)
    }))
    .await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let added: u64 = answers.iter().map(|answer| answer.json()["result"]["added"].as_u64().unwrap()).sum();
    assert_eq!(added, 400);
}

#[tokio::test]
async fn a_deleted_user_leaves_all_groups() {
    let app = app_with(2).await;
    let id = group(&app, "team").await;
    assert_eq!(add(&app, &id, &users([0])).await.status, 200);
    let deleted = app.owner.post("/api/v2/users/admin_batch_delete", &json!([{"user": "user0@example.com"}])).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    assert_eq!(members(&app, &id).await, Vec::<String>::new());
}

#[tokio::test]
async fn all_groups_are_listed_with_all_members() {
    let app = app_with(2500).await;
    let (empty, many, few, last) =
        (group(&app, "empty").await, group(&app, "m\"any").await, group(&app, "few").await, group(&app, "last").await);
    let added = add(&app, &many, &users(0..2500)).await;
    assert_eq!(added.json()["result"]["added"], 2500);
    assert_eq!(add(&app, &few, &users([7, 3])).await.status, 200);
    // An audit event lists at most 1,000 users.
    let log = app.owner.get("/api/v2/audit/events?action=group.add_members").await.json();
    let named: Vec<usize> = log["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["details"]["user_ids"].as_array().unwrap().len())
        .collect();
    assert_eq!(named, [2, 500, 1000, 1000]);

    let answer = app.owner.get(&format!("{PATH}memberships/list")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let body = answer.json();
    let groups = body["result"]["groups"].as_array().unwrap();
    let shown: Vec<(&Value, &Value, usize)> = groups
        .iter()
        .map(|group| (&group["group_id"], &group["group_name"], group["members"].as_array().unwrap().len()))
        .collect();
    assert_eq!(
        shown,
        [
            (&json!(empty), &json!("empty"), 0),
            (&json!(many), &json!("m\"any"), 2500),
            (&json!(few), &json!("few"), 2),
            (&json!(last), &json!("last"), 0),
        ]
    );
    let emails = |group: &Value| -> Vec<String> {
        let members = group["members"].as_array().unwrap().iter();
        members.map(|member| member["user_email"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(emails(&groups[1]), (0..2500).map(|n| format!("user{n}@example.com")).collect::<Vec<_>>());
    let mut member = groups[2]["members"][0].clone();
    assert!(member.as_object_mut().unwrap().remove("user_id").unwrap().as_str().unwrap().starts_with("usr_"));
    assert_eq!(member, json!({"user_email": "user3@example.com", "user_name": "Ada"}));
}

#[tokio::test]
async fn more_groups_than_one_query_reads_are_all_listed() {
    let app = app_with(1).await;
    app.db_execute(
        "insert into user_groups (organization_id, group_id, name, name_key, source, created_at, updated_at)
         select organization_id, ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, n::text, n::text, 'user',
             now(), now()
         from organizations, generate_series(1, 450) as n",
    )
    .await;
    app.db_execute(
        "insert into user_group_members (organization_id, group_id, user_id, added_at)
         select organization_id, group_id, user_id, now() from user_groups join users using (organization_id)
         where user_groups.name in ('200', '201', '450')",
    )
    .await;
    let body = app.owner.get(&format!("{PATH}memberships/list")).await.json();
    let groups = body["result"]["groups"].as_array().unwrap();
    let sizes: Vec<(usize, usize)> = groups
        .iter()
        .map(|group| {
            (group["group_name"].as_str().unwrap().parse().unwrap(), group["members"].as_array().unwrap().len())
        })
        .collect();
    let expected: Vec<(usize, usize)> =
        (1..=450).map(|n| (n, if [200, 201, 450].contains(&n) { 2 } else { 0 })).collect();
    assert_eq!(sizes, expected);
}

#[tokio::test]
async fn without_groups_there_is_an_empty_list() {
    let app = TestApp::spawn().await;
    let answer = app.owner.get(&format!("{PATH}memberships/list")).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"result":{"groups":[]}}"#));
    let answer = Actor::send(app.owner.request("HEAD", &format!("{PATH}memberships/list"))).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
}
