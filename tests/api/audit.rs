//! The audit log: contents, permissions, immutability.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use muster::caller::PermissionLevel;
use muster::clock::Clock;
use muster::id::{Id, User};
use serde_json::{Value, json};

use crate::support::{TestApp, sso};

#[tokio::test]
async fn a_batch_records_one_event_for_itself_and_one_for_each_user() {
    let app = TestApp::spawn().await;
    let created = app.owner.create(&json!([sso("a@example.com"), sso("b@example.com")])).await;
    let user_ids: Vec<Value> =
        created.json()["results"].as_array().unwrap().iter().map(|user| user["user_id"].clone()).collect();
    let body = app.owner.get("/api/v2/audit/events").await.json();
    let events = body["results"].as_array().unwrap();
    let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    // Newest first.
    assert_eq!(
        actions,
        ["user.create", "user.create", "user.batch_create", "key.create", "user.create", "organization.create"]
    );
    assert_eq!([events[1]["target_id"].clone(), events[0]["target_id"].clone()], user_ids[..]);
    let batch = &events[2];
    assert_eq!(batch["details"], json!({"users": 2}));
    assert_eq!(batch["target_kind"], "batch");
    for event in &events[..3] {
        assert_eq!(event["batch_id"], batch["target_id"]);
        assert_eq!(event["request_id"], created.header("x-request-id"));
        assert_eq!(event["actor_kind"], "api_key");
        assert_eq!(event["actor_name"], "first key");
        assert_eq!(event["outcome"], "success");
        assert_eq!(event["source_address"], "127.0.0.1");
    }
    for event in &events[3..] {
        assert_eq!((&event["actor_kind"], &event["actor_id"]), (&json!("operator"), &Value::Null));
    }
    let text = body.to_string();
    assert!(!text.contains("example.com") && !text.contains("Ada"), "no personal data: {text}");
}

#[tokio::test]
async fn a_rejected_batch_records_an_event_with_counts() {
    let app = TestApp::spawn().await;
    app.owner
        .create(&json!([sso("bad"), sso("a@example.com"), {"name": 1, "email": "worse", "is_sso_user": true}]))
        .await;
    let body = app.owner.get("/api/v2/audit/events?count=1").await.json();
    let event = &body["results"][0];
    assert_eq!(
        (&event["action"], &event["outcome"], &event["reason"]),
        (&json!("user.batch_create"), &json!("rejected"), &json!("batch_rejected"))
    );
    assert_eq!(event["details"], json!({"rows": 3, "findings": {"email_invalid": 2, "wrong_type": 1}}));
}

#[tokio::test]
async fn only_owners_can_read_the_audit_log() {
    let app = TestApp::spawn().await;
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    let answer = collaborator.get("/api/v2/audit/events").await;
    assert_eq!(answer.status, 403);
    let body = app.owner.get("/api/v2/audit/events?count=1").await.json();
    assert_eq!(
        (&body["results"][0]["action"], &body["results"][0]["outcome"]),
        (&json!("audit.list"), &json!("denied"))
    );
}

#[tokio::test]
async fn events_are_paged_and_filtered_by_time() {
    let app = TestApp::spawn().await;
    let users: Vec<Value> = (0..70).map(|n| sso(&format!("user{n}@example.com"))).collect();
    app.owner.create(&json!(users)).await;
    let (mut seen, mut query, mut pages) = (Vec::new(), "/api/v2/audit/events?count=30".to_owned(), 0);
    loop {
        pages += 1;
        let body = app.owner.get(&query).await.json();
        seen.extend(
            body["results"].as_array().unwrap().iter().map(|event| event["event_id"].as_str().unwrap().to_owned()),
        );
        match body["metadata"]["next_paging_token"].as_str() {
            Some(token) => query = format!("/api/v2/audit/events?count=30&paging_token={token}"),
            None => break,
        }
    }
    assert_eq!((pages, seen.len()), (3, 74));
    assert!(seen.is_sorted_by(|a, b| a > b));

    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let since = app.app.clock.now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    app.owner.create(&json!([sso("later@example.com")])).await;
    let body = app.owner.get(&format!("/api/v2/audit/events?since={since}")).await.json();
    assert_eq!(body["results"].as_array().unwrap().len(), 2);
    let answer = app.owner.get("/api/v2/audit/events?since=yesterday").await;
    assert_eq!(
        answer.error(),
        json!({"code": "invalid_request", "detail": "invalid `since`; expected an RFC 3339 time with a time zone, such as 2026-11-23T10:00:00Z"})
    );
}

#[tokio::test]
async fn since_and_until_compare_the_time_of_the_event_not_that_of_its_id() {
    // In the past: IDs are monotonic within the process, so a later clock would affect other tests.
    let start = (Utc::now() - TimeDelta::hours(2)).trunc_subsecs(6);
    let clock = Arc::new(Mutex::new(start));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&clock)), |_| {}).await;
    // The process creates IDs of a later millisecond, as after many IDs within one, or after a step of the clock.
    let _ = Id::<User>::new(start + TimeDelta::hours(1));
    let at = start + TimeDelta::microseconds(10_137_250);
    for (n, time) in [at, at - TimeDelta::seconds(1), at + TimeDelta::seconds(1)].into_iter().enumerate() {
        *clock.lock().unwrap() = time;
        app.owner.create(&json!([sso(&format!("user{n}@example.com"))])).await;
    }
    let list = async |query: String| {
        let body = app.owner.get(&format!("/api/v2/audit/events?{query}")).await.json();
        let events = body["results"].as_array().unwrap().clone();
        let shown = |event: &Value| (event["action"].clone(), event["occurred_at"].clone());
        events.iter().map(shown).collect::<Vec<_>>()
    };
    let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let event = |action: &str, time| (json!(action), json!(text(time)));
    let both = |time| [event("user.create", time), event("user.batch_create", time)];
    let window = |from, to| format!("since={}&until={}", text(from), text(to));
    let micro = TimeDelta::microseconds(1);
    assert_eq!(list(window(at, at + micro)).await, both(at));
    assert_eq!(list(window(at - micro, at)).await, []);
    assert_eq!(list(window(at + micro, at + TimeDelta::milliseconds(300))).await, []);
    // Newest first, by time, on every page.
    let all = list(format!("since={}", text(at - TimeDelta::seconds(1)))).await;
    let times = [at + TimeDelta::seconds(1), at, at - TimeDelta::seconds(1)];
    assert_eq!(all, times.map(both).concat());
    let (mut paged, mut query) = (Vec::new(), "/api/v2/audit/events?count=1".to_owned());
    while paged.len() < all.len() {
        let body = app.owner.get(&query).await.json();
        paged.push((body["results"][0]["action"].clone(), body["results"][0]["occurred_at"].clone()));
        let token = body["metadata"]["next_paging_token"].as_str().unwrap();
        query = format!("/api/v2/audit/events?count=1&paging_token={token}");
    }
    assert_eq!(paged, all);
}

#[tokio::test]
async fn times_come_from_the_clock_of_the_database() {
    let ahead = Arc::new(AtomicI64::new(0));
    let app = TestApp::spawn_at(Clock::Database(Arc::clone(&ahead)), |_| {}).await;
    let actor = app.actor(PermissionLevel::Owner).await;
    // As if this machine's clock were then set half an hour forward.
    let half_an_hour = TimeDelta::minutes(30).num_microseconds().unwrap();
    ahead.store(half_an_hour, Ordering::Relaxed);
    let created = actor.post("/api/v2/user_groups/", &json!({"name": "admins"})).await;
    assert_eq!(created.status, 200, "{}", created.text);
    let recent = "select occurred_at between now() - interval '1 minute' and now() from audit_events \
                  where action = 'group.create'";
    assert!(app.db_value::<bool>(recent).await);
    // The change corrected the clock, which batches and expiries use.
    assert!(ahead.load(Ordering::Relaxed).abs() < half_an_hour / 2);
    assert_eq!(app.owner.create(&json!([sso("ada@example.com")])).await.status, 200);
    let recent = "select bool_and(created_at between now() - interval '1 minute' and now()) from users";
    assert!(app.db_value::<bool>(recent).await);
}

#[tokio::test]
async fn the_index_of_the_audit_log_begins_with_the_organization() {
    let app = TestApp::spawn().await;
    let index = "select indexdef from pg_indexes where indexname = 'audit_events_by_time'";
    assert_eq!(
        app.db_value::<String>(index).await,
        "CREATE INDEX audit_events_by_time ON public.audit_events USING btree (organization_id, occurred_at, event_id) \
         INCLUDE (action, actor_id, actor_user_id)"
    );
}

#[tokio::test]
async fn events_are_filtered_by_actor_and_end_time() {
    let app = TestApp::spawn().await;
    let (ada, actor) = app.person("ada@example.com", PermissionLevel::Owner).await;
    let users: Vec<Value> = (0..4).map(|n| sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(actor.create(&json!(users)).await.status, 200);
    let list = async |query: String| app.owner.get(&format!("/api/v2/audit/events?{query}")).await.json();
    let by_user = list(format!("actor={ada}")).await;
    let events = by_user["results"].as_array().unwrap();
    assert_eq!((events.len(), &events[4]["action"]), (5, &json!("user.batch_create")));
    let key = events[0]["actor_id"].as_str().unwrap();
    assert_eq!(list(format!("actor={key}")).await, by_user);
    let first = list(format!("actor={key}&count=3")).await;
    let token = first["metadata"]["next_paging_token"].as_str().unwrap();
    let second = list(format!("actor={key}&count=3&paging_token={token}")).await;
    let both = [first["results"].as_array().unwrap().clone(), second["results"].as_array().unwrap().clone()].concat();
    assert_eq!((&both, &second["metadata"]["next_paging_token"]), (events, &Value::Null));
    assert_eq!(list("actor=key_01k9h6m3x0e8wbz1v5n7q2r4t6".to_owned()).await["results"], json!([]));

    // The name of the parameter in the first builds.
    assert_eq!(list(format!("actor_id={key}")).await, by_user);

    let time = events[0]["occurred_at"].as_str().unwrap();
    let until = list(format!("until={time}&count=1")).await;
    assert_eq!(until["results"][0]["action"], "key.create");
}

#[tokio::test]
async fn events_are_filtered_by_target_batch_and_request_on_every_page() {
    let app = TestApp::spawn().await;
    let users: Vec<Value> = (0..7).map(|n| sso(&format!("user{n}@example.com"))).collect();
    let created = app.owner.create(&json!(users)).await;
    let user_id = created.json()["results"][3]["user_id"].as_str().unwrap().to_owned();
    assert_eq!(app.owner.create(&json!([sso("other@example.com")])).await.status, 200);
    let all = async |query: &str| {
        let (mut events, mut next) = (Vec::new(), format!("/api/v2/audit/events?{query}&count=3"));
        loop {
            let body = app.owner.get(&next).await.json();
            events.extend(body["results"].as_array().unwrap().clone());
            match body["metadata"]["next_paging_token"].as_str() {
                Some(token) => next = format!("/api/v2/audit/events?{query}&count=3&paging_token={token}"),
                None => return events,
            }
        }
    };
    let of_request = all(&format!("request_id={}", created.header("x-request-id"))).await;
    assert_eq!(of_request.len(), 8);
    let batch_id = of_request[0]["batch_id"].as_str().unwrap();
    assert_eq!(all(&format!("batch_id={batch_id}")).await, of_request);
    assert_eq!(all(&format!("batch_id={batch_id}&action=user.batch_create")).await, of_request[7..]);
    let of_user = all(&format!("target={user_id}")).await;
    assert_eq!(of_user, [of_request.iter().find(|event| event["target_id"] == user_id.as_str()).unwrap().clone()]);
    assert_eq!(all("target=user3%40example.com").await, of_user);
    assert_eq!(all(&format!("target={user_id}&batch_id={batch_id}&actor=first%20key")).await, of_user);
    assert_eq!(all(&format!("target={user_id}&actor=operator")).await, Vec::<Value>::new());
    let time = of_user[0]["occurred_at"].as_str().unwrap();
    assert_eq!(all(&format!("target={user_id}&since={time}")).await, of_user);
    assert_eq!(all(&format!("target={user_id}&until={time}")).await, Vec::<Value>::new());
    let unknown = app.owner.get("/api/v2/audit/events?actor=nobody").await;
    let detail = "no API key and no user is named `nobody`; a deleted key is found by its ID (`key_…`), a deleted user by the \
                  ID (`usr_…`) or the e-mail address";
    assert_eq!((unknown.status, unknown.error()), (404, json!({"code": "not_found", "detail": detail})));
    let unknown = app.owner.get("/api/v2/audit/events?target=nobody").await;
    let detail = "no user, group, API key or identity provider is named `nobody`; what was deleted is found by its ID, and users \
                  also by the e-mail address";
    assert_eq!((unknown.status, unknown.error()), (404, json!({"code": "not_found", "detail": detail})));
}

/// The actions of the events that a query selects.
async fn actions(app: &TestApp, query: &str) -> Vec<String> {
    let answer = app.owner.get(&format!("/api/v2/audit/events?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    let events = answer.json()["results"].as_array().unwrap().clone();
    events.iter().map(|event| event["action"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn events_are_filtered_by_groups_of_actions_outcome_network_and_names() {
    let app = TestApp::spawn().await;
    let (ada, key) = app.person("ada@example.com", PermissionLevel::Owner).await;
    let group = key.post("/api/v2/user_groups/", &json!({"name": "Platform team"})).await;
    assert_eq!(group.status, 200, "{}", group.text);
    assert_eq!(key.create(&json!([sso("bad")])).await.status, 422);
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(collaborator.get("/api/v2/audit/events").await.status, 403);
    assert_eq!(actions(&app, "outcome=refused").await, ["audit.list", "user.batch_create"]);
    assert_eq!(actions(&app, "outcome=denied").await, ["audit.list"]);
    assert_eq!(actions(&app, "outcome=rejected&action=batches").await, ["user.batch_create"]);
    assert_eq!(actions(&app, "action=groups").await, ["group.create"]);
    assert_eq!(actions(&app, "action=changes&outcome=rejected").await, ["user.batch_create"]);
    // Of the operator, who has no address.
    let elsewhere = actions(&app, "from=203.0.113.0%2F24").await;
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    let from_here = actions(&app, "from=127.0.0.0%2F8").await;
    assert_eq!(from_here, actions(&app, "from=127.0.0.1").await);
    assert!(from_here.contains(&"group.create".to_owned()) && !from_here.contains(&"organization.create".to_owned()));
    assert_eq!(actions(&app, "from=127.0.0.0%2F8&outcome=success&action=groups").await, ["group.create"]);

    // By the names of people, groups and keys.
    let name = app.owner.get(&format!("/api/v2/users/{ada}")).await.json()["result"].clone();
    let name = [name["name"].as_str(), name["lastname"].as_str()].into_iter().flatten().collect::<Vec<_>>().join("%20");
    assert_eq!(actions(&app, &format!("actor={name}&action=groups")).await, ["group.create"]);
    assert_eq!(actions(&app, "target=platform%20TEAM").await, ["group.create"]);
    assert!(actions(&app, &format!("target={name}")).await.contains(&"user.create".to_owned()));
}

#[tokio::test]
async fn a_deleted_actor_is_found_by_the_address() {
    let app = TestApp::spawn().await;
    let (ada, key) = app.person("ada@example.com", PermissionLevel::Owner).await;
    assert_eq!(key.post("/api/v2/user_groups/", &json!({"name": "admins"})).await.status, 200);
    assert_eq!(actions(&app, "actor=ada%40example.com").await, ["group.create"]);
    assert_eq!(app.owner.delete(&format!("/api/v2/users/{ada}")).await.status, 204);
    assert_eq!(actions(&app, "actor=Ada%40Example.com").await, ["group.create"]);
    let unknown = app.owner.get("/api/v2/audit/events?actor=eve%40example.com").await;
    let detail = "nobody has or had the e-mail address `eve@example.com`";
    assert_eq!((unknown.status, unknown.error()), (404, json!({"code": "not_found", "detail": detail})));
}

#[tokio::test]
async fn the_single_users_of_batches_are_left_out_on_request() {
    let app = TestApp::spawn().await;
    let users: Vec<Value> = (0..60).map(|n| sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);
    let folded = ["user.batch_create", "key.create", "user.create", "organization.create"];
    assert_eq!(actions(&app, "fold=true").await, folded);
    assert_eq!(actions(&app, "fold=true&outcome=success").await, folded);
    assert_eq!(actions(&app, "fold=true&actor=first%20key").await, folded[..1]);
    assert_eq!(actions(&app, "fold=false&count=2").await, ["user.create", "user.create"]);
}

#[tokio::test]
async fn the_history_of_a_user_is_what_the_user_did_and_what_happened_to_the_user() {
    let app = TestApp::spawn().await;
    let (ada, key) = app.person("ada@example.com", PermissionLevel::Owner).await;
    let users: Vec<Value> = (0..3).map(|n| sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(key.create(&json!(users)).await.status, 200);
    assert_eq!(app.owner.post(&format!("/api/v2/users/{ada}/suspend"), &json!({})).await.status, 200);
    assert_eq!(app.owner.post(&format!("/api/v2/users/{ada}/reactivate"), &json!({})).await.status, 200);
    assert_eq!(key.post("/api/v2/user_groups/", &json!({"name": "admins"})).await.status, 200);
    let history = actions(&app, &format!("user_id={ada}")).await;
    let done = ["group.create", "user.reactivate", "user.suspend", "user.batch_create"];
    assert_eq!(history[..4], done);
    // How the account came to be.
    assert!(history[4..].contains(&"user.create".to_owned()) && history[4..].contains(&"key.create".to_owned()));
    assert_eq!(actions(&app, &format!("user_id={ada}&action=groups")).await, ["group.create"]);
    assert_eq!(actions(&app, &format!("user_id={ada}&outcome=refused")).await, Vec::<String>::new());
    // On every page, once.
    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let body = app.owner.get(&format!("/api/v2/audit/events?user_id={ada}&count=2{token}")).await.json();
        paged.extend(
            body["results"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap().to_owned()),
        );
        match body["metadata"]["next_paging_token"].as_str() {
            Some(next) => token = format!("&paging_token={next}"),
            None => break,
        }
    }
    assert_eq!(paged, history);
}

#[tokio::test]
async fn invalid_filters_are_rejected() {
    let app = TestApp::spawn().await;
    let answer = app.owner.get("/api/v2/audit/events?action=nope").await;
    assert_eq!(answer.status, 400);
    let error = answer.error();
    assert_eq!(error["code"], "invalid_request");
    let detail = error["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("invalid `action`: expected one of changes, people, batches, invitations, groups, keys, "),
        "{detail}"
    );
    assert!(detail.ends_with(", audit.list"), "{detail}");
    for (query, detail) in [
        ("until=tomorrow", "invalid `until`; expected an RFC 3339 time with a time zone, such as 2026-11-23T10:00:00Z"),
        (
            "actor=",
            "invalid `actor`: must be an ID, the name of an API key or a user, an e-mail address, `operator`, `system` or `anonymous`",
        ),
        ("target=", "invalid `target`: must be an ID, an e-mail address or a name"),
        ("target=ada%40", "invalid `target`: not a valid e-mail address"),
        ("batch_id=1", "invalid `batch_id`: not an ID; expected `bat_` and 26 characters"),
        ("request_id=1", "invalid `request_id`: not an ID; expected `req_` and 26 characters"),
        ("user_id=ada", "invalid `user_id`: not an ID; expected `usr_` and 26 characters"),
        ("outcome=no", "invalid `outcome`: expected one of success, denied, rejected, refused"),
        ("from=home", "invalid `from`: `home` is neither a network such as 10.0.0.0/8 nor an address"),
        ("fold=1", "`fold` must be `true` or `false`"),
    ] {
        let answer = app.owner.get(&format!("/api/v2/audit/events?{query}")).await;
        assert_eq!((answer.status, answer.error()), (400, json!({"code": "invalid_request", "detail": detail})));
    }
    let openapi = app.anonymous().get("/openapi.json").await.json();
    let parameters = openapi["paths"]["/api/v2/audit/events"]["get"]["parameters"].as_array().unwrap();
    let action = parameters.iter().find(|parameter| parameter["name"] == "action").unwrap();
    assert!(action["schema"]["enum"].as_array().unwrap().contains(&json!("user.batch_create")), "{action}");
}

#[tokio::test]
async fn the_audit_log_is_immutable_even_for_the_owner_of_its_table() {
    use sqlx::ConnectOptions;
    let app = TestApp::spawn().await;
    let mut connection = app.database.connect().await.unwrap();
    for statement in ["update audit_events set action = 'x'", "delete from audit_events", "truncate audit_events"] {
        let error = sqlx::query(statement).execute(&mut connection).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().message(), "audit_events is append only", "{statement}");
    }
}

#[tokio::test]
async fn a_change_without_an_event_is_not_committed() {
    let app = TestApp::spawn().await;
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    let (action, target) = (muster::caller::Action::KeyCreate, muster::audit::Target::Nothing);
    let error = app.app.change(&operator, action, target, async |_| Ok(())).await.unwrap_err();
    assert_eq!(error.code().as_str(), "internal");
    assert_eq!(error.chain().as_deref(), Some("a change without an audit event"));
}

#[tokio::test]
async fn a_change_whose_events_the_database_discards_is_not_committed() {
    let app = TestApp::spawn().await;
    for (n, rule) in [
        "create rule discard as on insert to audit_events where new.action = 'user.create' do instead nothing",
        "create rule discard as on insert to audit_events do instead nothing",
    ]
    .into_iter()
    .enumerate()
    {
        let (first, second) = (sso(&format!("{n}a@example.com")), sso(&format!("{n}b@example.com")));
        assert_eq!(app.owner.create(&json!([first])).await.status, 200);
        app.db_execute(rule).await;
        let created = app.owner.create(&json!([second])).await;
        assert_eq!((created.status, created.error()["code"].as_str()), (500, Some("internal")), "{}", created.text);
        assert_eq!(app.db_value::<i64>("select count(*) from users where email like '_b@%'").await, 0);
        app.db_execute("drop rule discard on audit_events").await;
    }
}

#[tokio::test]
async fn events_name_the_kind_of_program_that_sent_the_request() {
    let app = TestApp::spawn().await;
    let agents = [
        ("user-agent", "muster/1", "muster_client"),
        ("x-anyscale-client", "CLI", "vendor_client"),
        ("user-agent", "curl/8", "http"),
    ];
    for (n, (header, value, client)) in agents.into_iter().enumerate() {
        let request = app.owner.request("POST", "/api/v2/user_groups/").header(header, value);
        let created =
            crate::support::Actor::send(request.body(json!({"name": format!("group {n}")}).to_string())).await;
        assert_eq!(created.status, 200, "{}", created.text);
        let body = app.owner.get("/api/v2/audit/events?action=group.create&count=1").await.json();
        assert_eq!(body["results"][0]["client"], client, "{body}");
    }
    let body = app.owner.get("/api/v2/audit/events?action=organization.create").await.json();
    assert_eq!(body["results"][0]["client"], Value::Null);
}
