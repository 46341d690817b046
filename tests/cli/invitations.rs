//! `muster invitation …`.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::server::muster;
use crate::support::{TestApp, file, sso};
use crate::{Ran, muster_at, remote, run};

const PASSWORD: &str = "tidal-anchor-Plum-91";

/// Runs the command with lines on standard input.
fn run_with(command: &mut Command, input: &str) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

fn invite(app: &TestApp, email: &str) -> Value {
    let ran = run(muster_at(app).args(["invitation", "create", email, "-o", "json"]));
    assert_eq!((ran.status, ran.err), (Some(0), format!("{}1 user invited\n", warning(app))));
    serde_json::from_str::<Value>(&ran.out).unwrap()[0].clone()
}

/// The warning about links that begin with the address of a test server.
pub fn warning(app: &TestApp) -> String {
    format!(
        "warning: the links begin with `http://{}`, which only this machine can open; set `server.public_url` to the \
         address for everybody\n",
        app.address
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_printed_once_and_a_list_is_invited_as_a_whole() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([sso("member@example.com")])).await;
    let ran = remote(&app, &["invitation", "create", "ada@example.com", "grace@example.com"]);
    let expected =
        format!("invitation links, shown only once; send each to its recipient\n{}2 users invited\n", warning(&app));
    assert_eq!((ran.status, ran.err), (Some(0), expected));
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["EMAIL", "LINK", "EXPIRES", "AT"]);
    assert_eq!((lines.len(), lines[1][0], lines[2][0]), (3, "ada@example.com", "grace@example.com"));
    assert!(lines[1][1].starts_with(&format!("http://{}/invitations/ami_", app.address)), "{}", lines[1][1]);

    let list = file("\u{feff}# people\n\n eve@example.com \r\nmember@example.com\nnobody\n".as_bytes(), ".txt");
    let mut command = muster_at(&app);
    let ran = run(command.args(["invitation", "create", "--role", "owner", "-o", "csv", "-f"]).arg(list.path()));
    assert_eq!(
        (ran.status, ran.out.as_str(), ran.err.as_str()),
        (
            Some(1),
            "",
            "member@example.com: email: already exists\nnobody: email: not a valid e-mail address\n\
             error: 2 of 3 users can't be invited; nothing was invited\n"
        )
    );
    let ran = remote(&app, &["invitation", "create", "--role", "owner", "-o", "csv", "eve@example.com"]);
    assert!(ran.out.starts_with("email,link,expires_at\r\neve@example.com,http://"), "{}", ran.out);
    let ran = run_with(muster_at(&app).args(["invitation", "create", "-f", "-"]), "ivy@example.com\n");
    assert_eq!(ran.status, Some(0), "{}", ran.err);

    let ran = remote(&app, &["invitation", "list"]);
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["INVITATION", "ID", "EMAIL", "PERMISSION", "CREATED", "EXPIRES", "AT"]);
    let shown: Vec<[&str; 2]> = lines[1..].iter().map(|line| [line[1], line[2]]).collect();
    let collaborator = |email| [email, "collaborator"];
    assert_eq!(
        shown,
        [
            collaborator("ada@example.com"),
            collaborator("grace@example.com"),
            ["eve@example.com", "owner"],
            collaborator("ivy@example.com")
        ]
    );
    assert!(!ran.out.contains("ami_"), "a link is shown only once");
    let ran = remote(&app, &["invitation", "list", "--email", "EVE@example.com", "-o", "json"]);
    let found: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((found.len(), &found[0]["email"]), (1, &json!("eve@example.com")));

    for arguments in [&["create"][..], &["create", "-f", "/nowhere"]] {
        assert_eq!(run(muster_at(&app).arg("invitation").args(arguments)).status, Some(2), "{arguments:?}");
    }
    let ran = run_with(muster_at(&app).args(["invitation", "create", "-f", "-"]), "# nobody\n");
    assert_eq!((ran.status, ran.err.as_str()), (Some(2), "error: the file contains no e-mail address\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_revoked_by_id_or_address() {
    let app = TestApp::spawn().await;
    let (ada, _) = (invite(&app, "ada@example.com"), invite(&app, "grace@example.com"));
    let id = ada["id"].as_str().unwrap();
    let ran = remote(&app, &["invitation", "invalidate", id]);
    assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(0), "", format!("revoked {id} for ada@example.com\n")));
    let ran = remote(&app, &["invitation", "invalidate", "GRACE@example.com", "-o", "json"]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["email"], "grace@example.com");
    for (named, status, sentence) in [
        (id, 1, format!("error: invitation {id} has already been revoked or replaced\n")),
        ("ada@example.com", 1, "error: no pending invitation for ada@example.com\n".to_owned()),
        ("..", 2, "error: invalid ID `..`; expected `orginv_…`\n".to_owned()),
    ] {
        let ran = remote(&app, &["invitation", "invalidate", named]);
        assert_eq!((ran.status, ran.err), (Some(status), sentence));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_accepted_with_the_link_and_without_a_key() {
    let app = TestApp::spawn().await;
    let link = invite(&app, "ada@example.com")["link"].as_str().unwrap().to_owned();
    let accept = ["invitation", "accept", "--name", "Ada"];
    let ran = run_with(muster().args(accept).arg(&link), "short\n");
    let sentence = "error: the account can't be created: password: shorter than 8 characters\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), sentence));
    let ran = run_with(muster().args(accept).arg(&link), "");
    assert_eq!((ran.status, ran.err.as_str()), (Some(2), "error: missing line on standard input: password\n"));
    let ran = run_with(muster().args(accept).arg(&link), &format!("{PASSWORD}\r\n"));
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), ""));
    assert!(ran.err.starts_with("created the account of ada@example.com: usr_"), "{}", ran.err);
    let stored: String = app.db_value("select phc from passwords").await;
    let typed = muster::secret::Secret::new(PASSWORD);
    assert!(app.app.hasher.verify(typed, stored).await.unwrap().matches);
    let ran = run_with(muster().args(accept).arg(&link), &format!("{PASSWORD}\n"));
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (
            Some(1),
            "error: the invitation has already been accepted; the \
                                                          account exists\n"
        )
    );

    // The link can come from standard input, too; a bare token requires the server's address.
    let link = invite(&app, "grace@example.com")["link"].as_str().unwrap().to_owned();
    let mut command = muster();
    command.args(["invitation", "accept", "-", "--name", "Grace", "--lastname", "Hopper", "-o", "json"]);
    let ran = run_with(&mut command, &format!("{link}\n{PASSWORD}\n"));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    let accepted: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&accepted["email"], &accepted["lastname"]), (&json!("grace@example.com"), &json!("Hopper")));
    let link = invite(&app, "ivy@example.com")["link"].as_str().unwrap().to_owned();
    let token = link.rsplit('/').next().unwrap();
    let host = format!("http://{}", app.address);
    let ran = run(muster().args(["invitation", "accept", token, "--name", "Ivy", "--sso", "--host", &host]));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert!(app.db_value::<bool>("select is_sso_user from users where email = 'ivy@example.com'").await);
}

/// The links in the output, by address.
fn links(ran: &Ran) -> Vec<(String, String)> {
    let rows: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(row, "email"), text(row, "link"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_people_are_invited_once_although_the_list_is_sent_twice() {
    let app = TestApp::spawn().await;
    let rows: String = (0..1000).map(|n| format!("Ada {n},Lovelace,a{n}@example.com,false\n")).collect();
    let list = file(format!("name,lastname,email,is_sso_user\n{rows}").as_bytes(), ".csv");
    let path = list.path().to_str().unwrap();
    let ran = remote(&app, &["invitation", "create", "-f", path, "-o", "json"]);
    assert_eq!((ran.status, &ran.err), (Some(0), &format!("{}1000 users invited\n", warning(&app))));
    let first = links(&ran);
    assert_eq!(first.len(), 1000);

    let named: Vec<String> = (0..10).map(|n| format!("a{n}@example.com")).collect();
    let already = format!("already invited, `--resend` replaces the links: {}, 990 more\n", named.join(", "));
    let ran = remote(&app, &["invitation", "create", "-f", path]);
    let expected = (Some(0), "", format!("0 users invited, 1000 already invited\n{already}"));
    assert_eq!((ran.status, ran.out.as_str(), ran.err), expected);

    let ran = remote(&app, &["invitation", "create", "-f", path, "--resend", "--dry-run", "-o", "csv"]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(0), "dry run: 1000 users would be invited, 1000 links replaced; nothing was written\n")
    );
    assert!(ran.out.starts_with("email,permission,replaces\r\na0@example.com,collaborator,orginv_"), "{}", ran.out);
    let ran = remote(&app, &["invitation", "create", "-f", path, "--resend", "-o", "json"]);
    let expected = format!("{}1000 users invited, 1000 links replaced\n", warning(&app));
    assert_eq!((ran.status, &ran.err), (Some(0), &expected));
    let rows: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert!(rows.iter().all(|row| row["replaces"].as_str().unwrap().starts_with("orginv_")));
    let second = links(&ran);
    assert!(first.iter().zip(&second).all(|(first, second)| first.0 == second.0 && first.1 != second.1));
    assert_eq!(app.db_value::<i64>("select count(*) from invitations where invalidated_at is null").await, 1000);
    let ran = run_with(muster().args(["invitation", "accept", "--name", "Ada", &first[0].1]), &format!("{PASSWORD}\n"));
    assert_eq!(ran.status, Some(1), "a replaced link no longer works: {}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_about_invited_people_are_at_their_places_in_the_file() {
    let app = TestApp::spawn().await;
    let text = "create_users:\n- email: ada@example.com\n  password: tidal-anchor-Plum-91\n- email: nobody\n";
    let list = file(text.as_bytes(), ".yaml");
    let errors = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    let (path, errors_path) = (list.path().to_str().unwrap(), errors.path().to_str().unwrap());
    let ran = remote(&app, &["invitation", "create", "-f", path, "--errors-out", errors_path]);
    let message = "an invited person chooses the password; remove the value, or create the user instead";
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    for part in [
        format!("error[password_in_invitation]: password: {message}\n --> {path}:3:13\n"),
        format!(" --> {path}:4:10\n"),
        "2 of 2 users can't be invited; nothing was invited\n".to_owned(),
    ] {
        assert!(ran.err.contains(&part), "{part} in {}", ran.err);
    }
    let written = std::fs::read_to_string(errors.path()).unwrap();
    let expected = format!(
        "line,column,cell,field,value,code,message\r\n3,13,,password,,password_in_invitation,\"{message}\"\r\n\
         4,10,,email,nobody,email_invalid,not a valid e-mail address\r\n"
    );
    assert_eq!(written, expected);
    assert!(!format!("{}{written}", ran.err).contains("Plum"), "a password is not shown");
    assert_eq!(app.db_value::<i64>("select count(*) from invitations").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_invitation_with_another_level_is_not_skipped_silently() {
    let app = TestApp::spawn().await;
    invite(&app, "ada@example.com");
    let ran = remote(&app, &["invitation", "create", "--role", "owner", "ada@example.com"]);
    let message = "error: ada@example.com can't be invited: permission_level: has an open invitation as `collaborator`; \
                   resend the invitation to replace it\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), message));
    let ran = remote(&app, &["invitation", "create", "--role", "owner", "--resend", "ada@example.com"]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert_eq!(
        app.db_value::<String>("select permission_level from invitations where invalidated_at is null").await,
        "owner"
    );
}
