//! An identity provider that follows a script: by default it behaves, and each test makes it misbehave in one way.

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use muster::caller::Caller;
use muster::config::Config;
use muster::secret::Secret;
use muster::sso::{self, ClientSecrets, ProviderSettings};
use reqwest::Url;
use ring::rand::SystemRandom;
use ring::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::browser::Browser;
use super::{Answer, TestApp};

/// The client's secret, with characters that have to be encoded.
pub const SECRET: &str = "s3cret:of/the client+100%";

/// What the provider does.
pub struct Script {
    /// Members of the metadata that differ; null removes one.
    pub metadata: Value,
    /// Claims of ID tokens that differ; null removes one.
    pub claims: Value,
    /// The header of ID tokens.
    pub header: Value,
    /// The key that signs (0 or 1), and the keys that are published.
    pub signer: usize,
    pub published: Vec<usize>,
    /// Whether the last character of a signature is changed.
    pub breaks_signatures: bool,
    pub userinfo: Option<Value>,
    /// What the token endpoint answers instead.
    pub token: Option<(u16, Value)>,
    /// The client secrets that are accepted.
    pub secrets: Vec<String>,
    /// How long every answer takes.
    pub delay: Duration,
    /// The header `Date` of metadata, if it is not the current time.
    pub date: Option<&'static str>,
    /// The status of metadata and keys.
    pub status: u16,
    /// The requests, by path.
    pub requests: BTreeMap<String, usize>,
    codes: HashMap<String, HashMap<String, String>>,
}

/// A running provider.
pub struct Idp {
    pub issuer: String,
    script: Arc<Mutex<Script>>,
    server: actix_web::dev::ServerHandle,
}

impl Drop for Idp {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

impl Idp {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let script = Script {
            metadata: json!({}),
            claims: json!({}),
            header: json!({ "alg": "RS256", "kid": "key-0" }),
            signer: 0,
            published: vec![0],
            breaks_signatures: false,
            userinfo: None,
            token: None,
            secrets: vec![SECRET.to_owned()],
            delay: Duration::ZERO,
            date: None,
            status: 200,
            requests: BTreeMap::new(),
            codes: HashMap::new(),
        };
        let script = Arc::new(Mutex::new(script));
        let (served, base) = (Arc::clone(&script), issuer.clone());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let server = HttpServer::new(move || {
                    let (script, issuer) = (Arc::clone(&served), base.clone());
                    App::new().default_service(web::to(move |request: HttpRequest, body: web::Bytes| {
                        let (script, issuer) = (Arc::clone(&script), issuer.clone());
                        async move {
                            let delay = script.lock().unwrap().delay;
                            tokio::time::sleep(delay).await;
                            answer(&mut script.lock().unwrap(), &issuer, &request, &body)
                        }
                    }))
                });
                let server = server.workers(1).disable_signals().listen(listener).unwrap().run();
                tell.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self { issuer, script, server: told.recv().unwrap() }
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    pub fn requests(&self, path: &str) -> usize {
        self.script().requests.get(path).copied().unwrap_or_default()
    }

    /// Adds this provider to the default organization, with the name `one`.
    pub async fn add_to(&self, app: &TestApp, change: impl FnOnce(&mut ProviderSettings)) {
        let mut settings = ProviderSettings::new("Our <IdP>", &self.issuer, "muster");
        settings.domains = vec!["example.com".to_owned()];
        change(&mut settings);
        let secrets = ClientSecrets { first: Some(Secret::new(SECRET)), second: None };
        let operator = muster::organizations::operator(&app.app).await.unwrap();
        sso::create(&app.app, &operator, &"one".parse().unwrap(), settings, &secrets).await.unwrap();
    }

    /// What the person does at the provider: agrees. The query with which the browser comes back.
    pub fn agree(&self, location: &str) -> String {
        let url = Url::parse(location).unwrap();
        assert!(location.starts_with(&format!("{}/authorize?", self.issuer)), "{location}");
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((query["response_type"].as_str(), query["code_challenge_method"].as_str()), ("code", "S256"));
        let code = format!("code {}/+&", query["state"].chars().take(8).collect::<String>());
        let state = query["state"].clone();
        self.script().codes.insert(code.clone(), query);
        let mut back = Url::parse("http://localhost/").unwrap();
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &state).append_pair("iss", &self.issuer);
        back.query().unwrap().to_owned()
    }

    /// Signs a token with claims of its own.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        sign(header, claims, self.script().signer)
    }
}

/// The way of a browser through the provider.
pub const START: &str = "/sso/default/one/start";
pub const CALLBACK: &str = "/sso/default/one/callback";

impl Browser {
    /// Begins a sign-in: the address at the provider.
    pub async fn depart(&self, start: &str) -> String {
        let started = self.get(start).await;
        assert_eq!(started.status, 303, "{}", started.text);
        started.header("location").to_owned()
    }

    /// Signs in through a provider.
    pub async fn sign_in_at(&self, idp: &Idp) -> Answer {
        let location = self.depart(START).await;
        self.get(&format!("{CALLBACK}?{}", idp.agree(&location))).await
    }
}

/// A server with settings for single sign-on with a provider on this machine.
pub async fn spawn_for_sso() -> TestApp {
    TestApp::spawn_with(configure_for_sso).await
}

/// Sets what single sign-on with a provider on this machine needs.
pub fn configure_for_sso(config: &mut Config) {
    config.server.public_url = "http://127.0.0.1".to_owned();
    config.secrets.seal_key = Secret::new("a seal key that is long enough for the tests");
}

/// The local operator of a server.
pub async fn operator(app: &TestApp) -> Caller {
    muster::organizations::operator(&app.app).await.unwrap()
}

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

fn merge(mut base: Value, changes: &Value) -> Value {
    let members = base.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    base
}

fn key(number: usize) -> RsaKeyPair {
    let keys: [&[u8]; 2] = [include_bytes!("idp_1.pk8"), include_bytes!("idp_2.pk8")];
    RsaKeyPair::from_pkcs8(keys[number]).unwrap()
}

fn sign(header: &Value, claims: &Value, signer: usize) -> String {
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let key = key(signer);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn answer(script: &mut Script, issuer: &str, request: &HttpRequest, body: &[u8]) -> HttpResponse {
    *script.requests.entry(request.path().to_owned()).or_default() += 1;
    let status = actix_web::http::StatusCode::from_u16(script.status).unwrap();
    match request.path() {
        "/.well-known/openid-configuration" => {
            let metadata = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/jwks"),
                "userinfo_endpoint": format!("{issuer}/userinfo"),
                "end_session_endpoint": format!("{issuer}/logout"),
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                "authorization_response_iss_parameter_supported": true,
            });
            let mut response = HttpResponse::build(status);
            if let Some(date) = script.date {
                response.insert_header(("date", date));
            }
            response.insert_header(("location", "/elsewhere")).json(merge(metadata, &script.metadata))
        }
        "/jwks" => {
            let jwks = script.published.iter().map(|number| {
                let key = RsaPublicKeyComponents::<Vec<u8>>::from(key(*number).public_key());
                json!({
                    "kty": "RSA", "kid": format!("key-{number}"), "use": "sig",
                    "n": URL_SAFE_NO_PAD.encode(&key.n), "e": URL_SAFE_NO_PAD.encode(&key.e),
                })
            });
            HttpResponse::build(status)
                .content_type("text/plain")
                .body(json!({ "keys": jwks.collect::<Vec<_>>() }).to_string())
        }
        "/token" => token(script, issuer, request, body),
        "/userinfo" => match &script.userinfo {
            Some(claims)
                if request.headers().get("authorization").is_some_and(|token| token == "Bearer the-access-token") =>
            {
                HttpResponse::Ok().json(claims)
            }
            _ => HttpResponse::Unauthorized().finish(),
        },
        _ => HttpResponse::NotFound().finish(),
    }
}

fn token(script: &mut Script, issuer: &str, request: &HttpRequest, body: &[u8]) -> HttpResponse {
    if let Some((status, body)) = &script.token {
        return HttpResponse::build(actix_web::http::StatusCode::from_u16(*status).unwrap()).json(body);
    }
    let decode = |text: &str| -> HashMap<String, String> {
        Url::parse(&format!("http://localhost/?{text}")).unwrap().query_pairs().into_owned().collect()
    };
    let form = decode(std::str::from_utf8(body).unwrap());
    let basic = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let basic = STANDARD.decode(basic.strip_prefix("Basic ").unwrap_or_default()).unwrap();
    let basic = String::from_utf8(basic).unwrap();
    let (client, secret) = basic.split_once(':').unwrap_or_default();
    let part = |text: &str| decode(&format!("x={text}")).remove("x").unwrap_or_default();
    if part(client) != "muster" || !script.secrets.contains(&part(secret)) {
        return HttpResponse::Unauthorized().json(json!({ "error": "invalid_client" }));
    }
    let Some(asked) = script.codes.remove(form.get("code").map_or("", String::as_str)) else {
        return HttpResponse::BadRequest().json(json!({ "error": "invalid_grant" }));
    };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    if challenge != asked["code_challenge"] || form["redirect_uri"] != asked["redirect_uri"] {
        return HttpResponse::BadRequest().json(json!({ "error": "invalid_grant" }));
    }
    let claims = json!({
        "iss": issuer, "aud": "muster", "sub": "ada-1", "nonce": asked["nonce"], "iat": now(), "exp": now() + 300,
        "auth_time": now(), "sid": "idp-session", "email": "ada@example.com", "email_verified": true,
        "given_name": "Ada", "family_name": "Lovelace",
    });
    let mut id_token = sign(&script.header, &merge(claims, &script.claims), script.signer);
    if script.breaks_signatures {
        let at = id_token.rfind('.').unwrap() + 1;
        let changed = if &id_token[at..=at] == "A" { "B" } else { "A" };
        id_token.replace_range(at..=at, changed);
    }
    HttpResponse::Ok().json(json!({ "token_type": "bearer", "access_token": "the-access-token", "id_token": id_token, "refresh_token": "r" }))
}
