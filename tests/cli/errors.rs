//! Reports of rejected users files: equal errors, `--errors-out`, and errors for programs.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rust_xlsxwriter::{Format, Workbook};
use serde_json::{Value, json};

use crate::support::{TestApp, file};
use crate::{Ran, app_with, remote, with_file};

const HEADER: &str = "line,column,cell,field,value,code,message\r\n";

/// A CSV file of so many users with a foreign word in place of a flag.
fn foreign_flags(count: usize) -> String {
    let rows: String = (0..count).map(|n| format!("Ada,a{n}@example.com,SANT\n")).collect();
    format!("name,email,is_sso_user\n{rows}")
}

fn create(app: &TestApp, content: &str, suffix: &str, arguments: &[&str]) -> Ran {
    with_file(app, "batch-create", content.as_bytes(), suffix, arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_equal_errors_are_one_block_and_all_of_them_are_listed_for_programs() {
    let app = TestApp::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("errors.csv");
    let content = foreign_flags(10_000);
    let ran = create(&app, &content, ".csv", &[]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.lines().count() < 30, "{}", ran.err);
    assert_eq!(ran.err.matches("error[").count(), 1, "{}", ran.err);
    assert!(ran.err.contains(" (10000 rows)\n --> users:2:20\n"), "{}", ran.err);
    assert!(ran.err.contains("\n ::: users:4:20\n"), "{}", ran.err);
    assert!(
        ran.err.contains("\n  = note: also at 5:20, 6:20, ") && ran.err.contains(", and 9977 more\n"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.ends_with(
            "\n10000 of 10000 users can't be created; nothing was created\n\
             hint: `--errors-out FILE.csv` writes all errors to a file\n"
        ),
        "{}",
        ran.err
    );
    let ran = create(&app, &content, ".csv", &["-o", "json", "--errors-out", path.to_str().unwrap()]);
    assert_eq!(ran.status, Some(1), "{}", ran.err);
    assert!(ran.err.ends_with(&format!("\nthe errors are in `{}`\n", path.display())), "{}", ran.err);
    let errors: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(errors.len(), 10_000);
    let place = |error: &Value| (error["line"].clone(), error["column"].clone(), error["field"].clone());
    assert_eq!(place(&errors[0]), (json!(2), json!(20), json!("is_sso_user")));
    assert_eq!(place(&errors[9_999]), (json!(10_001), json!(23), json!("is_sso_user")));
    let written = fs::read_to_string(&path).unwrap();
    let first = "2,20,,is_sso_user,SANT,wrong_type,\"must be true or false, not text; write true, yes, on or 1, or else false, no, \
                 off or 0\"\r\n";
    assert!(written.starts_with(&format!("{HEADER}{first}")), "{}", &written[..200]);
    assert_eq!(written.lines().count(), 10_001);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(app.db_counts().await[0], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_errors_has_places_and_values_but_no_secrets() {
    let app = app_with(&["taken@example.com"]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("errors.csv");
    let content = "\
create_users:
  - {name: Ann, email: taken@example.com, is_sso_user: true}
  - {name: '=1+1', email: TAKEN@example.com, password: hunter2, is_sso_user: false}
  - {name: Bo, email: bo, is_sso_user: false, pasword: hunter2}
";
    let errors_out = ["--errors-out", path.to_str().unwrap()];
    let ran = create(&app, content, ".yaml", &[&errors_out[..], &["-o", "csv"]].concat());
    assert_eq!(ran.status, Some(1), "{}", ran.err);
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(ran.out, written);
    for line in [
        HEADER.trim_end(),
        "2,24,,email,taken@example.com,email_taken,already exists",
        "3,27,,email,TAKEN@example.com,email_duplicate,the same address as line 2",
        "3,56,,password,,password_too_short,shorter than 8 characters",
        "4,23,,email,bo,email_invalid,not a valid e-mail address",
    ] {
        assert!(written.split("\r\n").any(|written| written == line), "{line} is not in:\n{written}");
    }
    assert!(written.contains("4,47,,pasword,,unknown_field,"), "{written}");
    assert!(!written.contains("hunter2"), "{written}");
    // A file that is not a list, and a file without errors, which replaces the errors of an earlier run.
    let ran = create(&app, "create_users:\n- name: a\n  name: b\n", ".yaml", &errors_out);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    let form = "3,3,,,,invalid_file,duplicate key `name`\r\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{HEADER}{form}"));
    let huge = file(b"", ".csv");
    huge.as_file().set_len(65 << 20).unwrap();
    let ran = remote(&app, &[&["user", "batch-create", "-f", huge.path().to_str().unwrap()], &errors_out[..]].concat());
    assert_eq!(ran.status, Some(1), "{}", ran.err);
    let written = fs::read_to_string(&path).unwrap();
    assert!(written.starts_with(&format!("{HEADER},,,,,invalid_file,`")), "{written}");
    assert!(written.ends_with("` is larger than 64 MiB; split it into several files\r\n"), "{written}");
    let ran = create(&app, "create_users: [{name: a, email: a@example.com, is_sso_user: true}]", ".yaml", &errors_out);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert_eq!(fs::read_to_string(&path).unwrap(), HEADER);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_takes_a_users_file_writes_its_errors() {
    let app = app_with(&["a@example.com"]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("errors.csv");
    let errors_out = ["--errors-out", path.to_str().unwrap()];
    let due = format!("{HEADER}3,1,,user,nobody@example.com,unknown_user,there is no such user\r\n");
    for command in ["update", "suspend", "reactivate", "delete"] {
        let content = if command == "update" {
            "user,title\na@example.com,x\nnobody@example.com,x\n"
        } else {
            "user\na@example.com\nnobody@example.com\n"
        };
        let ran = with_file(&app, command, content.as_bytes(), ".csv", &[&errors_out[..], &["--dry-run"]].concat());
        assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "{command}: {}", ran.err);
        let written = fs::read_to_string(&path).unwrap();
        assert!(written.contains(due.strip_prefix(HEADER).unwrap()), "{command}: {written}");
        fs::remove_file(&path).unwrap();
    }
    let group = remote(&app, &["group", "create", "editors", "-o", "json"]);
    let group: Value = serde_json::from_str(&group.out).unwrap();
    let list = file(b"user\na@example.com\nnobody@example.com\n", ".csv");
    let (id, list) = (group["id"].as_str().unwrap(), list.path().to_str().unwrap());
    let ran = remote(&app, &[&["group", "add", id, "-f", list, "-o", "csv"], &errors_out[..]].concat());
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), due.as_str()), "{}", ran.err);
    assert_eq!(fs::read_to_string(&path).unwrap(), due);
    for command in [&["user", "suspend", "a@example.com"][..], &["group", "add", id, "a@example.com"]] {
        let ran = remote(&app, &[command, &errors_out[..]].concat());
        assert_eq!((ran.status, ran.err.as_str()), (Some(2), "error: `--errors-out` requires `--users-file`\n"));
        let ran = remote(&app, &[command, &["--format", "csv"]].concat());
        let message = "error: the argument '[USER]...' cannot be used with '--format <FORMAT>'\n";
        assert_eq!((ran.status, ran.err.starts_with(message)), (Some(2), true), "{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_in_a_workbook_name_their_cells() {
    let app = app_with(&["taken@example.com"]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("errors.csv");
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet().set_name("New staff").unwrap();
    for (row, cells) in (1..).zip([
        ["name", "email", "is_sso_user", "password"],
        ["Ada", "taken@example.com", "true", ""],
        ["Bo", "Taken@example.com", "false", "hunter2"],
    ]) {
        for (column, cell) in (1..).zip(cells) {
            sheet.write(row, column, cell).unwrap();
        }
    }
    let content = workbook.save_to_buffer().unwrap();
    let arguments = ["--errors-out", path.to_str().unwrap(), "-o", "csv"];
    let ran = with_file(&app, "batch-create", &content, ".xlsx", &arguments);
    assert_eq!(ran.status, Some(1), "{}", ran.err);
    for words in [
        "error[email_taken]: email: already exists\n --> users, 'New staff'!C3\n  |\n3 |     Ada    taken@example.com    true\n",
        "error[password_too_short]: password: shorter than 8 characters\n --> users, 'New staff'!E4\n",
        "4 |     Bo    Taken@example.com    false    *******\n",
        "\n2 of 2 users can't be created; nothing was created\n",
    ] {
        assert!(ran.err.contains(words), "no {words} in:\n{}", ran.err);
    }
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(ran.out, written);
    assert_eq!(
        written,
        format!(
            "{HEADER}3,3,'New staff'!C3,email,taken@example.com,email_taken,already exists\r\n\
             4,3,'New staff'!C4,email,Taken@example.com,email_duplicate,the same address as row 3\r\n\
             4,5,'New staff'!E4,password,,password_too_short,shorter than 8 characters\r\n"
        )
    );
    // A workbook whose form has errors.
    workbook.worksheet_from_index(0).unwrap().merge_range(2, 1, 3, 1, "Ada", &Format::new()).unwrap();
    let content = workbook.save_to_buffer().unwrap();
    let ran = with_file(&app, "batch-create", &content, ".xlsx", &arguments);
    let message = "\"of the merged cells B3:B4, only the first has a value; unmerge the cells, and write the value into each of \
                   them\"";
    assert_eq!((ran.status, ran.out), (Some(1), format!("{HEADER}3,2,'New staff'!B3,,,invalid_file,{message}\r\n")));
    assert_eq!(app.db_counts().await[0], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_that_the_server_does_not_list_are_counted() {
    let app = TestApp::spawn_with(|config| config.batch.max_findings = 2).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("errors.csv");
    let ran = create(&app, &foreign_flags(5), ".csv", &["--errors-out", path.to_str().unwrap()]);
    assert_eq!(ran.status, Some(1), "{}", ran.err);
    let note = "3 more findings not listed (server setting `batch.max_findings`)";
    assert!(
        ran.err.contains(&format!(
            "\nat least 2 of 5 users can't be created; nothing was created\n{note}\nthe errors are in "
        )),
        "{}",
        ran.err
    );
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written.lines().count(), 4, "{written}");
    assert!(written.ends_with(&format!("\r\n,,,,,more_findings,{note}\r\n")), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_errors_that_can_not_be_written_is_reported_before_anything_is_sent() {
    let app = TestApp::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let users = at("users.csv");
    fs::write(&users, "name,email,is_sso_user\nAda,ada@example.com,yes\n").unwrap();
    symlink(&users, at("link.csv")).unwrap();
    fs::hard_link(&users, at("hard.csv")).unwrap();
    fs::create_dir(at("folder.csv")).unwrap();
    let users_path = users.to_str().unwrap();
    let create =
        |path: &Path| remote(&app, &["user", "batch-create", "-f", users_path, "--errors-out", path.to_str().unwrap()]);
    for (name, why) in [
        ("nowhere/errors.csv", "No such file or directory (os error 2)"),
        ("folder.csv", "not a regular file"),
        ("link.csv", "not a regular file"),
        ("users.csv", "this is the file to read"),
        ("hard.csv", "this is the file to read"),
    ] {
        let ran = create(&at(name));
        let message = format!("error: can't write `{}`: {why}\n", at(name).display());
        assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(2), "", message.as_str()));
    }
    assert_eq!(create(Path::new("/dev/null")).status, Some(2));
    assert_eq!(app.db_counts().await[0], 0);
    // A regular file that other users can read is replaced by a private one.
    let errors = at("errors.csv");
    fs::write(&errors, "old").unwrap();
    fs::set_permissions(&errors, fs::Permissions::from_mode(0o644)).unwrap();
    let before = fs::metadata(&errors).unwrap().ino();
    assert_eq!(create(&errors).status, Some(0));
    let after = fs::metadata(&errors).unwrap();
    assert_eq!((after.permissions().mode() & 0o777, after.ino() == before), (0o600, false));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5, "temporary files are left");
}
