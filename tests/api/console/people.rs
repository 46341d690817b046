use serde_json::json;

use super::{heading, owner, spawn, title, user};
use crate::support::sso;

#[tokio::test]
async fn the_list_shows_who_is_here_and_in_which_state() {
    let app = spawn().await;
    let owner = owner(&app).await;
    user(&app, "ada@example.com", "collaborator").await;
    assert_eq!(app.owner.create(&json!([sso("sol@example.com")])).await.status, 200);
    let page = owner.get("/console/people").await;
    assert_eq!((page.status, heading(&page), title(&page)), (200, "People", "People · muster"));
    for part in [
        "<span class=\"tag owner\">Owner</span>",
        "<span class=\"state ok\">Active</span>",
        "<span class=\"state busy\">Never signed in</span>",
        "<td class=\"c2\">SSO</td>",
        "<td class=\"c2\">Password</td>",
        "ada@<wbr>example.com",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let found = owner.get("/console/people?q=sol").await;
    assert!(found.text.contains("sol@<wbr>example.com") && !found.text.contains("ada@<wbr>"), "{}", found.text);
    let nobody = owner.get("/console/people?q=zzz").await;
    assert!(nobody.text.contains("Nobody matches"), "{}", nobody.text);
}

/// Requirement U-28: shortcuts of one key can be turned off (WCAG 2.2, success criterion 2.1.4).
#[tokio::test]
async fn keyboard_shortcuts_are_turned_off_and_on() {
    let app = spawn().await;
    let owner = owner(&app).await;
    assert!(owner.get("/console/people").await.text.contains("<html lang=\"en\">"));
    let page = "/console/people?q=ada";
    let off = owner.submit("/console/shortcuts", &[("keys", "off"), ("return_to", page)]).await;
    assert_eq!((off.status, off.header("location")), (303, page));
    assert!(owner.get(page).await.text.contains("<html lang=\"en\" data-keys=\"off\">"));
    let on = owner.submit("/console/shortcuts", &[("keys", "on"), ("return_to", "//evil.example")]).await;
    assert_eq!((on.status, on.header("location")), (303, "../"));
    assert!(owner.get(page).await.text.contains("<html lang=\"en\">"));
}

/// Requirement U-37.
#[tokio::test]
async fn unknown_parameters_are_named() {
    let app = spawn().await;
    let owner = owner(&app).await;
    for (query, message) in
        [("shade=red", "unknown field `shade`"), ("state=asleep", "`state` must be"), ("q=%00", "contains a NUL byte")]
    {
        let page = owner.get(&format!("/console/people?{query}")).await;
        assert_eq!((page.status, heading(&page)), (400, "This request is not valid"), "{query}");
        assert!(page.text.contains(message), "{query}: {}", page.text);
    }
}
