//! The formats of users files, through the real program.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rust_xlsxwriter::{Formula, Workbook};
use serde_json::{Value, json};

use crate::support::{TestApp, file};
use crate::{Ran, app_with, muster_at, remote, run, with_file};

const YAML: &str = "\
create_users:
  - name: 'Doe, \"Ann\"'
    email: ann@DOMAIN
    password: purple-Tiger-4711
    is_sso_user: no
    lastname: Doe
    title: Boss
  - {name: Bo, email: bo@DOMAIN, is_sso_user: yes}
";
const JSON: &str = r#"[
  {"name": "Doe, \"Ann\"", "email": "ann@DOMAIN", "password": "purple-Tiger-4711", "is_sso_user": false,
   "lastname": "Doe", "title": "Boss"},
  {"name": "Bo", "email": "bo@DOMAIN", "is_sso_user": true}
]"#;
const NDJSON: &str = r#"
{"name": "Doe, \"Ann\"", "email": "ann@DOMAIN", "password": "purple-Tiger-4711", "is_sso_user": false, "lastname": "Doe", "title": "Boss"}

{"name": "Bo", "email": "bo@DOMAIN", "is_sso_user": true}
"#;
const CSV: &str = "\
# Our people.
name,email,password,is_sso_user,lastname,title
\"Doe, \"\"Ann\"\"\",ann@DOMAIN,purple-Tiger-4711,No,Doe,Boss
Bo,bo@DOMAIN,,1,,
";

fn create(app: &TestApp, content: &[u8], suffix: &str, arguments: &[&str]) -> Ran {
    with_file(app, "batch-create", content, suffix, arguments)
}

/// Runs the command with this content on standard input.
fn create_from_input(app: &TestApp, content: &[u8], arguments: &[&str]) -> Ran {
    let file = file(content, "");
    let input = Stdio::from(File::open(file.path()).unwrap());
    run(muster_at(app).args(["user", "batch-create", "-f", "-"]).args(arguments).stdin(input))
}

/// The created users, without IDs and times.
fn created(ran: &Ran, domain: &str) -> Vec<Value> {
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let mut users: Vec<Value> = serde_json::from_str(&ran.out.replace(domain, "DOMAIN")).unwrap();
    for user in &mut users {
        let user = user.as_object_mut().unwrap();
        user.remove("user_id").unwrap();
        user.remove("created_at").unwrap();
    }
    users
}

#[tokio::test(flavor = "multi_thread")]
async fn each_format_creates_the_same_users() {
    let app = TestApp::spawn().await;
    let object = format!("{{\"create_users\": {JSON}}}");
    let first = created(
        &create(&app, YAML.replace("DOMAIN", "first.example").as_bytes(), ".yaml", &["-o", "json"]),
        "first.example",
    );
    assert_eq!(first.len(), 2);
    assert_eq!((&first[0]["name"], &first[0]["email"]), (&"Doe, \"Ann\"".into(), &"ann@DOMAIN".into()));
    assert_eq!((&first[1]["name"], &first[1]["is_sso_user"]), (&"Bo".into(), &true.into()));
    let windows = format!("\u{feff}{}", CSV.replace('\n', "\r\n"));
    for (number, (content, suffix, format)) in [
        (YAML, ".YML", None),
        (YAML, ".txt", None),
        (YAML, "", None),
        (JSON, ".json", None),
        (JSON, ".yaml", Some("json")),
        (object.as_str(), ".json", None),
        (NDJSON, ".ndjson", None),
        (NDJSON, ".jsonl", None),
        (NDJSON, ".json", Some("ndjson")),
        (CSV, ".csv", None),
        (CSV, ".txt", Some("csv")),
        (windows.as_str(), ".CSV", None),
    ]
    .into_iter()
    .enumerate()
    {
        let domain = format!("n{number}.example");
        let mut arguments = vec!["-o", "json"];
        arguments.extend(format.iter().flat_map(|format| ["--format", format]));
        let ran = create(&app, content.replace("DOMAIN", &domain).as_bytes(), suffix, &arguments);
        assert_eq!(created(&ran, &domain), first, "{suffix} {format:?}");
    }
    let unset = "select count(*) from passwords";
    assert_eq!(app.db_value::<i64>(unset).await, 13, "one of the two has a password");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workbook_creates_the_users_of_its_sheet() {
    let app = TestApp::spawn().await;
    let workbook = |domain: &str| {
        let mut workbook = Workbook::new();
        workbook.add_worksheet().write(0, 0, "Staff of 2026").unwrap();
        let sheet = workbook.add_worksheet().set_name("Staff").unwrap();
        for (column, name) in (0..).zip(["Name", "email", "is_sso_user", "title", "Office"]) {
            sheet.write(0, column, name).unwrap();
        }
        sheet.write(1, 0, "Ada").unwrap().write(1, 1, format!("ada@{domain}")).unwrap();
        sheet.write(1, 2, true).unwrap().write(1, 3, 7).unwrap();
        sheet.write(3, 0, "Bo").unwrap().write(3, 1, format!("bo@{domain}")).unwrap().write(3, 2, 0).unwrap();
        sheet.write_formula(3, 3, Formula::new("=[1]Other!A1").set_result("Boss")).unwrap();
        let other = workbook.add_worksheet().set_name("New staff").unwrap();
        for (column, (name, cell)) in
            (0..).zip([("name", "Cy"), ("email", &*format!("cy@{domain}")), ("is_sso_user", "true"), ("Office", "1")])
        {
            other.write(0, column, name).unwrap().write(1, column, cell).unwrap();
        }
        workbook.save_to_buffer().unwrap()
    };
    let due = |users: Value| users.as_array().unwrap().clone();
    let shown = |ran: &Ran, domain: &str| -> Vec<Value> {
        let users = created(ran, domain).into_iter();
        users.map(|user| json!([user["name"], user["email"], user["is_sso_user"], user["title"]])).collect()
    };
    let staff = due(json!([["Ada", "ada@DOMAIN", true, "7"], ["Bo", "bo@DOMAIN", false, "Boss"]]));
    for (number, suffix) in [".xlsx", ".csv", ""].into_iter().enumerate() {
        let domain = format!("n{number}.example");
        let ran = create(&app, &workbook(&domain), suffix, &["--ignore", "office", "-o", "json"]);
        assert_eq!(shown(&ran, &domain), staff, "{suffix}");
    }
    let input = create_from_input(&app, &workbook("in.example"), &["--ignore", "office", "-o", "json"]);
    assert_eq!(shown(&input, "in.example"), staff);
    // The command of the plan names the sheet.
    let arguments = ["--ignore", "Office", "--sheet", "NEW staff"];
    let ran = create(&app, &workbook("x.example"), ".xlsx", &[&arguments[..], &["--dry-run"]].concat());
    assert!(
        ran.err.contains("muster user batch-create -f users --ignore Office --sheet 'NEW staff' --plan "),
        "{}",
        ran.err
    );
    let ran = create(&app, &workbook("x.example"), ".xlsx", &[&arguments[..], &["-o", "json"]].concat());
    assert_eq!(shown(&ran, "x.example")[0][0], "Cy");
    let ran = create(&app, &workbook("x.example"), ".xlsx", &["--sheet", "Old"]);
    let message =
        "error: `users` has no sheet `Old`; the sheets are `Sheet1`, `Staff` and `New staff`; nothing was created\n";
    assert_eq!((ran.status, ran.err.ends_with(message)), (Some(1), true), "{}", ran.err);
    let ran = create(&app, CSV.as_bytes(), ".csv", &["--sheet", "Staff"]);
    let message = "error: `users` is not a workbook; `--sheet` selects the sheet of a workbook\n";
    assert_eq!((ran.status, ran.err.ends_with(message)), (Some(2), true), "{}", ran.err);
    assert_eq!(app.db_counts().await[0], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sheet_of_the_same_workbook_is_another_list() {
    let app = TestApp::spawn().await;
    let mut workbook = Workbook::new();
    for name in ["ada", "bo"] {
        let sheet = workbook.add_worksheet().set_name(name).unwrap();
        let rows = [["name", "email", "is_sso_user"], [name, &format!("{name}@example.com"), "true"]];
        sheet.write_row_matrix(0, 0, rows).unwrap();
    }
    let content = workbook.save_to_buffer().unwrap();
    for (sheet, done) in [
        ("ada", "1 user created."),
        ("bo", "1 user created."),
        ("bo", "nothing is left to do."),
        // The newest batch of the file is not this sheet's.
        ("ada", "1 of 1 users can't be created; nothing was created"),
    ] {
        let ran = create(&app, &content, ".xlsx", &["--sheet", sheet, "--hash-locally"]);
        assert!(ran.err.trim_end().ends_with(done), "{}", ran.err);
    }
    assert_eq!(app.db_counts().await[0], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_takes_a_users_file_takes_a_workbook() {
    let app = app_with(&["a@example.com", "+b@example.com"]).await;
    let workbook = |cells: &[&str]| {
        let mut workbook = Workbook::new();
        workbook.add_worksheet().write_column(0, 0, cells.iter().copied()).unwrap();
        workbook.save_to_buffer().unwrap()
    };
    let users = [&["user", "a@example.com", "+b@example.com"][..], &["user", "", "nobody"]];
    let applied = [&["email", "a@example.com", "+b@example.com"][..], &["email", "", "nobody"]];
    let invited = [&["email", "c@example.com", "d@example.com"][..], &["email", "", "nobody"]];
    let group = remote(&app, &["group", "create", "editors", "-o", "json"]);
    let group: Value = serde_json::from_str(&group.out).unwrap();
    let id = group["id"].as_str().unwrap();
    for (command, [good, bad]) in [
        (&["user", "update"][..], users),
        (&["user", "suspend"], users),
        (&["user", "reactivate"], users),
        (&["user", "delete"], users),
        (&["user", "apply"], applied),
        (&["group", "add", id], users),
        (&["invitation", "create"], invited),
    ] {
        for (cells, status) in [(good, 0), (bad, 1)] {
            let file = file(&workbook(cells), ".xlsx");
            let path = file.path().to_str().unwrap();
            let ran = remote(&app, &[command, &["-f", path, "--dry-run"]].concat());
            assert_eq!(ran.status, Some(status), "{command:?}: {}", ran.err);
            assert_eq!(ran.err.contains(&format!(" --> {path}, Sheet1!A3\n")), status == 1, "{command:?}: {}", ran.err);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_of_muster_is_read_back() {
    let app = app_with(&["+a@example.com"]).await;
    let listed = remote(&app, &["user", "list", "-o", "csv"]).out;
    assert!(listed.contains("\r\n'+a@example.com,"), "{listed}");
    let ran = with_file(&app, "update", b"user,title\n'+a@example.com,Boss\n", ".csv", &["-o", "json"]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()[0]["email"], "+a@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn semicolons_and_tabs_are_accepted_as_delimiters() {
    let app = TestApp::spawn().await;
    for (number, separator) in [";", "\t"].into_iter().enumerate() {
        let text = format!("name,email,is_sso_user,title\nAda,ada{number}@example.com,yes,\n").replace(',', separator);
        let ran = create(&app, text.as_bytes(), ".csv", &[]);
        assert_eq!(ran.status, Some(0), "{}", ran.err);
    }
    assert_eq!(app.db_counts().await[0], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_spreadsheets_leave_in_a_table_is_accepted() {
    let app = TestApp::spawn().await;
    let header = "name,email,is_sso_user\n";
    for (number, (suffix, content)) in [
        (".csv", format!("\"# notes, and more\",,\n{header}Ada,MAIL,true\n")),
        (".csv", "\u{feff}\"# say \"\"hi\"\"\";;\r\nname;email;is_sso_user\r\nAda;MAIL;TRUE\r\n".to_owned()),
        (".csv", format!(",,\n{header}Ada,MAIL,true\n")),
        (".csv", "name, email, is_sso_user\nAda , MAIL ,true \n".to_owned()),
        (".csv", format!("{header}Ada,MAIL\u{a0},TRUE\u{a0}\n")),
        (".csv", format!("{header}Ada,MAIL,WAHR\n")),
        (".csv", format!("{header}Ada,MAIL,y\n")),
        (".csv", format!("{header}Ada,MAIL,true\n , , \n\t,,\n  \n\u{1a}")),
        (".csv", format!("\u{200b}{header}Ada,MAIL,true\n")),
        (".csv", format!("\u{feff}\u{feff}{header}Ada,MAIL,true\n")),
        (".csv", "Name,Email,Is_sso_user\nAda,MAIL,true\n".to_owned()),
        (".tsv", "name\temail\tis_sso_user\nAda\tMAIL\ttrue\n".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("ada{number}@example.com");
        let ran = create(&app, content.replace("MAIL", &email).as_bytes(), suffix, &["-o", "json"]);
        let users = created(&ran, "none");
        assert_eq!(users.len(), 1, "{content}");
        for (field, value) in [("name", "Ada".into()), ("email", email.into()), ("is_sso_user", Value::Bool(true))] {
            assert_eq!(users[0][field], value, "{content}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_with_other_names_are_mapped_or_ignored() {
    let app = TestApp::spawn().await;
    let table = "Vorname;Nachname;E-Mail;SSO;Abteilung\nAda;Byron;ada@example.com;WAHR;hunter2\n";
    let map = "Vorname=name,Nachname=lastname,E-Mail=email,SSO=is_sso_user";
    let ran = create(&app, table.as_bytes(), ".csv", &["--map", map, "--ignore", "abteilung", "--dry-run"]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let again = format!("-f users --map {map} --ignore abteilung --plan plan1_");
    assert!(ran.err.contains(&again), "{}", ran.err);
    // A column name may contain a comma and `=`.
    let map = file("\u{feff}# our columns\r\nVorname=name\r\n\r\nMail, a=b=email\r\n".as_bytes(), ".txt");
    let map = map.path().to_str().unwrap();
    let table = "Vorname,\"Mail, a=b\",is_sso_user\nAda,ada@example.com,no\n";
    let ran = create(&app, table.as_bytes(), ".csv", &["--map-file", map, "-o", "json"]);
    assert_eq!(created(&ran, "none")[0]["email"], "ada@example.com");
    // One file of mappings for two exports.
    let map = file(b"Vorname=name\nFirst name=name\nMail=email\nE-mail=email\nRolle=title\n", ".txt");
    let map = map.path().to_str().unwrap();
    for (table, absent) in [
        ("Vorname,Mail,is_sso_user\nBen,ben@example.com,yes\n", "First name, E-mail, Rolle"),
        ("First name,E-mail,Rolle,is_sso_user\nCy,cy@example.com,Clerk,yes\n", "Vorname, Mail"),
    ] {
        let ran = create(&app, table.as_bytes(), ".csv", &["--map-file", map, "--dry-run"]);
        let note = format!("note: columns of `--map-file` that the file does not have: {absent}\n");
        assert!(ran.status == Some(0) && ran.err.starts_with(&note), "{}", ran.err);
    }
    let ran = create(&app, b"Name,Mail,is_sso_user\nBen,ben@example.com,yes\n", ".csv", &["--map-file", map]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let both = b"Vorname,First name,Mail,is_sso_user\nBen,Bo,hunter2,yes\n";
    let ran = create(&app, both, ".csv", &["--map-file", map]);
    let due = "error: duplicate column `name`\n --> users:1:9\n";
    assert!(ran.status == Some(1) && ran.err.starts_with(due) && !ran.err.contains("hunter"), "{}", ran.err);
    let ran = create(&app, b"Vornam,Mail,is_sso_user\nBen,hunter2,yes\n", ".csv", &["--map-file", map]);
    let due = "error: missing column `First name`, which is mapped to `name`\n --> users:1:1\n";
    assert!(ran.status == Some(1) && ran.err.contains(due) && !ran.err.contains("hunter"), "{}", ran.err);

    let changes = "Adresse,Titel\nada@example.com,Countess\n";
    let ran = with_file(&app, "update", changes.as_bytes(), ".csv", &["--map", "Adresse=user,Titel=title"]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert_eq!(app.db_value::<String>("select title from users where name = 'Ada'").await, "Countess");
    let ran = with_file(&app, "suspend", changes.as_bytes(), ".csv", &["--map", "Adresse=user", "--ignore", "Titel"]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_cannot_be_used_is_one_clear_error() {
    let app = TestApp::spawn().await;
    let table = b"Vorname,email,is_sso_user\nAda,hunter2,true\n";
    for (options, status, due) in [
        (&["--map", "Vorname=name,VORNAME=title"][..], 2, "error: `--map`: column `VORNAME` is given twice\n"),
        (&["--map", "Vorname=nme"], 2, "error: `--map`: unknown field `nme`; the fields are name, email, "),
        (&["--map", "Vorname"], 2, "error: `--map`: `Vorname` is not of the form COLUMN=FIELD\n"),
        (&["--map", "Vorname=name", "--ignore", "vorname"], 2, "error: `--ignore`: column `vorname` is given twice\n"),
        (&["--map", "Vornam=name"], 1, "error: missing column `Vornam`, which is mapped to `name`\n --> users:1:1\n"),
        (&["--ignore", "Titel"], 1, "error: missing column `Titel`, which is to be ignored\n --> users:1:1\n"),
        (
            &["--map", "Vorname=name", "--format", "yaml"],
            2,
            "error: `users` is not a table; `--map`, `--map-file` and `--ignore` are for the columns of CSV files and \
             workbooks\n",
        ),
        (&["--map-file", "/does/not/exist"], 2, "error: can't read `/does/not/exist`: No such file or directory"),
    ] {
        let ran = create(&app, table, ".csv", options);
        assert_eq!((ran.status, ran.out.as_str()), (Some(status), ""), "{}", ran.err);
        assert!(ran.err.starts_with(due) && ran.err.matches("error:").count() == 1, "{}", ran.err);
        assert!(!ran.err.contains("hunter"), "{}", ran.err);
    }
    for (content, due) in [
        (&b"# names\nVorname=name\nVorname=title\n"[..], "`map`, line 3: column `Vorname` is given twice\n"),
        (b"Vorname=name\nx\n", "`map`, line 2: `x` is not of the form COLUMN=FIELD\n"),
        (b"\xff", "can't read `map`: stream did not contain valid UTF-8\n"),
        (&[b'#'; 64 * 1024 + 1], "can't read `map`: larger than 64 KiB\n"),
    ] {
        let map = file(content, "");
        let path = map.path().to_str().unwrap();
        let ran = create(&app, table, ".csv", &["--map-file", path]);
        assert_eq!((ran.status, ran.err.replace(path, "map")), (Some(2), format!("error: {due}")));
    }
    for command in [&["user", "suspend"][..], &["user", "update", "--title=x"], &["group", "add", "grp_1"]] {
        let ran = remote(&app, &[command, &["ada@example.com", "--ignore", "x"]].concat());
        let due = "error: `--map`, `--map-file`, `--ignore` and `--sheet` require `--users-file`\n";
        assert_eq!((ran.status, ran.err.as_str()), (Some(2), due));
    }
    assert_eq!(app.db_counts().await, [0, 0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dash_reads_standard_input() {
    let app = TestApp::spawn().await;
    for (number, (content, format)) in
        [(YAML, None), (JSON, Some("json")), (NDJSON, Some("ndjson")), (CSV, Some("csv"))].into_iter().enumerate()
    {
        let content = content.replace("DOMAIN", &format!("n{number}.example"));
        let arguments: Vec<_> = format.iter().flat_map(|format| ["--format", format]).collect();
        let ran = create_from_input(&app, content.as_bytes(), &arguments);
        assert_eq!(ran.status, Some(0), "{}", ran.err);
    }
    assert_eq!(app.db_counts().await[0], 8);
    let ran = create_from_input(&app, CSV.replace("DOMAIN", "n0.example").as_bytes(), &["--format", "csv", "--again"]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.err.contains("--> <stdin>:3:16\n") && ran.err.contains("::: <stdin>:4:4\n"), "{}", ran.err);
    let ran = create_from_input(&app, b"[", &["--format", "json"]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.err.contains("--> <stdin>:1:1\n"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_findings_point_to_cells_and_show_no_password() {
    let app = TestApp::spawn().await;
    let content = "\
name,email,password,is_sso_user
Ann,ann@example.com,hunter2,false
Bo,bo,hunter2hunter2,maybe
,ann@example.com,\"hunter2
hunter2\",true
";
    let ran = create(&app, content.as_bytes(), ".csv", &[]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    for words in [
        "password: shorter than 8 characters\n --> users:2:21\n",
        " --> users:3:4\n",
        "is_sso_user: must be true or false, not text\n --> users:3:22\n",
        "= help: write true, yes, on or 1, or else false, no, off or 0\n",
        "name: is missing\n --> users:4:1\n",
        "email: the same address as line 2\n --> users:4:2\n",
        " ::: users:2:5\n",
        " --> users:4:18\n",
        "\n3 of 3 users can't be created; nothing was created\n",
    ] {
        assert!(ran.err.contains(words), "no {words} in:\n{}", ran.err);
    }
    assert!(!ran.err.contains("hunter"), "{}", ran.err);
    assert_eq!(app.db_counts().await[0], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_is_rejected_before_anything_is_sent() {
    let app = TestApp::spawn().await;
    let utf16: Vec<u8> = CSV.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = [b"\xff\xfe", utf16.as_slice()].concat();
    for (suffix, content, words) in [
        (".csv", &b"name,email\nAnn,ann@example.com\n"[..], "missing column `is_sso_user`\n --> users:1:1\n"),
        (".csv", b"name,email,is_sso_user,phone\nAnn,a,no,5\n", "unknown column `phone`\n --> users:1:24\n"),
        (
            ".csv",
            b"name,email,is_sso_user\nAnn,a,no,5\n",
            "this row has 4 cells, but the header has 3\n --> users:2:1\n",
        ),
        (".csv", b"name,email,is_sso_user\nAnn,\"a,no\n", "unclosed quote\n --> users:2:5\n"),
        (".csv", &utf16, "`users` looks like UTF-16; save the file as UTF-8; nothing was created\n"),
        (
            ".csv",
            b"PK\x03\x04xl/workbook.xml",
            "`users` is damaged or incomplete; open the workbook in a spreadsheet program and save it again; nothing was \
             created\n",
        ),
        (".xlsx", b"name,email,is_sso_user\n", "`users` looks like CSV; use `--format csv`; nothing was created\n"),
        (".xlsx", b"PK\x03\x04", "`users` is damaged or incomplete; "),
        (".csv", b"PK\x03\x04", "`users` looks like a zip archive; unpack it first; nothing was created\n"),
        (
            ".json",
            b"{\"realm\": \"staff\", \"users\": [{\"username\": \"a\", \"credentials\": []}]}",
            "looks like an export from Keycloak; convert it with `muster user convert --from keycloak FILE`; ",
        ),
        ("", b"name,email,is_sso_user\nAnn,ann@example.com,no\n", "looks like CSV; use `--format csv`; "),
        (".csv", b"E-Mail\nann@example.com\n", "unknown column `E-Mail`\n --> users:1:1\n"),
        (
            ".csv",
            b"E-Mail\nann@example.com\n",
            "= help: did you mean `email`? rename the column, or add `--map E-Mail=email`\n",
        ),
        (".csv", b"Ann,a,hunter2,no\n", "missing columns `name`, `email` and `is_sso_user`\n --> users:1:1\n"),
        (".csv", b"", "the file is empty\n"),
        (".json", b"[{\"name\": \"Ann\",}]", "trailing comma\n --> users:1:16\n"),
        (".json", b"[{\"name\": \"Ann\", \"name\": \"Bo\"}]", "duplicate key `name`\n --> users:1:18\n"),
        (".json", b"{\"users\": []}", "did you mean `create_users`?"),
        (".ndjson", b"{}\n{\"password\": hunter2}\n", "invalid JSON value\n --> users:2:14\n"),
        (
            ".yaml",
            b"create_users:\n- name: Ada\n  password: #hunter2\n",
            "error: `password` has no value, because ` #` starts a comment\n --> users:3:13\n",
        ),
        (
            ".yaml",
            b"create_users:\n- name: Ada\n  password: hunter2 #hunter3\n",
            "error: `password` is cut off, because ` #` starts a comment\n --> users:3:21\n",
        ),
        (
            ".yaml",
            b"create_users:\n- &a {name: A}\n- &b {name: B}\n- <<: *a\n  <<: *b\n",
            "error: duplicate key `<<`\n --> users:5:3\n",
        ),
        (
            ".yaml",
            "create_users:\n- name: Ada\n\u{a0} email: ada@example.com\n  is_sso_user: true\n".as_bytes(),
            "error: a no-break space (U+00A0) can't indent YAML\n --> users:3:1\n",
        ),
    ] {
        let ran = create(&app, content, suffix, &[]);
        assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "{}", ran.err);
        assert!(ran.err.contains(words), "no {words} in:\n{}", ran.err);
        assert!(ran.err.ends_with("nothing was created\n") && !ran.err.contains("hunter"), "{}", ran.err);
    }
    let ran = create(&app, b"", ".csv", &["--format", "xls"]);
    assert_eq!(ran.status, Some(2), "{}", ran.err);
    assert_eq!(app.db_counts().await, [0, 0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_the_size_limit_is_rejected_without_reading_it_all() {
    let app = TestApp::spawn().await;
    for suffix in [".yaml", ".json", ".ndjson", ".csv"] {
        let file = file(b"", suffix);
        // Reading a tebibyte takes minutes.
        file.as_file().set_len(1 << 40).unwrap();
        for path in [file.path().to_str().unwrap(), "-"] {
            let muster = muster_at(&app);
            let mut limited = Command::new("sh");
            // In KiB: limits the data segment to 100 MiB.
            limited.args(["-c", "ulimit -d 102400 && exec \"$0\" \"$@\""]).arg(muster.get_program());
            limited.args(["user", "batch-create", "--format", &suffix[1..], "-f", path]);
            limited.envs(muster.get_envs().filter_map(|(name, value)| Some((name, value?))));
            limited.stdin(File::open(file.path()).unwrap());
            let start = Instant::now();
            let ran = run(&mut limited);
            let took = start.elapsed();
            let shown = if path == "-" { "<stdin>" } else { path };
            assert_eq!(
                (ran.status, ran.err.as_str()),
                (
                    Some(1),
                    format!(
                        "error: `{shown}` is larger than 64 MiB; split it into several files; nothing was created\n"
                    )
                    .as_str()
                )
            );
            assert!(took < Duration::from_secs(50), "{took:?}");
        }
    }
}

#[test]
fn the_examples_are_printed() {
    let template =
        |arguments: &[&str]| run(crate::support::server::muster().args(["user", "template"]).args(arguments));
    let yaml = template(&[]);
    assert_eq!((yaml.status, yaml.err.as_str()), (Some(0), ""));
    assert_eq!(yaml.out, include_str!("../../src/users_file/template.yaml"));
    assert_eq!(template(&["--format", "yaml"]).out, yaml.out);
    assert_eq!(template(&["--format", "csv"]).out, include_str!("../../src/users_file/template.csv"));
    assert_eq!(template(&["--format", "json"]).status, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_create_their_users() {
    let app = TestApp::spawn().await;
    for (format, suffix) in [("yaml", ".yaml"), ("csv", ".csv")] {
        let example = remote(&app, &["user", "template", "--format", format]);
        assert_eq!(example.status, Some(0), "{}", example.err);
        let others = example.out.replace("@example.com", &format!("@{format}.example"));
        let ran = create(&app, others.as_bytes(), suffix, &["-o", "json"]);
        assert_eq!(created(&ran, "none").len(), 4, "{format}");
    }
    assert_eq!(app.db_counts().await[..4], [8, 6, 4, 2], "users, collaborators, passwords, batches");
    let owners = "select count(*) from collaborators where permission_level = 'owner' and granted_by_kind = 'api_key'";
    assert_eq!(app.db_value::<i64>(owners).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_at_the_end_of_a_hundred_thousand_is_reported_with_its_line() {
    let app = TestApp::spawn_with(|config| config.batch.max_users = 100_000).await;
    let email = |n: usize| if n < 99_999 { format!("user{n}@example.com") } else { "no address".to_owned() };
    let csv: String = std::iter::once("name,email,is_sso_user\n".to_owned())
        .chain((0..100_000).map(|n| format!("Ann,{},yes\n", email(n))))
        .collect();
    let ndjson: String = (0..100_000)
        .map(|n| format!("{{\"name\": \"Ann\", \"email\": \"{}\", \"is_sso_user\": true}}\n", email(n)))
        .collect();
    for (content, suffix, place) in [(csv, ".csv", "users:100001:5"), (ndjson, ".ndjson", "users:100000:26")] {
        let ran = create(&app, content.as_bytes(), suffix, &[]);
        assert_eq!(ran.status, Some(1), "{}", ran.err);
        assert!(ran.err.contains(&format!("--> {place}\n")), "{}", ran.err);
        assert!(ran.err.ends_with("\n1 of 100000 users can't be created; nothing was created\n"), "{}", ran.err);
    }
    assert_eq!(app.db_counts().await, [0, 0, 0, 0, 0]);
}
