//! The pages for people, as a browser uses them.

mod account;
mod login;
mod password;
mod sign_in;

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

pub const PASSWORD: &str = "correct horse battery staple";

/// A browser: keeps cookies, follows no redirects, says where its requests come from.
pub struct Browser {
    client: reqwest::Client,
    base: String,
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn of(app: &TestApp) -> Self {
        // Sets up TLS, which the client needs to start.
        let _ = app.anonymous();
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, base: format!("http://{}", app.address), cookies: BTreeMap::new() }
    }

    /// A request with the cookies.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.base));
        let request = request.header("accept", "text/html,*/*;q=0.8").header("user-agent", agent);
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) }
    }

    pub async fn send(&mut self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for cookie in headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age="] {
                assert!(cookie.contains(attribute), "{cookie}");
            }
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            match cookie.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    /// Submits a form of a page of this server.
    pub async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.request("POST", path).header("origin", &self.base).header("sec-fetch-site", "same-origin");
        self.send(form(request, fields)).await
    }

    /// Signs in, and follows the redirects to the page at the end. Returns its path.
    pub async fn sign_in(&mut self, email: &str, password: &str, return_to: &str) -> String {
        let fields = [("email", email), ("password", password), ("return_to", return_to)];
        let answer = self.submit("/sign-in", &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let answer = self.get(&format!("/{}", answer.header("location"))).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        answer.header("location").to_owned()
    }
}

/// A form with these fields.
pub fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    request.header("content-type", "application/x-www-form-urlencoded").body(body.join("&"))
}

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
