//! Bounds of lists, bodies and reports.

use muster::caller::Scope;
use serde_json::{Value, json};

use crate::support::gate::eventually;
use crate::support::{Actor, BATCH, TestApp, sso};

const POLICY: &str = "/api/v2/policy/organization/_";
const LISTS: [&str; 5] = [
    "/api/v2/users/admin_batch_apply",
    "/api/v2/users/admin_batch_update",
    "/api/v2/users/admin_batch_suspend",
    "/api/v2/users/admin_batch_reactivate",
    "/api/v2/users/admin_batch_delete",
];

async fn put_policy(app: &TestApp, bindings: &Value) -> crate::support::Answer {
    Actor::send(app.owner.request("PUT", POLICY).body(json!({ "bindings": bindings }).to_string())).await
}

#[tokio::test]
async fn lists_within_an_object_have_a_maximum_length() {
    let app = TestApp::spawn().await;
    // At the end of a list that has one item too many.
    let refused = |what: &str, max: usize, end: usize| {
        let column = end + 1;
        let detail = format!("invalid request body: `{what}` has more than {max} items at line 1 column {column}");
        (400, json!({"code": "invalid_request", "detail": detail}))
    };
    // Each scope once is the most that a key can have.
    let document = app.owner.get("/openapi.json").await.json();
    let described = &document["components"]["schemas"]["NewApiKey"]["properties"]["scopes"]["maxItems"];
    assert_eq!(described.as_u64(), u64::try_from(Scope::ALL.len()).ok());
    let scopes = vec!["users:read"; Scope::ALL.len() + 1];
    let body = format!(r#"{{"scopes":{},"name":"x"}}"#, json!(scopes));
    let answer = Actor::send(app.owner.request("POST", "/api/v2/api_keys").body(body.clone())).await;
    assert_eq!((answer.status, answer.error()), refused("scopes", 11, body.find(']').unwrap()));
    let answer = app.owner.post("/api/v2/api_keys", &json!({"name": "x", "scopes": &scopes[1..]})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);

    let binding = |principals: usize| json!({"principals": vec!["ug_x"; principals], "role_name": "owner"});
    let bindings: Vec<Value> = (0..11).map(|_| binding(0)).collect();
    let text = json!({ "bindings": bindings }).to_string();
    let answer = put_policy(&app, &json!(bindings)).await;
    assert_eq!((answer.status, answer.error()), refused("bindings", 10, text.rfind(']').unwrap()));
    let text = json!({ "bindings": [binding(501)] }).to_string();
    let answer = put_policy(&app, &json!([binding(501)])).await;
    assert_eq!((answer.status, answer.error()), refused("principals", 500, text.find(']').unwrap()));
    assert_eq!(put_policy(&app, &json!(vec![binding(500); 10])).await.status, 422);
}

#[tokio::test]
async fn lists_of_users_have_a_maximum_length() {
    let app = TestApp::spawn_with(|config| config.batch.max_users = 3).await;
    let group = app.owner.post("/api/v2/user_groups/", &json!({"name": "team"})).await.json();
    let group = format!("/api/v2/user_groups/{}/members", group["result"]["id"].as_str().unwrap());
    let members = ["add", "remove"].map(|what| format!("{group}/{what}"));
    let too_large = |detail: &str| (413, json!({"code": "too_large", "detail": detail}));
    let users = "more than 3 users in one batch (setting `batch.max_users`); send several batches";
    // The fourth item is not parsed.
    let body = format!("[{},{},{},{{\"unknown\":[1,{{}}]}}]", sso("1@x.org"), sso("2@x.org"), sso("3@x.org"));
    for path in LISTS.into_iter().chain([BATCH]).chain(members.iter().map(String::as_str)) {
        let answer = Actor::send(app.owner.request("POST", path).body(body.clone())).await;
        assert_eq!((answer.status, answer.error()), too_large(users), "{path}");
    }
    let invited = json!([{"email": "1@x.org"}, {"email": "2@x.org"}, {"email": "3@x.org"}, {"unknown": 1}]);
    let answer = app.owner.post("/api/v2/organization_invitations/batch_create", &invited).await;
    let detail = "more than 3 addresses in one list (setting `batch.max_users`); send several lists";
    assert_eq!((answer.status, answer.error()), too_large(detail));
}

#[tokio::test]
async fn bodies_without_a_list_have_at_most_64_kib() {
    let app = TestApp::spawn().await;
    let group = app.owner.post("/api/v2/user_groups/", &json!({"name": "team"})).await.json();
    let group = format!("/api/v2/user_groups/{}", group["result"]["id"].as_str().unwrap());
    let user = app.owner.get("/api/v2/organization_collaborators/").await.json()["results"][0].clone();
    let level = format!("/api/v2/organization_collaborators/{}", user["id"].as_str().unwrap());
    let user = format!("/api/v2/users/{}", user["user_id"].as_str().unwrap());
    for (method, path) in [
        ("POST", "/api/v2/api_keys"),
        ("POST", "/api/v2/organization_collaborators/search"),
        ("POST", "/api/v2/users/create_api_key"),
        ("POST", "/api/v2/users/approve_otp_token"),
        ("POST", "/api/v2/user_groups/"),
        ("PATCH", &group),
        ("PATCH", &user),
        ("PUT", &level),
        ("PUT", POLICY),
    ] {
        let send = |length: usize| Actor::send(app.owner.request(method, path).body(" ".repeat(length)));
        let answer = send(65_537).await;
        let error = json!({"code": "too_large", "detail": "the request body exceeds 65536 bytes"});
        assert_eq!((answer.status, answer.error()), (413, error), "{path}");
        let answer = send(65_536).await;
        assert_eq!((answer.status, &answer.error()["code"]), (400, &json!("invalid_json")), "{path}");
    }
}

#[tokio::test]
async fn a_compressed_body_is_rejected() {
    let app = TestApp::spawn().await;
    let send = |encoding: &str| {
        let request = app.owner.request("POST", BATCH).header("content-encoding", encoding);
        Actor::send(request.body(json!([sso(&format!("{}@x.org", encoding.len()))]).to_string()))
    };
    for encoding in ["gzip", "br", "identity, gzip", "x"] {
        let answer = send(encoding).await;
        let detail = "compressed request bodies are not supported; omit `Content-Encoding`";
        assert_eq!((answer.status, answer.error()), (415, json!({"code": "unsupported_media_type", "detail": detail})));
        assert_eq!(answer.header("accept-encoding"), "identity");
    }
    assert_eq!(send("Identity").await.status, 200);
    // A key comes first.
    let request = app.anonymous().request("POST", BATCH).header("content-encoding", "gzip");
    assert_eq!(Actor::send(request.body("x")).await.status, 401);
}

#[tokio::test]
async fn a_report_lists_the_first_findings_and_counts_the_others() {
    let app = TestApp::spawn_with(|config| config.batch.max_findings = 2).await;
    let short = |answer: &crate::support::Answer| {
        let error = answer.error();
        let places: Vec<String> =
            error["rows"].as_array().unwrap().iter().map(|row| row["index"].to_string()).collect();
        (answer.status, places.join(" "), error["more_findings"].clone(), error["detail"].as_str().unwrap().to_owned())
    };
    // Two findings are listed in full.
    let bad =
        |count: usize| -> Value { (0..count).map(|n| json!({"name": "A", "email": n, "is_sso_user": true})).collect() };
    let answer = app.owner.create(&bad(2)).await;
    assert_eq!((&short(&answer).1, &answer.error()["more_findings"]), (&"0 1".to_owned(), &Value::Null));
    let wrong = "email: must be text, not a number";
    let detail = format!("5 of 5 users can't be created: users[0].{wrong}; users[1].{wrong}; and 3 more");
    assert_eq!(short(&app.owner.create(&bad(5)).await), (422, "0 1".to_owned(), json!(3), detail));
    // Conflicts only.
    let users: Value = (0..4).map(|n| sso(&format!("{n}@x.org"))).collect();
    assert_eq!(app.owner.create(&users).await.status, 200);
    let detail = "4 of 4 users can't be created: users[0].email (0@x.org): already exists; users[1].email (1@x.org): already \
                  exists; and 2 more";
    assert_eq!(short(&app.owner.create(&users).await), (409, "0 1".to_owned(), json!(2), detail.to_owned()));
    // Other lists.
    let unknown: Value = (0..3).map(|n| json!({"user": format!("no{n}@x.org")})).collect();
    for path in LISTS {
        let answer = short(&app.owner.post(path, &unknown).await);
        assert_eq!((answer.0, answer.1.as_str(), answer.2), (422, "0 1", json!(1)), "{path}");
    }
    let group = app.owner.post("/api/v2/user_groups/", &json!({"name": "team"})).await.json();
    let members = format!("/api/v2/user_groups/{}/members/add", group["result"]["id"].as_str().unwrap());
    let answer = short(&app.owner.post(&members, &unknown).await);
    assert_eq!((answer.0, answer.1.as_str(), answer.2), (422, "0 1", json!(1)));
    let answer = short(&put_policy(&app, &json!([{"role_name": "owner", "principals": vec!["ug_x"; 500]}])).await);
    assert_eq!((answer.0, answer.1.as_str(), answer.2), (422, "0 0", json!(498)));
    // The audit log counts all of them.
    let log = app.owner.get("/api/v2/audit/events?action=user.batch_create").await.json();
    let counted: Vec<&Value> =
        log["results"].as_array().unwrap().iter().map(|entry| &entry["details"]["findings"]).collect();
    assert!(counted.contains(&&json!({"wrong_type": 5})) && counted.contains(&&json!({"email_taken": 4})), "{log}");
}

#[tokio::test]
async fn the_report_on_an_undo_is_bounded() {
    let app = TestApp::spawn_with(|config| config.batch.max_findings = 2).await;
    let users: Value = (0..5)
        .map(|n| json!({"name": "A", "email": format!("{n}@x.org"), "is_sso_user": false, "password": "kT9$wqzPlr"}))
        .collect();
    let request = app.owner.request("POST", BATCH).header("prefer", "respond-async").body(users.to_string());
    let gone = Actor::send(request).await;
    assert_eq!(gone.status, 202, "{}", gone.text);
    let path = gone.header("location").to_owned();
    eventually("the batch ends", async || app.owner.get(&path).await.json()["result"]["state"] != "running").await;
    let state = app.owner.get(&path).await.json()["result"]["state"].clone();
    assert_eq!(state, "created");
    // Undoing it reports on the users that were used.
    let created = app.owner.get(&format!("{path}/results")).await.json();
    for user in created["results"].as_array().unwrap() {
        let path = format!("/api/v2/users/{}", user["user_id"].as_str().unwrap());
        let edit = app.owner.request("PATCH", &path).body(json!({"title": "T"}).to_string());
        assert_eq!(Actor::send(edit).await.status, 200);
    }
    let answer = app.owner.post(&format!("{path}/undo"), &Value::Null).await;
    let error = answer.error();
    assert_eq!((answer.status, error["rows"].as_array().unwrap().len(), &error["more_findings"]), (409, 2, &json!(3)));
}
