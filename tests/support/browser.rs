//! A browser: it keeps cookies, and says where its requests come from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Actor, Answer, TestApp, with_password};

pub const SESSION: &str = "__Host-Http-muster";
pub const DEVICE: &str = "__Host-Http-muster-device";

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A password that satisfies the policy.
pub const PASSWORD: &str = "tidal-anchor-Plum-91";

/// A client that keeps the cookies that it gets. Clones share them.
#[derive(Clone)]
pub struct Browser {
    client: reqwest::Client,
    origin: String,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Browser {
    pub fn of(app: &TestApp) -> Self {
        Self::at_address(app.address)
    }

    /// A browser at the server with this address. It follows no redirects.
    pub fn at_address(address: SocketAddr) -> Self {
        // Sets up TLS, which the client needs to start.
        let _ = Actor::new(address, None);
        let client =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).user_agent(AGENT);
        Self::with_client(client.build().unwrap(), format!("http://{address}"))
    }

    /// A browser that opens pages of this origin with its own client, which must follow no redirects.
    pub fn with_client(client: reqwest::Client, origin: String) -> Self {
        Self { client, origin, cookies: Arc::default() }
    }

    /// The same browser, with a copy of its cookies, at another server.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { cookies: Arc::new(Mutex::new(self.cookies.lock().unwrap().clone())), ..Self::at_address(address) }
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn cookie_names(&self) -> Vec<String> {
        self.cookies.lock().unwrap().keys().cloned().collect()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    pub fn clear_cookies(&self) {
        self.cookies.lock().unwrap().clear();
    }

    /// A request with all cookies, from a page of the server.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.bare(method, path).header("origin", &self.origin).header("sec-fetch-site", "same-origin")
    }

    /// A request with all cookies.
    pub fn bare(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.origin));
        let request = request.header("accept", "text/html,*/*;q=0.8");
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
            for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age="] {
                assert!(cookie.contains(attribute), "{cookie}");
            }
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
        self.send(self.bare("GET", path)).await
    }

    /// Sends a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.request("POST", path).header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }

    /// Sends a form.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(form(self.request("POST", path), fields)).await
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> Answer {
        self.post("/api/v2/users/login", &json!({"email": email, "password": password})).await
    }

    /// Signs in on the page, and follows the redirects to the page at the end. Returns its path.
    pub async fn sign_in_on_page(&self, email: &str, password: &str, return_to: &str) -> String {
        let fields = [("email", email), ("password", password), ("return_to", return_to)];
        let answer = self.submit("/sign-in", &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let answer = self.get(&format!("/{}", answer.header("location"))).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        answer.header("location").to_owned()
    }
}

/// A form with these fields.
pub fn form(request: reqwest::RequestBuilder, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    request.header("content-type", "application/x-www-form-urlencoded").body(body.join("&"))
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
