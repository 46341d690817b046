//! The pages for people, as a browser uses them.

mod account;
mod login;
mod password;
mod sign_in;

use serde_json::{Value, json};

pub use crate::support::browser::{Browser, SESSION, form};
use crate::support::{Answer, TestApp};

pub const PASSWORD: &str = "correct horse battery staple";

/// Creates a user with the password [`PASSWORD`], which the user need not change. Returns the ID.
pub async fn user(app: &TestApp, email: &str, level: &str) -> String {
    let user = json!([{
        "name": "Ada", "lastname": "Lovelace", "email": email, "password": PASSWORD, "is_sso_user": false, "permission_level": level,
    }]);
    let created = app.owner.create(&user).await;
    assert_eq!(created.status, 200, "{}", created.text);
    created.json()["results"][0]["user_id"].as_str().unwrap().to_owned()
}

/// A server whose batches set passwords that need not be changed.
pub async fn spawn() -> TestApp {
    TestApp::spawn_with(|config| config.passwords.must_change = false).await
}

/// The path of a new link for a user.
pub async fn link(app: &TestApp, email: &str) -> String {
    let created = app.owner.post("/api/v2/users/password_links", &json!({"users": [{"user": email}]})).await;
    assert_eq!(created.status, 200, "{}", created.text);
    let link = created.json()["results"][0]["link"].as_str().unwrap().to_owned();
    link.split_once(&app.address.to_string()).unwrap().1.to_owned()
}

/// The latest audit event of an action.
pub async fn event(app: &TestApp, action: &str) -> Value {
    app.owner.get(&format!("/api/v2/audit/events?action={action}&count=1")).await.json()["results"][0].clone()
}

pub fn heading(answer: &Answer) -> &str {
    answer.text.split_once("<h1>").unwrap().1.split_once("</h1>").unwrap().0
}

pub fn title(answer: &Answer) -> &str {
    answer.text.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0
}
