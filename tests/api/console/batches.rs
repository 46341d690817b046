//! Batches: followed, undone, and given links.

use serde_json::json;

use super::{Browser, heading, owner, spawn};
use crate::support::{sso, with_password};

/// A batch of three people: one with SSO, one with a password, one who needs a link.
async fn batch(app: &super::TestApp) -> (String, Vec<String>) {
    let users = json!([
        sso("sol@example.com"),
        with_password("pia@example.com", super::PASSWORD),
        with_password("lee@example.com", "")
    ]);
    let created = app.owner.create(&users).await;
    assert_eq!(created.status, 200, "{}", created.text);
    let body = created.json();
    let ids = body["results"].as_array().unwrap().iter().map(|user| user["user_id"].as_str().unwrap().to_owned());
    (body["metadata"]["batch_id"].as_str().unwrap().to_owned(), ids.collect())
}

#[tokio::test]
async fn a_batch_is_listed_and_has_a_page_with_its_people() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let (id, people) = batch(&app).await;
    let list = owner.get("/console/batches").await;
    assert_eq!((list.status, heading(&list)), (200, "Batches"));
    assert!(list.text.contains(&format!("<a href=\"batches/{id}\">")), "{}", list.text);
    let failed = owner.get("/console/batches?state=failed").await;
    assert!(failed.text.contains("No such batch"), "{}", failed.text);
    assert_eq!(owner.get("/console/batches?state=lost").await.status, 400);
    let page = owner.get(&format!("/console/batches/{id}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("<strong>3 people were created.</strong>"), "{}", page.text);
    for person in &people {
        assert!(page.text.contains(&format!("../people/{person}")), "{person} in {}", page.text);
    }
    assert!(page.text.contains("<span class=\"state warn\">Can’t sign in</span>"), "{}", page.text);
    // From the person back to the batch.
    let person = owner.get(&format!("/console/people/{}", people[0])).await;
    assert!(person.text.contains(&format!("<a href=\"../batches/{id}\">")), "{}", person.text);
}

/// Requirement U-69.
#[tokio::test]
async fn links_of_a_batch_are_slips_or_a_file_and_work_once() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let (id, _) = batch(&app).await;
    let path = format!("/console/batches/{id}/links");
    assert!(!owner.get(&path).await.text.contains("/password/aml_"));
    let page = owner.submit(&path, &[("as", "page")]).await;
    assert_eq!((page.status, heading(&page)), (200, "1 sign-in link"), "{}", page.text);
    assert!(page.text.contains("1 of the batch got none, since they have a password."), "{}", page.text);
    assert!(page.text.contains("1 got none, since they sign in through single sign-on"), "{}", page.text);
    let link = page.text.split_once("<p class=\"url\">").unwrap().1.split_once("</p>").unwrap().0;
    let first = link.split_once(&app.address.to_string()).unwrap().1.to_owned();
    assert_eq!(heading(&Browser::of(&app).get(&first).await), "Choose a password");
    // A file: the links of the page end.
    let file = owner.submit(&path, &[("as", "csv")]).await;
    assert_eq!((file.status, file.header("content-type")), (200, "text/csv; charset=utf-8"));
    assert_eq!(file.header("content-disposition"), format!("attachment; filename=\"links-{id}.csv\""));
    let lines: Vec<&str> = file.text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "email,name,user_id,link,expires_at"));
    assert!(lines[1].starts_with("lee@example.com,"), "{}", lines[1]);
    assert_eq!(heading(&Browser::of(&app).get(&first).await), "This link can’t be used");
}

/// Requirement U-70.
#[tokio::test]
async fn undoing_shows_who_leaves_and_who_stays() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let (id, people) = batch(&app).await;
    let pia = Browser::of(&app);
    pia.sign_in_on_page("pia@example.com", super::PASSWORD, "").await;
    let path = format!("/console/batches/{id}/undo");
    let page = owner.get(&path).await;
    assert_eq!(page.status, 200, "{}", page.text);
    for part in [
        "<dt>people are removed</dt><dd>2</dd>",
        "<dt>stays, since the account was used</dt><dd>1</dd>",
        "has signed in since",
        "Remove the other 2</button>",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let wrong = owner.submit(&path, &[("confirm", "3")]).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    assert_eq!(app.owner.get(&format!("/api/v2/users/{}", people[0])).await.status, 200);
    let done = owner.submit(&path, &[("confirm", "2")]).await;
    let location = format!("../../../console/batches/{id}?done=undone");
    assert_eq!((done.status, done.header("location")), (303, location.as_str()), "{}", done.text);
    let statuses: Vec<u16> = vec![
        app.owner.get(&format!("/api/v2/users/{}", people[0])).await.status,
        app.owner.get(&format!("/api/v2/users/{}", people[1])).await.status,
        app.owner.get(&format!("/api/v2/users/{}", people[2])).await.status,
    ];
    assert_eq!(statuses, [404, 200, 404]);
    // Sent twice, and looked at again.
    let twice = owner.submit(&path, &[("confirm", "2")]).await;
    assert_eq!(twice.status, 409);
    assert!(twice.text.contains("was undone before"), "{}", twice.text);
}
