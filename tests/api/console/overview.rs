//! The first page of the console.

use serde_json::json;

use super::{Browser, PASSWORD, TestApp, heading, spawn, user};

/// The items that need attention, as text.
async fn attention(browser: &Browser) -> Vec<String> {
    let page = browser.get("/console").await;
    assert_eq!((page.status, heading(&page)), (200, "Overview"), "{}", page.text);
    let Some((_, list)) = page.text.split_once("<ul class=\"todo\">") else { return Vec::new() };
    let items = list.split_once("</ul>").unwrap().0.split("<li>").skip(1);
    items.map(|item| super::audit::plain(item.split_once("<br>").unwrap().0)).collect()
}

/// Requirement U-93.
#[tokio::test]
async fn the_overview_says_what_needs_attention() {
    let app = spawn().await;
    user(&app, "ada@example.com", "owner").await;
    let browser = Browser::of(&app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    // The placeholder of the first owner.
    assert_eq!(attention(&browser).await, ["1Person can’t sign in yet"]);
    assert!(
        browser
            .get("/console")
            .await
            .text
            .contains("Days are counted each hour; the picture begins with the next one.")
    );

    user(&app, "grace@example.com", "collaborator").await;
    let stranger = Browser::of(&app);
    for _ in 0..5 {
        assert_eq!(stranger.sign_in("grace@example.com", "a wrong password").await.status, 401);
    }
    let invited = app.owner.post("/api/v2/organization_invitations/", &json!({"email": "max@example.com"})).await;
    assert_eq!(invited.status, 200, "{}", invited.text);
    let key = json!({"name": "<b>nightly</b>", "permission_level": "owner", "expires_in_seconds": 5 * 86_400});
    let created = app.owner.post("/api/v2/api_keys", &key).await;
    assert_eq!(created.status, 200, "{}", created.text);
    assert_eq!(
        attention(&browser).await,
        [
            "5Sign-ins were refused for one account",
            "1Person can’t sign in yet",
            "1Invitation is open",
            "1API key ends within 14 days"
        ]
    );
    let page = browser.get("/console").await;
    assert!(page.text.contains("The first is &#60;b&#62;nightly&#60;/b&#62;, on "), "{}", page.text);
    // The number is that of the list behind it.
    let link = page
        .text
        .split_once("<ul class=\"todo\">")
        .unwrap()
        .1
        .split_once("href=\"")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0;
    let link = link.replace("&#38;", "&");
    assert!(link.starts_with("console/audit?target=usr_"), "{link}");
    assert_eq!(super::audit::sentences(&browser.get(&format!("/{link}")).await).len(), 5);
    // What happened lately.
    let recent = super::audit::sentences(&page);
    let created = "Administrator created the API key <b>nightly</b>".replace('<', "&#60;").replace('>', "&#62;");
    assert!(recent.contains(&created), "{recent:?}");
    assert_eq!(browser.get("/console?shade=red").await.status, 400);
}

/// The number of people in the list behind an item.
async fn listed(browser: &Browser, title: &str) -> String {
    let page = browser.get("/console").await;
    let before = page.text.split_once(&format!(">{title}</a>")).unwrap_or_else(|| panic!("{title}: {}", page.text)).0;
    let address = before.rsplit_once("href=\"").unwrap().1.split_once('"').unwrap().0;
    let list = browser.get(&format!("/{}", address.replace("&#38;", "&"))).await;
    assert_eq!((list.status, heading(&list)), (200, "People"), "{address}: {}", list.text);
    list.text.split_once("<li class=\"soft\">").unwrap().1.split_once("</li>").unwrap().0.to_owned()
}

/// Requirement U-93.
#[tokio::test]
async fn people_who_cannot_sign_in_or_have_not_for_long_need_attention_unless_suspended() {
    let app = spawn().await;
    for name in ["ada", "grace", "max", "eve", "zoe"] {
        user(&app, &format!("{name}@example.com"), if name == "ada" { "owner" } else { "collaborator" }).await;
    }
    let browser = Browser::of(&app);
    browser.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    // Nobody knows the passwords of these two; one has a link.
    app.db_execute("delete from passwords using users where users.user_id = passwords.user_id and email in ('max@example.com', 'eve@example.com')")
        .await;
    let link = app.owner.post("/api/v2/users/password_links", &json!({"users": [{"user": "eve@example.com"}]})).await;
    assert_eq!(link.status, 200, "{}", link.text);
    app.db_execute("update users set last_signed_in_at = now() - interval '400 days' where email in ('grace@example.com', 'zoe@example.com')").await;
    let several = "People have not signed in for a year";
    assert_eq!(
        attention(&browser).await,
        ["2People can’t sign in yet".to_owned(), format!("2{several}")],
        "with the placeholder of the first owner"
    );
    assert_eq!(listed(&browser, "People can’t sign in yet").await, "2 people");
    assert_eq!(listed(&browser, several).await, "2 people");
    for name in ["max", "zoe"] {
        let user_id =
            app.owner.get(&format!("/api/v2/organization_collaborators/?email={name}@example.com")).await.json();
        let user_id = user_id["results"][0]["user_id"].as_str().unwrap();
        let answer = app.owner.post(&format!("/api/v2/users/{user_id}/suspend"), &serde_json::Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let one = "Person has not signed in for a year";
    assert_eq!(attention(&browser).await, ["1Person can’t sign in yet".to_owned(), format!("1{one}")]);
    assert_eq!(listed(&browser, one).await, "1 person");
}

#[tokio::test]
async fn collaborators_see_no_numbers_of_others() {
    let app: TestApp = spawn().await;
    user(&app, "eve@example.com", "collaborator").await;
    let browser = Browser::of(&app);
    browser.sign_in_on_page("eve@example.com", PASSWORD, "").await;
    let page = browser.get("/console").await;
    assert_eq!((page.status, heading(&page)), (200, "Overview"));
    assert!(!page.text.contains("Needs attention") && !page.text.contains("Recent activity"), "{}", page.text);
    assert!(page.text.contains("People of <bdi>Default organization</bdi>"), "{}", page.text);
}
