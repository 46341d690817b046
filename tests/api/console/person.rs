//! One person: seen, edited, suspended, reactivated, given a link, deleted.

use serde_json::Value;

use super::{Browser, PASSWORD, heading, hidden, owner, spawn, title, user};

#[tokio::test]
async fn the_page_of_a_person_says_how_they_sign_in_and_where() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let id = user(&app, "ada@example.com", "collaborator").await;
    let ada = Browser::of(&app);
    ada.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    let page = owner.get(&format!("/console/people/{id}")).await;
    assert_eq!((page.status, heading(&page), title(&page)), (200, "<bdi>Ada Lovelace</bdi>", "Ada Lovelace · muster"));
    for part in [
        "<span class=\"state ok\">Active</span> · Collaborator",
        "<dt>Password</dt><dd>set <time",
        "Firefox on Linux",
        "127.0.0.0/24 · seen",
        "aria-label=\"End the session of Firefox on Linux, 1 of 1\"",
        &id,
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    // Its session is ended here, by its button.
    let session = page.text.split_once("name=\"end\" value=\"").unwrap().1.split('"').next().unwrap();
    let ended = owner.submit(&format!("/console/people/{id}/sessions"), &[("end", session)]).await;
    let location = format!("../../../console/people/{id}?done=sessions");
    assert_eq!((ended.status, ended.header("location")), (303, location.as_str()));
    assert_eq!(ada.get("/account").await.status, 303);
}

/// Requirement U-49.
#[tokio::test]
async fn a_person_is_edited_and_a_conflict_shows_both_values() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let id = user(&app, "ada@example.com", "collaborator").await;
    let path = format!("/console/people/{id}/edit");
    let form = owner.get(&path).await;
    let revision = hidden(&form, "revision").to_owned();
    let fields = |title| {
        [
            ("revision", revision.as_str()),
            ("name", "Ada"),
            ("lastname", "Lovelace"),
            ("title", title),
            ("email", "ada@example.com"),
            ("expires_at", ""),
        ]
    };
    let mut wrong = fields("Countess");
    wrong[4] = ("email", "ada@example,com");
    let page = owner.submit(&path, &wrong).await;
    assert_eq!((page.status, title(&page)), (422, "Error: Edit Ada Lovelace · muster"));
    assert!(page.text.contains("aria-invalid=\"true\" aria-describedby=\"email-why\""), "{}", page.text);
    assert!(
        page.text.contains("value=\"Countess\"") && page.text.contains("value=\"ada@example,com\""),
        "{}",
        page.text
    );

    let saved = owner.submit(&path, &fields("Countess")).await;
    let location = format!("../../../console/people/{id}?done=edited");
    assert_eq!((saved.status, saved.header("location")), (303, location.as_str()), "{}", saved.text);
    assert_eq!(app.owner.get(&format!("/api/v2/users/{id}")).await.json()["result"]["title"], "Countess");

    // The first form is still open in another tab.
    let late = owner.submit(&path, &fields("Analyst")).await;
    assert_eq!(late.status, 409);
    assert!(late.text.contains("Title is now <strong><bdi>Countess</bdi></strong>"), "{}", late.text);
    assert_eq!(app.owner.get(&format!("/api/v2/users/{id}")).await.json()["result"]["title"], "Countess");
    let mut again = fields("Analyst");
    again[0] = ("revision", hidden(&late, "revision"));
    assert_eq!(owner.submit(&path, &again).await.status, 303);
    assert_eq!(app.owner.get(&format!("/api/v2/users/{id}")).await.json()["result"]["title"], "Analyst");
}

#[tokio::test]
async fn suspending_asks_first_and_says_what_it_ends() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let id = user(&app, "ada@example.com", "collaborator").await;
    let ada = Browser::of(&app);
    ada.sign_in_on_page("ada@example.com", PASSWORD, "").await;
    let path = format!("/console/people/{id}/suspend");
    let question = owner.get(&path).await;
    assert_eq!(heading(&question), "<bdi>Suspend Ada Lovelace?</bdi>");
    assert!(question.text.contains("<dt>session ends</dt><dd>1</dd>"), "{}", question.text);
    assert_eq!(ada.get("/account").await.status, 200, "nothing has happened yet");
    let revision = hidden(&question, "revision").to_owned();
    let done = owner.submit(&path, &[("revision", &revision)]).await;
    let location = format!("../../../console/people/{id}?done=suspended");
    assert_eq!((done.status, done.header("location")), (303, location.as_str()), "{}", done.text);
    assert_eq!(ada.get("/account").await.status, 303);
    // Sent twice: the person has changed meanwhile.
    let twice = owner.submit(&path, &[("revision", &revision)]).await;
    assert_eq!(twice.status, 412, "{}", twice.text);

    let page = owner.get(&format!("/console/people/{id}")).await;
    assert!(page.text.contains("<span class=\"state off\">Suspended</span>"), "{}", page.text);
    let path = format!("/console/people/{id}/reactivate");
    let question = owner.get(&path).await;
    let done = owner.submit(&path, &[("revision", hidden(&question, "revision"))]).await;
    assert_eq!(done.status, 303, "{}", done.text);
    assert_eq!(app.owner.get(&format!("/api/v2/users/{id}")).await.json()["result"]["status"], "active");
}

/// Requirements U-45 and U-47.
#[tokio::test]
async fn deleting_needs_the_typed_address_and_leaves_an_owner() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let id = user(&app, "ada@example.com", "collaborator").await;
    let path = format!("/console/people/{id}/delete");
    let question = owner.get(&path).await;
    let revision = hidden(&question, "revision").to_owned();
    let wrong = owner.submit(&path, &[("revision", &revision), ("confirm", "eve@example.com")]).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text.contains("<h2 id=\"problem\">Nothing was changed</h2>"), "{}", wrong.text);
    let done = owner.submit(&path, &[("revision", &revision), ("confirm", " Ada@example.com ")]).await;
    assert_eq!((done.status, done.header("location")), (303, "../../../console/people?done=deleted"), "{}", done.text);
    assert_eq!(app.owner.get(&format!("/api/v2/users/{id}")).await.status, 404);
}

/// Requirement U-47: the question says what the operation would reject.
#[tokio::test]
async fn what_is_not_possible_is_said_before_it_is_tried() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let me = app.owner.get("/api/v2/organization_collaborators/?email=ingrid@example.com").await.json();
    let me = me["results"][0]["user_id"].as_str().unwrap().to_owned();
    for action in ["suspend", "delete", "level"] {
        let page = owner.get(&format!("/console/people/{me}/{action}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(page.text.contains("<h2 id=\"problem\">This is not possible</h2>"), "{action}: {}", page.text);
        assert!(!page.text.contains("name=\"revision\""), "{action}: {}", page.text);
    }
}

/// Requirement U-85.
#[tokio::test]
async fn a_sign_in_link_is_shown_once_and_works() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let id = user(&app, "ada@example.com", "collaborator").await;
    let path = format!("/console/people/{id}/link");
    assert!(!owner.get(&path).await.text.contains("/password/"));
    let page = owner.submit(&path, &[]).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let link = page.text.split_once("<pre>").unwrap().1.split_once("</pre>").unwrap().0;
    let link = link.split_once(&app.address.to_string()).unwrap().1;
    assert_eq!(heading(&Browser::of(&app).get(link).await), "Choose a password");
    assert!(!owner.get(&path).await.text.contains("/password/"));
}

/// Requirement U-26: a form that is sent after the session has ended is not lost.
#[tokio::test]
async fn what_was_entered_survives_the_end_of_the_session() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let id = user(&app, "ada@example.com", "collaborator").await;
    let path = format!("/console/people/{id}/suspend");
    let revision = hidden(&owner.get(&path).await, "revision").to_owned();
    owner.submit("/sign-out", &[]).await;
    let page = owner.submit(&path, &[("revision", &revision)]).await;
    assert_eq!((page.status, heading(&page)), (401, "Your session has ended"));
    assert_eq!(hidden(&page, "revision"), revision);
    // In another tab.
    owner.sign_in_on_page("ingrid@example.com", PASSWORD, "").await;
    assert_eq!(owner.submit(&path, &[("revision", &revision)]).await.status, 303);
    // A page of another site gets no such form.
    let foreign = owner.at(app.address);
    foreign.clear_cookies();
    let request = foreign.bare("POST", &path).header("sec-fetch-site", "cross-site");
    let page = foreign.send(super::super::pages::form(request, &[("revision", &revision)])).await;
    assert_eq!(page.status, 403, "{}", page.text);
    let events = app.owner.get("/api/v2/audit/events?action=user.suspend").await.json();
    assert_eq!(events["results"].as_array().map(Vec::len), Some(1), "{}", Value::from(events.to_string()));
}
