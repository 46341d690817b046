//! `muster group …`, `muster policy …` and `muster user list-permissions`.

use serde_json::{Value, json};

use crate::support::{TestApp, file};
use crate::{app_with_many, remote};

/// Creates a group; returns its ID.
fn group(app: &TestApp, name: &str) -> String {
    let ran = remote(app, &["group", "create", name, "-o", "json"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    let group: Value = serde_json::from_str(&ran.out).unwrap();
    group["id"].as_str().unwrap().to_owned()
}

fn first_words(text: &str, words: usize) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().take(words).collect::<Vec<_>>().join(" ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_created_renamed_listed_and_deleted() {
    let app = TestApp::spawn().await;
    let id = group(&app, "ops");
    let ran = remote(&app, &["group", "create", "OPS"]);
    assert_eq!(
        (ran.status, ran.out.as_str(), ran.err.as_str()),
        (Some(1), "", "error: a group named `OPS` already exists\n")
    );
    let ran = remote(&app, &["group", "rename", &id, "operations"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    assert_eq!(first_words(&ran.out, 3), ["GROUP ID NAME", &format!("{id} operations user")]);
    for args in [&["group", "get", &id, "-o", "csv"][..], &["group", "list", "--max-items", "1", "-o", "csv"]] {
        let ran = remote(&app, args);
        let lines: Vec<&str> = ran.out.lines().collect();
        assert_eq!(lines[0], "group_id,name,source,role,created");
        assert!(lines[1].starts_with(&format!("{id},operations,user,,20")), "{}", lines[1]);
    }
    let ran = remote(&app, &["group", "delete", &id]);
    assert_eq!(
        (ran.status, ran.out.as_str(), ran.err.as_str()),
        (Some(0), "", format!("deleted {id} (operations)\n").as_str())
    );
    let ran = remote(&app, &["group", "get", &id]);
    assert_eq!((ran.status, ran.err), (Some(1), format!("error: there is no group {id} in this organization\n")));
    let ran = remote(&app, &["group", "get", "../userinfo"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), "error: no group is named `../userinfo`\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_added_and_removed_by_argument_and_by_file() {
    let app = app_with_many(60).await;
    let id = group(&app, "team");
    let ran = remote(&app, &["group", "add", &id, "USER1@example.com", "user2@example.com"]);
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(0), "", "2 users added\n"));
    let ran = remote(&app, &["group", "add", &id, "--dry-run", "user3@example.com", "user2@example.com"]);
    let expected = "dry run: 1 user would be added; 1 already in the group; nothing was written\n";
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(0), "", expected));
    let all: String = (0..60).map(|n| format!("- user: user{n}@example.com\n")).collect();
    let list = file(format!("users:\n{all}").as_bytes(), ".yaml");
    let ran = remote(&app, &["group", "add", &id, "-f", list.path().to_str().unwrap()]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "58 users added; 2 already in the group\n"));
    let ran = remote(&app, &["group", "members", &id, "-o", "json"]);
    let members: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let emails: Vec<&str> = members.iter().map(|member| member["user_email"].as_str().unwrap()).collect();
    assert_eq!(emails, (0..60).map(|n| format!("user{n}@example.com")).collect::<Vec<_>>());

    let ids = format!("\"{}\"\n\"user3@example.com\"\n", members[2]["user_id"].as_str().unwrap());
    let list = file(ids.as_bytes(), ".ndjson");
    let ran = remote(&app, &["group", "remove", &id, "-f", list.path().to_str().unwrap(), "-o", "json"]);
    let changed: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(changed, json!({"group_id": id, "added": 0, "removed": 2, "unchanged": 0}));
    let ran = remote(&app, &["group", "remove", &id, "user3@example.com", "-o", "csv"]);
    assert_eq!(ran.out, format!("group_id,removed,unchanged\r\n{id},0,1\r\n"));
    let ran = remote(&app, &["group", "members", &id]);
    assert_eq!(first_words(&ran.out, 2)[..3], ["EMAIL NAME", "user0@example.com Ada", "user1@example.com Ada"]);
    assert_eq!(ran.out.lines().count(), 59);
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_about_members_point_into_the_file() {
    let app = app_with_many(1).await;
    let id = group(&app, "team");
    let list = file(b"users:\n- user: user0@example.com\n- user: nobody@example.com\n", ".yaml");
    let path = list.path().to_str().unwrap();
    let ran = remote(&app, &["group", "add", &id, "-f", path]);
    let expected = format!(
        "error[unknown_user]: user: there is no such user\n --> {path}:3:9\n  |\n3 | - user: nobody@example.com\n  |         \
         ^^^^^^^^^^^^^^^^^^\n\n1 of 2 users can't be added; nothing was added\n"
    );
    assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(1), "", expected));
    let ran = remote(&app, &["group", "add", &id, "nobody@example.com"]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(1), "error: nobody@example.com can't be added: there is no such user\n")
    );
    let list = file(b"users:\n- user: user0@example.com\n- name: Ada\n", ".yaml");
    let path = list.path().to_str().unwrap();
    let ran = remote(&app, &["group", "add", &id, "-f", path]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.err.contains(&format!("--> {path}:3:3")), "{}", ran.err);
    assert!(ran.err.ends_with("1 of 2 users can't be added; nothing was added\n"), "{}", ran.err);
    assert_eq!(remote(&app, &["group", "add", &id]).status, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_set_and_shown_with_the_permissions_it_grants() {
    let app = app_with_many(1).await;
    let (owners, others) = (group(&app, "owners"), group(&app, "others"));
    assert_eq!(remote(&app, &["group", "add", &owners, "user0@example.com"]).status, Some(0));
    let ran = remote(&app, &["policy", "get"]);
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(0), "ROLE  GROUP ID\n", ""));
    let set = ["policy", "set", "--owner", &owners, "--collaborator", &others];
    let ran = remote(&app, &set);
    let expected = "error: can't ask for confirmation without a terminal; add `--yes` or `--dry-run`\n";
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(2), "", expected));
    let ran = remote(&app, &[&set[..], &["--dry-run", "-o", "csv"]].concat());
    let user = "user0@example.com,Ada,";
    assert!(
        ran.out.starts_with(&format!("change,email,name,user_id,through_group\r\ngains owner,{user}")),
        "{}",
        ran.out
    );
    assert!(ran.out.ends_with(",owners\r\n"), "{}", ran.out);
    let expected =
        "dry run: 1 user would gain the permissions of an owner, 0 users would lose them; nothing was written\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), expected));
    let ran = remote(&app, &["policy", "get"]);
    assert_eq!(ran.out, "ROLE  GROUP ID\n", "a dry run writes nothing");
    let ran = remote(&app, &[&set[..], &["--yes"]].concat());
    let table = format!("ROLE          GROUP ID\nowner         {owners}\ncollaborator  {others}\n");
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), table.as_str()));
    assert!(ran.err.contains("gains owner  user0@example.com"), "{}", ran.err);
    assert!(ran.err.ends_with("1 user gained the permissions of an owner, 0 users lost them\n"), "{}", ran.err);
    let ran = remote(&app, &["policy", "get", "-o", "json"]);
    let policy: Value = serde_json::from_str(&ran.out).unwrap();
    let bindings = json!([
        {"role_name": "owner", "principals": [owners]}, {"role_name": "collaborator", "principals": [others]},
    ]);
    assert_eq!(policy, json!({"bindings": bindings, "sync_status": "success"}));

    let ran = remote(&app, &["user", "list-permissions", "-o", "csv"]);
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], ["email", "user_id", "permission", "through"]);
    assert_eq!((lines[1][0], &lines[1][2..]), ("administrator@muster.invalid", &["owner", "own level"][..]));
    assert_eq!((lines[2][0], &lines[2][2..]), ("user0@example.com", &["owner", "group owners"][..]));
    let ran = remote(&app, &["policy", "set", "--none", "--yes", "-o", "json"]);
    assert!(ran.err.contains("loses owner  user0@example.com"), "{}", ran.err);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["bindings"], json!([]));
    let ran = remote(&app, &["user", "list-permissions", "--user-id", lines[2][1]]);
    assert_eq!(first_words(&ran.out, 3), ["EMAIL USER ID", &format!("user0@example.com {} collaborator", lines[2][1])]);

    let ran = remote(&app, &["policy", "set", "--yes", "--owner", "ug_01k9h6m3x0e8wbz1v5n7q2r4t6"]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (
            Some(1),
            "error: the policy can't be set; nothing was written: bindings[0].principals[0]: there is no such group\n"
        )
    );
    let ran = remote(&app, &["policy", "set"]);
    let message =
        "error: no roles; name groups with `--owner` or `--collaborator`, or remove all roles with `--none`\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(2), message));
    let ran = remote(&app, &["user", "list-permissions", "--user-id", "usr_01k9h6m3x0e8wbz1v5n7q2r4t6"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), "error: there is no such user in this organization\n"));
}
