//! A browser: it keeps cookies, and says where its requests come from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Actor, Answer, TestApp, with_password};

pub const SESSION: &str = "__Host-Http-muster";
pub const DEVICE: &str = "__Host-Http-muster-device";

/// A password that satisfies the policy.
pub const PASSWORD: &str = "tidal-anchor-Plum-91";

/// A client that keeps the cookies that it gets. Clones share them.
#[derive(Clone)]
pub struct Browser {
    actor: Actor,
    origin: String,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Browser {
    pub fn of(app: &TestApp) -> Self {
        Self::at_address(app.address)
    }

    /// A browser at the server with this address.
    pub fn at_address(address: SocketAddr) -> Self {
        let mut actor = Actor::new(address, None);
        // Redirects lead to other servers, too.
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        actor.client = client.build().unwrap();
        Self { actor, origin: format!("http://{address}"), cookies: Arc::default() }
    }

    /// The same browser, with a copy of its cookies, at another server.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { cookies: Arc::new(Mutex::new(self.cookies.lock().unwrap().clone())), ..Self::at_address(address) }
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// A request with all cookies, from a page of the server.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.bare(method, path).header("origin", &self.origin)
    }

    /// A request with all cookies.
    pub fn bare(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.actor.request(method, path);
        let cookies: Vec<String> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) }
    }

    /// Sends a request and keeps the cookies of the response.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = Actor::send(request).await;
        let mut cookies = self.cookies.lock().unwrap();
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            match cookie.contains("Max-Age=0") {
                true => cookies.remove(name),
                false => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        drop(cookies);
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    /// Sends a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.request("POST", path).header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }

    /// Sends a form.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", url_encoded(name), url_encoded(value))).collect();
        let request = self.request("POST", path).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(form.join("&"))).await
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> Answer {
        self.post("/api/v2/users/login", &json!({"email": email, "password": password})).await
    }
}

/// Encodes every byte but letters and digits.
fn url_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

impl TestApp {
    /// Makes a link for a user: the token.
    pub async fn link(&self, user: &str) -> String {
        let made = self.owner.post("/api/v2/users/password_links", &json!({"users": [{"user": user}]})).await;
        assert_eq!(made.status, 200, "{}", made.text);
        made.json()["results"][0]["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    }

    /// Sets a user's password with a link, in a new browser, which is signed in.
    pub async fn signed_in_by_link(&self, user: &str) -> Browser {
        let (token, browser) = (self.link(user).await, Browser::of(self));
        let used =
            browser.post("/api/v2/users/reset_password", &json!({"token": token, "new_password": PASSWORD})).await;
        assert_eq!(used.status, 200, "{}", used.text);
        browser
    }

    /// Creates a collaborator who has chosen [`PASSWORD`], and a browser in which they are signed in: the user's ID and the browser.
    pub async fn signed_in(&self, email: &str) -> (String, Browser) {
        let created = self.owner.create(&json!([with_password(email, "")])).await;
        assert_eq!(created.status, 200, "{}", created.text);
        let user_id = created.json()["results"][0]["user_id"].as_str().unwrap().to_owned();
        (user_id, self.signed_in_by_link(email).await)
    }
}
