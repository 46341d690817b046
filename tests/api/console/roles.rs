//! Who gets which page.

use serde_json::{Value, json};

use super::import::upload;
use super::{Browser, PASSWORD, TestApp, heading, owner, spawn, user};
use crate::support::idp::{Idp, configure_for_sso};
use crate::tenants::other_owner;

/// The paths of all pages, from the table of routes.
fn paths() -> Vec<&'static str> {
    let table = include_str!("../../../src/http/console/mod.rs");
    let paths = table.split("resource(").skip(1).map(|resource| resource.split('"').nth(1).unwrap());
    paths.filter(|path| path.starts_with("/console")).collect()
}

/// Requirement U-105. The status of each page for (a collaborator, an owner, an owner of another organization).
fn expected(path: &str) -> (u16, u16, u16) {
    match path {
        "/console/find" => (303, 303, 303),
        "/console" | "/console/people" => (200, 200, 200),
        "/console/people/{user_id}" => (200, 200, 404),
        "/console/people/{user_id}/edit" | "/console/people/{user_id}/link" => (403, 200, 404),
        "/console/people/{user_id}/{doing}" => (403, 200, 404),
        "/console/people/changes" => (403, 200, 200),
        "/console/people/changes/{draft_id}" => (403, 404, 404),
        // Without the kind of file.
        "/console/people/export" => (400, 400, 400),
        // A list that nobody has.
        "/console/people/review/{draft_id}" => (403, 404, 404),
        "/console/audit" => (403, 200, 200),
        // Without the kind of file.
        "/console/audit/export" => (403, 400, 400),
        "/console/audit/{event_id}" => (403, 200, 404),
        "/console/groups" => (403, 200, 200),
        "/console/groups/{group_id}" => (403, 200, 404),
        "/console/groups/{group_id}/policy" => (403, 200, 404),
        "/console/groups/{group_id}/members"
        | "/console/groups/{group_id}/rename"
        | "/console/groups/{group_id}/delete" => (405, 405, 405),
        "/console/invitations" | "/console/invitations/new" => (403, 200, 200),
        "/console/invitations/{invitation_id}" => (403, 200, 404),
        "/console/providers" => (403, 200, 200),
        "/console/providers/{provider}" => (403, 200, 404),
        // Owners don't configure providers on this server.
        "/console/providers/{provider}/{doing}" => (403, 403, 404),
        "/console/providers/{provider}/test" => (405, 405, 405),
        "/console/sessions" | "/console/sessions/end" => (403, 200, 200),
        "/console/batches" => (403, 200, 200),
        "/console/batches/{batch_id}" | "/console/batches/{batch_id}/undo" | "/console/batches/{batch_id}/links" => {
            (403, 200, 404)
        }
        // Takes only forms.
        "/console/shortcuts" => (405, 405, 405),
        "/console/people/{user_id}/sessions" | "/console/batches/{batch_id}/cancel" => (405, 405, 405),
        "/console/import" | "/console/import/template.csv" => (403, 200, 200),
        "/console/keys" | "/console/keys/new" => (200, 200, 200),
        "/console/keys/{key_id}" | "/console/keys/{key_id}/rotate" | "/console/keys/{key_id}/revoke" => (403, 200, 404),
        "/console/services" | "/console/settings" | "/console/settings/sign-in" => (403, 200, 200),
        "/console/services/{user_id}" => (403, 200, 404),
        "/console/settings/name" | "/console/settings/keys" => (405, 405, 405),
        "/console/import/{draft_id}" => (403, 303, 404),
        "/console/import/{draft_id}/columns" | "/console/import/{draft_id}/wrong.csv" => (403, 200, 404),
        "/console/import/{draft_id}/rows" | "/console/import/{draft_id}/review" => (403, 200, 404),
        // Takes only forms.
        "/console/import/{draft_id}/discard" => (405, 405, 405),
        "/console/{rest:.*}" => (404, 404, 404),
        other => panic!("say who gets {other}"),
    }
}

async fn signed_in(app: &TestApp, email: &str) -> Browser {
    let browser = Browser::of(app);
    browser.sign_in_on_page(email, PASSWORD, "").await;
    browser
}

#[tokio::test]
async fn every_page_is_for_whom_it_is_for() {
    let app = TestApp::spawn_with(|config| {
        configure_for_sso(config);
        config.passwords.must_change = false;
    })
    .await;
    Idp::start().await.add_to(&app, |_| {}).await;
    let owner = owner(&app).await;
    user(&app, "cleo@example.com", "collaborator").await;
    let subject = user(&app, "ada@example.com", "collaborator").await;
    let collaborator = signed_in(&app, "cleo@example.com").await;
    let group = app.owner.post("/api/v2/user_groups/", &json!({"name": "Turbines"})).await.json();
    let group = group["result"]["id"].as_str().unwrap().to_owned();
    let key = app.owner.post("/api/v2/api_keys", &json!({"name": "nightly"})).await.json();
    let key = key["result"]["key_id"].as_str().unwrap().to_owned();
    let service = app.owner.post("/api/v2/users/service_accounts?name=importer", &Value::Null).await.json();
    let service = service["result"]["user_id"].as_str().unwrap().to_owned();
    let batch = app.owner.get("/api/v2/batches").await.json()["results"][0]["batch_id"].as_str().unwrap().to_owned();

    let invited =
        app.owner.post("/api/v2/organization_invitations/", &json!({"email": "max@example.com"})).await.json();
    let invitation = invited["result"]["id"].as_str().unwrap().to_owned();

    let suspended_id = user(&app, "sam@example.com", "owner").await;
    let suspended = signed_in(&app, "sam@example.com").await;
    let path = format!("/api/v2/users/{suspended_id}/suspend");
    assert_eq!(app.owner.post(&path, &Value::Null).await.status, 200);
    user(&app, "eve@example.com", "owner").await;
    let ended = signed_in(&app, "eve@example.com").await;
    let kept = ended.at(app.address);
    assert_eq!(ended.submit("/sign-out", &[]).await.status, 303);

    let elsewhere = other_owner(&app).await;
    let otto = json!([{
        "name": "Otto", "email": "otto@example.com", "is_sso_user": false, "password": PASSWORD, "permission_level": "owner",
    }]);
    assert_eq!(elsewhere.create(&otto).await.status, 200);
    let other = Browser::of(&app);
    let credentials = json!({"email": "otto@example.com", "password": PASSWORD, "organization_id": "other"});
    assert_eq!(other.post("/api/v2/users/login", &credentials).await.status, 200);

    let event = app.owner.get("/api/v2/audit/events?count=1").await.json()["results"][0]["event_id"].clone();
    let uploaded = upload(&owner, "people.csv", b"name,email,is_sso_user\nAda,new@example.com,true\n").await;
    let draft = uploaded.header("location").split('/').find(|part| part.starts_with("draft_")).unwrap().to_owned();
    for template in paths() {
        let path = template
            .replace("{draft_id}", &draft)
            .replace("{event_id}", event.as_str().unwrap())
            .replace("{group_id}", &group)
            .replace("{batch_id}", &batch)
            .replace("/policy", "/policy?role=owner")
            .replace("/settings/sign-in", "/settings/sign-in?policy=off")
            .replace("{key_id}", &key)
            .replace("/services/{user_id}", &format!("/services/{service}"))
            .replace("{user_id}", &subject)
            .replace("{invitation_id}", &invitation)
            .replace("/providers/{provider}/{doing}", "/providers/{provider}/disable")
            .replace("{provider}", "one")
            .replace("{doing}", "suspend")
            .replace("{rest:.*}", "nothing/here");
        let (for_collaborator, for_owner, for_other) = expected(template);
        for (who, browser, status) in [
            ("collaborator", &collaborator, for_collaborator),
            ("owner", &owner, for_owner),
            ("other", &other, for_other),
        ] {
            let page = browser.get(&path).await;
            assert_eq!(page.status, status, "{who} at {path}: {}", page.text);
            if (400..500).contains(&status) && status != 405 {
                // Inside the frame.
                assert!(page.text.contains("<nav class=\"nav\" id=\"nav\""), "{who} at {path}: {}", page.text);
                assert!(!page.text.contains("ada@"), "{who} at {path}: {}", page.text);
            }
        }
        for (who, browser) in [("anonymous", &Browser::of(&app)), ("suspended", &suspended), ("ended", &kept)] {
            let page = browser.get(&path).await;
            if expected(template).0 == 405 {
                assert_eq!(page.status, 405, "{who} at {path}");
                continue;
            }
            let encoded = path.replace('/', "%2F").replace('?', "%3F").replace('=', "%3D");
            let start = "../".repeat(path.matches('/').count() - 1);
            let location = format!("{start}sign-in?return_to={encoded}");
            assert_eq!((page.status, page.header("location")), (303, location.as_str()), "{who} at {path}");
        }
    }
}

/// An ID of another organization and one of nobody get the same page.
#[tokio::test]
async fn people_of_other_organizations_are_unknown() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let elsewhere = other_owner(&app).await;
    let created = elsewhere.create(&json!([{"name": "Otto", "email": "otto@example.com", "is_sso_user": true}])).await;
    let id = created.json()["results"][0]["user_id"].as_str().unwrap().to_owned();
    let nobody = format!("{}0", &id[..id.len() - 1]);
    let mut pages = Vec::new();
    for id in [&id, &nobody] {
        let page = owner.get(&format!("/console/people/{id}")).await;
        assert_eq!((page.status, heading(&page)), (404, "Page not found"));
        let request_id = page.header("x-request-id").to_owned();
        pages.push(page.text.replace(id.as_str(), "ID").replace(&request_id, "REQUEST"));
    }
    assert_eq!(pages[0], pages[1]);
}

/// Requirement U-29: who may not do something reads whom to ask, and the denial is recorded.
#[tokio::test]
async fn a_collaborator_reads_whom_to_ask() {
    let app = spawn().await;
    owner(&app).await;
    user(&app, "cleo@example.com", "collaborator").await;
    let subject = user(&app, "ada@example.com", "collaborator").await;
    let cleo = signed_in(&app, "cleo@example.com").await;
    let page = cleo.get(&format!("/console/people/{subject}")).await;
    let main = page.text.split_once("<main").unwrap().1;
    for absent in ["Suspend", "Edit", "Sessions", "API keys", "Sign-in method", "Delete"] {
        assert!(!main.contains(absent), "{absent} in {main}");
    }
    let page = cleo.get(&format!("/console/people/{subject}/suspend")).await;
    assert_eq!((page.status, heading(&page)), (403, "Not permitted"));
    assert!(page.text.contains("Your owners are ") && page.text.contains("<bdi>Ada Lovelace</bdi>"), "{}", page.text);
    let events = app.owner.get("/api/v2/audit/events?action=user.suspend").await.json();
    assert_eq!(events["results"][0]["outcome"], "denied", "{events}");
}

/// Requirement U-3.
#[tokio::test]
async fn the_root_leads_owners_to_the_console_and_others_to_their_account() {
    let app = spawn().await;
    let owner = owner(&app).await;
    user(&app, "cleo@example.com", "collaborator").await;
    let cleo = signed_in(&app, "cleo@example.com").await;
    for (browser, location) in [(&owner, "console"), (&cleo, "account"), (&Browser::of(&app), "account")] {
        let page = browser.get("/").await;
        assert_eq!((page.status, page.header("location")), (303, location));
    }
    // An address that the vendor's client prints.
    let page = owner.get("/collaborators").await;
    assert_eq!((page.status, page.header("location")), (303, "console/people"));
    for (q, location) in [
        ("", "../console/people"),
        ("ada%40example.com", "../console/people?q=ada%40example%2Ecom"),
        ("evt_01k9h6m3x0e8wbz1v5n7q2r4t6", "../console/audit/evt_01k9h6m3x0e8wbz1v5n7q2r4t6"),
        ("req_01k9h6m3x0e8wbz1v5n7q2r4t6", "../console/audit?request=req_01k9h6m3x0e8wbz1v5n7q2r4t6"),
    ] {
        let page = owner.get(&format!("/console/find?q={q}")).await;
        assert_eq!((page.status, page.header("location")), (303, location));
    }
}

/// Requirement U-12.
#[tokio::test]
async fn browsers_load_nothing_but_what_this_server_has() {
    let app = spawn().await;
    let owner = owner(&app).await;
    let page = owner.get("/console/people").await;
    assert_eq!(
        page.header("content-security-policy"),
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "same-origin");
    assert!(page.header("permissions-policy").contains("clipboard-write=(self)"));
    // The first view takes few requests and few bytes.
    let assets: Vec<&str> =
        page.text.split(['"', '\'']).filter(|text| text.starts_with("../assets/")).map(|text| &text[2..]).collect();
    assert_eq!(assets.len(), 3, "{assets:?}");
    let mut bytes = page.text.len();
    for asset in assets {
        let file = app.anonymous().get(asset).await;
        assert_eq!(file.status, 200, "{asset}");
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        bytes += file.text.len();
    }
    assert!(bytes <= 60_000, "{bytes} bytes");
}
