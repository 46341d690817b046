//! The life cycle of batches: asynchronous creation, reading, canceling, undoing.

use std::time::Duration;

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::gate::{HeldHashing, eventually};
use crate::support::{Actor, Answer, BATCH, TestApp, sso, with_password};

fn many(count: usize) -> Value {
    (0..count).map(|n| with_password(&format!("user{n}@example.com"), &format!("kT9$wqzPlr{n}"))).collect()
}

async fn start(actor: &Actor, prefer: &str, users: &Value) -> Answer {
    Actor::send(actor.request("POST", BATCH).header("prefer", prefer).body(users.to_string())).await
}

async fn post(actor: &Actor, path: &str) -> Answer {
    Actor::send(actor.request("POST", path)).await
}

/// Waits until the batch is no longer running.
async fn finished(actor: &Actor, location: &str) -> Value {
    let mut batch = Value::Null;
    eventually("the batch ends", async || {
        batch = actor.get(location).await.json()["result"].clone();
        batch["state"] != "running"
    })
    .await;
    batch
}

fn path(batch: &Value) -> String {
    format!("/api/v2/batches/{}", batch["batch_id"].as_str().unwrap())
}

#[tokio::test]
async fn an_asynchronous_batch_reports_its_progress() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let users = many(150);
    let answer = start(&app.owner, "respond-async", &users).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!((answer.header("preference-applied"), answer.header("retry-after")), ("respond-async", "1"));
    let batch = answer.json()["result"].clone();
    assert_eq!(answer.header("location"), path(&batch));
    assert_eq!((batch["state"].as_str(), batch["user_count"].as_u64()), (Some("running"), Some(150)));
    assert_eq!((batch["hash_count"].as_u64(), batch["hashed"].as_u64()), (Some(150), Some(0)));
    // Behind the passwords that are queued already.
    let estimate = batch["estimated_seconds_left"].as_u64().unwrap();
    let longest = 2 * app.app.hasher.time_for(20_000).as_secs();
    assert!((1..=longest).contains(&estimate), "{estimate} of {longest}");
    assert_eq!(app.db_counts().await[0], 0, "no user exists before the commit");
    let results = app.owner.get(&format!("{}/results", path(&batch))).await;
    assert_eq!((results.status, results.error()["code"].as_str()), (409, Some("conflict")));

    held.assert_held();
    drop(held);
    let mut seen = 0;
    let done = loop {
        let batch = app.owner.get(&path(&batch)).await.json()["result"].clone();
        let hashed = batch["hashed"].as_u64().unwrap();
        assert!(hashed >= seen, "the progress decreased");
        seen = hashed;
        if batch["state"] != "running" {
            break batch;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((done["state"].as_str(), done["hashed"].as_u64()), (Some("created"), Some(150)), "{done}");
    assert!(done.get("estimated_seconds_left").is_none());
    let results = app.owner.get(&format!("{}/results", path(&batch))).await.json();
    let emails: Vec<&str> =
        results["results"].as_array().unwrap().iter().map(|u| u["email"].as_str().unwrap()).collect();
    let due: Vec<&str> = users.as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect();
    assert_eq!(emails, due);
    assert_eq!(app.db_counts().await, [150, 150, 150, 1, 151]);
}

#[tokio::test]
async fn a_fast_batch_is_answered_synchronously() {
    let app = TestApp::spawn().await;
    let answer =
        start(&app.owner, "respond-async, wait=30", &json!([with_password("a@example.com", "kT9$wqzPlr")])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["results"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn invalid_rows_are_rejected_before_the_batch_is_accepted() {
    let app = TestApp::spawn().await;
    let answer = start(&app.owner, "respond-async", &json!([with_password("a@example.com", "short")])).await;
    assert_eq!((answer.status, answer.error()["code"].as_str()), (422, Some("batch_rejected")));
    assert_eq!(app.owner.get("/api/v2/batches").await.json()["results"], json!([]));
}

#[tokio::test]
async fn a_retry_finds_the_running_batch() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let users = many(150);
    let send = async || {
        let request =
            app.owner.request("POST", BATCH).header("prefer", "respond-async").header("idempotency-key", "one");
        Actor::send(request.body(users.to_string())).await
    };
    let (first, second) = (send().await, send().await);
    assert_eq!((first.status, second.status), (202, 202), "{}", second.text);
    assert_eq!(first.header("location"), second.header("location"));
    drop(held);
    finished(&app.owner, first.header("location")).await;
    let third = send().await;
    assert_eq!(third.status, 200);
    assert_eq!(third.header("idempotency-replayed"), "true");
    let results = app.owner.get(&format!("{}/results", first.header("location"))).await;
    assert_eq!(third.json(), results.json());
    assert_eq!(app.db_counts().await[0], 150);
}

#[tokio::test]
async fn an_address_taken_in_the_meantime_fails_the_batch_with_a_report() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let answer = start(&app.owner, "respond-async", &many(150)).await;
    assert_eq!(answer.status, 202);
    assert_eq!(app.owner.create(&json!([sso("user7@example.com")])).await.status, 200);
    drop(held);
    let failed = finished(&app.owner, answer.header("location")).await;
    assert_eq!(failed["state"], "failed");
    assert_eq!(
        failed["error"],
        json!({
            "code": "batch_conflict",
            "detail": "1 of 150 users can't be created: users[7].email: already exists",
            "rows": [{"index": 7, "field": "email", "code": "email_taken", "message": "already exists"}],
        })
    );
    assert_eq!(app.db_counts().await[..3], [1, 1, 0]);
    let entries = app.owner.get("/api/v2/audit/events?action=user.batch_create").await.json();
    let entry = &entries["results"][0];
    assert_eq!((entry["outcome"].as_str(), entry["reason"].as_str()), (Some("rejected"), Some("batch_conflict")));
    assert_eq!(entry["batch_id"], failed["batch_id"]);
}

#[tokio::test]
async fn a_canceled_batch_leaves_no_users() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let answer = start(&app.owner, "respond-async", &many(300)).await;
    eventually("the passwords are queued", async || !held.is_alone()).await;
    let cancel = format!("{}/cancel", answer.header("location"));
    let cancelled = post(&app.owner, &cancel).await;
    assert_eq!((cancelled.status, cancelled.json()["result"]["state"].as_str()), (200, Some("cancelled")));
    let again = post(&app.owner, &cancel).await;
    assert_eq!(again.status, 409);
    let batch_id = cancelled.json()["result"]["batch_id"].as_str().unwrap().to_owned();
    assert_eq!(
        again.error(),
        json!({"code": "conflict", "detail": format!("batch {batch_id} is cancelled; only a running batch can be cancelled")})
    );
    // Its passwords leave the queue, so that other requests don't wait for them.
    eventually("the passwords left the queue", async || held.is_alone()).await;
    held.assert_held();
    drop(held);
    assert_eq!(app.owner.create(&json!([with_password("b@example.com", "kT9$wqzPlr")])).await.status, 200);
    assert_eq!(app.db_counts().await[..3], [1, 1, 1]);
    let undo = post(&app.owner, &format!("/api/v2/batches/{batch_id}/undo")).await;
    assert_eq!((undo.status, undo.error()["code"].as_str()), (409, Some("conflict")));
}

#[tokio::test]
async fn a_client_that_waits_for_a_canceled_batch_gets_an_error() {
    let (app, _held) = TestApp::spawn_holding_hashes().await;
    let waiting = tokio::spawn({
        let owner = app.owner.clone();
        async move { start(&owner, "respond-async, wait=600", &many(300)).await }
    });
    let batch = loop {
        let listed = app.owner.get("/api/v2/batches?state=running").await.json()["results"].clone();
        if let Some(batch) = listed.as_array().unwrap().first() {
            break batch.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(post(&app.owner, &format!("{}/cancel", path(&batch))).await.status, 200);
    let told = waiting.await.unwrap();
    assert_eq!(told.status, 409, "{}", told.text);
    assert!(told.error()["detail"].as_str().unwrap().contains("was cancelled; nothing was written"));
}

#[tokio::test]
async fn batches_show_their_creator_time_and_file() {
    use sha2::{Digest, Sha256};
    let app = TestApp::spawn().await;
    let sha256: String = Sha256::digest(b"the file").iter().map(|byte| format!("{byte:02x}")).collect();
    let request = app
        .owner
        .request("POST", BATCH)
        .header("muster-file-name", "people%20of%20K%C3%B6ln.yaml")
        .header("muster-file-sha256", &sha256);
    let created = Actor::send(request.body(json!([sso("a@example.com"), sso("b@example.com")]).to_string())).await;
    assert_eq!(created.status, 200, "{}", created.text);
    assert_eq!(app.owner.create(&json!([sso("c@example.com")])).await.status, 200);

    let listed = app.owner.get("/api/v2/batches").await.json();
    let batches = listed["results"].as_array().unwrap();
    assert_eq!(batches.iter().map(|batch| batch["user_count"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    let batch = &batches[1];
    assert_eq!(batch["file_name"], "people of Köln.yaml");
    assert!(batch["file_digest"].as_str().unwrap().starts_with("hmac-sha256:"));
    assert!(!batch["file_digest"].as_str().unwrap().contains(&sha256));
    assert_eq!(
        (batch["requested_by_kind"].as_str(), batch["requested_by_name"].as_str()),
        (Some("api_key"), Some("first key"))
    );
    assert_eq!(batch["request_id"], created.header("x-request-id"));
    assert_eq!((batch["state"].as_str(), batch["source"].as_str()), (Some("created"), Some("http")));
    assert_eq!(batch["created_at"], created.json()["results"][0]["created_at"]);
    assert_eq!(app.owner.get(&path(batch)).await.json()["result"], *batch);

    let of_file = app.owner.get(&format!("/api/v2/batches?file_sha256={sha256}")).await.json();
    assert_eq!(of_file["results"], json!([batch]));
    let of_other = app.owner.get(&format!("/api/v2/batches?file_sha256={}", "0".repeat(64))).await.json();
    assert_eq!(of_other["results"], json!([]));
    let page = app.owner.get("/api/v2/batches?count=1").await.json();
    assert_eq!(page["results"], json!([batches[0]]));
    let token = page["metadata"]["next_paging_token"].as_str().unwrap();
    let next = app.owner.get(&format!("/api/v2/batches?count=1&paging_token={token}")).await.json();
    assert_eq!((&next["results"], &next["metadata"]["next_paging_token"]), (&json!([batch]), &Value::Null));
    assert_eq!(app.owner.get("/api/v2/batches?state=failed").await.json()["results"], json!([]));
}

#[tokio::test]
async fn invalid_parameters_of_batches_are_rejected() {
    let app = TestApp::spawn().await;
    let user = json!([sso("a@example.com")]).to_string();
    for (header, value) in [
        ("muster-file-name", "%ff"),
        ("muster-file-name", ""),
        ("muster-file-sha256", "abc"),
        ("muster-file-sha256", "x"),
    ] {
        let answer = Actor::send(app.owner.request("POST", BATCH).header(header, value).body(user.clone())).await;
        assert_eq!(
            (answer.status, answer.error()["code"].as_str()),
            (400, Some("invalid_request")),
            "{header}: {value}"
        );
    }
    for query in ["state=done", "file_sha256=1", "count=0", "count=51", "paging_token=x", "what=ever"] {
        assert_eq!(app.owner.get(&format!("/api/v2/batches?{query}")).await.status, 400, "{query}");
    }
    let unknown = muster::id::Id::<muster::id::Batch>::from_uuid(uuid::Uuid::from_u128(7)).to_string();
    for id in [unknown.as_str(), "usr_01k9h6m3x0e8wbz1v5n7q2r4t6", "x", "%00"] {
        for (method, rest) in [("GET", ""), ("GET", "/results"), ("POST", "/cancel"), ("POST", "/undo")] {
            let answer = Actor::send(app.owner.request(method, &format!("/api/v2/batches/{id}{rest}"))).await;
            assert_eq!(
                (answer.status, answer.error()["code"].as_str()),
                (404, Some("not_found")),
                "{method} {id}{rest}"
            );
        }
    }
}

#[tokio::test]
async fn batches_of_another_organization_are_invisible() {
    let app = TestApp::spawn().await;
    let batch = app.owner.create(&json!([sso("a@example.com")])).await.json()["metadata"].clone();
    app.db_execute(
        "insert into organizations values ('00000000-0000-7000-8000-00000000000a', 'Other', 'other', now())",
    )
    .await;
    let organization =
        muster::id::Id::from_uuid(uuid::Uuid::parse_str("00000000-0000-7000-8000-00000000000a").unwrap());
    let operator = muster::caller::Caller::operator(organization);
    let key = muster::keys::create(&app.app, &operator, muster::keys::KeySpec::new("other", PermissionLevel::Owner))
        .await
        .unwrap();
    let other = app.owner.with_token(key.token.expose());
    assert_eq!(other.get("/api/v2/batches").await.json()["results"], json!([]));
    for (method, rest) in [("GET", ""), ("GET", "/results"), ("POST", "/cancel"), ("POST", "/undo")] {
        let answer = Actor::send(other.request(method, &format!("{}{rest}", path(&batch)))).await;
        assert_eq!(answer.status, 404, "{method} {rest}");
    }
    assert_eq!(app.db_counts().await[0], 1);
}

#[tokio::test]
async fn undo_deletes_the_users_after_a_preview() {
    let app = TestApp::spawn().await;
    let users = json!([with_password("a@example.com", "kT9$wqzPlr"), {"name": "B", "lastname": "Bee", "email": "b@example.com", "is_sso_user": true}]);
    let created = app.owner.create(&users).await.json();
    assert_eq!(app.owner.create(&json!([sso("other@example.com")])).await.status, 200);
    let undo = format!("{}/undo", path(&created["metadata"]));
    let due = json!({
        "results": [
            {"user_id": created["results"][0]["user_id"], "email": "a@example.com", "name": "Ada"},
            {"user_id": created["results"][1]["user_id"], "email": "b@example.com", "name": "B", "lastname": "Bee"},
        ],
        "kept": [],
        "metadata": {"total": 2, "next_paging_token": null},
    });
    let shown = post(&app.owner, &format!("{undo}?dry_run=true")).await;
    assert_eq!((shown.status, shown.json()), (200, due.clone()));
    assert_eq!(app.db_counts().await[..3], [3, 3, 1], "a dry run removes no user");

    let undone = post(&app.owner, &undo).await;
    assert_eq!((undone.status, undone.json()), (200, due));
    assert_eq!(app.db_counts().await[..3], [1, 1, 0]);
    let batch = app.owner.get(&path(&created["metadata"])).await.json()["result"].clone();
    assert_eq!((batch["state"].as_str(), batch["user_count"].as_u64()), (Some("undone"), Some(2)));
    assert_eq!(batch["finished_at"], created["results"][0]["created_at"], "finished when it was created");
    assert!(batch["undone_at"].as_str() > batch["finished_at"].as_str(), "{batch}");
    let results = app.owner.get(&format!("{}/results", path(&created["metadata"]))).await;
    assert_eq!((results.status, results.error()["code"].as_str()), (409, Some("conflict")));
    let deleted = app.owner.get("/api/v2/audit/events?action=user.delete").await.json();
    assert_eq!(deleted["results"].as_array().unwrap().len(), 2);
    let entry = app.owner.get("/api/v2/audit/events?action=batch.undo").await.json()["results"][0].clone();
    assert_eq!((entry["outcome"].as_str(), &entry["details"]), (Some("success"), &json!({"users": 2, "kept": 0})));

    let twice = post(&app.owner, &undo).await;
    assert_eq!(twice.status, 409);
    let batch_id = batch["batch_id"].as_str().unwrap();
    assert_eq!(twice.error(), json!({"code": "conflict", "detail": format!("batch {batch_id} was undone before")}));
    // The addresses are available again.
    assert_eq!(app.owner.create(&users).await.status, 200);
}

#[tokio::test]
async fn undo_deletes_no_user_if_one_has_signed_in_or_was_changed() {
    let app = TestApp::spawn().await;
    let users: Vec<Value> = (0..6)
        .map(|n| with_password(&format!("user{n}@example.com"), if n == 3 { "kT9$wqzPlr" } else { "" }))
        .collect();
    let created = app.owner.create(&json!(users)).await.json();
    // As written by a sign-in, a change and a key creation.
    app.db_execute("update users set first_signed_in_at = now() where email = 'user1@example.com'").await;
    app.db_execute("update users set name = 'Eve', updated_at = now() where email = 'user2@example.com'").await;
    app.db_execute("update passwords set set_at = now()").await;
    app.db_execute("update collaborators set granted_at = now() where user_id = (select user_id from users where email = 'user4@example.com')").await;
    app.db_execute(
        "insert into api_keys (organization_id, key_id, user_id, name, secret_sha256, permission_level, created_by_kind, created_at, expires_at)
         select organization_id, gen_random_uuid(), user_id, 'k', sha256('x'), 'owner', 'operator', now(), now() + interval '1 day'
         from users where email = 'user5@example.com'",
    )
    .await;
    let undo = format!("{}/undo", path(&created["metadata"]));
    let due = json!([
        {"index": 1, "field": null, "code": "signed_in", "message": "has signed in since"},
        {"index": 2, "field": null, "code": "changed", "message": "was changed since"},
        {"index": 3, "field": null, "code": "changed", "message": "was changed since"},
        {"index": 4, "field": null, "code": "changed", "message": "was changed since"},
        {"index": 5, "field": null, "code": "in_use", "message": "has an API key"},
    ]);
    for query in ["", "?dry_run=true"] {
        let refused = post(&app.owner, &format!("{undo}{query}")).await;
        assert_eq!(refused.status, 409, "{}", refused.text);
        let error = refused.error();
        assert_eq!((error["code"].as_str(), &error["rows"]), (Some("batch_in_use"), &due));
        assert!(
            error["detail"].as_str().unwrap().starts_with(
                "5 of 6 users were used since; no user was removed: users[1] (user1@example.com): has signed in since; "
            ),
            "{error}"
        );
    }
    assert_eq!(app.db_counts().await[0], 6);
    let rejected = app.owner.get("/api/v2/audit/events?action=batch.undo").await.json()["results"].clone();
    assert_eq!(rejected.as_array().unwrap().len(), 1);
    assert_eq!(
        (rejected[0]["outcome"].as_str(), rejected[0]["reason"].as_str()),
        (Some("rejected"), Some("batch_in_use"))
    );

    let undone = post(&app.owner, &format!("{undo}?keep_used=true")).await;
    assert_eq!(undone.status, 200, "{}", undone.text);
    let body = undone.json();
    assert_eq!(body["results"].as_array().unwrap().len(), 1);
    assert_eq!(body["results"][0]["email"], "user0@example.com");
    let kept: Vec<(&str, &str)> = body["kept"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| (user["email"].as_str().unwrap(), user["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(kept[0], ("user1@example.com", "signed_in"));
    assert_eq!(kept.len(), 5);
    assert_eq!(app.db_counts().await[0], 5);
    let results = app.owner.get(&format!("{}/results", path(&created["metadata"]))).await.json();
    assert_eq!(results["results"].as_array().unwrap().len(), 5, "the remaining users still belong to the batch");
}

#[tokio::test]
async fn users_added_to_a_group_are_not_deleted() {
    let app = TestApp::spawn().await;
    let created = app.owner.create(&json!([sso("a@example.com"), sso("b@example.com")])).await.json();
    let group = app.owner.post("/api/v2/user_groups/", &json!({"name": "Owners"})).await.json();
    let members = format!("/api/v2/user_groups/{}/members/add", group["result"]["id"].as_str().unwrap());
    assert_eq!(app.owner.post(&members, &json!([{"user": "b@example.com"}])).await.status, 200);
    let refused = post(&app.owner, &format!("{}/undo", path(&created["metadata"]))).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert_eq!(
        refused.error()["rows"],
        json!([{"index": 1, "field": null, "code": "changed", "message": "was changed since"}])
    );
}

#[tokio::test]
async fn a_batch_that_would_wait_too_long_gets_retry_after() {
    let app = TestApp::spawn_with(|config| {
        config.batch.max_wait_seconds = 1;
        config.passwords.threads = 1;
    })
    .await;
    // Lets the pool measure this machine's speed.
    assert_eq!(app.owner.create(&many(16)).await.status, 200);
    let users: Value = (0..400).map(|n| with_password(&format!("first{n}@example.com"), "kT9$wqzPlr")).collect();
    assert_eq!(start(&app.owner, "respond-async", &users).await.status, 202);
    let late = json!([with_password("late@example.com", "kT9$wqzPlr")]);
    let refused = app.owner.create(&late).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(refused.error(), json!({"code": "overloaded", "detail": refused.error()["detail"]}));
    let mut wait: u64 = refused.header("retry-after").parse().unwrap();
    // The vendor's client shows only the message.
    let time = match wait {
        1 => "1 second".to_owned(),
        2..90 => format!("{wait} seconds"),
        _ => format!("{} minutes", wait.div_ceil(60)),
    };
    assert_eq!(
        refused.error()["detail"],
        format!("the password hashing queue is full; nothing was written; retry in about {time}")
    );
    let longest = 2 * app.app.hasher.time_for(400).as_secs() + 1;
    assert!((1..=longest).contains(&wait), "{wait} of {longest}");
    // Requests without hashing are not affected.
    assert_eq!(app.owner.create(&json!([sso("sso@example.com")])).await.status, 200);
    // The machine may be busier than estimated; each rejection has a new estimate.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let answer = app.owner.create(&late).await;
        if answer.status == 200 {
            return;
        }
        wait = answer.header("retry-after").parse().unwrap();
    }
    panic!("the batch is rejected again after the time in `Retry-After`");
}

#[tokio::test]
async fn a_list_that_takes_longer_than_its_client_may_wait_is_rejected_at_once() {
    let app = TestApp::spawn_with(|config| config.batch.max_sync_seconds = 1).await;
    assert_eq!(app.owner.create(&many(16)).await.status, 200);
    let users: Value = (0..1000).map(|n| with_password(&format!("long{n}@example.com"), "kT9$wqzPlr")).collect();
    let refused = app.owner.create(&users).await;
    assert_eq!(refused.status, 413, "{}", refused.text);
    let detail = refused.error()["detail"].as_str().unwrap().to_owned();
    let fitting = detail
        .strip_prefix("the list has 1000 passwords to hash, and ")
        .and_then(|rest| {
            rest.strip_suffix(
                " fit into the 1 seconds that a client may wait for them (`batch.max_sync_seconds`); split the list, or send \
                 `Prefer: respond-async`",
            )
        })
        .unwrap_or_else(|| panic!("{detail}"));
    assert!((1..1000).contains(&fitting.parse::<usize>().unwrap()), "{fitting}");
    // Before the strength of its passwords is checked.
    let weak: Value = (0..1000).map(|n| with_password(&format!("weak{n}@example.com"), "password")).collect();
    assert_eq!(app.owner.create(&weak).await.status, 413);
    assert_eq!(app.db_counts().await[0], 16);
    let users: Value = (0..400).map(|n| with_password(&format!("async{n}@example.com"), "kT9$wqzPlr")).collect();
    assert_eq!(start(&app.owner, "respond-async", &users).await.status, 202);
}

#[tokio::test]
async fn the_same_list_needs_no_second_place_in_a_full_queue() {
    const USERS: usize = 3000;
    let app = TestApp::spawn_with(|config| {
        config.batch.max_wait_seconds = 86_400;
        config.passwords.queue = HeldHashing::PASSWORDS + USERS;
    })
    .await;
    let held = HeldHashing::start(&app.app);
    let users: Value = (0..USERS).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect();
    let first = start(&app.owner, "respond-async", &users).await;
    assert_eq!(first.status, 202, "{}", first.text);
    let others: Value = (0..USERS).map(|n| with_password(&format!("other{n}@example.com"), "kT9$wqzPlr")).collect();
    let refused = start(&app.owner, "respond-async", &others).await;
    assert_eq!((refused.status, refused.error()["code"].as_str()), (503, Some("overloaded")));
    let again = start(&app.owner, "respond-async", &users).await;
    assert_eq!((again.status, again.header("location")), (202, first.header("location")));
    held.assert_held();
    assert_eq!(post(&app.owner, &format!("{}/cancel", first.header("location"))).await.status, 200);
    assert_eq!(app.db_counts().await[0], 0);
}
