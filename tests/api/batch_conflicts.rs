//! One account for each address, in any spelling and with concurrent requests.

use serde_json::{Value, json};

use crate::support::{TestApp, sso};

/// Spellings of one address.
const TWINS: [[&str; 2]; 5] = [
    ["A@example.com", "a@example.com"],
    ["\u{ff21}da@example.com", "ada@example.com"],
    ["a@bücher.example", "a@xn--bcher-kva.example"],
    ["strauß@example.com", "STRAUSS@example.com"],
    ["e\u{301}va@example.com", "éva@example.com"],
];

#[tokio::test]
async fn duplicates_within_a_batch_are_reported_with_both_positions() {
    let app = TestApp::spawn().await;
    let before = app.db_counts().await;
    for [one, other] in TWINS {
        let answer =
            app.owner.create(&json!([sso("first@example.com"), sso(one), sso("third@example.com"), sso(other)])).await;
        assert_eq!(answer.status, 422, "{one} {other}");
        assert_eq!(
            answer.error(),
            json!({
                "code": "batch_rejected",
                "detail": format!("1 of 4 users can't be created: users[3].email ({other}): the same address as users[1]"),
                "rows": [{"index": 3, "field": "email", "code": "email_duplicate", "message": "the same address as users[1]", "other_index": 1}],
            })
        );
    }
    assert_eq!(app.db_counts().await, before);
}

#[tokio::test]
async fn duplicates_across_batches_are_conflicts() {
    let app = TestApp::spawn().await;
    let first: Vec<Value> = TWINS.iter().map(|[one, _]| sso(one)).collect();
    assert_eq!(app.owner.create(&json!(first)).await.status, 200);
    let before = app.db_counts().await;
    for [one, other] in TWINS {
        for email in [one, other] {
            let answer = app.owner.create(&json!([sso("new@example.com"), sso(email)])).await;
            assert_eq!(answer.status, 409, "{email}");
            assert_eq!(
                answer.error(),
                json!({
                    "code": "batch_conflict",
                    "detail": format!("1 of 2 users can't be created: users[1].email ({email}): already exists"),
                    "rows": [{"index": 1, "field": "email", "code": "email_taken", "message": "already exists"}],
                })
            );
        }
    }
    assert_eq!(app.db_counts().await, before);
}

#[tokio::test]
async fn all_conflicts_are_reported_even_if_there_are_a_thousand() {
    let app = TestApp::spawn().await;
    let users: Vec<Value> = (0..1000).map(|n| sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);
    let before = app.db_counts().await;
    let answer = app.owner.create(&json!(users)).await;
    assert_eq!(answer.status, 409);
    let error = answer.error();
    let indices: Vec<u64> =
        error["rows"].as_array().unwrap().iter().map(|row| row["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, (0..1000).collect::<Vec<u64>>());
    assert_eq!(app.db_counts().await, before);
}

#[tokio::test]
async fn of_two_overlapping_batches_in_reverse_order_one_is_created_and_one_gets_a_complete_report() {
    let app = TestApp::spawn().await;
    for round in 0..10 {
        let shared: Vec<String> = (0..300).map(|n| format!("shared{n}-{round}@example.com")).collect();
        let mut one: Vec<Value> = shared.iter().map(|email| sso(email)).collect();
        let mut other: Vec<Value> = shared.iter().rev().map(|email| sso(email)).collect();
        one.push(sso(&format!("one-{round}@example.com")));
        other.insert(0, sso(&format!("other-{round}@example.com")));
        let before = app.db_counts().await;
        let (one, other) = (json!(one), json!(other));
        let answers = tokio::join!(app.owner.create(&one), app.owner.create(&other));
        let mut statuses = [answers.0.status, answers.1.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        let (loser, first) = if answers.0.status == 409 { (&answers.0, 0) } else { (&answers.1, 1) };
        let error = loser.error();
        let indices: Vec<u64> =
            error["rows"].as_array().unwrap().iter().map(|row| row["index"].as_u64().unwrap()).collect();
        assert_eq!(indices, (first..first + 300).collect::<Vec<u64>>());
        assert!(error["rows"].as_array().unwrap().iter().all(|row| row["code"] == "email_taken"));
        let after = app.db_counts().await;
        assert_eq!([after[0] - before[0], after[1] - before[1], after[3] - before[3]], [301, 301, 1]);
    }
}

#[tokio::test]
async fn random_overlapping_batches_of_eight_writers_leave_no_duplicates_and_no_partial_batch() {
    let app = TestApp::spawn().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8_u32 {
        let owner = app.owner.clone();
        writers.spawn(async move {
            let mut created = Vec::new();
            for round in 0..200_u32 {
                let mut seed = writer * 7919 + round * 104_729 + 1;
                let mut next = || {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 16) % 3000
                };
                let mut emails: Vec<u32> = (0..5).map(|_| next()).collect();
                emails.sort_unstable();
                emails.dedup();
                if round % 2 == 0 {
                    emails.reverse();
                }
                let users: Vec<Value> = emails.iter().map(|n| sso(&format!("user{n}@example.com"))).collect();
                let answer = owner.create(&json!(users)).await;
                match answer.status {
                    200 => created.extend(emails),
                    409 => assert!(!answer.error()["rows"].as_array().unwrap().is_empty()),
                    other => panic!("{other}: {}", answer.text),
                }
            }
            created
        });
    }
    let mut created: Vec<u32> = writers.join_all().await.concat();
    created.sort_unstable();
    let count = i64::try_from(created.len()).unwrap();
    created.dedup();
    assert_eq!(i64::try_from(created.len()).unwrap(), count, "an address was created twice");
    let counts = app.db_counts().await;
    assert_eq!((counts[0], counts[1]), (count, count));
    assert!(count > 1000, "too many batches conflicted: {count}");
    let partial: i64 = app
        .db_value("select count(*) from batches where user_count <> (select count(*) from users where users.batch_id = batches.batch_id)")
        .await;
    assert_eq!(partial, 0);
}

#[tokio::test]
async fn the_same_address_can_exist_in_two_organizations() {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.create(&json!([sso("a@example.com")])).await.status, 200);
    // Another tenant, inserted directly.
    app.db_execute(
        "insert into organizations values ('00000000-0000-7000-8000-00000000000a', 'Other', 'other', now())",
    )
    .await;
    let organization =
        muster::id::Id::from_uuid(uuid::Uuid::parse_str("00000000-0000-7000-8000-00000000000a").unwrap());
    let operator = muster::caller::Caller::operator(organization);
    let level = muster::caller::PermissionLevel::Owner;
    let key = muster::keys::create(&app.app, &operator, muster::keys::KeySpec::new("other", level)).await.unwrap();
    let other = app.owner.with_token(key.token.expose());
    assert_eq!(other.create(&json!([sso("a@example.com")])).await.status, 200);
    let listed = other.get("/api/v2/organization_collaborators/").await.json();
    assert_eq!(listed["results"].as_array().unwrap().len(), 1, "users of the other organization are listed: {listed}");
}

#[tokio::test]
async fn a_repeated_list_is_told_that_its_users_were_created_by_the_same_key() {
    let app = TestApp::spawn().await;
    let users = json!([sso("a@example.com"), sso("b@example.com")]);
    let created = app.owner.create(&users).await.json();
    let batch = &created["metadata"]["batch_id"];
    let at: String = app.db_value("select to_char(created_at at time zone 'UTC', 'HH24:MI:SS') from batches").await;
    let row =
        |index: usize| json!({"index": index, "field": "email", "code": "email_taken", "message": "already exists"});
    for (users, who) in [(json!([sso("A@example.com")]), "the user was"), (users.clone(), "all 2 users were")] {
        let again = app.owner.create(&users).await;
        assert_eq!(again.status, 409);
        let exist = if who == "the user was" { "already exists" } else { "already exist" };
        let rows: Vec<Value> = (0..users.as_array().unwrap().len()).map(row).collect();
        assert_eq!(
            again.error(),
            json!({
                "code": "batch_conflict",
                "detail": format!(
                    "{who} created by this API key's request of {at} UTC (batch {}) and {exist}; nothing is left to do",
                    batch.as_str().unwrap()
                ),
                "rows": rows,
                "batch_id": batch,
            })
        );
    }
    // Another key, a new user among them, and users of two batches.
    let other = app.actor(muster::caller::PermissionLevel::Owner).await;
    assert_eq!(app.owner.create(&json!([sso("c@example.com")])).await.status, 200);
    let with = |email: &str| json!([sso("a@example.com"), sso(email)]);
    for answer in [
        other.create(&users).await,
        app.owner.create(&with("new@example.com")).await,
        app.owner.create(&with("c@example.com")).await,
    ] {
        let error = answer.error();
        assert_eq!((answer.status, error.get("batch_id")), (409, None));
        assert!(error["detail"].as_str().unwrap().contains("users can't be created: users[0].email"), "{error}");
    }
}
