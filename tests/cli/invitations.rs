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
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    serde_json::from_str::<Value>(&ran.out).unwrap()[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_printed_once_and_rejected_addresses_are_named() {
    let app = TestApp::spawn().await;
    app.owner.create(&json!([sso("member@example.com")])).await;
    let ran = remote(&app, &["invitation", "create", "ada@example.com", "grace@example.com"]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(0), "invitation links, shown only once; send each to its recipient\n")
    );
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["EMAIL", "LINK", "EXPIRES"]);
    assert_eq!((lines.len(), lines[1][0], lines[2][0]), (3, "ada@example.com", "grace@example.com"));
    assert!(lines[1][1].starts_with(&format!("http://{}/invitations/ami_", app.address)), "{}", lines[1][1]);

    let list = file("\u{feff}# people\n\n eve@example.com \r\nmember@example.com\nnobody\n".as_bytes(), ".txt");
    let mut command = muster_at(&app);
    let ran = run(command.args(["invitation", "create", "--role", "owner", "-o", "csv", "-f"]).arg(list.path()));
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (
            Some(1),
            "can't invite: member@example.com is already a member of the organization\n\
             can't invite: `nobody`: not a valid e-mail address\n\
             error: 2 of 3 invitations failed\n"
        )
    );
    assert!(ran.out.starts_with("email,link,expires\r\neve@example.com,http://"), "{}", ran.out);
    let ran = run_with(muster_at(&app).args(["invitation", "create", "-f", "-"]), "ivy@example.com\n");
    assert_eq!(ran.status, Some(0), "{}", ran.err);

    let ran = remote(&app, &["invitation", "list"]);
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["INVITATION", "ID", "EMAIL", "PERMISSION", "CREATED", "EXPIRES"]);
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
