//! Requests with the cookie of a session that a page of another site causes (S-25): every route that changes something, with all
//! headers that a browser can send.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use muster::clock::Clock;
use muster::id::{Id, SsoIdentity};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::console::hidden;
use crate::coverage::{body, operations, with_account, with_ids, with_mail};
use crate::pages::heading;
use crate::support::browser::{Browser, PASSWORD};
use crate::support::gate::eventually;
use crate::support::{Actor, Answer, TestApp};

/// Routes at which no cookie counts: usage reports are discarded, and an invitation is accepted with the token of its link.
const NO_COOKIE: [&str; 3] = ["cli_usage", "invitation_accept", "invitation_page_accept"];

/// Forms that other sites may send: an application may begin a sign-in, and the identity provider ends sessions with a signed token.
const OF_OTHER_SITES: [&str; 2] =
    ["/sso/{organization}/{provider}/start", "/sso/{organization}/{provider}/backchannel-logout"];

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// What a route reads as its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Nothing,
    Json,
    Form,
}

/// A request that changes something.
#[derive(Clone, Debug)]
struct Change {
    id: String,
    method: String,
    path: String,
    body: String,
    reads: Reads,
}

/// The headers with which a browser says where a request comes from.
#[derive(Clone, Debug)]
struct Source {
    site: Option<&'static str>,
    origin: Option<String>,
}

impl Source {
    /// Whether it is a page of this server, at `own`.
    fn is_own(&self, own: &str) -> bool {
        match self.site {
            Some(site) => site == "same-origin",
            None => self.origin.as_deref() == Some(own),
        }
    }
}

/// All that a browser can say.
fn sources(own: &str) -> Vec<Source> {
    let origins = [
        Some(own.to_owned()),
        Some("https://elsewhere.example".to_owned()),
        Some(own.replace("http://", "https://")),
        Some(format!("{own}0")),
        Some("null".to_owned()),
        None,
    ];
    let sites = [Some("same-origin"), Some("same-site"), Some("cross-site"), Some("none"), None];
    sites.into_iter().flat_map(|site| origins.clone().map(|origin| Source { site, origin })).collect()
}

/// The forms of the pages, from the table of routes: what the OpenAPI description does not have.
fn forms() -> Vec<String> {
    let tables = [include_str!("../../src/http/mod.rs"), include_str!("../../src/http/console/mod.rs")];
    let mut forms = Vec::new();
    for resource in tables.iter().flat_map(|table| table.split("resource(").skip(1)) {
        let Some((path, rest)) = resource.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')) else {
            continue;
        };
        let endpoints = rest.split_once(']').unwrap().0;
        let methods = endpoints.split("endpoint(").skip(1).map(|endpoint| endpoint.trim_start_matches("Method::"));
        if methods.into_iter().any(|method| !method.starts_with("Read,") && !method.starts_with("Get,")) {
            forms.push(path.to_owned());
        }
    }
    assert!(forms.contains(&"/sign-in".to_owned()) && forms.len() > OF_OTHER_SITES.len(), "{forms:?}");
    forms
}

/// A form that is accepted, and what it refers to.
async fn form(app: &TestApp, path: &str) -> Change {
    let (target, body) = match path {
        "/sign-in" => {
            let email = with_account(app).await;
            app.signed_in_by_link(&email).await;
            (path.to_owned(), format!("email={email}&password={PASSWORD}"))
        }
        "/sign-out" => (path.to_owned(), String::new()),
        "/password/forgot" => (path.to_owned(), format!("email={}", with_account(app).await)),
        "/password/{token}" => {
            let token = app.link(&with_account(app).await).await;
            (path.replace("{token}", &token), format!("password={PASSWORD}"))
        }
        "/account/password" => {
            (path.to_owned(), format!("current_password={PASSWORD}&new_password=another-Harbor-Quill-27"))
        }
        "/account/sessions/end" => (path.to_owned(), String::new()),
        "/account/sessions/{session_id}/end" => (with_ids(app, path, "session_end").await, String::new()),
        "/account/identities/{provider}/link" => (with_ids(app, path, "sso_provider_test").await, String::new()),
        "/account/identities/{identity_id}/unlink" => {
            (path.replace("{identity_id}", &linked(app).await), String::new())
        }
        "/login/{otp}" => (with_ids(app, path, "login_approve").await, "answer=approve".to_owned()),
        "/console/shortcuts" => (path.to_owned(), "keys=off&return_to=/console".to_owned()),
        "/console/people" => (path.to_owned(), format!("action=suspend&user={}", person(app).await)),
        // Only denials: what follows needs a draft of the browser.
        draft if is_of_draft(draft) => (path.replace("{draft_id}", "dra_01k9h6m3x0e8wbz1v5n7q2r4t6"), "x=y".to_owned()),
        "/console/people/{user_id}/edit" => {
            let path = path.replace("{user_id}", &person(app).await);
            let fields = "name=Ada&lastname=&title=Countess&expires_at=&email=edited@example.com";
            (path.clone(), format!("revision={}&{fields}", hidden(&owner(app).await.get(&path).await, "revision")))
        }
        "/console/people/{user_id}/sessions" => (path.replace("{user_id}", &person(app).await), "end=all".to_owned()),
        "/console/people/{user_id}/link" => (path.replace("{user_id}", &person(app).await), "send=yes".to_owned()),
        "/console/people/{user_id}/{doing}" => {
            let path = path.replace("{user_id}", &person(app).await).replace("{doing}", "suspend");
            (path.clone(), format!("revision={}", hidden(&owner(app).await.get(&path).await, "revision")))
        }
        "/console/keys/new" => {
            let form = owner(app).await.get(path).await;
            (path.to_owned(), format!("form={}&name=nightly", hidden(&form, "form")))
        }
        "/console/keys/{key_id}/rotate" => (with_ids(app, path, "key_rotate").await, "latest=&hours=1".to_owned()),
        "/console/keys/{key_id}/revoke" => (with_ids(app, path, "key_revoke").await, "scope=one".to_owned()),
        "/console/services" => (path.to_owned(), "name=of-a-form".to_owned()),
        "/console/settings/name" => (path.to_owned(), "name=Renamed".to_owned()),
        "/console/settings/keys" => (path.to_owned(), "days=300".to_owned()),
        "/console/settings/sign-in" => (path.to_owned(), "policy=optional".to_owned()),
        "/console/groups" => (path.to_owned(), "name=Turbines".to_owned()),
        "/console/groups/{group_id}/members" => {
            (with_ids(app, path, "group_update").await, format!("add={}", with_account(app).await))
        }
        "/console/groups/{group_id}/rename" => (with_ids(app, path, "group_update").await, "name=Blades".to_owned()),
        "/console/groups/{group_id}/delete" => {
            app.owner.post("/api/v2/user_groups/", &json!({"name": "to-be-deleted"})).await;
            let groups = app.owner.get("/api/v2/user_groups/").await.json();
            let mut groups = groups["results"].as_array().unwrap().iter();
            let id = groups.find(|group| group["name"] == "to-be-deleted").unwrap()["id"].as_str().unwrap();
            (path.replace("{group_id}", id), "confirm=to-be-deleted".to_owned())
        }
        "/console/groups/{group_id}/policy" => {
            let path = with_ids(app, path, "group_update").await;
            let shown = owner(app).await.get(&format!("{path}?role=owner")).await;
            let plan = hidden(&shown, "plan").to_owned();
            (path, format!("role=owner&plan={plan}"))
        }
        "/console/invitations/new" => {
            let review = owner(app).await.submit(path, &[("addresses", "elsewhere@example.com")]).await;
            (path.to_owned(), format!("addresses=elsewhere@example.com&plan={}", hidden(&review, "plan")))
        }
        "/console/invitations/{invitation_id}" => {
            (with_ids(app, path, "invitation_get").await, "revoke=yes".to_owned())
        }
        "/console/providers/{provider}/test" => (with_ids(app, path, "sso_provider_test").await, "test=yes".to_owned()),
        "/console/providers/{provider}/{doing}" => {
            (with_ids(app, &path.replace("{doing}", "disable"), "sso_provider_test").await, "confirm=".to_owned())
        }
        "/console/sessions" => {
            let form = with_ids(app, "end={session_id}", "session_end").await;
            (path.to_owned(), form)
        }
        "/console/sessions/end" => (path.to_owned(), format!("user={}", person(app).await)),
        "/console/batches/{batch_id}/cancel" => (with_ids(app, path, "batch_undo").await, "x=y".to_owned()),
        "/console/batches/{batch_id}/undo" => (with_ids(app, path, "batch_undo").await, "confirm=1".to_owned()),
        "/console/batches/{batch_id}/links" => {
            with_account(app).await;
            let latest = app.owner.get("/api/v2/batches?count=1").await.json();
            (path.replace("{batch_id}", latest["results"][0]["batch_id"].as_str().unwrap()), "as=page".to_owned())
        }
        other => panic!("add the fields of {other} here"),
    };
    let reads = if body.is_empty() { Reads::Nothing } else { Reads::Form };
    Change { id: path.to_owned(), method: "POST".to_owned(), path: target, body, reads }
}

/// Whether a form belongs to unfinished work in this browser, or begins it with a file; its own tests send it.
fn is_of_draft(path: &str) -> bool {
    path == "/console/import" || path == "/console/people/changes" || path.contains("{draft_id}")
}

/// Creates a person with an account of their own: the ID.
async fn person(app: &TestApp) -> String {
    let email = with_account(app).await;
    let found = app.owner.get(&format!("/api/v2/organization_collaborators/?email={email}")).await.json();
    found["results"][0]["user_id"].as_str().unwrap().to_owned()
}

/// Links an identity to the account of the owner: the ID.
async fn linked(app: &TestApp) -> String {
    with_ids(app, "/{provider}", "sso_provider_test").await;
    app.db_execute(
        "insert into sso_identities (organization_id, identity_id, provider_id, issuer, subject, user_id, bound_at, bound_how)
         select organization_id, gen_random_uuid(), provider_id, issuer, 'linked', user_id, now(), 'account'
         from users join sso_providers using (organization_id)
         where email = 'administrator@muster.invalid' order by provider_id desc limit 1",
    )
    .await;
    let id: String = app.db_value("select identity_id::text from sso_identities where subject = 'linked'").await;
    Id::<SsoIdentity>::from_uuid(id.parse().unwrap()).to_string()
}

/// Every request that changes something, each with what it refers to.
async fn changes(app: &TestApp) -> Vec<Change> {
    let document = serde_json::to_value(muster::http::openapi_document()).unwrap();
    let mut changes = Vec::new();
    for (method, template, id, _) in operations() {
        if method == "GET" || NO_COOKIE.contains(&id.as_str()) {
            continue;
        }
        let content = &document["paths"][&template][method.to_lowercase()]["requestBody"]["content"];
        let reads = if content[JSON].is_null() { Reads::Nothing } else { Reads::Json };
        // A batch that is being created would change by itself.
        let state = if id == "batch_cancel" { "batch_undo" } else { &id };
        let path = with_ids(app, &template, state).await;
        changes.push(Change { body: body(app, &id).await, id, method, path, reads });
    }
    for path in forms() {
        if !OF_OTHER_SITES.contains(&path.as_str()) {
            changes.push(form(app, &path).await);
        }
    }
    changes
}

async fn send(browser: &Browser, change: &Change, source: &Source, media_type: &str) -> Answer {
    let request = browser.bare(&change.method, &change.path).header("content-type", media_type);
    let request = source.site.iter().fold(request, |request, site| request.header("sec-fetch-site", *site));
    let request = source.origin.iter().fold(request, |request, origin| request.header("origin", origin));
    Actor::send(request.body(change.body.clone())).await
}

/// A digest of each table, without denials in the audit log.
async fn digests(app: &TestApp) -> BTreeMap<String, String> {
    let mut connection = app.database.connect().await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(tables.len() > 15, "{tables:?}");
    let mut digests = BTreeMap::new();
    for table in tables {
        let condition = if table == "audit_events" { "where outcome = 'success'" } else { "" };
        let query =
            format!("select md5(coalesce(string_agg(t::text, ' ' order by t::text), '')) from {table} t {condition}");
        let digest = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap();
        digests.insert(table, digest);
    }
    digests
}

/// An owner in a browser.
async fn owner(app: &TestApp) -> Browser {
    let me = app.owner.get("/api/v2/userinfo/").await.json()["result"]["id"].as_str().unwrap().to_owned();
    app.signed_in_by_link(&me).await
}

/// S-25: 30 sources and 3 types of bodies for each route. What does not come from a page of this server gets 403 and writes nothing;
/// what does is accepted with the type that the route reads, and only with that.
#[tokio::test]
async fn only_pages_of_this_server_change_something_with_the_cookie() {
    // With a fixed time, no last use is recorded.
    let time = Arc::new(Mutex::new(chrono::Utc::now()));
    let app = TestApp::spawn_at(Clock::Manual(time), with_mail).await;
    let own = app.app.config.server.public_url.clone();
    let changes = changes(&app).await;
    assert!(changes.len() > 50, "{}", changes.len());
    let browser = owner(&app).await;
    eventually("the use of the key is recorded", async || {
        app.db_value::<bool>("select exists (select from api_keys where last_used_at is not null)").await
    })
    .await;

    let (others, ours): (Vec<Source>, Vec<Source>) = sources(&own).into_iter().partition(|source| !source.is_own(&own));
    assert_eq!((others.len(), ours.len()), (23, 7));
    let before = digests(&app).await;
    let requests = changes.iter().flat_map(|change| {
        others.iter().flat_map(move |source| [JSON, FORM, "text/plain"].map(|media_type| (change, source, media_type)))
    });
    let denied = futures_util::stream::iter(requests)
        .map(async |(change, source, media_type)| {
            let answer = send(&browser, change, source, media_type).await;
            let what = format!("{} {source:?} {media_type}", change.id);
            assert_eq!(answer.status, 403, "{what}: {}", answer.text);
            match change.id.starts_with('/') {
                true => assert_eq!(heading(&answer), "The request came from another site", "{what}"),
                false => {
                    let detail = "not permitted: the request does not come from a page of this server; open the page again, \
                                  and sign in there";
                    assert_eq!(answer.error(), json!({"code": "cross_site", "detail": detail}), "{what}");
                }
            }
            assert!(!answer.headers.contains_key("set-cookie"), "{what}");
        })
        .buffer_unordered(8)
        .count()
        .await;
    assert_eq!(denied, changes.len() * others.len() * 3);
    assert_eq!(digests(&app).await, before);

    let mut browser = browser;
    for mut change in changes {
        if is_of_draft(&change.id) {
            continue;
        }
        if change.id == "batch_cancel" {
            change.path = with_ids(&app, "/api/v2/batches/{batch_id}/cancel", "batch_cancel").await;
        }
        if change.id == "/console/groups/{group_id}/policy" {
            // A change before has changed the policy.
            change = form(&app, &change.id).await;
        }
        if change.id == "/console/batches/{batch_id}/cancel" {
            change.path = with_ids(&app, &change.id, "batch_cancel").await;
        }
        if change.id == "/account/identities/{provider}/link" {
            // A change before has turned single sign-on off.
            app.db_execute("delete from sign_in_policies").await;
        }
        if change.id.contains("password") || browser.get("/api/v2/userinfo/").await.status == 401 {
            // A change before has ended the session, or changed the password.
            browser = owner(&app).await;
        }
        let right = if change.reads == Reads::Form { FORM } else { JSON };
        if change.reads != Reads::Nothing {
            for media_type in [JSON, FORM, "text/plain"].into_iter().filter(|media_type| *media_type != right) {
                for source in &ours {
                    let status = send(&browser, &change, source, media_type).await.status;
                    assert_eq!(status, 415, "{} {source:?} {media_type}", change.id);
                }
            }
        }
        for (n, source) in ours.iter().enumerate() {
            let answer = send(&browser, &change, source, right).await;
            // What is done already can't be done again.
            assert!(n > 0 || answer.status < 400, "{} {source:?}: {} {}", change.id, answer.status, answer.text);
            assert!(
                ![403, 415].contains(&answer.status) || is_other_denial(&answer),
                "{} {source:?}: {}",
                change.id,
                answer.text
            );
        }
    }
}

/// Whether a denial has another reason than the source of the request.
fn is_other_denial(answer: &Answer) -> bool {
    let error = serde_json::from_str::<Value>(&answer.text).unwrap_or_default();
    error["error"]["code"].as_str().is_some_and(|code| code != "cross_site" && code != "unsupported_media_type")
}
