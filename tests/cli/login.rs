//! `muster login`, `login approve` and `logout`.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use muster::caller::PermissionLevel;
use muster::secret::Secret;
use serde_json::Value;

use crate::run;
use crate::support::server::{muster, url};
use crate::support::{Actor, TestApp};

/// `muster` for the server of a test, with the configuration files in this folder.
fn muster_of(app: &TestApp, folder: &Path) -> Command {
    let mut command = muster();
    command.env("MUSTER_HOST", format!("http://{}/", app.address)).env("XDG_CONFIG_HOME", folder);
    command
}

/// Starts `muster login` and waits for its code.
fn start(app: &TestApp, folder: &Path, arguments: &[&str]) -> (Child, String) {
    let mut command = muster_of(app, folder);
    command.args(["login", "--no-browser", "--poll-interval", "50"]).args(arguments);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    let code = lines.find_map(|line| line.unwrap().strip_prefix("    ").map(str::to_owned)).unwrap();
    (child, code)
}

fn end(mut child: Child) -> (Option<i32>, String) {
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (child.wait().unwrap().code(), err)
}

fn stored(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("muster/credentials.json")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_login_stores_a_key_that_commands_use_until_the_logout() {
    let app = TestApp::spawn().await;
    let (ada_id, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let folder = tempfile::tempdir().unwrap();
    let (child, code) = start(&app, folder.path(), &["--expire-in-days", "1"]);
    let approve = || {
        let mut command = muster_of(&app, folder.path());
        command.env("MUSTER_TOKEN", ada.token()).args(["login", "approve", &code.to_lowercase()]);
        command
    };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let shown = format!(
        "  machine  {} (as the client says)\n  program  muster-client/{} (as the client says)\n  address  127.0.0.1\n",
        host.trim(),
        env!("CARGO_PKG_VERSION")
    );
    let ran = run(&mut approve());
    let question = "error: can't ask for confirmation without a terminal; add `--yes`\n";
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("login started ") && ran.err.ends_with(&format!("{shown}{question}")), "{}", ran.err);
    let ran = run(approve().arg("--yes"));
    let done = format!("approved; the new API key acts as {ada_id} with permission level `collaborator`\n");
    assert_eq!(ran.status, Some(0));
    assert!(ran.err.starts_with("login started ") && ran.err.ends_with(&format!("{shown}{done}")), "{}", ran.err);
    let (status, err) = end(child);
    let file = folder.path().join("muster/credentials.json");
    assert_eq!(status, Some(0), "{err}");
    let stored_in = format!(
        "logged in; the API key is stored in {}, and commands use http://{} by default\n",
        file.display(),
        app.address
    );
    assert!(err.ends_with(&stored_in), "{err}");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let stored = stored(folder.path());
    let token = stored["hosts"][format!("http://{}", app.address)]["token"].as_str().unwrap().to_owned();
    let holder = Actor::new(app.address, Some(&token));
    assert_eq!(holder.get("/api/v2/userinfo/").await.json()["result"]["id"], ada_id.as_str());

    let ran = run(muster_of(&app, folder.path()).args(["user", "list", "-o", "json"]));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    // The environment takes precedence.
    let ran = run(muster_of(&app, folder.path()).env("ANYSCALE_CLI_TOKEN", "amk_wrong").args(["user", "list"]));
    assert_eq!(ran.status, Some(1));

    let key_id = muster::keys::Token::parse(&token).unwrap().id;
    let ran = run(muster_of(&app, folder.path()).arg("logout"));
    let host = format!("http://{}", app.address);
    assert_eq!((ran.status, ran.err), (Some(0), format!("logged out of {host}; revoked the API key {key_id}\n")));
    assert_eq!(holder.get("/api/v2/userinfo/").await.status, 401);
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    let ran = run(muster_of(&app, folder.path()).arg("logout"));
    let sentence = format!("error: not logged in to {host}: {} has no API key for this server\n", file.display());
    assert_eq!((ran.status, ran.err), (Some(1), sentence));
    assert_eq!(run(muster_of(&app, folder.path()).args(["user", "list"])).status, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_login_revokes_the_key_of_the_first() {
    let app = TestApp::spawn().await;
    let (_, ada) = app.person("ada@example.com", PermissionLevel::Collaborator).await;
    let folder = tempfile::tempdir().unwrap();
    let host = format!("http://{}", app.address);
    let log_in = || {
        let (child, code) = start(&app, folder.path(), &[]);
        let ran = run(muster_of(&app, folder.path())
            .env("MUSTER_TOKEN", ada.token())
            .args(["login", "approve", &code, "--yes"]));
        assert_eq!(ran.status, Some(0), "{}", ran.err);
        let (status, err) = end(child);
        assert_eq!(status, Some(0), "{err}");
        let token = stored(folder.path())["hosts"][&host]["token"].as_str().unwrap().to_owned();
        (token, err.lines().skip_while(|line| !line.starts_with("logged in; ")).skip(1).collect::<Vec<_>>().join("\n"))
    };
    let id = |token: &str| muster::keys::Token::parse(token).unwrap().id;
    let status = async |token: &str| Actor::new(app.address, Some(token)).get("/api/v2/userinfo/").await.status;
    let (first, messages) = log_in();
    assert_eq!(messages, "");
    let (second, messages) = log_in();
    assert_eq!(messages, format!("revoked the API key of the previous login, {}", id(&first)));
    assert_eq!((status(&first).await, status(&second).await), (401, 200));

    // If the previous key can't be revoked, the login succeeds anyway.
    let second_id = id(&second).to_string();
    assert_eq!(ada.delete(&format!("/api/v2/api_keys/{second_id}")).await.status, 200);
    let (third, messages) = log_in();
    assert_eq!(messages, "the API key of the previous login was already invalid");
    app.db_execute("create function fail() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$")
        .await;
    app.db_execute("create trigger fail before update of revoked_at on api_keys execute function fail()").await;
    let (fourth, messages) = log_in();
    let warning = "warning: can't revoke the API key of the previous login: internal error; see the server log for \
                   this request ID";
    assert!(messages.starts_with(warning), "{messages}");
    let advice = format!("; revoke it with `muster api-key revoke {}`", id(&third));
    assert!(messages.ends_with(&advice) && messages.lines().count() == 1, "{messages}");
    assert_eq!((status(&third).await, status(&fourth).await), (200, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_operator_approves_for_a_user() {
    const KEY: &str = "a key that the server and the operator share";
    let app = TestApp::spawn_with(|config| config.secrets.server_key = Secret::new(KEY)).await;
    let (ada_id, _) = app.person("ada@example.com", PermissionLevel::Owner).await;
    let folder = tempfile::tempdir().unwrap();
    let approve = |code: &str, user: &str| {
        let mut command = muster();
        command.env("MUSTER_DATABASE__URL", url(&app.database)).env("MUSTER_SECRETS__SERVER_KEY", KEY);
        run(command.args(["login", "approve", code, "--local", "--user", user, "--yes"]))
    };
    let (child, code) = start(&app, folder.path(), &[]);
    let ran = approve(&code, "nobody@example.com");
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), "error: no such user\n"));
    let ran = approve(&code, "Ada@Example.com");
    let sentence = format!("approved; the new API key acts as {ada_id} with permission level `owner`\n");
    assert_eq!(ran.status, Some(0));
    assert!(ran.err.starts_with("login started ") && ran.err.ends_with(&sentence), "{}", ran.err);
    assert_eq!(end(child).0, Some(0));
    let ran = run(muster_of(&app, folder.path()).args(["api-key", "list", "--user-id", &ada_id, "-o", "json"]));
    let keys: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let name = format!("login of ada@example.com on {}", host.trim());
    assert_eq!((keys[1]["name"].as_str(), keys[1]["permission_level"].as_str()), (Some(name.as_str()), Some("owner")));
    let ran = approve("otp_x", &ada_id);
    let sentence = "error: unknown one-time password; check that the whole password was copied\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), sentence));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_without_the_server_removes_the_key_and_reports_that_it_is_not_revoked() {
    let app = TestApp::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let made = app.owner.post("/api/v2/api_keys", &serde_json::json!({"name": "ci"})).await.json()["result"].clone();
    let file = folder.path().join("muster/credentials.json");
    let keep = |mode: u32| {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let token = &made["token"];
        let content =
            serde_json::json!({"hosts": {"http://127.0.0.1:9": {"token": token}, "http://other": {"token": "amk_x"}}});
        std::fs::write(&file, content.to_string()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    keep(0o600);
    let ran = run(muster_of(&app, folder.path()).args(["logout", "--host", "127.0.0.1:9"]));
    assert_eq!(ran.status, Some(2));
    let start =
        "error: removed the API key from this machine, but can't revoke it: no response from `http://127.0.0.1:9`: ";
    assert!(ran.err.starts_with(start), "{}", ran.err);
    // The other entries of the file remain.
    assert_eq!(stored(folder.path()), serde_json::json!({"hosts": {"http://other": {"token": "amk_x"}}}));

    keep(0o644);
    let ran = run(muster_of(&app, folder.path()).args(["user", "list", "--host", "http://other"]));
    assert!(
        ran.err.starts_with(&format!("warning: other users can read {0}; run `chmod 600 {0}`\n", file.display())),
        "{}",
        ran.err
    );
    std::fs::write(&file, "{").unwrap();
    let ran = run(muster_of(&app, folder.path()).args(["user", "list"]));
    let sentence = format!("error: can't read the API keys in {}: malformed JSON in line 1\n", file.display());
    assert_eq!((ran.status, ran.err), (Some(2), sentence));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_cannot_be_approved_fails_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(muster().env("XDG_CONFIG_HOME", folder.path()).args(["login", "--host", "http://127.0.0.1:9"]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("error: no response from `http://127.0.0.1:9`: "), "{}", ran.err);
    let ran = run(muster().args(["login", "approve", "otp_x", "--local"]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("--user <EMAIL|ID>"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_of_the_last_login_is_the_default_until_the_logout() {
    let (first, second) = (TestApp::spawn().await, TestApp::spawn().await);
    let folder = tempfile::tempdir().unwrap();
    let hosts = [&first, &second].map(|app| format!("http://{}", app.address));
    for (app, host) in [&first, &second].into_iter().zip(&hosts) {
        let mut command = muster();
        command.env("XDG_CONFIG_HOME", folder.path());
        command.args(["login", "--no-browser", "--poll-interval", "50", "--host", host]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
        let code = lines.find_map(|line| line.unwrap().strip_prefix("    ").map(str::to_owned)).unwrap();
        let body = serde_json::json!({"otp": code});
        assert_eq!(app.owner.post("/api/v2/users/approve_otp_token", &body).await.status, 200);
        let (status, err) = end(child);
        assert_eq!(status, Some(0), "{err}");
    }
    assert_eq!(stored(folder.path())["default_host"], hosts[1].as_str());
    let logged_in = || {
        let mut command = muster();
        command.env("XDG_CONFIG_HOME", folder.path());
        command
    };
    let whoami = |command: &mut Command| -> Value {
        let ran = run(command.args(["whoami", "-o", "json"]));
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
        serde_json::from_str(&ran.out).unwrap()
    };
    let me = whoami(&mut logged_in());
    let file = folder.path().join("muster/credentials.json").display().to_string();
    assert_eq!(
        (&me["host"], &me["organization"], &me["email"], &me["permission_level"], &me["key_from"]),
        (
            &Value::from(hosts[1].as_str()),
            &Value::from("default"),
            &Value::from("administrator@muster.invalid"),
            &Value::from("owner"),
            &Value::from(file)
        )
    );
    // Options and variables win, and a key in the environment is not sent to the server of a login.
    assert_eq!(whoami(logged_in().env("MUSTER_HOST", &hosts[0]))["host"], hosts[0].as_str());
    assert_eq!(whoami(logged_in().env("ANYSCALE_HOST", &hosts[0]))["host"], hosts[0].as_str());
    let ran = run(logged_in().args(["whoami", "--host", &hosts[0]]));
    assert!(ran.out.contains(&format!("\n{} ", hosts[0])), "{} {}", ran.out, ran.err);
    let ran = run(logged_in().env("MUSTER_TOKEN", second.owner.token()).arg("whoami"));
    assert!(!ran.err.contains(&hosts[1]) && ran.status != Some(0), "{}", ran.err);
    let key = whoami(logged_in().env("MUSTER_TOKEN", second.owner.token()).env("MUSTER_HOST", &hosts[1]));
    assert_eq!(key["key_from"], "MUSTER_TOKEN");

    let ran = run(logged_in().arg("logout"));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert_eq!(stored(folder.path()).get("default_host"), None);
    assert_eq!(whoami(logged_in().env("MUSTER_HOST", &hosts[0]))["host"], hosts[0].as_str());
}
