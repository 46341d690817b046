//! The console while clients leave, access ends, and other instances continue.

use muster::clock::Clock;
use muster::config::Config;
use muster::secret::Secret;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::gate::Gate;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, Answer, TestApp, migrated_database, sso};

/// An instance that is held at a step, another one, and an owner in a browser at the first.
async fn held_at(step: &'static str) -> (Gate, ServerProcess, TestApp, Browser, String) {
    let (database, gate) = (migrated_database().await, Gate::open(step));
    let key = "k".repeat(32);
    let share = |config: &mut Config| config.secrets.server_key = Secret::new(&key);
    let other = TestApp::spawn_on(database.clone(), Clock::System, share).await;
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&database)).env("MUSTER_SECRETS__SERVER_KEY", &key).envs([gate.variable()]);
    let held = ServerProcess::start(&mut command);
    let ingrid = json!([{
        "name": "Ingrid", "email": "ingrid@example.com", "password": "", "is_sso_user": false, "permission_level": "owner",
    }]);
    assert_eq!(other.owner.create(&ingrid).await.status, 200);
    let user_id: String = id(&other, "ingrid@example.com").await;
    let browser = other.signed_in_by_link("ingrid@example.com").await.at(held.address);
    (gate, held, other, browser, user_id)
}

async fn id(app: &TestApp, email: &str) -> String {
    let found = app.owner.get(&format!("/api/v2/organization_collaborators/?email={email}")).await.json();
    found["results"][0]["user_id"].as_str().unwrap().to_owned()
}

fn target(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text);
    format!("/{}", answer.header("location").trim_start_matches("../"))
}

fn revision(page: &Answer) -> String {
    page.text.split_once("name=\"revision\" value=\"").unwrap().1.split('"').next().unwrap().to_owned()
}

/// Two people, selected to be suspended: the path of the review, and the form.
async fn selected(app: &TestApp, browser: &Browser) -> (String, String) {
    assert_eq!(app.owner.create(&json!([sso("a@example.com"), sso("b@example.com")])).await.status, 200);
    let users = [id(app, "a@example.com").await, id(app, "b@example.com").await];
    let fields = [("user", users[0].as_str()), ("user", users[1].as_str()), ("action", "suspend")];
    let review = target(&browser.submit("/console/people", &fields).await);
    let page = browser.get(&review).await;
    (review, revision(&page))
}

async fn suspended(app: &TestApp) -> i64 {
    app.db_value("select count(*) from users where status = 'suspended' and is_sso_user").await
}

/// An owner who is suspended at another instance while their action is written changes nobody.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_loses_access_meanwhile_changes_nobody() {
    let (gate, _held, other, browser, owner) = held_at("change::written").await;
    let (review, revision) = selected(&other, &browser).await;
    gate.close();
    let acting = tokio::spawn({
        let (browser, review) = (browser.clone(), review.clone());
        async move { browser.submit(&review, &[("revision", &revision)]).await }
    });
    gate.reached().await;
    let path = format!("/api/v2/users/{owner}/suspend");
    let suspending = tokio::spawn({
        let actor = other.owner.clone();
        async move { actor.post(&path, &Value::Null).await }
    });
    // It waits for the action, or the action sees it: in either order, only one of them takes place.
    gate.release();
    let (acted, suspending) = (acting.await.unwrap(), suspending.await.unwrap());
    assert_eq!(suspending.status, 200, "{}", suspending.text);
    match acted.status {
        // It was committed before.
        303 => assert_eq!(suspended(&other).await, 2),
        401 => assert_eq!(suspended(&other).await, 0),
        other => panic!("{other}: {}", acted.text),
    }
    assert_eq!(browser.get(&review).await.status, 303, "the session is over");
}

/// Requirement U-106: a draft that was begun at one instance is corrected and created at another one.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_continued_at_another_instance() {
    let (_gate, _held, other, here, _) = held_at("change::written").await;
    let file = "name,email,is_sso_user\nAda,ada@example.com,true\nEve,eve@example.com,true\n";
    let head = "--end\r\nContent-Disposition: form-data; name=\"file\"; filename=\"people.csv\"\r\n\r\n";
    let body = format!("{head}{file}\r\n--end--\r\n");
    let request = here.request("POST", "/console/import").header("content-type", "multipart/form-data; boundary=end");
    let rows = target(&here.send(request.body(body)).await);
    let there = here.at(other.address);
    let page = there.get(&rows).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let list = rows.split("/rows").next().unwrap().trim_end_matches("/review").to_owned();
    let review = there.get(&format!("{list}/review")).await;
    assert_eq!(review.status, 200, "{}", review.text);
    let created =
        target(&there.submit(&format!("{list}/review"), &[("revision", &revision(&review)), ("domains", "yes")]).await);
    assert!(created.starts_with("/console/batches/bat_"), "{created}");
    // The first instance leads to the batch, whichever page of the list is opened.
    assert_eq!(target(&here.get(&list).await), created);
    assert_eq!(target(&here.get(&format!("{list}/review")).await), created);
    let page = here.get(&created).await;
    assert!(page.text.contains("<strong>2 people were created.</strong>"), "{}", page.text);
}

/// A form that is sent twice at the same time applies its file once, and both lead to what came of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_sent_twice_is_applied_once() {
    let (gate, _held, other, browser, _) = held_at("change::written").await;
    assert_eq!(other.owner.create(&json!([sso("a@example.com")])).await.status, 200);
    let head = "--end\r\nContent-Disposition: form-data; name=\"file\"; filename=\"people.csv\"\r\n\r\n";
    let body = format!("{head}email,title\na@example.com,Countess\n\r\n--end--\r\n");
    let request = browser.request("POST", "/console/people/changes");
    let request = request.header("content-type", "multipart/form-data; boundary=end").body(body);
    let review = target(&browser.send(request).await);
    let page = browser.get(&review).await;
    let revision = revision(&page);
    let plan = page.text.split_once("name=\"plan\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    gate.close();
    let first = tokio::spawn({
        let (browser, review, revision, plan) = (browser.clone(), review.clone(), revision.clone(), plan.clone());
        async move { browser.submit(&review, &[("revision", &revision), ("plan", &plan)]).await }
    });
    gate.reached().await;
    // At another instance, which does not wait.
    let elsewhere = browser.at(other.address);
    assert_eq!(target(&elsewhere.submit(&review, &[("revision", &revision), ("plan", &plan)]).await), review);
    gate.release();
    assert_eq!(target(&first.await.unwrap()), review);
    let page = browser.get(&review).await;
    assert!(page.text.contains("<dt>changed</dt><dd>1</dd>"), "{}", page.text);
    let events = other.owner.get("/api/v2/audit/events?action=user.batch_apply").await.json();
    assert_eq!(events["results"].as_array().map(Vec::len), Some(1), "{events}");
}

/// A person who loses access while a file is sent gets no further piece of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_ends_with_the_access() {
    let (gate, held, other, browser, owner) = held_at("download::next").await;
    let people: Vec<Value> = (0..230).map(|n| sso(&format!("p{n}@example.com"))).collect();
    assert_eq!(other.owner.create(&json!(people)).await.status, 200);
    gate.close();
    let export = tokio::spawn({
        let request = browser.bare("GET", "/console/people/export?format=csv&q=example.com");
        async move { request.send().await.unwrap().bytes().await }
    });
    gate.reached().await;
    let there = Actor::new(held.address, Some(other.owner.token()));
    assert_eq!(there.post(&format!("/api/v2/users/{owner}/suspend"), &Value::Null).await.status, 200);
    gate.release();
    assert!(export.await.unwrap().is_err(), "the file is complete");
}
