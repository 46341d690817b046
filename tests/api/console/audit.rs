//! The audit log in the console, as a browser shows it.

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use super::{Answer, Browser, PASSWORD, TestApp, heading, spawn, title, user};
use crate::support::sso;

/// A server with the owner Ada Lovelace, signed in.
async fn with_owner() -> (TestApp, Browser, String) {
    let app = spawn().await;
    let user_id = user(&app, "ada@example.com", "owner").await;
    let browser = Browser::of(&app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    (app, browser, user_id)
}

/// The sentences of a page, without marks, in their order.
pub fn sentences(page: &Answer) -> Vec<String> {
    let items = page.text.split("<li").filter(|item| item.contains("<time datetime=") && item.contains("Details<span"));
    items.map(|item| plain(item.split_once("</time><p>").unwrap().1.split_once("</p>").unwrap().0)).collect()
}

/// The text of HTML.
pub fn plain(html: &str) -> String {
    let mut text = String::new();
    for piece in html.split('<') {
        text.push_str(piece.split_once('>').map_or(piece, |(_, text)| text));
    }
    text
}

/// The address of a link of the pager, below `/console/`.
fn link(page: &Answer, text: &str) -> Option<String> {
    let pager = page.text.split_once("class=\"pager\"")?.1;
    let before = pager.split_once(&format!(">{text}</a>"))?.0;
    let address = before.rsplit_once("href=\"")?.1.split_once('"')?.0;
    Some(address.replace("&#38;", "&").replace("&amp;", "&"))
}

/// Requirements U-81 and U-82.
#[tokio::test]
async fn the_audit_log_says_who_did_what() {
    let (app, browser, user_id) = with_owner().await;
    let users: Vec<Value> = (0..120).map(|n| sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);
    let collaborator = app.actor(PermissionLevel::Collaborator).await;
    assert_eq!(collaborator.get("/api/v2/audit/events").await.status, 403);
    let page = browser.get("/console/audit").await;
    assert_eq!((page.status, heading(&page), title(&page)), (200, "Audit log", "Audit log · muster"));
    let said = sentences(&page);
    // The 120 users of the batch are one line.
    assert!(said.len() < 12, "{said:?}");
    assert!(said[0].ends_with(" may not read the audit log"), "{said:?}");
    for expected in ["Administrator created 120 people from a list", "Ada Lovelace signed in with a password"] {
        assert!(said.iter().any(|sentence| sentence == expected), "{expected} in {said:?}");
    }
    assert!(page.text.contains("<b>Without</b>"), "{}", page.text);
    assert!(!page.text.contains("user.create"), "{}", page.text);

    let refused = browser.get("/console/audit?outcome=refused").await;
    assert_eq!(sentences(&refused), said[..1]);
    assert!(
        refused.text.contains("<li class=\"refused\">") && refused.text.contains("<b>Outcome</b> <bdi>Refused</bdi>")
    );
    let sign_ins = browser.get("/console/audit?action=sign_ins&actor=Ada+Lovelace").await;
    assert_eq!(sentences(&sign_ins), ["Ada Lovelace signed in with a password"]);
    let about = browser.get("/console/audit?target=user7%40example.com").await;
    assert_eq!(sentences(&about), ["Administrator created Ada from a list"]);
    let nothing = browser.get("/console/audit?action=keys&until=2020-01-01").await;
    assert_eq!(nothing.status, 200);
    assert!(nothing.text.contains("No entry matches") && nothing.text.contains("Clear the filters"));
    let user = browser.get(&format!("/console/audit?user={user_id}")).await;
    assert_eq!(sentences(&user).first().map(String::as_str), Some("Ada Lovelace signed in with a password"));
}

/// Requirements U-31 and U-32.
#[tokio::test]
async fn pages_go_both_ways_while_entries_are_added() {
    let (app, browser, _) = with_owner().await;
    for n in 0..60 {
        let created = app.owner.post("/api/v2/user_groups/", &json!({"name": format!("group {n}")})).await;
        assert_eq!(created.status, 200, "{}", created.text);
    }
    let first = browser.get("/console/audit?action=groups").await;
    let newest = sentences(&first);
    assert_eq!((newest.len(), newest[0].as_str()), (50, "Administrator created the group group 59"));
    assert_eq!(link(&first, "Newer"), None);
    let created = app.owner.post("/api/v2/user_groups/", &json!({"name": "later"})).await;
    assert_eq!(created.status, 200);
    let second = browser.get(&format!("/console/{}", link(&first, "Older").unwrap())).await;
    let oldest = sentences(&second);
    assert_eq!((oldest.len(), oldest[9].as_str()), (10, "Administrator created the group group 0"));
    assert_eq!(link(&second, "Older"), None);
    let back = browser.get(&format!("/console/{}", link(&second, "Newer").unwrap())).await;
    assert_eq!(sentences(&back), newest);
    // The entry that was added is before them.
    let newer = browser.get(&format!("/console/{}", link(&back, "Newer").unwrap())).await;
    assert_eq!(sentences(&newer), ["Administrator created the group later"]);

    let token = link(&first, "Older").unwrap();
    let other = token.replace("action=groups", "action=keys");
    for address in [other.as_str(), "audit?after=nonsense", "audit?before=AAAA"] {
        let answer = browser.get(&format!("/console/{address}")).await;
        assert_eq!(answer.status, 400, "{address}");
        assert!(answer.text.contains("The page belongs to another list"), "{}", answer.text);
        assert!(answer.text.contains("To the first page"), "{}", answer.text);
    }
}

/// Requirement U-37.
#[tokio::test]
async fn invalid_parameters_are_named_and_the_form_keeps_its_values() {
    let (_app, browser, _) = with_owner().await;
    for (query, status, message) in [
        ("shade=red", 400, "shade"),
        ("outcome=maybe", 400, "Invalid `outcome`: expected one of success, denied, rejected, refused."),
        ("since=yesterday", 400, "Invalid `since`: expected a day, such as 2026-11-23."),
        ("batch=1", 400, "Invalid `batch`: not an ID; expected `bat_` and 26 characters."),
        ("from=home", 400, "Invalid `from`: `home` is neither a network such as 10.0.0.0/8 nor an address."),
        ("entries=some", 400, "`entries` must be `all`."),
        ("actor=nobody", 404, "No API key and no user is named `nobody`;"),
    ] {
        let answer = browser.get(&format!("/console/audit?target=ada%40example.com&{query}")).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
        let text = plain(&answer.text);
        assert!(text.contains(message), "{message} in {text}");
        if query != "shade=red" {
            assert!(answer.text.contains("value=\"ada@example.com\""), "{}", answer.text);
            assert!(title(&answer).starts_with("Error: "));
        }
    }
}

#[tokio::test]
async fn an_entry_has_all_its_facts() {
    let (app, browser, user_id) = with_owner().await;
    let created = app.owner.create(&json!([sso("grace@example.com")])).await;
    let event =
        app.owner.get("/api/v2/audit/events?action=user.batch_create&count=1").await.json()["results"][0].clone();
    let text = |field: &str| event[field].as_str().unwrap().to_owned();
    let page = browser.get(&format!("/console/audit/{}", text("event_id"))).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(plain(heading(&page)), "Administrator created 1 person from a list");
    for fact in [
        text("event_id").as_str(),
        "<code>user.batch_create</code>",
        &format!("<span class=\"id\">{}</span>", text("actor_id")),
        &format!("<span class=\"id\">{}</span>", text("batch_id")),
        &format!("audit?request={}", created.header("x-request-id")),
        "127.0.0.1",
        "<dt>users</dt><dd><bdi>1</bdi></dd>",
    ] {
        assert!(page.text.contains(fact), "{fact} in {}", page.text);
    }
    // What the page says about the command line is true.
    let command = page.text.split_once("muster audit list --since ").unwrap().1;
    let (since, rest) = command.split_once(" --until ").unwrap();
    let until = rest.split_once(' ').unwrap().0;
    let same = app.owner.get(&format!("/api/v2/audit/events?since={since}&until={until}")).await.json();
    assert!(same["results"].as_array().unwrap().contains(&event), "{same}");

    let missing = browser.get("/console/audit/evt_01k9h6m3x0e8wbz1v5n7q2r4t6").await;
    assert_eq!(missing.status, 404);
    assert_eq!(browser.get("/console/audit/evt_1").await.status, 404);
    assert_eq!(browser.get(&format!("/console/audit/{user_id}")).await.status, 404);
}

/// Requirement U-84.
#[tokio::test]
async fn the_same_entries_are_downloaded() {
    let (app, browser, _) = with_owner().await;
    let users: Vec<Value> = (0..30).map(|n| sso(&format!("user{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);
    let all = app.owner.get("/api/v2/audit/events?action=batches").await.json()["results"].clone();
    let answer = browser.get("/console/audit/export?format=jsonl&action=batches").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/jsonl"));
    assert!(answer.header("content-disposition").starts_with("attachment; filename=\"audit-"));
    let lines: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(lines), all);

    // With the single users, of which the page shows one line.
    let answer = browser.get("/console/audit/export?format=jsonl&entries=all").await;
    assert!(answer.text.lines().count() > 30, "{}", answer.text);
    let csv = browser.get("/console/audit/export?format=csv&action=batches").await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<&str> = csv.text.split("\r\n").collect();
    assert!(lines[0].starts_with("event_id,occurred_at,actor_kind,"), "{}", csv.text);
    assert!(lines[1].contains(",user.batch_create,success,,batch,bat_"), "{}", csv.text);
    assert_eq!((lines.len(), lines[3]), (4, ""), "the batch, and the one of the owner: {}", csv.text);
    assert_eq!(browser.get("/console/audit/export?format=pdf").await.status, 400);
    assert_eq!(browser.get("/console/audit/export?format=csv&shade=red").await.status, 400);
}

/// Requirement U-105.
#[tokio::test]
async fn only_owners_see_the_audit_log_and_only_their_own() {
    let (app, owner, _) = with_owner().await;
    user(&app, "eve@example.com", "collaborator").await;
    let event = app.owner.get("/api/v2/audit/events?count=1").await.json()["results"][0]["event_id"].clone();
    let event = format!("/console/audit/{}", event.as_str().unwrap());
    let (anonymous, collaborator) = (Browser::of(&app), Browser::of(&app));
    collaborator.sign_in_on_page("eve@example.com", PASSWORD, "").await;
    for path in ["/console/audit", "/console/audit/export?format=csv", event.as_str()] {
        let answer = anonymous.get(path).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.header("location").contains("sign-in?return_to=%2Fconsole%2Faudit"), "{answer:?}");
        let answer = collaborator.get(path).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text);
        assert!(answer.text.contains("Ada Lovelace"), "the owners are named: {}", answer.text);
        assert_eq!(owner.get(path).await.status, 200, "{path}");
        assert_eq!(owner.submit(path, &[]).await.status, 405, "{path}");
    }
    let navigation = collaborator.get("/console/people").await;
    assert!(!navigation.text.contains("Audit log") && owner.get("/console/people").await.text.contains("Audit log"));
}

/// Requirement U-103.
#[tokio::test]
async fn names_are_shown_as_text() {
    let (app, browser, _) = with_owner().await;
    for name in ["\"><script>alert(1)</script>", "javascript:alert(1)", "😀 group", "{{ 7 * 7 }}"] {
        let created = app.owner.post("/api/v2/user_groups/", &json!({"name": name})).await;
        assert_eq!(created.status, 200, "{name}: {}", created.text);
    }
    let person = json!([{"name": "<img src=x onerror=alert(1)>", "email": "x@example.com", "is_sso_user": true}]);
    assert_eq!(app.owner.create(&person).await.status, 200);
    let page = browser.get("/console/audit?entries=all").await;
    assert_eq!(page.status, 200);
    assert!(!page.text.contains("<script>") && !page.text.contains("<img"), "{}", page.text);
    let said = sentences(&page).join("\n");
    for shown in ["😀 group", "javascript:alert(1)", "{{ 7 * 7 }}"] {
        assert!(said.contains(shown), "{shown} in {said}");
    }
    let echoed = browser.get("/console/audit?actor=%22%3E%3Cscript%3E").await;
    assert_eq!(echoed.status, 404);
    assert!(!echoed.text.contains("\"><script>"), "{}", echoed.text);
}

/// Requirement U-48 and U-50.
#[tokio::test]
async fn the_page_of_a_person_has_the_history_also_after_the_account_was_deleted() {
    let (app, browser, _) = with_owner().await;
    let grace = user(&app, "grace@example.com", "collaborator").await;
    let other = Browser::of(&app);
    other.sign_in_on_page("grace@example.com", PASSWORD, "").await;
    for action in ["suspend", "reactivate"] {
        assert_eq!(app.owner.post(&format!("/api/v2/users/{grace}/{action}"), &Value::Null).await.status, 200);
    }
    let path = format!("/console/people/{grace}");
    let by_key = |what: &str| format!("Administrator {what} Ada Lovelace");
    let created = format!("{} from a list", by_key("created"));
    let signed_in = "Ada Lovelace signed in with a password".to_owned();
    let page = browser.get(&path).await;
    assert_eq!(sentences(&page), [by_key("reactivated"), by_key("suspended"), signed_in.clone(), created.clone()]);
    let changes = browser.get(&format!("{path}?show=changes")).await;
    assert_eq!(sentences(&changes), [by_key("reactivated"), by_key("suspended"), created]);
    assert!(changes.text.contains("aria-current=\"true\">Changes</a>"), "{}", changes.text);
    assert_eq!(sentences(&browser.get(&format!("{path}?show=sign-ins")).await), [signed_in]);
    let refused = browser.get(&format!("{path}?show=refused")).await;
    assert_eq!((refused.status, sentences(&refused).len()), (200, 0));
    assert_eq!(browser.get(&format!("{path}?show=all")).await.status, 400);
    assert_eq!(browser.get(&format!("{path}?after=AAAA")).await.status, 400);

    assert_eq!(app.owner.delete(&format!("/api/v2/users/{grace}")).await.status, 204);
    let page = browser.get(&path).await;
    assert_eq!((page.status, heading(&page)), (200, "Deleted person"));
    let said = sentences(&page);
    assert_eq!(said[0], format!("Administrator deleted the person {grace}"));
    assert!(!page.text.contains("Grace") && !page.text.contains("grace@"), "{}", page.text);
}
