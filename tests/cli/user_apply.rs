//! `muster user export` and `muster user apply`, and the filters of `muster user list`.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::{Ran, app_with, app_with_many, json as parsed, remote, with_file};

fn export(app: &TestApp, arguments: &[&str]) -> String {
    let ran = remote(app, &[&["user", "export"], arguments].concat());
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    ran.out
}

fn apply(app: &TestApp, content: &str, suffix: &str, arguments: &[&str]) -> Ran {
    with_file(app, "apply", content.as_bytes(), suffix, arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_applied_unchanged_changes_nothing() {
    let app = TestApp::spawn().await;
    let user = |email: &str, name: &str, lastname: Value, title: Value| json!({"name": name, "email": email, "lastname": lastname, "title": title, "is_sso_user": true});
    let mut users = json!([
        user("a@example.com", "\u{6a9}\u{644}\u{6cc}\u{200c}\u{6a9}", json!(""), Value::Null),
        user("b@example.com", "👨\u{200d}👩\u{200d}👧 \"Zoë\"", json!("O'Brien, jr."), json!("=1+1")),
        user("c@example.com", "'=2", json!("@x"), json!("''+3")),
        user("d@example.com", "null", json!("true"), json!("007")),
        user("e@example.com", "# no comment", json!("- a: b"), json!("' \\ \u{e0041}")),
    ]);
    users[3]["permission_level"] = json!("owner");
    users[4]["is_sso_user"] = json!(false);
    assert_eq!(app.owner.create(&users).await.status, 200);
    assert_eq!(remote(&app, &["user", "suspend", "b@example.com"]).status, Some(0));
    let robot = app.owner.post("/api/v2/users/service_accounts?name=robot", &Value::Null).await;
    assert_eq!(robot.status, 200);
    for format in ["csv", "json", "ndjson", "yaml"] {
        let text = export(&app, &["-o", format]);
        assert!(!text.contains("robot"), "service accounts are left out:\n{text}");
        let ran = apply(&app, &text, &format!(".{format}"), &["--dry-run", "--suspend-missing"]);
        assert_eq!(
            (ran.status, ran.err.as_str()),
            (Some(0), "dry run: 0 users would be created, 0 changed, 6 unchanged; nothing was written\n"),
            "{format}:\n{text}"
        );
        let ran = apply(&app, &text, &format!(".{format}"), &["--yes"]);
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), "nothing to change: 6 users unchanged\n"), "{format}");
    }
    let csv = export(&app, &["--sso", "false", "--domain", "example.com"]);
    let id = csv.lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    assert_eq!(
        csv,
        format!(
            "user,email,name,lastname,title,is_sso_user,permission_level,expires_at,status\r\n\
             {id},e@example.com,# no comment,'- a: b,' \\ \u{e0041},false,collaborator,,active\r\n"
        )
    );
    let none = export(&app, &["--domain", "example.org", "-o", "json"]);
    assert_eq!(none, "[\n]\n");
    assert_eq!(export(&app, &["--domain", "example.org", "-o", "yaml"]), "users:\n  []\n");
    let one: Value = serde_json::from_str(export(&app, &["--status", "suspended", "-o", "ndjson"]).trim()).unwrap();
    assert_eq!(
        (&one["title"], &one["status"], &one["lastname"]),
        (&json!("=1+1"), &json!("suspended"), &json!("O'Brien, jr."))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_of_six_hundred_exported_users_are_edited_and_applied() {
    let app = app_with_many(600).await;
    let exported = export(&app, &[]);
    assert_eq!(exported.lines().count(), 602);
    let edited: Vec<String> = exported
        .lines()
        .enumerate()
        .filter(|(line, _)| *line != 602 - 1)
        .map(|(line, text)| match line {
            2..502 => text.replacen(",Ada,,,", &format!(",Ada,King,Engineer {line},"), 1),
            _ => text.to_owned(),
        })
        .chain([",new@example.com,Nia,,,true,collaborator,,active".to_owned()])
        .collect();
    let edited = edited.join("\r\n");
    let ran = apply(&app, &edited, ".csv", &["--suspend-missing"]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(2), "error: can't ask for confirmation without a terminal; add `--yes` or `--dry-run`\n")
    );
    let ran = apply(&app, &edited, ".csv", &["--suspend-missing", "--dry-run", "-o", "csv"]);
    let summary = "1 user created, 500 changed, 1 missing suspended, 100 unchanged\n";
    let planned =
        "dry run: 1 user would be created, 500 changed, 1 missing suspended, 100 unchanged; nothing was written\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), planned));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 1 + 2 * 500 + 2);
    assert_eq!(
        lines[..3],
        [
            "action,email,field,before,after",
            "change,user0@example.com,lastname,,King",
            "change,user0@example.com,title,,Engineer 2"
        ]
    );
    assert_eq!(lines[1001], "create,new@example.com,,,name: Nia; is_sso_user: true; permission_level: collaborator");
    assert_eq!(lines[1002], "suspend,user599@example.com,status,active,suspended");
    let ran = apply(&app, &edited, ".csv", &["--suspend-missing", "--yes", "-o", "json"]);
    assert_eq!(ran.err, summary);
    assert_eq!(parsed(&ran).as_array().unwrap().len(), 502);
    let counts = "select concat_ws(' ', count(*) filter (where title like 'Engineer %' and lastname = 'King'),
            count(*) filter (where status = 'suspended'), count(*) filter (where email = 'new@example.com'), count(*))
        from users";
    assert_eq!(app.db_value::<String>(counts).await, "500 1 1 602");
    let events = "select count(distinct target_id) from audit_events where action in ('user.update', 'user.suspend', 'user.create')
        and request_id = (select request_id from audit_events where action = 'user.batch_apply')";
    assert_eq!(app.db_value::<i64>(events).await, 502, "each user has an event");
    let ran = apply(&app, &edited, ".csv", &["--suspend-missing", "--yes"]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(0), "nothing to change: 601 users unchanged\n"),
        "applying a file twice changes nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_point_into_the_file_and_nothing_is_applied() {
    let app = app_with(&["a@example.com", "b@example.com"]).await;
    let content = "email,user,title,password,status\n\
        a@example.com,,Boss,,\n\
        A@example.com,,x,,\n\
        b@example.com,,,hunter2-hunter2,\n\
        c@example.com,usr_01k9h6m3x0e8wbz1v5n7q2r4t6,,,\n\
        d@example.com,,,,gone\n";
    let ran = apply(&app, content, ".csv", &["--yes"]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "{}", ran.err);
    for words in [
        "error[user_duplicate]: email: the same user as line 2\n --> users:3:1\n",
        "error[password_of_existing_user]: password: only a new user can get a password, and this one exists; remove the value\n --> users:4:17\n",
        "error[unknown_user]: user: there is no such user\n --> users:5:15\n",
        "error[status_unknown]: status: must be `active` or `suspended`\n --> users:6:",
        "\n4 of 5 users can't be applied; nothing was applied\n",
    ] {
        assert!(ran.err.contains(words), "{words} is not in:\n{}", ran.err);
    }
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    for (content, suffix, words) in [
        ("users: []\n", ".yaml", "error: the list is empty; there are no users to apply\n"),
        ("user,email\n", ".csv", "error: the list is empty; there are no users to apply\n"),
        ("name,title\nAda,x\n", ".csv", "missing column `email`\n"),
        ("email,phone\na@example.com,1\n", ".csv", "unknown column `phone`\n"),
    ] {
        let ran = apply(&app, content, suffix, &["--yes", "--suspend-missing"]);
        assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "{}", ran.err);
        assert!(ran.err.contains(words), "{words} is not in:\n{}", ran.err);
    }
    let titles: Option<String> = app.db_value("select string_agg(title, ' ') from users").await;
    assert_eq!(titles, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_several_people_is_a_warning() {
    let app = TestApp::spawn().await;
    let people = "name,email,is_sso_user,password\nAda,ada@example.com,no,tidal-anchor-Plum-1\n\
                  Ben,ben@example.com,no,tidal-anchor-Plum-1\n";
    let ran = apply(&app, people, ".csv", &["--yes"]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let warning = "warning[password_shared]: password: is the password of several users of the list (2 rows)\n";
    assert!(ran.err.starts_with(warning) && !ran.err.contains("tidal"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_listed_by_filters() {
    let app = app_with(&["a@example.com", "b@example.com", "c@other.example"]).await;
    for arguments in [
        &["group", "create", "Research"][..],
        &["group", "add", "Research", "b@example.com"],
        &["user", "suspend", "a@example.com"],
    ] {
        let ran = remote(&app, arguments);
        assert_eq!(ran.status, Some(0), "{arguments:?}: {}", ran.err);
    }
    let shown = parsed(&remote(&app, &["batch", "list", "-o", "json"]));
    let batch_id = shown[0]["batch_id"].as_str().unwrap();
    for (arguments, expected) in [
        (&["--status", "suspended"][..], &["a@example.com"][..]),
        (&["--group", "research"], &["b@example.com"]),
        (&["--batch", batch_id, "--domain", "other.example"], &["c@other.example"]),
        (&["--permission", "owner"], &["administrator@muster.invalid"]),
        (&["--without-password"], &["administrator@muster.invalid"]),
        (&["--sso", "true", "--created-after", "1h", "--status", "active"], &["b@example.com", "c@other.example"]),
        (&["--created-before", "yesterday"], &[]),
    ] {
        let listed = parsed(&remote(&app, &[&["user", "list", "-o", "json"], arguments].concat()));
        let emails: Vec<&str> = listed.as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect();
        assert_eq!(emails, expected, "{arguments:?}");
    }
    let ran = remote(&app, &["user", "list", "--group", "nobody"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), "error: no group is named `nobody`\n"));
}
