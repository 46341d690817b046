//! Creating, renaming, listing and deleting groups.

use serde_json::{Value, json};

use crate::support::{Actor, TestApp};

pub const PATH: &str = "/api/v2/user_groups/";

/// Sends JSON.
pub async fn send(actor: &Actor, method: &str, path: &str, body: &Value) -> crate::support::Answer {
    Actor::send(actor.request(method, path).body(body.to_string())).await
}

/// Creates a group and returns its ID.
pub async fn group(app: &TestApp, name: &str) -> String {
    let answer = send(&app.owner, "POST", PATH, &json!({ "name": name })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["result"]["id"].as_str().unwrap().to_owned()
}

/// IDs without a group: unknown, of another kind, malformed.
pub const NO_GROUPS: [&str; 3] = ["ug_01k9h6m3x0e8wbz1v5n7q2r4t6", "usr_01k9h6m3x0e8wbz1v5n7q2r4t6", "%25_'\""];

async fn names(actor: &Actor, query: &str) -> Vec<String> {
    let answer = actor.get(&format!("{PATH}{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    body["results"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_group_has_all_fields_that_the_vendors_client_requires() {
    let app = TestApp::spawn().await;
    let made = send(&app.owner, "POST", PATH, &json!({"name": " Plattform-Team "})).await;
    assert_eq!(made.status, 200);
    let group = made.json()["result"].clone();
    let got = app.owner.get(&format!("{PATH}{}", group["id"].as_str().unwrap())).await;
    assert_eq!((got.status, &got.json()["result"]), (200, &group));
    assert_eq!(app.owner.get(&format!("{PATH}?count=50")).await.json()["results"], json!([group]));

    let organization: Value = app.owner.get("/api/v2/userinfo/").await.json()["result"]["organization_ids"][0].clone();
    let mut fields = group.clone();
    let fields = fields.as_object_mut().unwrap();
    assert!(fields.remove("id").unwrap().as_str().unwrap().starts_with("ug_"));
    let (created, updated) = (fields.remove("created_at").unwrap(), fields.remove("updated_at").unwrap());
    assert_eq!(created, updated);
    assert!(created.as_str().unwrap().ends_with('Z'));
    assert_eq!(
        Value::Object(fields.clone()),
        json!({"name": "Plattform-Team", "org_id": organization, "source": "user", "organization_permissions": null})
    );
}

#[tokio::test]
async fn group_names_are_unique_regardless_of_case_and_spelling() {
    let app = TestApp::spawn().await;
    group(&app, "Straße").await;
    let other = group(&app, "other").await;
    for name in ["Straße", "STRASSE", " strasse", "ｓtraße"] {
        let taken = json!({"code": "conflict", "detail": format!("a group named `{}` already exists", name.trim())});
        let made = send(&app.owner, "POST", PATH, &json!({ "name": name })).await;
        assert_eq!((made.status, made.error()), (409, taken.clone()), "{name}");
        let renamed = send(&app.owner, "PATCH", &format!("{PATH}{other}"), &json!({ "name": name })).await;
        assert_eq!((renamed.status, renamed.error()), (409, taken), "{name}");
    }
    assert_eq!(names(&app.owner, "").await, ["Straße", "other"]);
    // A group can change the case of its own name.
    let renamed = send(&app.owner, "PATCH", &format!("{PATH}{other}"), &json!({"name": "OTHER"})).await;
    assert_eq!((renamed.status, &renamed.json()["result"]["name"]), (200, &json!("OTHER")));
}

#[tokio::test]
async fn of_concurrent_groups_with_the_same_name_one_is_created() {
    let app = TestApp::spawn().await;
    let body = json!({"name": "one"});
    let answers = futures_util::future::join_all((0..8).map(|_| send(&app.owner, "POST", PATH, &body))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(names(&app.owner, "").await, ["one"]);
}

#[tokio::test]
async fn an_invalid_name_is_rejected() {
    let app = TestApp::spawn().await;
    for (body, code, detail) in [
        ("", "invalid_json", "the request body is not valid JSON: EOF while parsing a value at line 1 column 0"),
        ("{}", "invalid_request", "invalid request body: missing field `name` at line 1 column 2"),
        (r#"{"name": 7}"#, "invalid_request", "invalid request body: expected a string at line 1 column 10"),
        (r#"{"name": " "}"#, "invalid_request", "invalid group name: must not be empty"),
        (r#"{"name": "a\u0000b"}"#, "invalid_request", "invalid group name: contains NUL (U+0000)"),
        (
            r#"{"name": "a", "source": "scim"}"#,
            "invalid_request",
            "invalid request body: unknown field `source`, expected `name` at line 1 column 22",
        ),
    ] {
        let answer = Actor::send(app.owner.request("POST", PATH).body(body)).await;
        assert_eq!((answer.status, answer.error()), (400, json!({"code": code, "detail": detail})), "{body}");
    }
    for name in ["x".repeat(256), "x".repeat(10_000), "\u{fdfa}".repeat(255)] {
        let answer = send(&app.owner, "POST", PATH, &json!({ "name": name })).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (400, Some("invalid_request")));
    }
    for name in ["%", "_", "'\"; --", "𝕏 😀"] {
        assert_eq!(send(&app.owner, "POST", PATH, &json!({ "name": name })).await.status, 200, "{name}");
    }
    assert_eq!(names(&app.owner, "").await, ["%", "_", "'\"; --", "𝕏 😀"]);
}

#[tokio::test]
async fn deleting_a_group_keeps_its_users() {
    let app = TestApp::spawn().await;
    let id = group(&app, "short-lived").await;
    let administrator = json!([{"user": "administrator@muster.invalid"}]);
    assert_eq!(send(&app.owner, "POST", &format!("{PATH}{id}/members/add"), &administrator).await.status, 200);
    let deleted = Actor::send(app.owner.request("DELETE", &format!("{PATH}{id}"))).await;
    assert_eq!((deleted.status, &deleted.json()["result"]["name"]), (200, &json!("short-lived")));
    assert_eq!(app.owner.get(&format!("{PATH}{id}")).await.status, 404);
    assert_eq!(names(&app.owner, "").await, Vec::<String>::new());
    assert_eq!(app.db_value::<i64>("select count(*) from user_group_members").await, 0);
    assert_eq!(app.db_value::<i64>("select count(*) from users").await, 1);
    // The name is available again.
    group(&app, "SHORT-LIVED").await;
}

#[tokio::test]
async fn pages_of_groups_continue_until_the_token_is_null() {
    let app = TestApp::spawn().await;
    let mut expected = Vec::new();
    for n in 0..5 {
        group(&app, &n.to_string()).await;
        expected.push(n.to_string());
    }
    let (mut seen, mut query) = (Vec::new(), "?count=2".to_owned());
    for page in 1.. {
        let body = app.owner.get(&format!("{PATH}{query}")).await.json();
        seen.extend(body["results"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap().to_owned()));
        match &body["metadata"]["next_paging_token"] {
            Value::Null => {
                assert_eq!(page, 3);
                break;
            }
            token => query = format!("?paging_token={}&count=2", token.as_str().unwrap()),
        }
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn invalid_parameters_of_groups_are_reported() {
    let app = TestApp::spawn().await;
    let id = group(&app, "one").await;
    for path in [PATH.to_owned(), format!("{PATH}{id}/members")] {
        for (query, detail) in [
            ("?count=0", "`count` must be a number from 1 to 50"),
            ("?count=51", "`count` must be a number from 1 to 50"),
            ("?paging_token=", "`paging_token` must be the `next_paging_token` of the previous page"),
            ("?paging_token=ide_tampered", "`paging_token` must be the `next_paging_token` of the previous page"),
            ("?paging_token=%00", "invalid query string: contains a NUL byte"),
            ("?name=x", "invalid query string: unknown field `name`, expected `paging_token` or `count`"),
        ] {
            let answer = app.owner.get(&format!("{path}{query}")).await;
            let expected = json!({"code": "invalid_request", "detail": detail});
            assert_eq!((answer.status, answer.error()), (400, expected), "{path}{query}");
        }
    }
    assert_eq!(app.owner.get(&format!("{PATH}memberships/list?count=1")).await.status, 400);
}

#[tokio::test]
async fn an_unknown_group_is_not_found_by_any_route() {
    let app = TestApp::spawn().await;
    let theirs = group(&app, "theirs").await;
    let (rename, nobody) = (json!({"name": "mine"}), json!([{"user": "administrator@muster.invalid"}]));
    let routes: [(&str, &str, &Value); 6] = [
        ("GET", "", &Value::Null),
        ("PATCH", "", &rename),
        ("DELETE", "", &Value::Null),
        ("GET", "/members", &Value::Null),
        ("POST", "/members/add", &nobody),
        ("POST", "/members/remove", &nobody),
    ];
    for (method, rest, body) in routes {
        for id in NO_GROUPS {
            let answer = send(&app.owner, method, &format!("{PATH}{id}{rest}"), body).await;
            assert_eq!(
                (answer.status, answer.error()["code"].as_str()),
                (404, Some("not_found")),
                "{method} {id}{rest}"
            );
        }
    }
    // Move the group to another organization.
    app.db_execute(
        "insert into organizations (organization_id, name, public_identifier, created_at)
         select '00000000-0000-7000-8000-000000000001', 'Other', 'other', now()",
    )
    .await;
    app.db_execute("update user_groups set organization_id = '00000000-0000-7000-8000-000000000001'").await;
    for (method, rest, body) in routes {
        let answer = send(&app.owner, method, &format!("{PATH}{theirs}{rest}"), body).await;
        let detail = format!("there is no group {theirs} in this organization");
        assert_eq!(
            (answer.status, answer.error()),
            (404, json!({"code": "not_found", "detail": detail})),
            "{method} {rest}"
        );
    }
    assert_eq!(names(&app.owner, "").await, Vec::<String>::new());
    assert_eq!(app.db_value::<String>("select name from user_groups").await, "theirs");
}

#[tokio::test]
async fn a_directory_group_can_be_read_but_not_changed() {
    let app = TestApp::spawn().await;
    let id = group(&app, "from the directory").await;
    app.db_execute("update user_groups set source = 'scim'").await;
    let conflict = json!({
        "code": "conflict",
        "detail": format!("group {id} is managed by a directory (SCIM); change the group there"),
    });
    let users = json!([{"user": "administrator@muster.invalid"}]);
    for (method, rest, body) in [
        ("PATCH", "", &json!({"name": "mine"})),
        ("DELETE", "", &Value::Null),
        ("POST", "/members/add", &users),
        ("POST", "/members/remove", &users),
    ] {
        let answer = send(&app.owner, method, &format!("{PATH}{id}{rest}"), body).await;
        assert_eq!((answer.status, answer.error()), (409, conflict.clone()), "{method} {rest}");
    }
    assert_eq!(app.owner.get(&format!("{PATH}{id}")).await.json()["result"]["source"], "scim");
    assert_eq!(app.owner.get(&format!("{PATH}{id}/members")).await.status, 200);
}
