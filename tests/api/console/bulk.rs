//! Acting on many people: selected, reviewed, done once.

use serde_json::json;

use super::{Browser, PASSWORD, TestApp, heading, hidden, owner, spawn, user};
use crate::support::{Answer, sso};
use crate::user::send;

/// The users of some addresses, in the order of the list.
async fn people(app: &TestApp, emails: &[&str]) -> Vec<String> {
    let created = app.owner.create(&emails.iter().map(|email| sso(email)).collect()).await.json();
    let users = created["results"].as_array().unwrap().iter();
    users.map(|user| user["user_id"].as_str().unwrap().to_owned()).collect()
}

/// The path that a redirect leads to.
fn target(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text);
    format!("/{}", answer.header("location").trim_start_matches("../"))
}

/// Selects people on the list, and opens the review.
async fn review(browser: &Browser, action: &str, users: &[String]) -> (String, Answer) {
    let mut fields: Vec<(&str, &str)> = users.iter().map(|user| ("user", user.as_str())).collect();
    fields.push(("action", action));
    let path = target(&browser.submit("/console/people", &fields).await);
    let page = browser.get(&path).await;
    (path, page)
}

/// The numbers of a page, with their words.
fn sums(page: &Answer) -> Vec<(String, String)> {
    let list = page.text.split_once("<dl class=\"sums\">").unwrap().1.split_once("</dl>").unwrap().0;
    let rows = list.split("<dt>").skip(1).map(|row| {
        let (word, rest) = row.split_once("</dt><dd>").unwrap();
        (word.to_owned(), rest.split_once("</dd>").unwrap().0.to_owned())
    });
    rows.collect()
}

fn expected(sums: &[(&str, &str)]) -> Vec<(String, String)> {
    sums.iter().map(|(word, number)| ((*word).to_owned(), (*number).to_owned())).collect()
}

/// Requirements U-42, U-43, U-44 and U-47.
#[tokio::test]
async fn selected_people_are_suspended_once_except_those_who_cannot_be() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let mut users = people(&app, &["a@example.com", "b@example.com", "c@example.com", "d@example.com"]).await;
    let suspend = |email: &str| json!([{ "user": email }]);
    assert_eq!(app.owner.post("/api/v2/users/admin_batch_suspend", &suspend("b@example.com")).await.status, 200);
    users.push(own_id(&app).await);
    let (path, page) = review(&owner, "suspend", &users).await;
    assert_eq!((page.status, heading(&page)), (200, "<bdi>Suspend 5 people?</bdi>"), "{}", page.text);
    let numbers = [
        ("lose access within a second", "3"),
        ("are suspended already", "1"),
        ("can’t be changed", "1"),
        ("sessions end", "0"),
        ("API keys stop", "0"),
    ];
    assert_eq!(sums(&page), expected(&numbers));
    assert!(page.text.contains("Is your own account; ask another owner."), "{}", page.text);
    assert!(page.text.contains("<button type=\"submit\" class=\"danger\">Suspend 3 people</button>"), "{}", page.text);

    // Somebody who changes after the review is not taken.
    let changed = send(&app.owner, "PATCH", &format!("/api/v2/users/{}", users[3]), &json!({"title": "t"})).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let revision = hidden(&page, "revision").to_owned();
    let refused = owner.submit(&path, &[("revision", &revision)]).await;
    assert_eq!((refused.status, heading(&refused)), (422, "<bdi>Suspend 5 people?</bdi>"), "{}", refused.text);
    assert_eq!(app.db_value::<i64>("select count(*) from users where status = 'suspended'").await, 1);

    let fields = [("revision", hidden(&refused, "revision")), ("skip", "on")];
    let mut done = Vec::new();
    // The same form twice, as with a double click or after going back.
    for _ in 0..2 {
        let answer = owner.submit(&path, &fields).await;
        done.push(owner.get(&target(&answer)).await);
    }
    for page in &done {
        assert_eq!(heading(page), "2 people suspended");
        let numbers = [
            ("suspended", "2"),
            ("suspended already", "1"),
            ("left out", "2"),
            ("sessions have ended", "0"),
            ("API keys have stopped", "0"),
        ];
        assert_eq!(sums(page), expected(&numbers));
    }
    assert_eq!(app.db_value::<i64>("select count(*) from users where status = 'suspended'").await, 3);
    let events = app.owner.get("/api/v2/audit/events?action=user.batch_suspend").await.json();
    let outcomes: Vec<&str> =
        events["results"].as_array().unwrap().iter().map(|event| event["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes.len(), 3, "the one from before, the refused one, and one that is done: {events}");

    // Requirement U-46: exactly those who were changed.
    let reverse = target(
        &owner.submit(&target(&owner.submit(&path, &fields).await), &[("revision", "0"), ("reverse", "1")]).await,
    );
    let page = owner.get(&reverse).await;
    assert_eq!(heading(&page), "<bdi>Reactivate 2 people?</bdi>");
}

async fn own_id(app: &TestApp) -> String {
    let found = app.owner.get("/api/v2/organization_collaborators/?email=ingrid@example.com").await.json();
    found["results"][0]["user_id"].as_str().unwrap().to_owned()
}

/// Requirement U-42.
#[tokio::test]
async fn all_that_match_are_those_who_matched_at_the_review() {
    let app = spawn().await;
    let owner = owner(&app).await;
    people(&app, &["a@tide.example", "b@tide.example", "c@example.com"]).await;
    let answer = owner.submit("/console/people?q=tide.example", &[("scope", "filter"), ("action", "delete")]).await;
    let path = target(&answer);
    people(&app, &["late@tide.example"]).await;
    let page = owner.get(&path).await;
    assert_eq!(heading(&page), "<bdi>Delete 2 people?</bdi>");
    let revision = hidden(&page, "revision");
    // Requirement U-45: the number is typed.
    for typed in ["", "3", "two"] {
        let refused = owner.submit(&path, &[("revision", revision), ("confirm", typed)]).await;
        assert_eq!(refused.status, 400, "{typed}: {}", refused.text);
        assert!(
            refused.text.contains("The number that was typed is not the number of people to delete."),
            "{}",
            refused.text
        );
    }
    let done = owner.get(&target(&owner.submit(&path, &[("revision", revision), ("confirm", "2")]).await)).await;
    assert_eq!(heading(&done), "2 people deleted");
    assert!(!done.text.contains("Reverse"), "{}", done.text);
    let left =
        "select string_agg(email, ' ' order by email) from users where email like '%tide.example' or email like 'c@%'";
    assert_eq!(app.db_value::<String>(left).await, "c@example.com late@tide.example");
}

#[tokio::test]
async fn people_get_a_level_or_a_group_that_is_chosen_first() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let users = people(&app, &["a@example.com", "b@example.com"]).await;
    assert_eq!(app.owner.post("/api/v2/user_groups/", &json!({"name": "Turbine ops"})).await.status, 200);

    let (path, page) = review(&owner, "group", &users).await;
    assert_eq!(heading(&page), "Which group?");
    let path = format!("{}?action=add&group=turbine%20ops", path.split_once('?').unwrap().0);
    let page = owner.get(&path).await;
    assert_eq!(heading(&page), "<bdi>Add 2 people to Turbine ops?</bdi>", "{}", page.text);
    let done = owner.get(&target(&owner.submit(&path, &[("revision", hidden(&page, "revision"))]).await)).await;
    assert_eq!(heading(&done), "2 people added");
    assert_eq!(app.db_value::<i64>("select count(*) from user_group_members").await, 2);

    let (path, page) = review(&owner, "level", &users).await;
    assert_eq!(heading(&page), "Which level?");
    let path = format!("{}?action=owner", path.split_once('?').unwrap().0);
    let page = owner.get(&path).await;
    assert_eq!(heading(&page), "<bdi>Make 2 people owners?</bdi>", "{}", page.text);
    let done = owner.get(&target(&owner.submit(&path, &[("revision", hidden(&page, "revision"))]).await)).await;
    assert_eq!(heading(&done), "2 people made owners");
}

/// Requirement U-105.
#[tokio::test]
async fn a_selection_is_for_the_owner_who_made_it_in_the_browser_that_made_it() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let users = people(&app, &["a@example.com"]).await;
    let (path, _) = review(&owner, "suspend", &users).await;
    let fields = [("user", users[0].as_str()), ("action", "suspend")];

    user(&app, "cleo@example.com", "collaborator").await;
    let collaborator = Browser::of(&app);
    collaborator.sign_in_on_page("cleo@example.com", PASSWORD, "").await;
    assert!(!collaborator.get("/console/people").await.text.contains("name=\"user\""));
    assert_eq!(collaborator.submit("/console/people", &fields).await.status, 403);
    assert_eq!(collaborator.get(&path).await.status, 403);
    assert_eq!(collaborator.submit(&path, &[("revision", "1")]).await.status, 403);

    user(&app, "otto@example.com", "owner").await;
    let other = Browser::of(&app);
    other.sign_in_on_page("otto@example.com", PASSWORD, "").await;
    assert_eq!(other.get(&path).await.status, 404);
    assert_eq!(other.submit(&path, &[("revision", "1")]).await.status, 404);

    let elsewhere = Browser::of(&app);
    elsewhere.sign_in_on_page("ingrid@example.com", PASSWORD, "").await;
    let page = elsewhere.get(&path).await;
    assert_eq!(page.status, 409, "{}", page.text);
    assert!(page.text.contains("begun in another browser"), "{}", page.text);

    let anonymous = Browser::of(&app);
    assert_eq!(anonymous.get(&path).await.status, 303);
    for (path, fields) in [("/console/people", &fields[..]), (path.as_str(), &[("revision", "1")])] {
        assert_eq!(anonymous.submit(path, fields).await.status, 401, "{path}");
    }
    assert_eq!(app.db_value::<i64>("select count(*) from users where status = 'suspended'").await, 0);
}

/// Requirement U-37.
#[tokio::test]
async fn a_selection_of_nobody_and_unknown_actions_are_named() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let users = people(&app, &["a@example.com"]).await;
    for (fields, message) in [
        (vec![("action", "suspend")], "nobody is selected; go back, and select somebody"),
        (vec![("user", "ada"), ("action", "suspend")], "`user` must be the ID of a user"),
        (vec![("user", users[0].as_str()), ("color", "red")], "unknown field `color`"),
    ] {
        let page = owner.submit("/console/people", &fields).await;
        assert_eq!(page.status, 400, "{}", page.text);
        assert!(page.text.to_lowercase().contains(&message.to_lowercase()), "{message}: {}", page.text);
    }
    let (_, page) = review(&owner, "applaud", &users).await;
    assert_eq!(page.status, 400, "{}", page.text);
}
