//! What the vendor's client sends: older versions, shapes without a command yet, unknown parameters, pages.

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::{Actor, Answer, TestApp, sso};

const MEMBERS: &str = "/api/v2/organization_collaborators/";

/// Sends a request as this version of the vendor's client.
async fn send_as(version: &str, actor: &Actor, method: &str, path: &str) -> Answer {
    let request = actor.request(method, path).header("x-anyscale-client", "CLI");
    Actor::send(request.header("x-anyscale-client-version", version)).await
}

async fn send_body(actor: &Actor, method: &str, path: &str, body: &Value) -> Answer {
    Actor::send(actor.request(method, path).body(body.to_string())).await
}

fn emails(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    let of = |field: &str| body["results"].as_array().unwrap().iter().map(|one| one[field].clone()).collect::<Vec<_>>();
    let field = if body["results"][0]["user_email"].is_null() { "email" } else { "user_email" };
    of(field).into_iter().map(|email| email.as_str().unwrap().to_owned()).collect()
}

/// A person and a service account named Pat: the members.
async fn two_named_pat(app: &TestApp) -> (Value, Value) {
    let person = json!([{"name": "Pat", "email": "pat@example.com", "is_sso_user": true}]);
    assert_eq!(app.owner.create(&person).await.status, 200);
    let program = app.owner.post("/api/v2/users/service_accounts?name=bot", &Value::Null).await;
    assert_eq!(program.status, 200, "{}", program.text);
    let listed = app.owner.get(MEMBERS).await.json();
    (listed["results"][1].clone(), listed["results"][2].clone())
}

#[tokio::test]
async fn versions_that_lose_is_service_account_list_service_accounts_only() {
    let app = TestApp::spawn().await;
    let (_, bot) = two_named_pat(&app).await;
    let bot = bot["email"].as_str().unwrap();
    let all = ["administrator@muster.invalid", "pat@example.com", bot];
    for (version, query, expected) in [
        ("0.26.46", "", vec![bot]),
        ("0.26.54", "", vec![bot]),
        ("0.26.62", "", vec![bot]),
        ("0.26.54", "?name=Pat", vec![]),
        ("0.26.54", "?is_service_account=False", all[..2].to_vec()),
        // The client's search for the creator of something.
        ("0.26.54", "?email=pat@example.com&collaborator_type=only_user_accounts", vec![all[1]]),
        ("0.26.54", "?collaborator_type=all_accounts", all.to_vec()),
        ("0.26.45", "", all.to_vec()),
        ("0.26.63", "", all.to_vec()),
        ("0.24.88", "", all.to_vec()),
        ("0.26.112", "", all.to_vec()),
        ("0.26", "", all.to_vec()),
        ("x", "", all.to_vec()),
    ] {
        let answer = send_as(version, &app.owner, "GET", &format!("{MEMBERS}{query}")).await;
        let found: Vec<Value> = answer.json()["results"].as_array().unwrap().clone();
        let found: Vec<&str> = found.iter().map(|one| one["email"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{version} {query}");
    }
}

#[tokio::test]
async fn versions_that_lose_is_service_account_delete_and_rotate_no_person() {
    let app = TestApp::spawn().await;
    let (pat, bot) = two_named_pat(&app).await;
    let key = json!({"name": "bot", "user_id": bot["user_id"]});
    assert_eq!(app.owner.post("/api/v2/api_keys", &key).await.status, 200);
    let member = |one: &Value| format!("{MEMBERS}{}", one["id"].as_str().unwrap());
    let rotation = |one: &Value| format!("{MEMBERS}rotate_api_key_for_user/{}", one["user_id"].as_str().unwrap());
    let detail = "the account belongs to a person and was not changed: this version of the vendor's client takes people \
                  for service accounts; upgrade the client, or use `muster user delete` or `muster api-key`";
    for (method, path) in [("DELETE", member(&pat)), ("POST", rotation(&pat))] {
        let answer = send_as("0.26.54", &app.owner, method, &path).await;
        assert_eq!((answer.status, answer.error()), (409, json!({"code": "conflict", "detail": detail})), "{method}");
    }
    let log = app.owner.get("/api/v2/audit/events?action=collaborator.remove").await.json();
    assert_eq!(
        (&log["results"][0]["outcome"], &log["results"][0]["reason"], &log["results"][0]["target_id"]),
        (&json!("rejected"), &json!("conflict"), &pat["user_id"])
    );
    assert_eq!(send_as("0.26.54", &app.owner, "POST", &rotation(&bot)).await.status, 200);
    assert_eq!(send_as("0.26.54", &app.owner, "DELETE", &member(&bot)).await.status, 204);
    // Other versions name the member that they mean.
    assert_eq!(send_as("0.26.63", &app.owner, "DELETE", &member(&pat)).await.status, 204);
}

#[tokio::test]
async fn a_member_is_found_by_the_id_of_the_user_as_well() {
    let app = TestApp::spawn().await;
    let (pat, _) = two_named_pat(&app).await;
    let path = |id: &str| format!("{MEMBERS}{id}");
    for id in ["id", "user_id"] {
        let answer = app.owner.get(&path(pat[id].as_str().unwrap())).await;
        assert_eq!((answer.status, &answer.json()["result"], answer.header("etag")), (200, &pat, "\"1\""), "{id}");
    }
    let answer = app.owner.get(&path("usr_01k9h6m3x0e8wbz1v5n7q2r4t6")).await;
    let detail = "there is no user usr_01k9h6m3x0e8wbz1v5n7q2r4t6";
    assert_eq!((answer.status, answer.error()), (404, json!({"code": "not_found", "detail": detail})));
    // Only reading: a change names the membership, as the vendor's client does.
    let deleted = app.owner.delete(&path(pat["user_id"].as_str().unwrap())).await;
    assert_eq!((deleted.status, &deleted.error()["code"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn the_vendors_search_finds_people_by_conditions_on_name_or_address() {
    let app = TestApp::spawn().await;
    let user = |name: &str, lastname: &str, email: &str| json!({"name": name, "lastname": lastname, "email": email, "is_sso_user": true});
    let users = json!([
        user("Ada", "Lovelace", "Ada@example.com"),
        user("Grace", "", "grace@example.com"),
        user("Ada%", "", "x@example.com")
    ]);
    assert_eq!(app.owner.create(&users).await.status, 200);
    assert_eq!(app.owner.post("/api/v2/users/service_accounts?name=ada-bot", &Value::Null).await.status, 200);
    let text = |name: &str, value: &str| json!({"name_or_email": {name: value}});
    let everybody = ["Administrator", "Ada", "Grace", "Ada%"];
    for (body, expected) in [
        (json!({}), everybody.to_vec()),
        (json!({"name_or_email": {}}), everybody.to_vec()),
        (json!({"name_or_email": null}), everybody.to_vec()),
        (json!({"collaborator_type": "only_service_accounts"}), vec!["ada-bot"]),
        (
            json!({"collaborator_type": "all_accounts", "name_or_email": {"contains": "ADA"}}),
            vec!["Ada", "Ada%", "ada-bot"],
        ),
        (text("contains", "lovel"), vec!["Ada"]),
        (text("contains", "%"), vec!["Ada%"]),
        (text("contains", ""), everybody.to_vec()),
        (text("equals", "ada"), vec!["Ada"]),
        (text("equals", "ada lovelace"), vec!["Ada"]),
        (text("equals", "GRACE@EXAMPLE.COM"), vec!["Grace"]),
        (text("equals", "lovelace"), vec![]),
        (text("equals", "ad_"), vec![]),
        (text("equals", "grace@example.co"), vec![]),
        (text("equals", ""), vec![]),
        (text("not_equal", "ADA@example.com"), vec!["Administrator", "Grace", "Ada%"]),
        (text("not_equal", "grace"), vec!["Administrator", "Ada", "Ada%"]),
        (json!({"name_or_email": {"contains": "ada", "not_equal": "ada%"}}), vec!["Ada"]),
    ] {
        let answer = app.owner.post(&format!("{MEMBERS}search"), &body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text);
        let found = answer.json();
        let names: Vec<&str> =
            found["results"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!((names, &found["metadata"]["next_paging_token"]), (expected, &Value::Null), "{body}");
    }
    let page = app.owner.post(&format!("{MEMBERS}search?count=2"), &json!({})).await.json();
    let token = page["metadata"]["next_paging_token"].as_str().unwrap();
    let next = app.owner.post(&format!("{MEMBERS}search?count=2&paging_token={token}"), &json!({})).await.json();
    assert_eq!((&page["results"][1]["name"], &next["results"][0]["name"]), (&json!("Ada"), &json!("Grace")));
    for (query, body, detail) in [
        (
            "",
            json!({"query": "a", "name_or_email": {"contains": "a"}}),
            "`query` and `name_or_email` exclude each other",
        ),
        ("", json!({"status": "active"}), "invalid request body: missing field `query`"),
        (
            "",
            text("equals", &"a".repeat(201)),
            "the texts of `name_or_email` must have at most 200 characters and no control characters",
        ),
        (
            "",
            text("contains", "a\nb"),
            "the texts of `name_or_email` must have at most 200 characters and no control characters",
        ),
        ("?count=51", json!({}), "`count` must be a number from 1 to 50"),
    ] {
        let answer = app.owner.post(&format!("{MEMBERS}search{query}"), &body).await;
        assert_eq!(
            (answer.status, answer.error()),
            (400, json!({"code": "invalid_request", "detail": detail})),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_lifetime_may_be_a_fraction() {
    let app = TestApp::spawn().await;
    let (_, bot) = two_named_pat(&app).await;
    for (duration, seconds) in [(json!(3600.0), 3600), (json!(90.9), 90), (json!(1e300), 365 * 86_400)] {
        let body = json!({"duration": duration, "user_id": bot["user_id"]});
        let made = app.owner.post("/api/v2/users/create_api_key", &body).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let key =
            app.owner.get(&format!("/api/v2/api_keys/{}", made.json()["result"]["key_id"].as_str().unwrap())).await;
        let time = |field: &str| {
            key.json()["result"][field].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap()
        };
        assert_eq!((time("expires_at") - time("created_at")).num_seconds(), seconds, "{duration}");
    }
    for duration in [json!(0.5), json!(-1.5)] {
        let body = json!({"duration": duration, "user_id": bot["user_id"]});
        let answer = app.owner.post("/api/v2/users/create_api_key", &body).await;
        let detail = "an API key's lifetime must be positive and at most 365 days (setting `keys.max_days`)";
        assert_eq!((answer.status, answer.error()), (400, json!({"code": "invalid_request", "detail": detail})));
    }
}

#[tokio::test]
async fn invitations_are_paged_on_request_only() {
    let app = TestApp::spawn().await;
    let path = "/api/v2/organization_invitations/";
    let invited: Value = (0..60).map(|n| json!({"email": format!("{n}@example.com")})).collect();
    assert_eq!(app.owner.post(&format!("{path}batch_create"), &invited).await.status, 200);
    let all = app.owner.get(path).await.json();
    assert_eq!(all["metadata"], json!({"total": 60, "next_paging_token": null}));
    let (mut seen, mut query) = (Vec::new(), "?count=25".to_owned());
    loop {
        let page = app.owner.get(&format!("{path}{query}")).await.json();
        seen.extend(page["results"].as_array().unwrap().iter().cloned());
        assert_eq!(page["metadata"]["total"], Value::Null);
        match page["metadata"]["next_paging_token"].as_str() {
            Some(token) => query = format!("?count=25&paging_token={token}"),
            None => break,
        }
    }
    assert_eq!(json!(seen), all["results"]);
    let one = app.owner.get(&format!("{path}?count=1&email=7@example.com")).await;
    assert_eq!(
        (emails(&one), &one.json()["metadata"]["next_paging_token"]),
        (vec!["7@example.com".to_owned()], &Value::Null)
    );
    let answer = app.owner.get(&format!("{path}?count=0")).await;
    assert_eq!((answer.status, &answer.error()["detail"]), (400, &json!("`count` must be a number from 1 to 50")));
}

#[tokio::test]
async fn a_migration_accepts_the_acknowledged_number_of_removals() {
    let app = TestApp::spawn().await;
    let path = "/api/v2/scim/migrate-permissions?dry_run=False&acknowledge_user_removal_count=";
    let answer = Actor::send(app.owner.request("POST", &format!("{path}3"))).await;
    assert_eq!((answer.status, &answer.json()["result"]["users_to_remove"]), (200, &json!([])));
    for count in ["", "-1", "x"] {
        let answer = Actor::send(app.owner.request("POST", &format!("{path}{count}"))).await;
        let detail = "`acknowledge_user_removal_count` must be a whole number";
        assert_eq!((answer.status, answer.error()), (400, json!({"code": "invalid_request", "detail": detail})));
    }
}

#[tokio::test]
async fn members_of_a_group_are_added_and_removed_by_id() {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.create(&json!([sso("a@example.com"), sso("b@example.com")])).await.status, 200);
    let listed = app.owner.get(MEMBERS).await.json();
    let [a, b] = [1, 2].map(|n| listed["results"][n]["user_id"].clone());
    let group = app.owner.post("/api/v2/user_groups/", &json!({"name": "team"})).await.json()["result"]["id"].clone();
    let path = format!("/api/v2/user_groups/{}/members", group.as_str().unwrap());
    let added = app.owner.post(&path, &json!({"user_ids": [a, b]})).await;
    assert_eq!((added.status, added.text.as_str()), (204, ""));
    assert_eq!(emails(&app.owner.get(&path).await), ["a@example.com", "b@example.com"]);
    // A member again is no error.
    assert_eq!(app.owner.post(&path, &json!({"user_ids": [a]})).await.status, 204);
    let removed = send_body(&app.owner, "DELETE", &path, &json!({"user_ids": [a]})).await;
    assert_eq!((removed.status, removed.text.as_str()), (204, ""));
    assert_eq!(emails(&app.owner.get(&path).await), ["b@example.com"]);
    let log = app.owner.get("/api/v2/audit/events?action=group.remove_members").await.json();
    assert_eq!((&log["results"][0]["target_id"], &log["results"][0]["details"]), (&group, &json!({"user_ids": [a]})));

    let unknown = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6";
    let rejected = app.owner.post(&path, &json!({"user_ids": [a, unknown, "x"]})).await;
    let codes: Vec<Value> =
        rejected.error()["rows"].as_array().unwrap().iter().map(|row| row["code"].clone()).collect();
    assert_eq!((rejected.status, codes), (422, vec![json!("unknown_user"), json!("user_invalid")]));
    assert_eq!(emails(&app.owner.get(&path).await), ["b@example.com"]);
    for (body, status, code, detail) in [
        (json!({"user_ids": []}), 400, "empty_batch", "`user_ids` is empty; there are no users to add or remove"),
        (
            json!({"users": []}),
            400,
            "invalid_request",
            "invalid request body: unknown field `users`, expected `user_ids` at line 1 column 8",
        ),
    ] {
        let answer = app.owner.post(&path, &body).await;
        assert_eq!((answer.status, answer.error()), (status, json!({"code": code, "detail": detail})), "{body}");
    }
    let many: Value = (0..1001).map(|_| a.clone()).collect();
    let answer = app.owner.post(&path, &json!({"user_ids": many})).await;
    let detail = answer.error()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.starts_with("invalid request body: `user_ids` has more than 1000 items at line 1 column "),
        "{detail}"
    );
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    let answer = send_body(&collaborator, "DELETE", &path, &json!({"user_ids": [b]})).await;
    let detail = "not permitted: `group.remove_members` requires an owner's API key";
    assert_eq!((answer.status, answer.error()), (403, json!({"code": "forbidden", "detail": detail})));
}

#[tokio::test]
async fn unknown_parameters_of_the_vendors_client_are_ignored_and_counted() {
    let app = TestApp::spawn().await;
    let (pat, _) = two_named_pat(&app).await;
    let path = format!("{MEMBERS}?email=pat@example.com&sort_by=name&is_service_account=False&=&sort_by=x");
    let answer = send_as("0.27.0", &app.owner, "GET", &path).await;
    assert_eq!((answer.status, &answer.json()["results"]), (200, &json!([pat])));
    // Without known parameters, too.
    let one = format!("{MEMBERS}{}?expand=all", pat["id"].as_str().unwrap());
    assert_eq!(send_as("0.27.0", &app.owner, "GET", &one).await.status, 200);
    let metrics = app.app.metrics.write(muster::metrics::Format::Text).unwrap();
    for series in [
        r#"muster_ignored_parameters_total{route="/api/v2/organization_collaborators/"} 3"#,
        r#"muster_ignored_parameters_total{route="/api/v2/organization_collaborators/{identity_id}"} 1"#,
    ] {
        assert!(metrics.contains(series), "{series} in {metrics}");
    }
    // Known ones are checked, and other clients get 400.
    assert_eq!(send_as("0.27.0", &app.owner, "GET", &format!("{MEMBERS}?count=0&x=1")).await.status, 400);
    let answer = app.owner.get(&path).await;
    assert_eq!(answer.status, 400);
    let detail = answer.error()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("invalid query string: unknown field `sort_by`, expected one of "), "{detail}");
}

#[tokio::test]
async fn unknown_fields_of_a_batch_are_rejected_for_the_vendors_client_too() {
    let app = TestApp::spawn().await;
    let user = json!([{"name": "Ada", "email": "ada@example.com", "is_sso_user": true, "role": "owner"}]);
    let request = app.owner.request("POST", crate::support::BATCH).header("x-anyscale-client", "CLI");
    let answer = Actor::send(request.body(user.to_string())).await;
    assert_eq!((answer.status, &answer.error()["rows"][0]["code"]), (422, &json!("unknown_field")));
}

#[tokio::test]
async fn the_pages_that_the_vendors_client_prints_say_what_to_do_next() {
    let app = TestApp::spawn().await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    {
        let (path, title, says) = ("/v2/api-keys", "API keys", "muster login");
        for method in ["GET", "HEAD"] {
            let request = app.anonymous().request(method, path).header("accept", browser);
            let answer = Actor::send(request).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
            assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
            assert_eq!(answer.text.contains(&format!("<title>{title} · muster</title>")), method == "GET", "{path}");
            assert_eq!(answer.text.contains(says), method == "GET", "{path}");
        }
        for accept in [None, Some("application/json"), Some("*/*")] {
            let request = app.anonymous().request("GET", path);
            let answer =
                Actor::send(accept.into_iter().fold(request, |request, accept| request.header("accept", accept))).await;
            let error = json!({"code": "not_found", "detail": "no such route; see /docs"});
            assert_eq!((answer.status, answer.error()), (404, error), "{path} {accept:?}");
        }
    }
}
