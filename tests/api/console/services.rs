//! Service accounts: the list, a new one, one of them.

use serde_json::json;

use super::{hidden, owner, spawn, user};

#[tokio::test]
async fn a_service_account_is_created_gets_a_key_and_is_deleted() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let list = owner.get("/console/services").await;
    assert!(list.text.contains("No service account yet"), "{}", list.text);
    let created = owner.submit("/console/services", &[("name", " nightly-import ")]).await;
    assert_eq!(created.status, 303, "{}", created.text);
    let id = created.header("location").rsplit('/').next().unwrap().to_owned();
    for (name, status, why) in [
        ("nightly-import", 409, "A collaborator named `nightly-import` already exists; choose another name."),
        ("<b>", 400, "`name` of a service account must be 1 to 64 letters"),
    ] {
        let page = owner.submit("/console/services", &[("name", name)]).await;
        assert_eq!(page.status, status, "{}", page.text);
        let value = format!("value=\"{}\"", name.replace('<', "&#60;").replace('>', "&#62;"));
        assert!(page.text.contains(why) && page.text.contains(&value), "{}", page.text);
    }

    let page = owner.get(&format!("/console/services/{id}")).await;
    assert!(page.text.contains("No active key"), "{}", page.text);
    let form = owner.get(&format!("/console/keys/new?for={id}")).await;
    assert!(
        form.text.contains(&format!("<option value=\"{id}\" dir=\"auto\" selected>nightly-import")),
        "{}",
        form.text
    );
    let fields =
        [("form", hidden(&form, "form")), ("name", "first"), ("for", &id), ("level", "collaborator"), ("days", "9")];
    let made = owner.submit("/console/keys/new", &fields).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let page = owner.get(&format!("/console/services/{id}")).await;
    assert!(page.text.contains("<bdi>first</bdi></a>") && page.text.contains("in 9 days"), "{}", page.text);
    let list = owner.get("/console/services?q=nightly").await;
    let count = format!("<a href=\"keys?owner={id}\" aria-label=\"The active keys of nightly-import: 1\">1</a>");
    assert!(list.text.contains(&count) && list.text.contains("in 9 days"), "{}", list.text);
    let none = owner.get("/console/services?q=nothing").await;
    assert!(none.text.contains("No service account matches"), "{}", none.text);

    // The actions on any account lead back here.
    let path = format!("/console/people/{id}/suspend");
    let review = owner.get(&path).await;
    assert!(review.text.contains(&format!("href=\"../../../console/services/{id}\"")), "{}", review.text);
    let done = owner.submit(&path, &[("revision", hidden(&review, "revision"))]).await;
    assert_eq!(done.header("location"), format!("../../../console/services/{id}?done=suspended"), "{}", done.text);
    let suspended = owner.get(&format!("/console/services/{id}?done=suspended")).await;
    assert!(suspended.text.contains("Account suspended"), "{}", suspended.text);
    let path = format!("/console/people/{id}/delete");
    let review = owner.get(&path).await;
    let address: String = app.db_value("select email from users where is_service_account").await;
    let done = owner.submit(&path, &[("revision", hidden(&review, "revision")), ("confirm", &address)]).await;
    assert_eq!(done.header("location"), "../../../console/services?done=deleted", "{}", done.text);
    assert_eq!(owner.get(&format!("/console/services/{id}")).await.status, 404);
    assert_eq!(app.db_value::<i64>("select count(*) from api_keys where name = 'first'").await, 0);
}

#[tokio::test]
async fn a_person_is_no_service_account() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let ada = user(&app, "ada@example.com", "collaborator").await;
    assert_eq!(owner.get(&format!("/console/services/{ada}")).await.status, 404);
    let made = app.owner.post("/api/v2/api_keys", &json!({"name": "own"})).await;
    assert_eq!(made.status, 200, "{}", made.text);
    assert!(owner.get("/console/services").await.text.contains("No service account yet"));
}
