//! `muster user link`, `muster user batch-create --links-out`, and recovery: the requirements S-35 and S-51.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::invitations::warning;
use crate::support::browser::{Browser, PASSWORD};
use crate::support::gate::eventually;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::smtp::{Behavior, SmtpServer};
use crate::support::{TestApp, file, sso, with_password};
use crate::{json, local, muster_at, remote, run, with_file};

/// The message behind links that were made.
const REPLACED: &str = "earlier links of the same users no longer work";

async fn app() -> TestApp {
    let app = TestApp::spawn().await;
    let people =
        json!([with_password("ada@example.com", ""), with_password("ben@example.com", ""), sso("sam@example.com")]);
    assert_eq!(app.owner.create(&people).await.status, 200);
    app
}

/// A server with mail on the same database.
fn with_mail(app: &TestApp, mail: &SmtpServer) -> ServerProcess {
    ServerProcess::start(
        muster()
            .env("MUSTER_DATABASE__URL", url(&app.database))
            .env("MUSTER_MAIL__URL", format!("smtp://{}", mail.address))
            .env("MUSTER_MAIL__FROM", "muster@example.org")
            .env("MUSTER_MAIL__PLAINTEXT", "true")
            .env("MUSTER_SERVER__PUBLIC_URL", "https://muster.example.org")
            .env("MUSTER_SECRETS__SEAL_KEY", "a seal key of at least 32 characters"),
    )
}

/// Sets a password with a link.
async fn can_sign_in(app: &TestApp, link: &str) -> bool {
    let token = link.rsplit('/').next().unwrap();
    let body = json!({"token": token, "new_password": PASSWORD});
    Browser::of(app).post("/api/v2/users/reset_password", &body).await.status == 200
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_printed_once_and_replace_earlier_ones() {
    let app = app().await;
    let ran = remote(&app, &["user", "link", "ada@example.com", "BEN@example.com", "--expires-in", "1h"]);
    let intro = "links to set a password, shown only once; give each to its user\n";
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(0), format!("{}{intro}2 links made; {REPLACED}\n", warning(&app)).as_str())
    );
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines[0].as_slice(), lines.len()), (&["EMAIL", "LINK", "EXPIRES"][..], 3));
    assert_eq!([lines[1][0], lines[2][0]], ["ada@example.com", "ben@example.com"]);
    assert!(lines[1][1].starts_with(&format!("http://{}/password/aml_", app.address)), "{}", ran.out);
    let again = json(&remote(&app, &["user", "link", "ada@example.com", "-o", "json"]));
    assert_eq!((&again[0]["email"], &again[0]["name"]), (&json!("ada@example.com"), &json!("Ada")));
    assert!(!can_sign_in(&app, lines[1][1]).await, "the first link was replaced");
    assert!(can_sign_in(&app, again[0]["link"].as_str().unwrap()).await);
    let csv = remote(&app, &["user", "link", "ben@example.com", "-o", "csv"]);
    assert!(csv.out.starts_with("email,name,user_id,link,expires_at\r\nben@example.com,Ada,usr_"), "{}", csv.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_gets_all_links_or_none_with_every_finding() {
    let app = app().await;
    let ran = remote(&app, &["user", "link", "ada@example.com", "sam@example.com", "eve@example.com"]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    assert_eq!(
        ran.err,
        "sam@example.com: signs in through the identity provider and has no password here\neve@example.com: there is no such user\n\
         error: 2 of 3 users can't be given a link; nothing was given a link\n"
    );
    let ran = with_file(&app, "link", b"user\nada@example.com\nsam@example.com\n", ".csv", &[]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.err.starts_with("error[sso_user]: signs in through"), "{}", ran.err);
    assert!(ran.err.contains("--> users:3:1") && ran.err.ends_with("nothing was given a link\n"), "{}", ran.err);
    let ran = with_file(&app, "link", b"users:\n  - user: ada@example.com\n    team: x\n", ".yaml", &[]);
    assert!(ran.err.starts_with("error[unknown_field]: team: is unknown; the known field is user\n"), "{}", ran.err);
    assert_eq!(app.db_value::<i64>("select count(*) from password_links").await, 0);
    let ran = with_file(&app, "link", b"users: [ada@example.com, {user: ben@example.com}]", ".yaml", &["-o", "json"]);
    assert_eq!(json(&ran).as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_go_to_a_file_that_only_its_owner_can_read_and_that_is_not_replaced() {
    let app = TestApp::spawn().await;
    let mut formula = with_password("+ada@example.com", "");
    formula["name"] = json!("=1+1");
    let created = app.owner.create(&json!([formula, sso("sam@example.com")])).await.json();
    let batch = created["metadata"]["batch_id"].as_str().unwrap();
    let folder = tempdir().unwrap();
    let path = folder.path().join("links.csv");
    let out = path.to_str().unwrap();
    let ran = remote(&app, &["user", "link", "--batch", batch, "--links-out", out]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), ""), "{}", ran.err);
    assert_eq!(
        ran.err,
        format!(
            "{}the links are in `{out}`; give each to its user, and delete the file\n1 link made; {REPLACED}; 1 user of the batch \
             got none: they sign in with SSO, are suspended or have expired\n",
            warning(&app)
        )
    );
    let text = std::fs::read_to_string(&path).unwrap();
    let (header, row) = text.split_once("\r\n").unwrap();
    assert_eq!((header, mode(&path)), ("email,name,user_id,link,expires_at", 0o600));
    assert!(row.starts_with("'+ada@example.com,'=1+1,usr_"), "{row}");
    // The file is not replaced, and neither are the links.
    let ran = remote(&app, &["user", "link", "--batch", batch, "--links-out", out]);
    let why = "the file exists; choose another name, or add `--force`";
    assert_eq!((ran.status, ran.err), (Some(2), format!("error: can't write `{out}`: {why}\n")));
    assert_eq!(app.db_value::<i64>("select count(*) from password_links").await, 1);
    let ran = remote(&app, &["user", "link", "--batch", batch, "--links-out", out, "--force"]);
    assert_eq!((ran.status, mode(&path)), (Some(0), 0o600), "{}", ran.err);
    assert_ne!(std::fs::read_to_string(&path).unwrap(), text);
    // A rejected request leaves no file.
    let other = folder.path().join("other.csv");
    let ran = remote(&app, &["user", "link", "sam@example.com", "--links-out", other.to_str().unwrap()]);
    assert_eq!((ran.status, other.exists()), (Some(1), false));
    let ran = remote(&app, &["user", "link", "sam@example.com", "--links-out", out, "--force"]);
    assert_eq!((ran.status, std::fs::read_dir(folder.path()).unwrap().count()), (Some(1), 1), "{}", ran.err);
    assert!(path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_created_with_links() {
    let app = TestApp::spawn().await;
    let folder = tempdir().unwrap();
    let path = folder.path().join("links.csv");
    let out = path.to_str().unwrap();
    let content = b"name,email,is_sso_user\nAda,ada@example.com,false\nSam,sam@example.com,true\n";
    let users = file(content, ".csv");
    let create = ["user", "batch-create", "-f", users.path().to_str().unwrap(), "--links-out", out];
    let ran = remote(&app, &[&create[..], &["--dry-run"]].concat());
    assert_eq!((ran.status, path.exists()), (Some(0), false), "{}", ran.err);
    let ran = remote(&app, &create);
    assert_eq!((ran.status, mode(&path)), (Some(0), 0o600), "{}", ran.err);
    assert!(ran.err.contains(" 2 users created.\n") && ran.err.contains("\n1 link made; "), "{}", ran.err);
    let text = std::fs::read_to_string(&path).unwrap();
    let link = text.lines().nth(1).unwrap().split(',').nth(3).unwrap();
    // The same command replaces no file, and after its removal makes no links: the first ones are on their way.
    assert_eq!(remote(&app, &create).status, Some(2));
    std::fs::remove_file(&path).unwrap();
    let ran = remote(&app, &create);
    assert_eq!((ran.status, path.exists()), (Some(1), false), "{}", ran.err);
    let (_, said) = ran.err.split_once("nothing is left to do.\n").unwrap();
    let why = "error: no link was made for users of an earlier run; to make new ones, which replace the earlier ones: \
               muster user link --batch bat_";
    assert!(said.starts_with(why) && said.ends_with(&format!(" --links-out {out}\n")), "{said}");
    assert!(can_sign_in(&app, link).await);
    // A rejected list leaves no file; a batch of which nobody can use a link exists without one.
    let rejected =
        with_file(&app, "batch-create", b"name,email,is_sso_user\nx,x,false\n", ".csv", &["--links-out", "/tmp/none"]);
    assert_eq!((rejected.status, Path::new("/tmp/none").exists()), (Some(1), false));
    let other = folder.path().join("other.csv");
    let only_sso = b"name,email,is_sso_user\nSue,sue@example.com,true\n";
    let ran = with_file(&app, "batch-create", only_sso, ".csv", &["--links-out", other.to_str().unwrap()]);
    assert_eq!((ran.status, other.exists()), (Some(1), false));
    let (said, again) = ran.err.split_once("; the users exist, and have no links; to make them: ").unwrap();
    assert!(said.contains(" 1 user created.\nerror: no user of the batch needs a link and can use one"), "{said}");
    assert!(again.starts_with("muster user link --batch bat_") && again.contains(" --links-out "), "{again}");
}

/// Lists and exports of muster name users.
#[tokio::test(flavor = "multi_thread")]
async fn those_who_have_not_set_a_password_are_reminded_with_a_list_of_muster() {
    let app = app().await;
    assert!(can_sign_in(&app, &format!("/password/{}", app.link("ben@example.com").await)).await);
    let listed = remote(&app, &["user", "list", "--without-password", "--domain", "example.com", "-o", "csv"]);
    let made = with_file(&app, "link", listed.out.as_bytes(), ".csv", &["-o", "json"]);
    let made = json(&made);
    let emails: Vec<&Value> = made.as_array().unwrap().iter().map(|link| &link["email"]).collect();
    assert_eq!(emails, ["ada@example.com"]);
    let exported = remote(&app, &["user", "export", "--domain", "example.com", "-o", "ndjson"]);
    let suspended = with_file(&app, "suspend", exported.out.as_bytes(), ".ndjson", &["-o", "json"]);
    let statuses: Vec<Value> = json(&suspended).as_array().unwrap().iter().map(|user| user["status"].clone()).collect();
    assert_eq!(statuses, ["suspended"; 3]);
    assert_eq!(remote(&app, &["group", "create", "everybody"]).status, Some(0));
    let listed = remote(&app, &["user", "list", "-o", "csv"]);
    let list = file(listed.out.as_bytes(), ".csv");
    let added = remote(&app, &["group", "add", "everybody", "-f", list.path().to_str().unwrap()]);
    assert_eq!((added.status, added.err.as_str()), (Some(0), "4 users added\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_operator_lets_a_user_with_sso_back_in() {
    let app = app().await;
    let address = app.address.to_string();
    let ran = local(&app, &["user", "link", "sam@example.com", "--recover", "--listen", &address]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert!(
        ran.err.starts_with("recovery link for sam@example.com, shown only once; it works once, until "),
        "{}",
        ran.err
    );
    let link = ran.out.trim();
    assert!(link.starts_with(&format!("http://{address}/password/aml_")), "{link}");
    let browser = Browser::of(&app);
    let body = json!({"token": link.rsplit('/').next().unwrap(), "new_password": PASSWORD});
    assert_eq!(browser.post("/api/v2/users/reset_password", &body).await.status, 200);
    let sessions = browser.get("/api/v2/users/sessions").await.json();
    assert_eq!(sessions["results"][0]["method"], "recovery");
    let audit = app.owner.get("/api/v2/audit/events?action=password_link.create&actor=operator").await.json();
    assert_eq!(audit["results"].as_array().unwrap().len(), 1, "{audit}");

    let ran = local(&app, &["user", "link", "sam@example.com", "--recover", "--listen", &address, "-o", "json"]);
    assert_eq!(json(&ran)["email"], "sam@example.com");
    for (arguments, status, message) in [
        (&["eve@example.com"][..], 1, "error: no such user\n"),
        (&["sam@example.com", "ada@example.com"], 2, "error: `--recover` takes one user\n"),
        (
            &["sam@example.com", "--listen", "0.0.0.0:8080"],
            2,
            "error: no address for the link: nobody can open `0.0.0.0:8080` (`server.listen`); set `server.public_url`, for \
             example with MUSTER_SERVER__PUBLIC_URL=https://muster.example.org\n",
        ),
    ] {
        let ran = local(&app, &[&["user", "link", "--recover"], arguments].concat());
        assert_eq!((ran.status, ran.err.as_str()), (Some(status), message), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_sent_by_mail_on_request() {
    let app = app().await;
    let ran = remote(&app, &["user", "link", "ada@example.com", "--send"]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "this server has no mail: {}", ran.err);
    let mail = SmtpServer::start(Behavior::Accept).await;
    let server = with_mail(&app, &mail);
    let mut command = muster_at(&app);
    command.env("MUSTER_HOST", format!("http://{}", server.address)).args([
        "user",
        "link",
        "ada@example.com",
        "--send",
    ]);
    let ran = run(&mut command);
    let said = "the server sends them by mail; `muster mail list` shows what has been sent";
    assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(0), "", format!("1 link made; {REPLACED}\n{said}\n")));
    eventually("the mail", async || !mail.received().is_empty()).await;
    let sent = &mail.received()[0];
    assert_eq!(sent.to, "ada@example.com");
    assert!(can_sign_in(&app, &sent.link()).await);
}

/// S-35, S-36: the links of a new batch are mailed, to a file too on request, and not a second time by the same command.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_created_and_its_links_are_sent() {
    let app = TestApp::spawn().await;
    let folder = tempdir().unwrap();
    let path = folder.path().join("links.csv");
    let out = path.to_str().unwrap();
    let users = file(b"name,email,is_sso_user\nAda,ada@example.com,false\nSam,sam@example.com,true\n", ".csv");
    let create = ["user", "batch-create", "-f", users.path().to_str().unwrap(), "--send"];

    // A server without mail: nothing is created.
    let refused = remote(&app, &[&create[..], &["--links-out", out]].concat());
    let why = "mail is not configured (settings `mail.url` and `mail.from`); ask an administrator for a link to set a password";
    assert_eq!((refused.status, refused.out.as_str(), path.exists()), (Some(1), "", false));
    assert!(refused.err.starts_with(&format!("error: {why}; no user was created")), "{}", refused.err);
    let conflict = remote(&app, &[&create[..], &["--generate-passwords", out]].concat());
    assert_eq!(conflict.status, Some(2), "{}", conflict.err);
    assert_eq!(app.db_value::<i64>("select count(*) from batches").await, 0);
    let dry = remote(&app, &[&create[..], &["--dry-run"]].concat());
    assert_eq!(dry.status, Some(0), "{}", dry.err);

    let mail = SmtpServer::start(Behavior::Accept).await;
    let server = with_mail(&app, &mail);
    let at_server = |arguments: &[&str]| {
        run(muster_at(&app).env("MUSTER_HOST", format!("http://{}", server.address)).args(arguments))
    };
    let skipped = "1 user of the batch got none: they sign in with SSO, are suspended or have expired";
    let said = "the server sends them by mail; `muster mail list` shows what has been sent";
    let ran = at_server(&create);
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), ""), "{}", ran.err);
    assert!(
        ran.err.ends_with(&format!(" 2 users created.\n1 link made; {REPLACED}; {skipped}\n{said}\n")),
        "{}",
        ran.err
    );
    eventually("the mail", async || !mail.received().is_empty()).await;
    assert_eq!(mail.received()[0].to, "ada@example.com");

    // The same command sends nothing again, and says how to.
    let again = at_server(&create);
    assert_eq!(again.status, Some(1), "{}", again.err);
    let command =
        again.err.split_once("error: no link was sent to users of an earlier run; to send them new ones: ").unwrap().1;
    assert!(command.starts_with("muster user link --batch bat_") && command.ends_with(" --send\n"), "{command}");
    assert!(can_sign_in(&app, &mail.received()[0].link()).await, "the first link still works");

    // Both: by mail and in the file.
    let more = file(b"name,email,is_sso_user\nBen,ben@example.com,false\n", ".csv");
    let ran = at_server(&["user", "batch-create", "-f", more.path().to_str().unwrap(), "--send", "--links-out", out]);
    assert_eq!((ran.status, mode(&path)), (Some(0), 0o600), "{}", ran.err);
    assert!(ran.err.ends_with(&format!("\n1 link made; {REPLACED}\n{said}\n")), "{}", ran.err);
    eventually("the second mail", async || mail.received().len() == 2).await;
    let sent = &mail.received()[1];
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(sent.to == "ben@example.com" && text.contains(&sent.link()), "{text}");
}
