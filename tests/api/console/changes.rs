//! A file that says what people are to be: compared, reviewed, applied.

use serde_json::json;

use super::import::send_form;
use super::{Answer, Browser, TestApp, heading, hidden, owner, spawn, title, user};
use crate::support::sso;

const PATH: &str = "/console/people/changes";

/// Sends a file with the form of the page.
async fn send(browser: &Browser, name: &str, file: &str) -> Answer {
    send_form(browser, PATH, &[("file", Some(name), file.as_bytes())], "--end--\r\n").await
}

/// Sends a file that has no findings: the path of its review.
async fn begin(browser: &Browser, file: &str) -> String {
    let answer = send(browser, "people.csv", file).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    format!("/{}", answer.header("location").trim_start_matches("../"))
}

async fn apply(browser: &Browser, review: &str, more: &[(&str, &str)]) -> Answer {
    let page = browser.get(review).await;
    let (revision, plan) = (hidden(&page, "revision"), hidden(&page, "plan"));
    let fields = [&[("revision", revision), ("plan", plan)], more].concat();
    browser.submit(review, &fields).await
}

async fn person(app: &TestApp, email: &str) -> serde_json::Value {
    app.owner.get(&format!("/api/v2/organization_collaborators/?email={email}")).await.json()["results"][0].clone()
}

/// Requirements U-39, U-73, U-76, U-77: an export that is edited comes back; what differs is shown, and applied, all or none.
#[tokio::test]
async fn an_edited_export_changes_what_differs() {
    let app = spawn().await;
    let owner = owner(&app).await;
    assert_eq!(app.owner.create(&json!([sso("ada@acme.example"), sso("eve@acme.example")])).await.status, 200);
    let export = owner.get("/console/people/export?format=csv&domain=acme.example&order=email").await.text;

    let unchanged = begin(&owner, &export).await;
    let page = owner.get(&unchanged).await;
    assert_eq!((page.status, heading(&page), title(&page)), (200, "Nothing differs", "Nothing differs · muster"));

    // Another title for Ada, Eve as an owner, and somebody new.
    let mut lines: Vec<String> = export.lines().map(str::to_owned).collect();
    lines[1] = lines[1].replacen(",,,true,", ",,Countess,true,", 1);
    lines[2] = lines[2].replace(",collaborator,", ",owner,");
    lines.push(",new@acme.example,Newt,,,true,collaborator,,active".to_owned());
    let review = begin(&owner, &lines.join("\r\n")).await;
    let page = owner.get(&review).await;
    assert_eq!((page.status, heading(&page)), (200, "Apply to 3 people?"));
    for part in [
        "<span class=\"soft\">Title</span> <ins><span class=\"vh\">to </span><bdi>Countess</bdi></ins>",
        "<del><span class=\"vh\">from </span><bdi>collaborator</bdi></del><ins><span class=\"vh\">to </span><bdi>owner</bdi></ins>",
        "new@<wbr>acme.example</bdi> <span class=\"state busy\">New</span>",
        "<p>1 person becomes an owner</p>",
        "<dt>Rows in the file</dt><dd>3</dd><dt>Unchanged</dt><dd>0</dd><dt>Changed</dt><dd>2 people</dd><dt>New</dt><dd>1 person</dd>",
        "<pre>muster user apply -f people.csv</pre>",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }

    let unseen = apply(&owner, &review, &[]).await;
    assert_eq!(unseen.status, 400);
    assert!(unseen.text.contains("Confirm what is listed under “Confirm first”"), "{}", unseen.text);
    assert_eq!(person(&app, "ada@acme.example").await["title"], json!(null));

    let applied = apply(&owner, &review, &[("seen", "on")]).await;
    assert_eq!((applied.status, applied.header("location")), (303, format!("../../..{review}").as_str()));
    assert_eq!(person(&app, "ada@acme.example").await["title"], json!("Countess"));
    assert_eq!(person(&app, "eve@acme.example").await["permission_level"], json!("owner"));
    assert_eq!(person(&app, "new@acme.example").await["name"], json!("Newt"));

    // What came of it stays, and the form that is sent again does nothing.
    let page = owner.get(&review).await;
    assert_eq!((page.status, heading(&page)), (200, "The file is applied"));
    assert!(page.text.contains("<dt>changed</dt><dd>2</dd></div><div><dt>created</dt><dd>1</dd>"), "{}", page.text);
    let again = owner.submit(&review, &[("revision", "1"), ("plan", "x"), ("seen", "on")]).await;
    assert_eq!((again.status, heading(&again)), (200, "The file is applied"));
}

/// What has changed since the review is not written over, and is shown.
#[tokio::test]
async fn a_review_that_is_overtaken_is_shown_again() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let id = user(&app, "ada@acme.example", "collaborator").await;
    let review = begin(&owner, "email,title\nada@acme.example,Countess\n").await;
    let page = owner.get(&review).await;
    let fields = [("revision", hidden(&page, "revision")), ("plan", hidden(&page, "plan"))];
    assert_eq!(app.owner.post(&format!("/api/v2/users/{id}/suspend"), &json!(null)).await.status, 200);
    let overtaken = owner.submit(&review, &fields).await;
    assert_eq!((overtaken.status, heading(&overtaken)), (409, "Apply to 1 person?"));
    assert!(
        overtaken.text.contains("People have changed since this page was made. Nothing was written"),
        "{}",
        overtaken.text
    );
    assert_eq!(person(&app, "ada@acme.example").await["title"], json!(null));
    assert_eq!(apply(&owner, &review, &[]).await.status, 303);
    assert_eq!(person(&app, "ada@acme.example").await["title"], json!("Countess"));
}

/// People who are not in the file are suspended only on request, and never the owners.
#[tokio::test]
async fn missing_people_are_suspended_on_request() {
    let app = spawn().await;
    let owner = owner(&app).await;
    assert_eq!(app.owner.create(&json!([sso("ada@acme.example"), sso("eve@acme.example")])).await.status, 200);
    let review = begin(&owner, "email\nada@acme.example\n").await;
    let page = owner.get(&review).await;
    assert_eq!(heading(&page), "Nothing differs");
    let review = format!("{review}?missing=suspend");
    let page = owner.get(&review).await;
    assert_eq!((page.status, heading(&page)), (200, "Apply to 1 person?"));
    assert!(page.text.contains("<p>1 person loses access</p>"), "{}", page.text);
    assert_eq!(apply(&owner, &review, &[("seen", "on")]).await.status, 303);
    assert_eq!(person(&app, "eve@acme.example").await["status"], json!("suspended"));
    let page = owner.get("/console/people/changes?x=1").await;
    assert_eq!(page.status, 200);
}

/// What is wrong is said with its line, and nothing is kept or written.
#[tokio::test]
async fn a_file_that_cannot_be_applied_says_where() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let file = "email,title,permission_level\nada@acme.example,,boss\n\"<script>alert(1)</script>\",,\n";
    let page = send(&owner, "people.csv", file).await;
    assert_eq!((page.status, title(&page)), (422, "Error: Changes from a file · muster"));
    assert!(page.text.contains("<li>Line 2: "), "{}", page.text);
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    let page = send(&owner, "people.csv", "wine,cheese\nred,blue\n").await;
    assert_eq!(page.status, 422, "{}", page.text);
    let page = send(&owner, "people.csv", "").await;
    assert_eq!(page.status, 400);
    assert!(page.text.contains("Choose a file, or paste a list."), "{}", page.text);
    let kept: i64 = app.db_value("select count(*) from drafts").await;
    assert_eq!(kept, 0);
}

/// Files that were only looked at make room for others.
#[tokio::test]
async fn any_number_of_files_can_be_compared() {
    let app = spawn().await;
    let owner = owner(&app).await;
    for n in 0..7 {
        let review = begin(&owner, &format!("email,title\ningrid@example.com,Captain {n}\n")).await;
        assert_eq!(owner.get(&review).await.status, 200);
    }
    let kept: i64 = app.db_value("select count(*) from drafts").await;
    assert_eq!(kept, 5);
}

/// A draft of changes is of one person in one browser.
#[tokio::test]
async fn nobody_else_opens_a_file_of_changes() {
    let app = spawn().await;
    let owner = owner(&app).await;
    user(&app, "otto@example.com", "owner").await;
    let review = begin(&owner, "email,title\ningrid@example.com,Captain\n").await;
    let otto = Browser::of(&app);
    otto.sign_in_on_page("otto@example.com", super::PASSWORD, "").await;
    assert_eq!(otto.get(&review).await.status, 404);
    let elsewhere = Browser::of(&app);
    elsewhere.sign_in_on_page("ingrid@example.com", super::PASSWORD, "").await;
    let page = elsewhere.get(&review).await;
    assert_eq!(page.status, 409, "{}", page.text);
}
