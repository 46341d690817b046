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

/// Requirement U-39: a list is exported with its filters, all pages of it, and the file changes nothing when it is applied.
#[tokio::test]
async fn a_list_is_exported_with_its_filters() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let mut formula = sso("=cmd@acme.example");
    formula["name"] = json!("=1+1");
    formula["attributes"] = json!({"cost_center": "7", "on_call": true});
    let many: Vec<_> = (0..230).map(|n| sso(&format!("p{n:03}@acme.example"))).collect();
    assert_eq!(app.owner.create(&json!([formula, sso("zoe@acme.example")])).await.status, 200);
    assert_eq!(app.owner.create(&json!(many)).await.status, 200);

    let file = owner.get("/console/people/export?format=csv&domain=acme.example&order=email").await;
    assert_eq!((file.status, file.header("content-type")), (200, "text/csv; charset=utf-8"));
    assert_eq!(file.header("cache-control"), "no-store");
    let name = file.header("content-disposition");
    assert!(name.starts_with("attachment; filename=\"people-20") && name.ends_with(".csv\""), "{name}");
    let lines: Vec<&str> = file.text.lines().collect();
    assert_eq!(lines.len(), 233);
    let columns = "user,email,name,lastname,title,is_sso_user,permission_level,expires_at,status,attributes.cost_center,attributes.on_call";
    assert_eq!(lines[0], columns);
    let (id, cells) = lines[1].split_once(',').unwrap();
    assert!(id.starts_with("usr_"), "{id}");
    assert_eq!(cells, r#"'=cmd@acme.example,'=1+1,,,true,collaborator,,active,"""7""",true"#);
    assert!(lines[232].contains("zoe@acme.example"), "{}", lines[232]);

    let one = owner.get("/console/people/export?format=jsonl&q=zoe%40acme.example").await;
    assert_eq!((one.status, one.header("content-type")), (200, "application/jsonl"));
    let zoe: serde_json::Value = serde_json::from_str(&one.text).unwrap();
    assert_eq!((&zoe["email"], &zoe["status"]), (&json!("zoe@acme.example"), &json!("active")));

    let page = owner.get("/console/people/export?format=pdf").await;
    assert_eq!((page.status, heading(&page)), (400, "This request is not valid"));
    assert!(page.text.contains("must be one of"), "{}", page.text);
}
