//! Logging in with a one-time password that another user approves.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};
use muster::caller::PermissionLevel;
use muster::clock::Clock;
use serde_json::{Value, json};

use crate::support::{Actor, Answer, TestApp};

pub const APPROVE: &str = "/api/v2/users/approve_otp_token";

/// Starts a login: its one-time password and its page.
pub async fn started(app: &TestApp, seconds: u64) -> (String, String) {
    let answer = app.anonymous().get(&format!("/api/v2/users/create_otp_token?duration_seconds={seconds}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let result = answer.json()["result"].clone();
    (result["otp"].as_str().unwrap().to_owned(), result["url"].as_str().unwrap().to_owned())
}

async fn fetched(app: &TestApp, otp: &str) -> Answer {
    app.anonymous().get(&format!("/api/v2/users/request_otp_token/{otp}")).await
}

const ALREADY_FETCHED: &str = "the API key of the login was already fetched; if the person who started the login did not \
                               fetch it, revoke the key and start a new login";

fn pending() -> Value {
    json!({"result": {"valid": false, "server_session_id": ""}})
}

fn refused(answer: &Answer, status: u16, code: &str, detail: &str) {
    assert_eq!((answer.status, answer.error()), (status, json!({"code": code, "detail": detail})));
}

#[tokio::test]
async fn a_login_gets_one_key_that_acts_as_the_approver() {
    let app = TestApp::spawn().await;
    let (user_id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let before: i64 = app.db_value("select count(*) from audit_events").await;
    let (otp, url) = started(&app, 604_800).await;
    assert_eq!(url, format!("http://{}/login/{otp}", app.address));
    let answer = fetched(&app, &otp).await;
    assert_eq!((answer.status, answer.json(), answer.header("cache-control")), (200, pending(), "no-store"));
    // An unauthenticated start writes no event and no approval.
    assert_eq!(app.db_value::<i64>("select count(*) from audit_events").await, before);
    assert_eq!(app.db_value::<i64>("select count(*) from login_approvals").await, 0);

    let approved = ada.post(APPROVE, &json!({"otp": otp})).await;
    assert_eq!(approved.status, 200, "{}", approved.text);
    let mut approved = approved.json()["result"].clone();
    assert!(approved.as_object_mut().unwrap().remove("expires_at").unwrap().is_string());
    assert_eq!(approved, json!({"user_id": user_id, "permission_level": "collaborator"}));
    let again = ada.post(APPROVE, &json!({"otp": otp})).await;
    refused(&again, 409, "conflict", "the login is already approved or denied; start a new one");
    // Reading the page does not use the password up.
    let head = Actor::send(app.anonymous().request("HEAD", &format!("/api/v2/users/request_otp_token/{otp}"))).await;
    assert_eq!(head.status, 200);

    let answer = fetched(&app, &otp).await.json()["result"].clone();
    assert_eq!(answer["valid"], true);
    let holder = app.anonymous().with_token(answer["server_session_id"].as_str().unwrap());
    let me = holder.get("/api/v2/userinfo/").await.json()["result"].clone();
    assert_eq!((&me["id"], &me["organization_permission_level"]), (&json!(user_id), &json!("collaborator")));
    // A used password can be neither fetched nor approved again.
    refused(&fetched(&app, &otp).await, 409, "conflict", ALREADY_FETCHED);
    let again = app.owner.post(APPROVE, &json!({"otp": otp})).await;
    refused(&again, 409, "conflict", "the login is already approved or denied; start a new one");

    let keys = ada.get("/api/v2/api_keys").await.json();
    let key = &keys["results"][1];
    let time = |field: &str| key[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!(
        (&key["name"], time("expires_at") - time("created_at")),
        (&json!("login of ada@example.com from 127.0.0.1"), Duration::days(7))
    );
    let made = app.owner.get("/api/v2/audit/events?action=key.create&count=1").await.json();
    // The approver is the key's creator; the address is the fetching client's.
    assert_eq!(
        (&made["results"][0]["actor_id"], &made["results"][0]["source_address"]),
        (&keys["results"][0]["key_id"], &json!("127.0.0.1"))
    );
    let approvals = app.owner.get("/api/v2/audit/events?action=login.approve").await.json();
    let approvals = approvals["results"].as_array().unwrap();
    let ends: Vec<_> = approvals.iter().map(|event| (&event["outcome"], &event["target_id"])).collect();
    // The target of each approval is the user of its caller.
    let rejected = json!("rejected");
    assert_eq!(
        ends,
        [(&rejected, &approvals[0]["target_id"]), (&rejected, &json!(user_id)), (&json!("success"), &json!(user_id))]
    );
    assert_ne!(approvals[0]["target_id"], json!(user_id));
}

#[tokio::test]
async fn keys_without_a_user_and_with_scopes_pass_on_their_own_permissions() {
    let app = TestApp::spawn().await;
    let nobody = app.actor(PermissionLevel::Owner).await;
    let narrow = json!({"name": "narrow", "scopes": ["keys:write", "audit:read"]});
    let narrow = nobody.post("/api/v2/api_keys", &narrow).await.json()["result"]["token"].as_str().unwrap().to_owned();
    let narrow = nobody.with_token(&narrow);
    let (otp, _) = started(&app, 0).await;
    let approved = narrow.post(APPROVE, &json!({"otp": otp})).await.json();
    assert_eq!((approved["result"].get("user_id"), &approved["result"]["permission_level"]), (None, &json!("owner")));
    let token = fetched(&app, &otp).await.json()["result"]["server_session_id"].as_str().unwrap().to_owned();
    let holder = nobody.with_token(&token);
    assert_eq!(holder.get("/api/v2/audit/events").await.status, 200);
    assert_eq!(holder.get("/api/v2/organization_collaborators/").await.status, 403);
    // The maximum lifetime.
    let longest = "select extract(day from expires_at - created_at)::bigint from api_keys where name like 'login%'";
    assert_eq!(app.db_value::<i64>(longest).await, 365);

    let reader = json!({"name": "reader", "scopes": ["users:read"]});
    let reader = nobody.post("/api/v2/api_keys", &reader).await.json()["result"]["token"].as_str().unwrap().to_owned();
    let (otp, _) = started(&app, 0).await;
    let sentence = "not permitted: `login.approve` requires an API key with the scope `keys:write`";
    refused(&nobody.with_token(&reader).post(APPROVE, &json!({"otp": otp})).await, 403, "forbidden", sentence);
}

/// Starts a login on a machine: its one-time password and its code.
async fn started_on(app: &TestApp, machine: &str) -> (String, String) {
    let path = format!("/api/v2/users/create_otp_token?duration_seconds=60&machine={machine}");
    let request = app.anonymous().request("GET", &path).header("user-agent", "muster/1");
    let result = Actor::send(request).await.json()["result"].clone();
    (result["otp"].as_str().unwrap().to_owned(), result["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_code_shows_who_asks_and_approves_the_login() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let clock = Arc::new(Mutex::new(now));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&clock)), |_| {}).await;
    let (ada_id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let (otp, code) = started_on(&app, "laptop").await;
    let letters: Vec<char> = code.chars().collect();
    assert!(letters.len() == 9 && letters[4] == '-', "{code}");
    let show = async |code: &str| ada.get(&format!("/api/v2/users/otp_tokens/{code}")).await;
    let shown = show(&code).await;
    let times = [("requested_at", now), ("expires_at", now + Duration::minutes(10))];
    for (field, time) in times {
        assert_eq!(shown.json()["result"][field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap(), time);
    }
    let client = &shown.json()["result"];
    assert_eq!(
        (&client["client_address"], &client["user_agent"], &client["machine"]),
        (&json!("127.0.0.1"), &json!("muster/1"), &json!("laptop"))
    );
    for text in [code.to_lowercase(), code.replace('-', ""), otp.clone()] {
        assert_eq!(show(&text).await.text, shown.text);
    }
    assert_eq!(app.anonymous().get(&format!("/api/v2/users/otp_tokens/{code}")).await.status, 401);
    let approved = ada.post(APPROVE, &json!({"otp": code.to_lowercase()})).await;
    assert_eq!((approved.status, &approved.json()["result"]["user_id"]), (200, &json!(ada_id)));
    let again = app.owner.post(APPROVE, &json!({"otp": otp})).await;
    refused(&again, 409, "conflict", "the login is already approved or denied; start a new one");
    assert_eq!(fetched(&app, &otp).await.json()["result"]["valid"], true);
    let keys = ada.get("/api/v2/api_keys").await.json();
    assert_eq!(keys["results"][1]["name"], "login of ada@example.com on laptop");
    // The code is no credential.
    refused(
        &fetched(&app, &code).await,
        404,
        "not_found",
        "unknown one-time password; check that the whole password was copied",
    );

    // A long name of a user or a machine is shortened.
    let long = format!("{}@example.com", "a".repeat(60));
    let (_, other) = app.person(&long, PermissionLevel::Collaborator).await;
    let (otp, code) = started_on(&app, &"m".repeat(253)).await;
    assert_eq!(other.post(APPROVE, &json!({"otp": code})).await.status, 200);
    assert_eq!(fetched(&app, &otp).await.json()["result"]["valid"], true);
    let name = other.get("/api/v2/api_keys").await.json()["results"][1]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with(&format!("login of {long} on mmm")) && name.ends_with("m…"), "{name}");
    assert_eq!(name.chars().count(), 100);

    // An expired code is unknown once its row is deleted.
    let (_, code) = started_on(&app, "laptop").await;
    *clock.lock().unwrap() = now + Duration::minutes(10);
    refused(&ada.post(APPROVE, &json!({"otp": code})).await, 404, "not_found", "the login has expired; start it again");
    started_on(&app, "laptop").await;
    refused(&ada.post(APPROVE, &json!({"otp": code})).await, 404, "not_found", UNKNOWN_CODE);
    assert_eq!(app.db_value::<i64>("select count(*) from login_requests").await, 1);
}

const UNKNOWN_CODE: &str = "unknown code; compare it with the code on the machine that logs in, or start the login again: a \
                            code is valid for 10 minutes";

#[tokio::test]
async fn wrong_codes_are_limited_for_each_user_also_at_the_same_time() {
    let app = TestApp::spawn().await;
    let (otp, code) = started_on(&app, "laptop").await;
    let (_, guesser) = app.person("eve@example.com", PermissionLevel::Collaborator).await;
    // A code of another form is not a guess.
    let misspelled = guesser.get("/api/v2/users/otp_tokens/AEIO-UAEI").await;
    refused(&misspelled, 404, "not_found", UNKNOWN_CODE);
    let guesses = (0..60).map(|_| guesser.get("/api/v2/users/otp_tokens/BBBB-BBBB"));
    let answers = futures_util::future::join_all(guesses).await;
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(404), with(429)), (30, 30));
    let limited = guesser.post(APPROVE, &json!({"otp": code})).await;
    assert_eq!((limited.status, limited.error()["code"].as_str()), (429, Some("rate_limited")), "{}", limited.text);
    assert!((1..=60).contains(&limited.header("retry-after").parse::<u32>().unwrap()));
    // Nobody else is limited.
    assert_eq!(app.owner.get(&format!("/api/v2/users/otp_tokens/{code}")).await.status, 200);
    assert_eq!(app.owner.post(APPROVE, &json!({"otp": code})).await.status, 200);
    // A one-time password can't be guessed.
    refused(
        &guesser.post(APPROVE, &json!({"otp": otp})).await,
        409,
        "conflict",
        "the login is already approved or denied; start a new one",
    );
}

#[tokio::test]
async fn logins_of_a_network_above_the_limit_have_no_code_and_are_approved_by_their_password() {
    let app = TestApp::spawn().await;
    let fill = "insert into login_requests (otp_sha256, user_code, requested_at, expires_at, client_address)
                select sha256(n::text::bytea), n::text, now(), now() + interval '10 minutes', '127.0.0.77'
                from generate_series(1, 100) n";
    app.db_execute(fill).await;
    let answer = app.anonymous().get("/api/v2/users/create_otp_token?machine=laptop").await.json()["result"].clone();
    assert_eq!(answer["code"], Value::Null);
    let otp = answer["otp"].as_str().unwrap();
    let page = app.anonymous().get(&format!("/login/{otp}")).await;
    assert!(page.text.contains(&format!("muster login approve {otp}</pre>")), "{}", page.text);
    let shown = app.owner.get(&format!("/api/v2/users/otp_tokens/{otp}")).await.json()["result"].clone();
    assert_eq!((&shown["machine"], &shown["client_address"]), (&Value::Null, &Value::Null));
    assert_eq!(app.owner.post(APPROVE, &json!({"otp": otp})).await.status, 200);
    assert_eq!(fetched(&app, otp).await.json()["result"]["valid"], true);
}

#[tokio::test]
async fn of_concurrent_fetches_one_gets_the_key() {
    let app = TestApp::spawn().await;
    let (otp, _) = started(&app, 60).await;
    assert_eq!(app.owner.post(APPROVE, &json!({"otp": otp})).await.status, 200);
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let (anybody, path) = (app.anonymous(), format!("/api/v2/users/request_otp_token/{otp}"));
            tokio::spawn(async move { anybody.get(&path).await })
        })
        .collect();
    let mut given = 0;
    for asked in asking {
        let answer = asked.await.unwrap();
        if answer.status == 200 {
            given += u32::from(answer.json()["result"]["valid"] == true);
        } else {
            refused(&answer, 409, "conflict", ALREADY_FETCHED);
        }
    }
    assert_eq!(given, 1);
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys where name like 'login%'").await, 1);
}

#[tokio::test]
async fn of_concurrent_approvals_one_succeeds() {
    let app = TestApp::spawn().await;
    let (otp, _) = started(&app, 60).await;
    // From two organizations.
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    let identifier = "other".parse().unwrap();
    let (_, key) = muster::organizations::create(&app.app, &operator, "Other", &identifier).await.unwrap();
    let owners = [app.owner.clone(), app.owner.with_token(key.token.expose())];
    let approving: Vec<_> = (0..6)
        .map(|n| {
            let (owner, body) = (owners[n % 2].clone(), json!({"otp": otp}));
            tokio::spawn(async move { owner.post(APPROVE, &body).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for approved in approving {
        statuses.push(approved.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn a_forged_or_expired_one_time_password_ends_the_login() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let clock = Arc::new(Mutex::new(now));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&clock)), |_| {}).await;
    let (otp, url) = started(&app, 60).await;
    let unknown = "unknown one-time password; check that the whole password was copied";
    let other = if otp.ends_with('0') { "1" } else { "0" };
    for wrong in [
        format!("{}{other}", &otp[..71]),
        otp[..71].to_owned(),
        "otp_x".to_owned(),
        "%25_%27".to_owned(),
        "x".repeat(8_000),
    ] {
        refused(&fetched(&app, &wrong).await, 404, "not_found", unknown);
        let approved = app.owner.post(APPROVE, &json!({"otp": wrong})).await;
        refused(&approved, 404, "not_found", if wrong.starts_with("otp_") { unknown } else { UNKNOWN_CODE });
        assert_eq!(app.anonymous().get(&format!("/login/{wrong}")).await.status, 404);
    }
    assert_eq!(app.owner.post(APPROVE, &json!({"otp": otp})).await.status, 200);
    *clock.lock().unwrap() = now + Duration::minutes(10);
    let expired = "the login has expired; start it again";
    refused(&fetched(&app, &otp).await, 404, "not_found", expired);
    refused(&app.owner.post(APPROVE, &json!({"otp": otp})).await, 404, "not_found", expired);
    let page = app.anonymous().get(url.strip_prefix(&format!("http://{}", app.address)).unwrap()).await;
    assert_eq!(page.status, 404);
    assert!(page.text.contains("<h1>This code has expired</h1>"), "{}", page.text);
    // The next approval deletes expired approvals.
    let (otp, _) = started(&app, 60).await;
    assert_eq!(app.owner.post(APPROVE, &json!({"otp": otp})).await.status, 200);
    assert_eq!(app.db_value::<i64>("select count(*) from login_approvals").await, 1);
}

#[tokio::test]
async fn an_approval_by_a_user_without_access_gives_no_key() {
    let app = TestApp::spawn().await;
    let (_, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let gone = "the access of the login's approver has ended; start a new login and have another person approve it";
    let (otp, _) = started(&app, 60).await;
    let (other, _) = started(&app, 60).await;
    assert_eq!(ada.post(APPROVE, &json!({"otp": otp})).await.status, 200);
    assert_eq!(ada.post(APPROVE, &json!({"otp": other})).await.status, 200);
    app.db_execute("update users set status = 'suspended' where email = 'ada@example.com'").await;
    refused(&fetched(&app, &otp).await, 409, "conflict", gone);
    app.db_execute("update users set status = 'active' where email = 'ada@example.com'").await;
    assert_eq!(fetched(&app, &otp).await.json()["result"]["valid"], true);
    let key_id = ada.get("/api/v2/api_keys").await.json()["results"][0]["key_id"].as_str().unwrap().to_owned();
    assert_eq!(ada.delete(&format!("/api/v2/api_keys/{key_id}")).await.status, 200);
    refused(&fetched(&app, &other).await, 409, "conflict", gone);
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys where name like 'login%'").await, 1);

    // A deleted user's approvals yield no key.
    let (grace_id, grace) = app.person("grace@example.com", PermissionLevel::Collaborator).await;
    let (otp, _) = started(&app, 60).await;
    let (leftover, _) = started(&app, 60).await;
    assert_eq!(grace.post(APPROVE, &json!({"otp": otp})).await.status, 200);
    assert_eq!(app.owner.delete(&format!("/api/v2/users/{grace_id}")).await.status, 204);
    refused(&fetched(&app, &otp).await, 409, "conflict", gone);
    let operator = muster::organizations::operator(&app.app).await.unwrap();
    let ada_id = app.person("ada.king@example.com", PermissionLevel::Collaborator).await.0;
    muster::device_logins::approve(&app.app, &operator, &leftover, Some(ada_id.parse().unwrap())).await.unwrap();
    assert_eq!(app.owner.delete(&format!("/api/v2/users/{ada_id}")).await.status, 204);
    refused(&fetched(&app, &leftover).await, 409, "conflict", gone);
}

#[tokio::test]
async fn an_approval_ends_with_the_secret_that_made_it() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let clock = Arc::new(Mutex::new(now));
    let app = TestApp::spawn_at(Clock::Manual(Arc::clone(&clock)), |_| {}).await;
    let (first, key) = app.actor_for(PermissionLevel::Owner, Duration::days(1)).await;
    let key_id = key.key.key_id;
    let approved = async |secret: &Actor| {
        let (otp, _) = started(&app, 60).await;
        assert_eq!(secret.post(APPROVE, &json!({"otp": otp})).await.status, 200);
        otp
    };
    let rotated = async |secret: &Actor, overlap: u32| {
        let body = json!({"overlap_seconds": overlap});
        let answer = secret.post(&format!("/api/v2/api_keys/{key_id}/rotate"), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        app.anonymous().with_token(answer.json()["result"]["token"].as_str().unwrap())
    };
    let gone = "the access of the login's approver has ended; start a new login and have another person approve it";
    let valid = async |otp: &str| assert_eq!(fetched(&app, otp).await.json()["result"]["valid"], true);

    let before = [approved(&first).await, approved(&first).await];
    let second = rotated(&first, 60).await;
    let (during, with_second) = (approved(&first).await, approved(&second).await);
    valid(&before[0]).await;
    *clock.lock().unwrap() = now + Duration::seconds(60);
    for ended in [&before[1], &during] {
        refused(&fetched(&app, ended).await, 409, "conflict", gone);
    }
    valid(&with_second).await;

    let leaked = approved(&second).await;
    let third = rotated(&second, 0).await;
    refused(&fetched(&app, &leaked).await, 409, "conflict", gone);
    valid(&approved(&third).await).await;
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys where name like 'login%'").await, 3);
}

#[tokio::test]
async fn the_page_shows_the_code_without_scripts_and_is_not_cached() {
    let app = TestApp::spawn().await;
    let (otp, _) = started(&app, 60).await;
    let page = app.anonymous().get(&format!("/login/{otp}")).await;
    assert_eq!(page.status, 200);
    for (header, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ] {
        assert_eq!(page.header(header), value);
    }
    let code =
        app.db_value::<String>("select left(user_code, 4) || '-' || right(user_code, 4) from login_requests").await;
    assert!(page.text.contains(&format!("muster login approve {code}</pre>")), "{}", page.text);
    // The page shows no credential. Its own address, to which a sign-in returns, has one.
    assert!(!page.text.replace(&format!("return_to=%2Flogin%2F{otp}"), "").contains(&otp), "{}", page.text);
    assert!(page.text.contains("<strong>Approve only a login that you started yourself, just now.</strong>"));
    for what in ["<script", "http:", "https:", "src="] {
        assert!(!page.text.contains(what), "{what}");
    }
    // The error does not repeat the request.
    let page = app.anonymous().get("/login/%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert_eq!(page.status, 404);
    assert!(!page.text.contains("script") && page.text.contains("Unknown code"), "{}", page.text);
}

#[tokio::test]
async fn a_link_starts_with_the_public_url() {
    let app = TestApp::spawn_with(|config| config.server.public_url = "https://muster.example.org/x/".to_owned()).await;
    let (otp, url) = started(&app, 60).await;
    assert_eq!(url, format!("https://muster.example.org/x/login/{otp}"));
    let app = TestApp::spawn().await;
    let request = app.anonymous().request("GET", "/api/v2/users/create_otp_token").header("host", "muster.internal:80");
    // The request must not determine where users are sent.
    let request = request.header("x-forwarded-host", "evil.example").header("forwarded", "host=evil.example");
    let started = Actor::send(request).await.json()["result"].clone();
    let due = format!("http://muster.internal:80/login/{}", started["otp"].as_str().unwrap());
    assert_eq!(started["url"], due.as_str());
}

#[tokio::test]
async fn invalid_parameters_are_reported() {
    let app = TestApp::spawn().await;
    let whole = "invalid `duration_seconds`; expected a whole number";
    let long = format!("?duration_seconds={}", "9".repeat(10_000));
    for (query, detail) in [
        ("?duration_seconds=-1", "`duration_seconds` must be 0 (the maximum) or positive"),
        ("?duration_seconds=", whole),
        ("?duration_seconds=1.5", whole),
        ("?duration_seconds=%25", whole),
        (&long, whole),
        ("?otp=x", "invalid query string: unknown field `otp`, expected `duration_seconds` or `machine`"),
        ("?machine=%20", "`machine` must be one line of 1 to 253 visible characters"),
        ("?machine=a%0Ab", "`machine` must be one line of 1 to 253 visible characters"),
        ("?machine=%E2%80%AE", "`machine` must be one line of 1 to 253 visible characters"),
    ] {
        let answer = app.anonymous().get(&format!("/api/v2/users/create_otp_token{query}")).await;
        refused(&answer, 400, "invalid_request", detail);
    }
    let most = format!("/api/v2/users/create_otp_token?duration_seconds={}", i64::MAX);
    assert_eq!(app.anonymous().get(&most).await.status, 200);
    for body in [json!({}), json!({"otp": 1}), json!({"otp": "x", "user_id": "x"}), json!([])] {
        let answer = app.owner.post(APPROVE, &body).await;
        assert_eq!((answer.status, answer.error()["code"].as_str()), (400, Some("invalid_request")), "{body}");
    }
}
