//! Warnings: rows that are probably mistakes, and are created all the same.

use serde_json::{Value, json};

use crate::support::{Actor, TestApp};

fn person(email: &str, more: Value) -> Value {
    let mut person = json!({"name": "Ada", "email": email, "is_sso_user": false});
    person.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    person
}

fn list() -> Value {
    let shared = "tidal-anchor-Plum-1";
    let mut users: Vec<Value> = (0..5).map(|n| person(&format!("a{n}@example.com"), json!({}))).collect();
    users.extend([
        person("b@exampl.com", json!({"password": shared})),
        person("c@gmial.com", json!({"password": shared})),
        person("d@intranet", json!({"password": "violet-EXAMPLE org-cabin"})),
        person("e@example.com", json!({"lastname": "+1", "title": "J\u{fffd}rgen", "password_hash": "$2b$05$iP1kGziayfr5mh/c7QwLtuk9G9Ox6NNfnm8MQmPP0FnKA5xZRq/tS"})),
    ]);
    json!(users)
}

fn codes(warnings: &Value) -> Vec<(u64, &str, &str)> {
    let warnings = warnings.as_array().unwrap().iter();
    warnings
        .map(|w| (w["index"].as_u64().unwrap(), w["field"].as_str().unwrap(), w["code"].as_str().unwrap()))
        .collect()
}

const OF_PEOPLE: [(u64, &str, &str); 6] = [
    (5, "email", "domain_misspelled"),
    (6, "email", "domain_misspelled"),
    (7, "email", "domain_without_dot"),
    (8, "lastname", "formula"),
    (8, "title", "replacement_character"),
    (8, "password_hash", "weak_hash"),
];

fn all() -> Vec<(u64, &'static str, &'static str)> {
    let mut all = OF_PEOPLE.to_vec();
    all.insert(1, (5, "password", "password_shared"));
    all.insert(3, (6, "password", "password_shared"));
    all.insert(5, (7, "password", "password_with_organization"));
    all
}

#[tokio::test]
async fn warnings_are_in_the_dry_run_the_response_and_later_reads_and_strict_rejects_them() {
    let app = TestApp::spawn().await;
    app.db_execute("update organizations set name = 'Example Org'").await;
    let planned = app.owner.post("/api/v2/users/admin_batch_create?dry_run=true", &list()).await;
    assert_eq!(planned.status, 200, "{}", planned.text);
    let planned = planned.json();
    assert_eq!(codes(&planned["metadata"]["warnings"]), all());
    let credentials: Vec<&str> = planned["results"]
        .as_array()
        .unwrap()
        .iter()
        .skip(4)
        .map(|user| user["credential"].as_str().unwrap())
        .collect();
    assert_eq!(credentials, ["none", "password", "password", "password", "password_hash"]);
    let shared = planned["metadata"]["warnings"][1].clone();
    let message = "is the password of several users of the list";
    assert_eq!(shared, json!({"index": 5, "field": "password", "code": "password_shared", "message": message}));

    let strict = app.owner.post("/api/v2/users/admin_batch_create?strict=true", &list()).await;
    assert_eq!(
        (strict.status, strict.json()["error"]["code"].as_str()),
        (422, Some("batch_rejected")),
        "{}",
        strict.text
    );
    assert_eq!(codes(&strict.json()["error"]["rows"]), all());
    assert_eq!(app.db_counts().await[0], 0);

    let created = app.owner.create(&list()).await;
    assert_eq!(created.status, 200, "{}", created.text);
    let created = created.json();
    assert_eq!(codes(&created["metadata"]["warnings"]), all());
    let batch = app.owner.get("/api/v2/batches").await.json()["results"][0].clone();
    assert_eq!(batch["weak_hash_count"], 1);
    let results = format!("/api/v2/batches/{}/results", batch["batch_id"].as_str().unwrap());
    let results = app.owner.get(&results).await.json();
    assert_eq!(codes(&results["metadata"]["warnings"]), OF_PEOPLE, "passwords are not stored");

    let wrong = app.owner.post("/api/v2/users/admin_batch_create?strict=yes", &list()).await;
    assert_eq!(
        (wrong.status, wrong.json()["error"]["detail"].as_str()),
        (400, Some("`strict` must be `true` or `false`"))
    );
}

#[tokio::test]
async fn a_list_that_is_applied_has_the_warnings_about_new_users() {
    let app = TestApp::spawn().await;
    app.db_execute("update organizations set name = 'Example Org'").await;
    let shared = "tidal-anchor-Plum-1";
    let users = json!([
        {"email": "administrator@muster.invalid", "title": "x"},
        person("c@gmial.com", json!({"lastname": "M\u{200b}ller", "password": shared})),
        person("d@example.com", json!({"password": "violet-EXAMPLE org-cabin"})),
        person("e@example.com", json!({"password": shared})),
    ]);
    let expected = [
        (1, "email", "domain_misspelled"),
        (1, "password", "password_shared"),
        (1, "lastname", "invisible_character"),
        (2, "password", "password_with_organization"),
        (3, "password", "password_shared"),
    ];
    for query in ["?dry_run=true", ""] {
        let answer = app.owner.post(&format!("/api/v2/users/admin_batch_apply{query}"), &users).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(codes(&answer.json()["metadata"]["warnings"]), expected, "{query}");
        assert!(!answer.text.contains(shared));
    }
}

#[tokio::test]
async fn a_batch_that_continues_in_the_background_has_its_warnings_in_the_first_response() {
    let (app, _held) = TestApp::spawn_holding_hashes().await;
    let request =
        app.owner.request("POST", "/api/v2/users/admin_batch_create").header("prefer", "respond-async, wait=0");
    let running = Actor::send(request.body(list().to_string())).await;
    assert_eq!(running.status, 202, "{}", running.text);
    let running = running.json();
    assert_eq!(running["metadata"]["total"], 9);
    assert_eq!(running["metadata"]["batch_id"], running["result"]["batch_id"]);
    let codes: Vec<_> = codes(&running["metadata"]["warnings"]).into_iter().map(|(_, _, code)| code).collect();
    assert!(codes.contains(&"password_shared"), "{running}");
}
