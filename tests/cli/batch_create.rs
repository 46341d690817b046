//! `muster user batch-create`.

use serde_json::Value;

use crate::support::{TestApp, file, sso};
use crate::{Ran, muster_at, run};

const EXAMPLE: &str = "\
create_users:
  - name: name1
    email: test1@anyscale.com
    password: ''
    is_sso_user: false
    lastname: lastname1
    title: title1
  - name: name2
    email: test2@anyscale.com
    password: ''
    is_sso_user: false
    lastname: lastname2
    title: title2
";

/// Runs it on a file of this content, which is called `users.yaml` in what comes back.
fn create(app: &TestApp, content: &str, arguments: &[&str]) -> Ran {
    let file = file(content.as_bytes(), ".yaml");
    let path = file.path().to_str().unwrap();
    let ran = run(muster_at(app).args(["user", "batch-create", "-f", path]).args(arguments));
    Ran { err: ran.err.replace(path, "users.yaml"), ..ran }
}

/// `+0.5s` with the time left out.
fn without_times(text: &str) -> String {
    let mut parts = text.split("(muster +");
    let mut result = parts.next().unwrap().to_owned();
    for part in parts {
        let (time, rest) = part.split_once("s) ").unwrap();
        assert!(time.parse::<f32>().is_ok(), "{time}");
        result.push_str("(muster +_s) ");
        result.push_str(rest);
    }
    result
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_the_vendors_pages_show() {
    let app = TestApp::spawn().await;
    let ran = create(&app, EXAMPLE, &[]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), ""));
    assert_eq!(without_times(&ran.err), "(muster +_s) Creating users...\n(muster +_s) 2 users created.\n");
    assert_eq!(app.db_counts().await, [2, 2, 0, 1, 3]);
    assert_eq!(app.db_value::<String>("select source from batches").await, "muster_client");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_created_users_are_printed_on_request() {
    let app = TestApp::spawn().await;
    let ran = create(&app, EXAMPLE, &["-o", "json"]);
    let users: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(users.len(), 2);
    assert_eq!(users[1]["email"], "test2@anyscale.com");
    assert!(users[1]["user_id"].as_str().unwrap().starts_with("usr_"));
    let ran = create(&app, &EXAMPLE.replace("anyscale", "example"), &["-o", "table"]);
    assert!(ran.out.lines().nth(2).unwrap().starts_with("test2@example.com  name2 lastname2  usr_"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_finding_points_into_the_file() {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.create(&serde_json::json!([sso("taken@example.com")])).await.status, 200);
    let content = "\
create_users:
  - name: 17
    email: fine@example.com
    password: ''
    is_sso_user: false
  - name: name2
    email: taken@example.com
    password: hunter2hunter2
    is_sso_user: true
  - {name: name3, email: fine@example.com, password: short, is_sso_user: false, nickname: x}
";
    let ran = create(&app, content, &[]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    let err = without_times(&ran.err);
    for place in [
        "--> users.yaml:2:11",
        "--> users.yaml:7:12",
        "--> users.yaml:8:15",
        "users.yaml:10:26",
        "--> users.yaml:10:54",
        "--> users.yaml:10:81",
    ] {
        assert!(err.contains(place), "{place} is not in:\n{err}");
    }
    for words in
        ["has to be text, not a number", "already exists", "the same address as users[0]", "is unknown; a user has"]
    {
        assert!(err.contains(words), "{words} is not in:\n{err}");
    }
    assert!(err.ends_with("\n3 of 3 users can't be created; nothing was created\n"), "{err}");
    assert!(!err.contains("hunter2") && !err.contains("short,"), "a password is shown:\n{err}");
    assert_eq!(app.db_counts().await[0], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_points_to_its_row() {
    let app = TestApp::spawn().await;
    let ran = create(&app, "create_users:\n  - name: a\n    email: a@example.com\n    password: ''\n", &[]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.err.contains("--> users.yaml:2:5") && ran.err.contains("is_sso_user: is missing"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_can_not_be_read_is_refused_before_anything_is_sent() {
    let app = TestApp::spawn().await;
    for (content, words) in [
        ("create_users:\n\t- name: a\n", "a tab can't indent YAML: use spaces"),
        ("users:\n  - name: a\n", "create_users"),
        ("- name: a\n", "create_users"),
        ("create_users: 5\n", "list"),
        ("create_users: [\n", "users.yaml:"),
    ] {
        let ran = create(&app, content, &[]);
        assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "{content}");
        assert!(ran.err.contains(words) && ran.err.ends_with("nothing was created\n"), "{content}: {}", ran.err);
    }
    let ran = run(muster_at(&app).args(["user", "batch-create", "-f", "/nowhere/users.yaml"]));
    assert_eq!(ran.status, Some(2), "{}", ran.err);
    assert!(ran.err.contains("/nowhere/users.yaml"), "{}", ran.err);
    assert_eq!(app.db_counts().await, [0, 0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_and_an_empty_list_are_refused_in_a_sentence() {
    let app = TestApp::spawn().await;
    let ran = create(&app, "create_users: []\n", &[]);
    assert_eq!(ran.status, Some(1));
    assert!(
        ran.err.ends_with("error: the list is empty: there is nobody to create; nothing was created\n"),
        "{}",
        ran.err
    );
    assert_eq!(create(&app, "", &[]).status, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_again_names_who_exists_already() {
    let app = TestApp::spawn().await;
    assert_eq!(create(&app, EXAMPLE, &[]).status, Some(0));
    let ran = create(&app, EXAMPLE, &[]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.err.contains("--> users.yaml:3:12") && ran.err.contains("--> users.yaml:9:12"), "{}", ran.err);
    assert!(ran.err.ends_with("2 of 2 users can't be created; nothing was created\n"), "{}", ran.err);
}
