//! Imported hashes, and permission levels of rows.

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::{TestApp, sso};

const GOOD: [&str; 2] = [
    "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$hfvLvKGQdyp49qfPL0PHzk8AwpgeddNHTV6Oe0yg2Sk",
    "$pbkdf2-sha256$i=600000,l=32$c29tZSBzYWx0IGZvciBpdA$Z5XPF/6lHSnRrYoMSEgM3LT2VNwf9RmVFRTGOPnk4VY",
];
const WEAK: &str = "$2b$05$iP1kGziayfr5mh/c7QwLtuk9G9Ox6NNfnm8MQmPP0FnKA5xZRq/tS";

fn imported(email: &str, hash: &str) -> Value {
    json!({"name": "Ada", "email": email, "is_sso_user": false, "password_hash": hash})
}

#[tokio::test]
async fn hashes_are_stored_unchanged_and_weak_ones_are_reported() {
    let app = TestApp::spawn().await;
    let users = json!([
        imported("a@example.com", GOOD[0]),
        imported("b@example.com", GOOD[1]),
        imported("c@example.com", WEAK),
        {"name": "D", "email": "d@example.com", "is_sso_user": false, "password_hash": GOOD[0], "must_change_password": true},
    ]);
    let answer = app.owner.create(&users).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let warnings = answer.json()["metadata"]["warnings"].clone();
    assert_eq!(warnings.as_array().unwrap().len(), 1, "{warnings}");
    assert_eq!(
        (warnings[0]["index"].as_u64(), warnings[0]["field"].as_str(), warnings[0]["code"].as_str()),
        (Some(2), Some("password_hash"), Some("weak_hash"))
    );
    assert!(warnings[0]["message"].as_str().unwrap().contains("bcrypt"), "{warnings}");
    let kept: String = app
        .db_value("select string_agg(phc || ' ' || must_change, E'\\n' order by email) from passwords join users using (organization_id, user_id)")
        .await;
    assert_eq!(kept, format!("{} false\n{} false\n{WEAK} false\n{} true", GOOD[0], GOOD[1], GOOD[0]));
    let batch = app.owner.get("/api/v2/batches").await.json()["results"][0].clone();
    assert_eq!((batch["weak_hash_count"].as_u64(), batch["hash_count"].as_u64()), (Some(1), Some(0)));
    let results = format!("/api/v2/batches/{}/results", batch["batch_id"].as_str().unwrap());
    assert_eq!(app.owner.get(&results).await.json(), answer.json(), "a later read returns the same");
}

#[tokio::test]
async fn hashes_beyond_the_limits_are_findings() {
    let app = TestApp::spawn().await;
    let salt = "c29tZSBzYWx0IGZvciBpdA";
    let tag = "Z5XPF/6lHSnRrYoMSEgM3LT2VNwf9RmVFRTGOPnk4VY";
    let table = [
        (format!("$argon2id$v=19$m=4194304,t=2,p=1${salt}${tag}"), "hash_too_costly"),
        (format!("$argon2id$v=19$m=19456,t=2147483648,p=1${salt}${tag}"), "hash_too_costly"),
        (format!("$argon2id$v=19$m=19456,t=2,p=16777216${salt}${tag}"), "hash_malformed"),
        (format!("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA${tag}"), "hash_salt_length"),
        (format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$Z5XPF"), "hash_malformed"),
        ("$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/".to_owned(), "hash_unknown_scheme"),
        ("correct horse battery staple".to_owned(), "hash_malformed"),
        ("x".repeat(10_000), "hash_malformed"),
    ];
    let users: Vec<Value> =
        table.iter().enumerate().map(|(n, (hash, _))| imported(&format!("user{n}@example.com"), hash)).collect();
    let answer = app.owner.create(&json!(users)).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    let rows = answer.error()["rows"].clone();
    let codes: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["code"].as_str().unwrap()).collect();
    assert_eq!(codes, table.iter().map(|(_, code)| *code).collect::<Vec<_>>(), "{rows}");
    assert!(rows.as_array().unwrap().iter().all(|row| row["field"] == "password_hash"));
    for (hash, _) in &table {
        assert!(!answer.text.contains(hash.as_str()), "the response contains a hash: {}", answer.text);
    }
    assert_eq!(app.db_counts().await, [0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_hash_conflicts_with_a_password_and_with_sso() {
    let app = TestApp::spawn().await;
    let row = |more: Value| {
        let mut row = sso("a@example.com");
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let table = [
        (
            json!({"is_sso_user": false, "password": "kT9$wqzPlr", "password_hash": GOOD[0]}),
            "password_hash",
            "password_and_hash",
        ),
        (json!({"password_hash": GOOD[0]}), "password_hash", "password_for_sso_user"),
        (
            json!({"is_sso_user": false, "must_change_password": true}),
            "must_change_password",
            "must_change_without_hash",
        ),
        (json!({"is_sso_user": false, "password_hash": 7}), "password_hash", "wrong_type"),
        (
            json!({"is_sso_user": false, "password_hash": GOOD[0], "must_change_password": "no"}),
            "must_change_password",
            "wrong_type",
        ),
        (json!({"permission_level": "admin"}), "permission_level", "permission_level_unknown"),
        (json!({"permission_level": 1}), "permission_level", "wrong_type"),
    ];
    for (more, field, code) in table {
        let answer = app.owner.create(&json!([row(more.clone())])).await;
        assert_eq!(answer.status, 422, "{more}");
        let rows = answer.error()["rows"].clone();
        assert_eq!(rows.as_array().unwrap().len(), 1, "{more}: {rows}");
        assert_eq!((rows[0]["field"].as_str(), rows[0]["code"].as_str()), (Some(field), Some(code)), "{more}");
    }
    // An empty hash counts as absent, like an empty password.
    let users = json!([row(json!({"is_sso_user": false, "password": "", "password_hash": ""}))]);
    assert_eq!(app.owner.create(&users).await.status, 200);
    assert_eq!(app.db_value::<i64>("select count(*) from passwords").await, 0);
}

#[tokio::test]
async fn a_row_can_create_an_owner_and_is_audited() {
    let app = TestApp::spawn().await;
    let mut owner = sso("owner@example.com");
    owner["permission_level"] = json!("owner");
    let mut collaborator = sso("collaborator@example.com");
    collaborator["permission_level"] = json!("collaborator");
    let users = json!([owner, collaborator, sso("plain@example.com")]);
    assert_eq!(app.owner.create(&users).await.status, 200);
    for (email, level) in [("owner", "owner"), ("collaborator", "collaborator"), ("plain", "collaborator")] {
        let listed =
            app.owner.get(&format!("/api/v2/organization_collaborators/?email={email}@example.com")).await.json();
        assert_eq!(listed["results"][0]["permission_level"], level, "{email}");
    }
    let entries = app.owner.get("/api/v2/audit/events?action=user.create").await.json();
    let levels: Vec<Value> = entries["results"].as_array().unwrap()[..3].iter().map(|e| e["details"].clone()).collect();
    assert_eq!(levels, [json!({}), json!({}), json!({"permission_level": "owner"})]);
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(collaborator.create(&users).await.status, 403);
}
