//! Custom attributes of users.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::support::{Answer, BATCH, TestApp, sso};
use crate::user::send;

const UPDATE: &str = "/api/v2/users/admin_batch_update";
const LIST: &str = "/api/v2/organization_collaborators/";

fn user(email: &str, attributes: Value) -> Value {
    let mut user = sso(email);
    user["attributes"] = attributes;
    user
}

/// The path of the list of users with these attributes.
fn with_attributes(text: &str) -> String {
    format!("{LIST}?attributes={}", utf8_percent_encode(text, NON_ALPHANUMERIC))
}

/// The path of a user.
async fn path(app: &TestApp, email: &str) -> String {
    let found = app.owner.get(&format!("{LIST}?email={email}")).await.json();
    format!("/api/v2/users/{}", found["results"][0]["user_id"].as_str().unwrap())
}

async fn attributes(app: &TestApp, email: &str) -> Value {
    app.owner.get(&path(app, email).await).await.json()["result"]["attributes"].clone()
}

fn findings(answer: &Answer) -> Vec<(String, String, String)> {
    assert_eq!(answer.status, 422, "{}", answer.text);
    let rows = answer.error()["rows"].clone();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or("-").to_owned();
    let found = rows.as_array().unwrap().iter();
    found.map(|row| (text(row, "field"), text(row, "code"), text(row, "message"))).collect()
}

#[tokio::test]
async fn attributes_are_created_merged_removed_and_deleted_with_their_user() {
    let app = TestApp::spawn().await;
    let ada = json!({"department": " Research\u{200b}", "floor": 3, "remote": true, "rate": 1.5});
    let planned =
        app.owner.post(&format!("{BATCH}?dry_run=true"), &json!([user("ada@example.com", ada.clone())])).await;
    let stored = json!({"department": "Research", "floor": 3, "remote": true, "rate": 1.5});
    assert_eq!(planned.json()["results"][0]["attributes"], stored);
    assert_eq!(app.owner.create(&json!([user("ada@example.com", ada), sso("bo@example.com")])).await.status, 200);
    assert_eq!(attributes(&app, "ada@example.com").await, stored);
    assert_eq!(attributes(&app, "bo@example.com").await, Value::Null, "no attributes");
    let listed = app.owner.get(&format!("{LIST}?email=ada@example.com")).await.json();
    assert_eq!(listed["results"][0]["attributes"], stored);

    let patch = json!({"attributes": {"department": "Navy", "floor": null, "none": null, "team": "x"}});
    let ada = path(&app, "ada@example.com").await;
    let answer = send(&app.owner, "PATCH", &ada, &patch).await;
    let merged = json!({"department": "Navy", "remote": true, "rate": 1.5, "team": "x"});
    assert_eq!((answer.status, &answer.json()["result"]["attributes"]), (200, &merged));
    let event = app.owner.get("/api/v2/audit/events?count=1").await.json()["results"][0].clone();
    let fields = json!(["attributes.department", "attributes.floor", "attributes.team"]);
    assert_eq!(event["details"], json!({ "fields": fields }), "keys only");
    let same = send(&app.owner, "PATCH", &ada, &json!({"attributes": {"team": "x", "floor": null}})).await;
    assert_eq!(same.json()["result"]["revision"], json!(2), "nothing to change");

    let list = json!([
        {"user": "ada@example.com", "attributes": null},
        {"user": "bo@example.com", "attributes": {"a": 1, "b": "1", "c": false}},
    ]);
    let answer = app.owner.post(UPDATE, &list).await;
    let changes: Vec<Value> = answer.json()["metadata"]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| json!([change["field"], change["before"], change["after"]]))
        .collect();
    assert_eq!(
        json!(changes),
        json!([
            ["attributes.department", "Navy", null],
            ["attributes.rate", "1.5", null],
            ["attributes.remote", "true", null],
            ["attributes.team", "x", null],
            ["attributes.a", null, "1"],
            ["attributes.b", null, "\"1\""],
            ["attributes.c", null, "false"],
        ])
    );
    assert_eq!(attributes(&app, "ada@example.com").await, Value::Null);
    let apply = json!([
        {"email": "bo@example.com", "attributes": {"a": null, "b": "2"}},
        {"email": "new@example.com", "name": "N", "is_sso_user": true, "attributes": {"k": "v"}},
    ]);
    let answer = app.owner.post("/api/v2/users/admin_batch_apply", &apply).await;
    let field = |user: usize, change: usize| answer.json()["results"][user]["changes"][change]["field"].clone();
    assert_eq!([field(0, 0), field(0, 1), field(1, 4)], ["attributes.a", "attributes.b", "attributes.k"]);
    assert_eq!(attributes(&app, "bo@example.com").await, json!({"b": "2", "c": false}));
    assert_eq!(app.owner.delete(&path(&app, "bo@example.com").await).await.status, 204);
    let kept: i64 = app.db_value("select count(*) from audit_events where details::text ~ 'Navy|\"2\"'").await;
    assert_eq!(kept, 0, "the audit log has no values");
}

#[tokio::test]
async fn invalid_attributes_are_findings() {
    let app = TestApp::spawn().await;
    let email = "ada@example.com";
    let many: Map<String, Value> = (0..65).map(|n| (format!("k{n}"), json!(n))).collect();
    let too_many: Map<String, Value> = (0..129).map(|n| (format!("k{n}"), Value::Null)).collect();
    let key = "has a key that is not 1 to 64 letters, digits, `_`, `.` or `-` of ASCII";
    let wrong = "must be text, a number, true, false or null, not";
    let long: Map<String, Value> = (0..9).map(|n| (n.to_string(), json!("x".repeat(1000)))).collect();
    for (attributes, field, code, message) in [
        (
            json!([]),
            "attributes",
            "wrong_type",
            "must be an object of texts, numbers and booleans, not a list".to_owned(),
        ),
        (
            json!("a=b"),
            "attributes",
            "wrong_type",
            "must be an object of texts, numbers and booleans, not text".to_owned(),
        ),
        (json!({"a b": 1}), "attributes", "attribute_key_invalid", key.to_owned()),
        (json!({"": 1}), "attributes", "attribute_key_invalid", key.to_owned()),
        (json!({"a": {}}), "attributes.a", "wrong_type", format!("{wrong} an object")),
        (json!({"a": [1]}), "attributes.a", "wrong_type", format!("{wrong} a list")),
        (json!({"a": " "}), "attributes.a", "empty", "must not be empty; null removes the attribute".to_owned()),
        (json!({"a": "x\ny"}), "attributes.a", "control_character", "contains a line break (U+000A)".to_owned()),
        (json!({"a": "\u{0}"}), "attributes.a", "control_character", "contains NUL (U+0000)".to_owned()),
        (json!(many), "attributes", "too_many", "more than 64 attributes".to_owned()),
        (json!(too_many), "attributes", "too_many", "more than 128 attributes".to_owned()),
        (json!(long), "attributes", "too_long", "longer than 8192 bytes as JSON".to_owned()),
    ] {
        let answer = app.owner.create(&json!([user(email, attributes.clone())])).await;
        assert_eq!(findings(&answer), [(field.to_owned(), code.to_owned(), message)], "{attributes}");
    }
    // Numbers whose digits would change.
    for number in ["12345678901234567890123", "18446744073709551616", "-1e16", "1e308"] {
        let list = format!(r#"[{{"name":"A","email":"{email}","is_sso_user":true,"attributes":{{"a":{number}}}}}]"#);
        let answer = app.owner.create_raw(list).await;
        let message = "is a number that can't be stored exactly; send it as text".to_owned();
        assert_eq!(findings(&answer), [("attributes.a".to_owned(), "number_inexact".to_owned(), message)], "{number}");
    }
    let twice = r#"[{"name":"A","email":"ada@example.com","is_sso_user":true,"attributes":{"a":1,"a":2}}]"#;
    let answer = app.owner.create_raw(twice).await;
    assert_eq!(
        findings(&answer),
        [("attributes.a".to_owned(), "duplicate_field".to_owned(), "occurs twice".to_owned())]
    );
    assert_eq!(app.db_value::<i64>("select count(*) from users").await, 1);

    let half: Map<String, Value> = (0..40).map(|n| (format!("a{n}"), json!(n))).collect();
    assert_eq!(app.owner.create(&json!([user(email, json!(half))])).await.status, 200);
    let other: Map<String, Value> = (0..40).map(|n| (format!("b{n}"), json!(n))).collect();
    let too_many = [("attributes".to_owned(), "too_many".to_owned(), "more than 64 attributes".to_owned())];
    let change = json!({ "attributes": other });
    assert_eq!(findings(&send(&app.owner, "PATCH", &path(&app, email).await, &change).await), too_many);
    let mut row = change.clone();
    row["user"] = json!(email);
    assert_eq!(findings(&app.owner.post(UPDATE, &json!([row])).await), too_many);
    let replaced: Map<String, Value> = half.keys().map(|key| (key.clone(), Value::Null)).chain(other.clone()).collect();
    let answer = send(&app.owner, "PATCH", &path(&app, email).await, &json!({ "attributes": replaced })).await;
    assert_eq!((answer.status, &answer.json()["result"]["attributes"]), (200, &json!(other)));
    app.db_execute("update users set is_service_account = true where email = 'ada@example.com'").await;
    let answer = send(&app.owner, "PATCH", &path(&app, email).await, &json!({"attributes": {"x": 1}})).await;
    assert_eq!(answer.error()["code"], "conflict");
}

#[tokio::test]
async fn users_are_found_by_attributes() {
    let app = TestApp::spawn().await;
    let users = json!([
        user("a@example.com", json!({"department": "Research", "floor": 3})),
        user("b@example.com", json!({"department": "Research", "floor": "3"})),
        user("c@example.com", json!({"department": "research", "remote": true, "path": "C:\\u0000", "id": u64::MAX})),
    ]);
    assert_eq!(app.owner.create(&users).await.status, 200);
    for (query, expected) in [
        (json!({"department": "Research"}), &["a@example.com", "b@example.com"][..]),
        (json!({"department": "Research", "floor": 3}), &["a@example.com"]),
        (json!({"floor": "3"}), &["b@example.com"]),
        (json!({"floor": 3.0}), &["a@example.com"]),
        (json!({"remote": true}), &["c@example.com"]),
        (json!({"path": "C:\\u0000"}), &["c@example.com"]),
        (json!({"id": u64::MAX}), &["c@example.com"]),
        (json!({"department": "%"}), &[]),
        (json!({}), &["administrator@muster.invalid", "a@example.com", "b@example.com", "c@example.com"]),
    ] {
        let answer = app.owner.get(&with_attributes(&query.to_string())).await;
        let results = answer.json()["results"].clone();
        let emails: Vec<&str> =
            results.as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect();
        assert_eq!(emails, expected, "{query}");
    }
    for query in ["{\"a\":\"\\u0000\"}", "x", "[]", "{\"a\":null}", "{\"a\":{}}", "{\"a b\":1}"] {
        let answer = app.owner.get(&with_attributes(query)).await;
        let detail = "`attributes` must be a JSON object of texts, numbers and booleans";
        assert_eq!(
            (answer.status, answer.error()),
            (400, json!({"code": "invalid_request", "detail": detail})),
            "{query}"
        );
    }
}
