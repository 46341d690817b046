//! `muster batch list`, `show`, `wait`, `results`, `cancel` and `undo`.

use std::process::Stdio;

use muster::caller::PermissionLevel;
use serde_json::{Value, json};

use crate::support::gate::eventually;
use crate::support::{Actor, BATCH, TestApp, file, sso, with_password};
use crate::{Ran, muster_at, remote, run};

fn batch(app: &TestApp, arguments: &[&str]) -> Ran {
    remote(app, &[&["batch"], arguments].concat())
}

/// The words of each line.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

/// Creates SSO users through the API; returns the batch's ID.
async fn created(app: &TestApp, emails: &[&str]) -> String {
    let users: Vec<Value> = emails.iter().map(|email| sso(email)).collect();
    let answer = app.owner.create(&json!(users)).await;
    answer.json()["metadata"]["batch_id"].as_str().unwrap().to_owned()
}

/// Starts a batch of users with passwords, which takes a while; returns its ID.
async fn running(app: &TestApp, count: usize) -> String {
    let users: Vec<Value> = (0..count).map(|n| with_password(&format!("user{n}@example.com"), "kT9$wqzPlr")).collect();
    let request = app.owner.request("POST", BATCH).header("prefer", "respond-async").body(json!(users).to_string());
    let answer = Actor::send(request).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["result"]["batch_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_listed_with_time_creator_and_file() {
    let app = TestApp::spawn().await;
    let first = created(&app, &["a@example.com"]).await;
    let file = file(b"create_users:\n  - {name: b, email: b@example.com, is_sso_user: true}\n", ".yaml");
    let path = file.path().to_str().unwrap();
    assert_eq!(remote(&app, &["user", "batch-create", "-f", path]).status, Some(0));

    let ran = batch(&app, &["list"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    let lines = words(&ran.out);
    assert_eq!(lines[0], ["BATCH", "ID", "CREATED", "STATE", "USERS", "BY", "FINISHED", "FILE"]);
    assert_eq!(lines.len(), 3);
    let name = file.path().file_name().unwrap().to_str().unwrap();
    assert_eq!((lines[1][2], lines[1][3], *lines[1].last().unwrap()), ("created", "1", name));
    assert_eq!(lines[2][0], first);

    let ran = batch(&app, &["list", "-f", path, "-o", "json"]);
    let of_the_file: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((of_the_file.len(), of_the_file[0]["file_name"].as_str()), (1, Some(name)));
    assert_eq!(words(&batch(&app, &["list", "--state", "undone"]).out).len(), 1);
    assert_eq!(words(&batch(&app, &["list", "--max-items", "1"]).out).len(), 2);
    let csv = batch(&app, &["list", "-o", "csv"]).out;
    assert!(csv.starts_with("batch_id,created,state,users,by,finished,file\r\nbat_"), "{csv}");
    let ran = batch(&app, &["list", "--state", "done"]);
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("expected one of running, created, failed, cancelled, undone"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_on_several_pages_are_listed_up_to_the_requested_number() {
    let app = TestApp::spawn().await;
    for n in 0..52 {
        created(&app, &[&format!("user{n}@example.com")]).await;
    }
    assert_eq!(words(&batch(&app, &["list"]).out).len(), 51);
    assert_eq!(words(&batch(&app, &["list", "--max-items", "60"]).out).len(), 53);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_shown_in_two_columns() {
    let app = TestApp::spawn().await;
    let id = created(&app, &["a@example.com", "b@example.com"]).await;
    let ran = batch(&app, &["show", &id]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    let lines = words(&ran.out);
    assert_eq!(lines[..3], [vec!["BATCH", &id], vec!["state", "created"], vec!["users", "2"]]);
    let names: Vec<&str> = lines[3..].iter().map(|line| line[0]).collect();
    assert_eq!(names, ["created", "finished", "by", "source", "request"]);
    let shown: Value = serde_json::from_str(&batch(&app, &["show", &id, "-o", "json"]).out).unwrap();
    assert_eq!(shown["batch_id"], id.as_str());

    let ran = batch(&app, &["show", "bat_01k9h6m3x0e8wbz1v5n7q2r4t6"]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(1), "error: batch bat_01k9h6m3x0e8wbz1v5n7q2r4t6 does not exist\n")
    );
    let ran = batch(&app, &["show", "../userinfo"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(2), "error: invalid ID `../userinfo`; expected `bat_…`\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_batch_is_shown_with_its_findings() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let id = running(&app, 100).await;
    created(&app, &["user7@example.com"]).await;
    held.assert_held();
    drop(held);
    let mut shown = String::new();
    eventually("the batch ends", async || {
        shown = batch(&app, &["show", &id]).out;
        !shown.contains("running")
    })
    .await;
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(words(lines[1]), [["state", "failed"]]);
    assert!(lines[2].starts_with("error ") && lines[2].ends_with(" [batch_conflict]"), "{}", lines[2]);
    assert_eq!(
        lines[lines.len() - 2..],
        ["FINDING                CODE         USERS", "email: already exists  email_taken  users[7]"]
    );
}

/// The last message of a command, without the time.
fn last_message(ran: &Ran) -> &str {
    let line = ran.err.lines().last().unwrap();
    line.split_once("s) ").map_or(line, |(_, message)| message)
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_batch_ends_with_it_and_its_users_are_printed() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let id = running(&app, 20).await;
    let results = batch(&app, &["results", &id]);
    let message = format!("error: batch {id} is running and has no users\n");
    assert_eq!((results.status, results.out.as_str(), results.err), (Some(1), "", message));
    let mut waiting = muster_at(&app);
    let waiting = waiting.args(["batch", "wait", &id]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    held.assert_held();
    drop(held);
    let ran = Ran::from(waiting.wait_with_output().unwrap());
    assert_eq!((ran.status, ran.out.as_str(), last_message(&ran)), (Some(0), "", "20 users created."), "{}", ran.err);
    // A batch that has ended before.
    let ran = batch(&app, &["wait", &id]);
    assert_eq!((ran.status, last_message(&ran), ran.err.lines().count()), (Some(0), "20 users created.", 1));
    let results = batch(&app, &["results", &id, "-o", "csv"]);
    assert_eq!((results.status, results.err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = results.out.lines().collect();
    assert_eq!((lines.len(), lines[0]), (21, "email,name,user_id,sso,created"));
    assert!(lines[20].starts_with("user19@example.com,"), "{}", lines[20]);
    let json: Value = serde_json::from_str(&batch(&app, &["results", &id, "-o", "json"]).out).unwrap();
    assert_eq!((json.as_array().unwrap().len(), &json[0]["email"]), (20, &json!("user0@example.com")));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_batch_that_creates_no_users_fails() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let id = running(&app, 100).await;
    created(&app, &["user7@example.com"]).await;
    held.assert_held();
    drop(held);
    let ran = batch(&app, &["wait", &id]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    let message = "\nerror: 1 of 100 users can't be created: users[7].email: already exists\n";
    assert!(ran.err.ends_with(message), "{}", ran.err);
    let undone = created(&app, &["a@example.com"]).await;
    assert_eq!(batch(&app, &["undo", &undone, "--yes"]).status, Some(0));
    let ran = batch(&app, &["wait", &undone]);
    let message = format!("error: batch {undone} was undone; its users were removed\n");
    assert_eq!((ran.status, ran.err), (Some(1), message));
    for arguments in [&["wait", "bat_01k9h6m3x0e8wbz1v5n7q2r4t6"][..], &["results", "bat_01k9h6m3x0e8wbz1v5n7q2r4t6"]] {
        let ran = batch(&app, arguments);
        let message = "error: batch bat_01k9h6m3x0e8wbz1v5n7q2r4t6 does not exist\n";
        assert_eq!((ran.status, ran.err.as_str()), (Some(1), message));
    }
    assert_eq!(batch(&app, &["wait", "../userinfo"]).status, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn undoing_a_batch_requires_confirmation() {
    let app = TestApp::spawn().await;
    let id = created(&app, &["a@example.com", "b@example.com"]).await;
    let ran = batch(&app, &["undo", &id]);
    assert_eq!(
        (ran.status, ran.out.as_str(), ran.err.as_str()),
        (Some(2), "", "error: can't ask for confirmation without a terminal; add `--yes` or `--dry-run`\n")
    );
    let dry = batch(&app, &["undo", &id, "--dry-run"]);
    assert_eq!((dry.status, dry.err.as_str()), (Some(0), "dry run: 2 users would be deleted; nothing was written\n"));
    let lines = words(&dry.out);
    assert_eq!(
        (lines[0].join(" "), lines[1][0], lines[2][0]),
        ("EMAIL NAME USER ID".to_owned(), "a@example.com", "b@example.com")
    );
    assert_eq!(app.db_counts().await[0], 2);

    let ran = batch(&app, &["undo", &id, "--yes", "-o", "json"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "2 users deleted\n"));
    let undone: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((undone["removed"].as_array().unwrap().len(), &undone["kept"]), (2, &json!([])));
    assert_eq!(app.db_counts().await[0], 0);
    assert_eq!(words(&batch(&app, &["show", &id]).out)[1], ["state", "undone"]);

    let again = batch(&app, &["undo", &id, "--yes"]);
    assert_eq!((again.status, again.err), (Some(1), format!("error: batch {id} was undone before\n")));
}

#[tokio::test(flavor = "multi_thread")]
async fn used_users_prevent_an_undo_unless_they_are_kept() {
    let app = TestApp::spawn().await;
    let id = created(&app, &["a@example.com", "b@example.com", "c@example.com"]).await;
    app.db_execute("update users set first_signed_in_at = now() where email = 'b@example.com'").await;
    let ran = batch(&app, &["undo", &id, "--yes"]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    let lines: Vec<&str> = ran.err.lines().collect();
    assert!(lines[1].starts_with("b@example.com  ") && lines[1].ends_with("  has signed in"), "{}", ran.err);
    assert_eq!(
        lines[2],
        "error: 1 user of this batch has been used since; no user was deleted. `--keep-used` keeps them and deletes the \
         other 2"
    );
    assert_eq!(app.db_counts().await[0], 3);

    let ran = batch(&app, &["undo", &id, "--yes", "--keep-used"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "2 users deleted, 1 kept\n"));
    assert!(ran.out.lines().nth(3).unwrap().starts_with("b@example.com  "), "{}", ran.out);
    assert_eq!(app.db_counts().await[0], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_running_batch_can_be_cancelled() {
    let (app, _held) = TestApp::spawn_holding_hashes().await;
    let id = running(&app, 200).await;
    let ran = batch(&app, &["cancel", &id, "-o", "json"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["state"], "cancelled");
    let again = batch(&app, &["cancel", &id]);
    assert_eq!(
        (again.status, again.err),
        (Some(1), format!("error: batch {id} is cancelled; only a running batch can be cancelled\n"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_commands_require_an_owners_key() {
    let app = TestApp::spawn().await;
    let reader = app.actor(PermissionLevel::Collaborator).await;
    let id = created(&app, &["a@example.com"]).await;
    for arguments in
        [&["list"][..], &["show", &id], &["wait", &id], &["results", &id], &["cancel", &id], &["undo", &id, "--yes"]]
    {
        let ran = run(muster_at(&app).env("MUSTER_TOKEN", reader.token()).arg("batch").args(arguments));
        assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(ran.err.starts_with("error: "), "{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_lists_say_so_in_every_format() {
    let app = TestApp::spawn().await;
    for n in 0..3 {
        assert_eq!(app.owner.create(&json!([sso(&format!("user{n}@example.com"))])).await.status, 200);
        let group = json!({ "name": format!("group {n}") });
        assert_eq!(app.owner.post("/api/v2/user_groups/", &group).await.status, 200);
    }
    let message = "only the first 2 results are shown; use `--max-items` to see more\n";
    for list in [&["batch", "list"][..], &["group", "list"], &["user", "list"], &["user", "search", "user"]] {
        for format in ["table", "json", "csv"] {
            let arguments = [list, &["-o", format, "--max-items"]].concat();
            let ran = run(muster_at(&app).args(&arguments).arg("2"));
            assert_eq!((ran.status, ran.err.as_str()), (Some(0), message), "{list:?} {format}");
            let ran = run(muster_at(&app).args(&arguments).arg("5"));
            assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""), "{list:?} {format}");
        }
        let ran = run(muster_at(&app).args(list));
        assert_eq!(ran.err, "", "{list:?}");
    }
}
