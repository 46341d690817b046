//! `muster user search`, `update`, `suspend`, `reactivate`, `delete` and `set-permission`.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::{Ran, app_with, app_with_many, json, remote, with_file};

fn user(app: &TestApp, arguments: &[&str]) -> Ran {
    remote(app, &[&["user"], arguments].concat())
}

/// The addresses, states, last names and titles of the users that the test created.
async fn people(app: &TestApp) -> String {
    app.db_value(
        "select string_agg(concat_ws(' ', email, status, lastname, title), ', ' order by user_id) from users
         where batch_id is not null",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_is_changed_by_address_or_id() {
    let app = app_with(&["ada@example.com"]).await;
    let ran = user(&app, &["update", "ADA@example.com", "--lastname", "King", "--title", "Countess", "-o", "json"]);
    let changed = json(&ran);
    assert_eq!(ran.err, "1 user changed\n");
    assert_eq!((&changed[0]["lastname"], &changed[0]["revision"]), (&json!("King"), &json!(2)));
    let id = changed[0]["user_id"].as_str().unwrap();
    let ran = user(&app, &["update", id, "--title", "", "--email", "king@example.com", "--dry-run"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "dry run: 1 user would be changed; nothing was written\n"));
    assert_eq!(
        ran.out,
        "EMAIL             FIELD  BEFORE           AFTER\n\
         king@example.com  title  Countess\n\
         king@example.com  email  ada@example.com  king@example.com\n"
    );
    assert_eq!(people(&app).await, "ada@example.com active King Countess");
    let ran = user(&app, &["update", id, "--title", "", "--email", "king@example.com"]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert_eq!(people(&app).await, "king@example.com active King");
    let shown = json(&user(&app, &["get", "--id", id, "-o", "json"]));
    assert_eq!((&shown["email"], &shown["title"]), (&json!("king@example.com"), &Value::Null));
    for (arguments, status, sentence) in [
        (
            &["update", id][..],
            2,
            "error: nothing to change; add `--name`, `--lastname`, `--title`, `--email`, `--sso`, `--expires-at` or `--attribute`\n",
        ),
        (
            &["update", "x@example.com", "--name", "x"],
            1,
            "error: x@example.com can't be changed: there is no such user\n",
        ),
        (
            &["update", id, "--email", "administrator@muster.invalid"],
            1,
            &format!("error: {id} can't be changed: email: already exists\n"),
        ),
        (&["get", "--id", "ada"], 1, "error: no such user; an ID is `usr_` and 26 characters\n"),
    ] {
        let ran = user(&app, arguments);
        assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(status), "", sentence), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_suspended_reactivated_and_deleted() {
    let app = app_with(&["a@example.com", "b@example.com"]).await;
    let ran = user(&app, &["suspend", "a@example.com", "b@example.com"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "2 users suspended\n"));
    let header: Vec<&str> = ran.out.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["EMAIL", "NAME", "USER", "ID", "STATUS", "PERMISSION", "TITLE"]);
    assert_eq!(people(&app).await, "a@example.com suspended, b@example.com suspended");
    let ran = user(&app, &["reactivate", "b@example.com", "-o", "csv"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "1 user reactivated\n"));
    assert!(ran.out.starts_with("email,name,user_id,status,permission,title\r\nb@example.com,Ada,usr_"), "{}", ran.out);
    let ran = user(&app, &["delete", "a@example.com"]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(2), "error: can't ask for confirmation without a terminal; add `--yes` or `--dry-run`\n")
    );
    let ran = user(&app, &["suspend", "b@example.com", "A@example.com", "b@example.com"]);
    let message = "error: 1 of 3 users can't be suspended; nothing was suspended\n";
    let message = format!("b@example.com: the same user as b@example.com\n{message}");
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(1), "", message.as_str()));
    let both = ["b@example.com", "A@example.com"];
    for (arguments, sentence) in [
        (
            &["suspend", both[0], both[1], "--dry-run"][..],
            "dry run: 1 user would be suspended, 1 already suspended; nothing was written\n",
        ),
        (&["suspend", both[0], both[1]], "1 user suspended, 1 already suspended\n"),
        (&["suspend", both[0], both[1]], "0 users suspended, 2 already suspended\n"),
        (&["reactivate", both[0]], "1 user reactivated\n"),
        (&["reactivate", both[0]], "0 users reactivated, 1 already active\n"),
    ] {
        let ran = user(&app, arguments);
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), sentence), "{arguments:?}");
    }
    let ran = user(&app, &["delete", "a@example.com", "--dry-run"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "dry run: 1 user would be deleted; nothing was written\n"));
    let ran = user(&app, &["delete", "a@example.com", "--yes"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "1 user deleted\n"));
    assert_eq!(people(&app).await, "b@example.com active");
    let ran = user(&app, &["delete", "administrator@muster.invalid", "--yes"]);
    assert_eq!(ran.status, Some(1));
    assert!(
        ran.err.starts_with("error: the change would leave the organization without an active owner"),
        "{}",
        ran.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_each_format_changes_its_users() {
    let app = app_with(&["a@example.com", "b@example.com"]).await;
    for (number, (suffix, content)) in [
        (".yaml", "users:\n  - user: a@example.com\n    title: T0\n  - {user: B@example.com, lastname: L0}\n"),
        (".json", r#"[{"user": "a@example.com", "title": "T1"}, {"user": "b@example.com", "lastname": "L1"}]"#),
        (
            ".json",
            r#"{"users": [{"user": "a@example.com", "title": "T2"}, {"user": "b@example.com", "lastname": "L2"}]}"#,
        ),
        (
            ".ndjson",
            "{\"user\": \"a@example.com\", \"title\": \"T3\"}\n{\"user\": \"b@example.com\", \"lastname\": \"L3\"}\n",
        ),
        (".csv", "user,title,lastname\na@example.com,T4,\nb@example.com,,L4\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let ran = with_file(&app, "update", content.as_bytes(), suffix, &[]);
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), "2 users changed\n"), "{suffix}");
        let expected = format!("a@example.com active T{number}, b@example.com active L{number}");
        assert_eq!(people(&app).await, expected);
    }
    for (command, content, suffix) in [
        ("suspend", "user\na@example.com\n", ".csv"),
        ("reactivate", "users: [user: a@example.com]", ".yaml"),
        ("suspend", "user;if_match\na@example.com;8\nb@example.com;\n", ".csv"),
    ] {
        let ran = with_file(&app, command, content.as_bytes(), suffix, &[]);
        assert_eq!(ran.status, Some(0), "{command}: {}", ran.err);
    }
    assert_eq!(people(&app).await, "a@example.com suspended T4, b@example.com suspended L4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_counts_who_is_changed_and_clears_empty_cells_on_request() {
    let app = app_with(&["a@example.com", "b@example.com"]).await;
    let content = b"user,name,title,lastname\na@example.com,,Boss,King\nb@example.com,Ada,,\n";
    let ran = with_file(&app, "update", content, ".csv", &["--dry-run", "-o", "csv"]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(0), "dry run: 1 user would be changed, 1 unchanged; nothing was written\n")
    );
    assert_eq!(ran.out, "email,field,before,after\r\na@example.com,lastname,,King\r\na@example.com,title,,Boss\r\n");
    let ran = with_file(&app, "update", content, ".csv", &[]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "1 user changed, 1 unchanged\n"));
    assert_eq!(people(&app).await, "a@example.com active King Boss, b@example.com active");
    let empty = b"user,name,title\na@example.com,,\n";
    let ran = with_file(&app, "update", empty, ".csv", &[]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "0 users changed, 1 unchanged\n"));
    let ran = with_file(&app, "update", empty, ".csv", &["--clear-empty", "--dry-run", "-o", "json"]);
    let changes = json(&ran);
    assert_eq!(
        (&changes[0]["before"], &changes[0]["after"], changes.as_array().unwrap().len()),
        (&json!("Boss"), &Value::Null, 1)
    );
    let ran = with_file(&app, "update", empty, ".csv", &["--clear-empty"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "1 user changed\n"));
    assert_eq!(people(&app).await, "a@example.com active King, b@example.com active");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_methods_and_levels_are_changed() {
    let app = app_with(&["a@example.com", "b@example.com"]).await;
    let content = b"user,is_sso_user,permission_level\na@example.com,no,owner\nb@example.com,yes,collaborator\n";
    let ran = with_file(&app, "update", content, ".csv", &["--dry-run", "-o", "csv"]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(0), "dry run: 1 user would be changed, 1 unchanged; nothing was written\n")
    );
    assert_eq!(
        ran.out,
        "email,field,before,after\r\na@example.com,is_sso_user,true,false\r\n\
         a@example.com,permission_level,collaborator,owner\r\n"
    );
    let ran = with_file(&app, "update", content, ".csv", &[]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "1 user changed, 1 unchanged\n"));
    let ran = user(&app, &["update", "b@example.com", "--sso", "false"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "1 user changed\n"));
    let people = "select string_agg(concat_ws(' ', email, is_sso_user, permission_level), ', ' order by user_id)
        from users join collaborators using (organization_id, user_id) where batch_id is not null";
    assert_eq!(app.db_value::<String>(people).await, "a@example.com f owner, b@example.com f collaborator");
}

#[tokio::test(flavor = "multi_thread")]
async fn small_numbers_are_numbers_again_in_every_format_of_an_export() {
    let app = app_with(&["a@example.com"]).await;
    let ran = user(
        &app,
        &["update", "a@example.com", "--attribute", "ratio=1e-7", "--attribute", "text=\"1e-7\"", "-o", "json"],
    );
    assert_eq!(json(&ran)[0]["attributes"], json!({"ratio": 1e-7, "text": "1e-7"}), "{}", ran.err);
    for format in ["csv", "json", "ndjson", "yaml"] {
        let exported = user(&app, &["export", "-o", format]).out;
        let ran = with_file(&app, "apply", exported.as_bytes(), &format!(".{format}"), &["--dry-run"]);
        let unchanged = "dry run: 0 users would be created, 0 changed, 2 unchanged; nothing was written\n";
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), unchanged), "{format}: {exported}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_set_searched_exported_and_removed() {
    let app = app_with(&["a@example.com", "b@example.com"]).await;
    let set = ["--attribute", "department=Research", "--attribute", "floor=3", "--attribute", "code=\"3\""];
    let ran = user(&app, &[&["update", "a@example.com", "-o", "json"][..], &set].concat());
    assert_eq!(json(&ran)[0]["attributes"], json!({"code": "3", "department": "Research", "floor": 3}));
    let listed =
        json(&user(&app, &["list", "-o", "json", "--attribute", "department=Research", "--attribute", "floor=3"]));
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["email"]), (1, &json!("a@example.com")));
    let ran = user(&app, &["export", "--domain", "example.com"]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(
        lines[0],
        "user,email,name,lastname,title,is_sso_user,permission_level,expires_at,status,attributes.code,attributes.department,attributes.floor"
    );
    assert!(
        lines[1].ends_with(",a@example.com,Ada,,,true,collaborator,,active,\"\"\"3\"\"\",Research,3"),
        "{}",
        lines[1]
    );
    assert!(lines[2].ends_with(",b@example.com,Ada,,,true,collaborator,,active,,,"), "{}", lines[2]);
    for format in ["csv", "json", "ndjson", "yaml"] {
        let exported = user(&app, &["export", "-o", format]).out;
        let ran = with_file(&app, "apply", exported.as_bytes(), &format!(".{format}"), &["--dry-run"]);
        let unchanged = "dry run: 0 users would be created, 0 changed, 3 unchanged; nothing was written\n";
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), unchanged), "{format}");
    }
    let edited = ran.out.replace(",Research,3", ",,4");
    let ran = with_file(&app, "apply", edited.as_bytes(), ".csv", &["--yes", "-o", "csv"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "0 users created, 1 changed, 1 unchanged\n"));
    assert_eq!(
        ran.out,
        "action,email,field,before,after\r\nchange,a@example.com,attributes.department,Research,\r\n\
         change,a@example.com,attributes.floor,3,4\r\n"
    );
    let ran = user(&app, &["update", "a@example.com", "--attribute", "code=", "-o", "json"]);
    assert_eq!(json(&ran)[0]["attributes"], json!({"floor": 4}));
    let content = b"user,attributes.floor,attributes.a b\na@example.com,5,\n";
    let ran = with_file(&app, "update", content, ".csv", &[]);
    assert!(ran.err.contains("unknown column `attributes.a b`\n"), "{}", ran.err);
    let content = "users:\n  - user: a@example.com\n    attributes: {floor: [1], secret: hunter2\u{7}}\n";
    let ran = with_file(&app, "update", content.as_bytes(), ".yaml", &[]);
    assert_eq!((ran.status, ran.err.contains("hunter2")), (Some(1), false), "{}", ran.err);
    let content = "users:\n  - user: a@example.com\n    attributes: {floor: [1], secret: hunter2}\n";
    let ran = with_file(&app, "update", content.as_bytes(), ".yaml", &[]);
    let place = "error[wrong_type]: attributes.floor: must be text, a number, true, false or null, not a list\n --> users:3:17\n";
    assert!(ran.err.contains(place) && !ran.err.contains("hunter2"), "{}", ran.err);
    let ran = user(&app, &["update", "a@example.com", "--attribute", "a b=1"]);
    assert_eq!(ran.status, Some(2), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_point_into_the_file_and_nothing_is_changed() {
    let app = app_with(&["a@example.com", "b@example.com"]).await;
    let content =
        "user,name,email\na@example.com,Al,b@example.com\nnobody@example.com,Bo,\nb@example.com,,no address\n";
    let ran = with_file(&app, "update", content.as_bytes(), ".csv", &[]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    for words in [
        "error[email_taken]: email: already exists\n --> users:2:18\n",
        "error[unknown_user]: user: there is no such user\n --> users:3:1\n",
        "3 | nobody@example.com,Bo,\n",
        "error[email_invalid]: email: not a valid e-mail address\n --> users:4:16\n",
        "\n3 of 3 users can't be changed; nothing was changed\n",
    ] {
        assert!(ran.err.contains(words), "{words} is not in:\n{}", ran.err);
    }
    let ran = with_file(
        &app,
        "delete",
        b"users:\n  - user: a@example.com\n  - user: nobody@example.com\n",
        ".yaml",
        &["--yes"],
    );
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("error[unknown_user]: user: there is no such user\n --> users:3:11\n"), "{}", ran.err);
    assert!(ran.err.ends_with("\n1 of 2 users can't be deleted; nothing was deleted\n"), "{}", ran.err);
    let content = "user\na@example.com\nadministrator@muster.invalid\n";
    let ran = with_file(&app, "suspend", content.as_bytes(), ".csv", &[]);
    let row = "error[last_owner]: user: is an owner, and no other active owner would be left\n --> users:3:1\n";
    assert!(ran.err.starts_with(row), "{}", ran.err);
    assert!(ran.err.ends_with("\n1 of 2 users can't be suspended; nothing was suspended\n"), "{}", ran.err);
    for (command, content, suffix, words) in [
        ("update", "name\nAl\n", ".csv", "missing column `user`\n"),
        ("update", "user,password\na@example.com,hunter2\n", ".csv", "unknown column `password`\n --> users:1:6\n"),
        ("suspend", "create_users: []\n", ".yaml", "did you mean `users`?"),
        ("suspend", "{\"user\": \"a@example.com\"}", ".json", "write `[{\"user\": …}]` or `{\"users\": […]}`"),
        ("delete", "", ".csv", "the first row names the columns, such as: user\n"),
    ] {
        let ran =
            with_file(&app, command, content.as_bytes(), suffix, if command == "delete" { &["--yes"] } else { &[] });
        assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "{}", ran.err);
        assert!(ran.err.contains(words) && !ran.err.contains("hunter2"), "{words} is not in:\n{}", ran.err);
    }
    assert_eq!(people(&app).await, "a@example.com active, b@example.com active");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_searched() {
    let app = app_with_many(60).await;
    let found = json(&user(&app, &["search", "USER", "-o", "json"]));
    assert_eq!(found.as_array().unwrap().len(), 50);
    let found = json(&user(&app, &["search", "user", "--max-items", "100", "-o", "json"]));
    assert_eq!(found.as_array().unwrap().len(), 60);
    let ran = user(&app, &["search", "a", "--permission", "owner"]);
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
    assert!(ran.out.lines().nth(1).unwrap().starts_with("administrator@muster.invalid  "), "{}", ran.out);
    assert_eq!(user(&app, &["suspend", "user7@example.com"]).status, Some(0));
    let ran = user(&app, &["search", "user7", "--status", "suspended", "-o", "json"]);
    assert_eq!(json(&ran)[0]["email"], "user7@example.com");
    assert_eq!(json(&user(&app, &["search", "user7", "--service-account", "-o", "json"])), json!([]));
    let ran = user(&app, &["search", ""]);
    let sentence = "error: `query` must be 1 to 200 characters long, without control characters\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), sentence));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_becomes_an_owner_and_a_collaborator_again() {
    let app = app_with(&["a@example.com"]).await;
    let member = json(&user(&app, &["set-permission", "A@example.com", "owner", "-o", "json"]));
    assert_eq!(member["permission_level"], "owner");
    let id = member["user_id"].as_str().unwrap();
    let ran = user(&app, &["set-permission", id, "collaborator"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.contains("  collaborator  "), "{}", ran.out);
    let ran = user(&app, &["set-permission", "nobody@example.com", "owner"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), "error: no such user\n"));
    let ran = user(&app, &["set-permission", "administrator@muster.invalid", "collaborator"]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.err.contains("without an active owner"), "{}", ran.err);
}
