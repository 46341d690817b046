//! `muster sso …`: identity providers, and how users sign in.

use std::process::Command;

use muster::secret::Secret;
use serde_json::{Value, json};

use crate::embedded_database::data_dir;
use crate::support::browser::Browser;
use crate::support::idp::{CALLBACK, Idp, SECRET, START, spawn_for_sso};
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{TestApp, file, sso, with_password};
use crate::{Ran, run};

fn command(app: &TestApp, arguments: &[&str]) -> Command {
    let mut command = muster();
    command
        .env("MUSTER_DATABASE__URL", url(&app.database))
        .env("MUSTER_SERVER__PUBLIC_URL", "http://127.0.0.1:8080")
        .env("MUSTER_SECRETS__SEAL_KEY", "a seal key that is long enough for the tests")
        .arg("sso")
        .args(arguments);
    command
}

fn sso_command(app: &TestApp, arguments: &[&str]) -> Ran {
    run(&mut command(app, arguments))
}

fn json_of(ran: &Ran) -> Value {
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

/// S-53, S-54, S-57, S-79: a provider from adding to removing.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_added_changed_tested_and_removed() {
    let (app, idp) = (TestApp::spawn().await, Idp::start().await);
    let secret = file(format!("{SECRET}\n").as_bytes(), ".secret");
    let secret_file = secret.path().to_str().unwrap();
    let add = [
        "provider",
        "add",
        "one",
        "--issuer",
        &idp.issuer,
        "--client-id",
        "muster",
        "--client-secret-file",
        secret_file,
    ];
    let added =
        sso_command(&app, &[&add[..], &["--domain", "Example.COM", "--require", "tid=ours", "-o", "json"]].concat());
    let shown = json_of(&added);
    assert_eq!(
        added.err,
        "added one; the provider signs with RS256\n\
         register this redirect URI at the provider: http://127.0.0.1:8080/sso/default/one/callback\n"
    );
    assert_eq!(shown["domains"], json!(["example.com"]));
    assert_eq!(
        (&shown["required_claims"], &shown["client_secrets"], &shown["creates"]),
        (&json!({ "tid": "ours" }), &json!(1), &json!(false))
    );
    assert!(!added.out.contains("s3cret"), "{}", added.out);

    let again = sso_command(&app, &add);
    assert_eq!((again.status, again.err.as_str()), (Some(1), "error: there is an identity provider `one` already\n"));

    let second = command(
        &app,
        &["provider", "update", "one", "--second-client-secret-file", "/dev/null", "--title", "Our IdP", "-o", "json"],
    );
    let mut second = second;
    assert_eq!(json_of(&run(&mut second))["title"], "Our IdP");
    let updated = sso_command(
        &app,
        &["provider", "update", "one", "--second-client-secret-file", secret_file, "--enabled", "false", "-o", "json"],
    );
    let updated = json_of(&updated);
    assert_eq!((&updated["client_secrets"], &updated["enabled"]), (&json!(2), &json!(false)));
    let listed = sso_command(&app, &["provider", "list"]);
    assert!(listed.out.starts_with("NAME") && listed.out.lines().nth(1).unwrap().starts_with("one"), "{}", listed.out);
    assert_eq!(json_of(&sso_command(&app, &["provider", "test", "one", "-o", "json"]))["keys"], 1);

    idp.script().status = 500;
    let broken = sso_command(&app, &["provider", "test", "one"]);
    assert_eq!(broken.status, Some(1));
    assert!(broken.err.contains("/.well-known/openid-configuration answered 500"), "{}", broken.err);
    // S-83: a server that can't open what is stored does not start.
    let mut other_key = muster();
    other_key.args(["serve", "--listen", "127.0.0.1:0"]).env("MUSTER_DATABASE__URL", url(&app.database));
    let refused = run(other_key.env("MUSTER_SECRETS__SEAL_KEY", "another seal key, which has not sealed anything"));
    assert_eq!(refused.status, Some(2), "{}", refused.out);
    assert!(refused.err.contains("which is not in `secrets.seal_key`"), "{}", refused.err);
    let asks = sso_command(&app, &["provider", "remove", "one"]);
    let why = "error: can't ask for confirmation without a terminal; add `--yes`\n";
    assert_eq!((asks.status, asks.err.as_str()), (Some(2), why));
    let removed = sso_command(&app, &["provider", "remove", "one", "--yes"]);
    assert_eq!((removed.status, removed.err.as_str()), (Some(0), "removed one and 0 identities; ended 0 sessions\n"));
    let gone = sso_command(&app, &["provider", "show", "one"]);
    assert_eq!((gone.status, gone.err.as_str()), (Some(1), "error: there is no identity provider one\n"));
}

/// What was set can be unset.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_a_provider_are_unset_by_empty_values() {
    let (app, idp) = (TestApp::spawn().await, Idp::start().await);
    let secret = file(SECRET.as_bytes(), ".secret");
    let add = ["provider", "add", "one", "--issuer", &idp.issuer, "--client-id", "muster", "--client-secret-file"];
    let settings = ["--max-age", "600", "--domain", "example.com", "--require", "tid=ours", "--require", "hd=x"];
    json_of(&sso_command(&app, &[&add[..], &[secret.path().to_str().unwrap()], &settings, &["-o", "json"]].concat()));
    let update = |more: &[&str]| sso_command(&app, &[&["provider", "update", "one", "-o", "json"], more].concat());
    let values = |provider: &Value| {
        ["max_age", "domains", "required_claims", "client_secrets"].map(|name| provider[name].clone())
    };
    let all = [json!(600), json!(["example.com"]), json!({ "tid": "ours", "hd": "x" }), json!(1)];
    assert_eq!(values(&json_of(&update(&["--title", "Ours"]))), all);
    let unset = ["--max-age", "", "--domain", "", "--require", "tid=", "--client-secret-file", "/dev/null"];
    assert_eq!(values(&json_of(&update(&unset))), [json!(null), json!([]), json!({ "hd": "x" }), json!(0)]);
    assert_eq!(values(&json_of(&update(&["--require", r#"hd="""#])))[2], json!({ "hd": "" }));
    // An empty file is a mistake.
    let empty = update(&["--client-secret-file", file(b"\n", ".secret").path().to_str().unwrap()]);
    let why = "error: the client secret is empty; `/dev/null` stands for none\n";
    assert_eq!((empty.status, empty.err.as_str()), (Some(2), why));
    assert_eq!(update(&["--max-age", "soon"]).status, Some(2));
}

/// S-58: an address to which muster never connects is refused before anything is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_with_an_endpoint_that_is_not_allowed_is_not_added() {
    let (app, idp, other) = (TestApp::spawn().await, Idp::start().await, Idp::start().await);
    let add = ["provider", "add", "one", "--issuer", &idp.issuer, "--client-id", "muster"];
    let update = ["provider", "update", "one", "--issuer", &other.issuer];
    for endpoint in ["token_endpoint", "userinfo_endpoint", "jwks_uri"] {
        for address in ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"] {
            idp.script().metadata = json!({ endpoint: format!("https://{address}/x") });
            let refused = sso_command(&app, &add);
            assert_eq!(refused.status, Some(1), "{endpoint} {address}: {}", refused.out);
            assert!(refused.err.contains("is not allowed for identity providers"), "{}", refused.err);
        }
    }
    assert_eq!(json_of(&sso_command(&app, &["provider", "list", "-o", "json"])), json!([]));

    idp.script().metadata = json!({});
    assert_eq!(sso_command(&app, &add).status, Some(0));
    other.script().metadata = json!({ "token_endpoint": "https://169.254.169.254/token" });
    let refused = sso_command(&app, &update);
    let why = "error: `token_endpoint` https://169.254.169.254/token: the address 169.254.169.254 is not allowed for identity \
               providers\n";
    assert_eq!((refused.status, refused.err.as_str()), (Some(1), why));
    let shown = json_of(&sso_command(&app, &["provider", "show", "one", "-o", "json"]));
    assert_eq!(shown["issuer"], json!(idp.issuer));
}

/// S-76: what to register for signing out at the provider.
#[tokio::test(flavor = "multi_thread")]
async fn the_post_logout_redirect_uri_is_shown_when_signing_out_leads_to_the_provider() {
    let (app, idp) = (TestApp::spawn().await, Idp::start().await);
    let add = ["provider", "add", "one", "--issuer", &idp.issuer, "--client-id", "muster", "--domain", "example.com"];
    let line = "register this post-logout redirect URI at the provider: http://127.0.0.1:8080/sign-in\n";
    let added = sso_command(&app, &[&add[..], &["--logout", "true"]].concat());
    assert!(added.status == Some(0) && added.err.ends_with(line), "{}", added.err);
    let show = || json_of(&sso_command(&app, &["provider", "show", "one", "-o", "json"]));
    assert_eq!(show()["post_logout_redirect_uri"], "http://127.0.0.1:8080/sign-in");
    let off = sso_command(&app, &["provider", "update", "one", "--logout", "false"]);
    assert_eq!((off.status, off.err.as_str()), (Some(0), ""));
    assert_eq!(show()["post_logout_redirect_uri"], Value::Null);
    let on = sso_command(&app, &["provider", "update", "one", "--logout", "true"]);
    assert!(on.err.ends_with(line), "{}", on.err);
}

/// S-54: disabling and removing a provider say how many people they sign out.
#[tokio::test(flavor = "multi_thread")]
async fn disabling_and_removing_a_provider_say_what_they_end() {
    let (app, idp) = (spawn_for_sso().await, Idp::start().await);
    idp.add_to(&app, |_| {}).await;
    app.owner.create(&json!([sso("ada@example.com")])).await;
    let sign_in = async || assert_eq!(Browser::of(&app).sign_in_at(&idp).await.status, 303);
    sign_in().await;
    let disabled = sso_command(&app, &["provider", "update", "one", "--enabled", "false"]);
    assert_eq!((disabled.status, disabled.err.as_str()), (Some(0), "one is disabled; ended 1 session\n"));
    let enabled = sso_command(&app, &["provider", "update", "one", "--enabled", "true"]);
    assert_eq!((enabled.status, enabled.err.as_str()), (Some(0), ""));
    sign_in().await;
    let removed = sso_command(&app, &["provider", "remove", "one", "--yes"]);
    assert_eq!((removed.status, removed.err.as_str()), (Some(0), "removed one and 1 identity; ended 1 session\n"));
    assert_eq!(app.db_value::<i64>("select count(*) from sso_identities").await, 0);
}

/// S-57: on one machine, the address at which the server listens is enough.
#[tokio::test(flavor = "multi_thread")]
async fn single_sign_on_works_on_one_machine_without_a_public_url() {
    let dir = data_dir();
    let idp = Idp::start().await;
    let mut server = ServerProcess::start(muster().env("MUSTER_DATA_DIR", dir.path()));
    let secret = file(SECRET.as_bytes(), ".secret");
    let add = |name: &str| {
        let mut command = muster();
        command.env("MUSTER_DATA_DIR", dir.path()).args(["sso", "provider", "add", name, "--issuer", &idp.issuer]);
        command.args(["--client-id", "muster", "--domain", "example.com", "--client-secret-file"]);
        run(command.arg(secret.path()))
    };
    let added = add("one");
    let base = format!("http://{}", server.address);
    assert_eq!(
        (added.status, added.err),
        (
            Some(0),
            format!(
                "added one; the provider signs with RS256\n\
                 register this redirect URI at the provider: {base}/sso/default/one/callback\n\
                 hint: only this machine can open the redirect URI, which begins with the address of the running server; for \
                 other people, set `server.public_url`, and register the redirect URI that `muster sso provider show` prints \
                 then\n"
            )
        )
    );
    let owner = server.actor(server.key.as_deref().unwrap());
    assert_eq!(owner.create(&json!([sso("ada@example.com")])).await.status, 200);
    let browser = Browser::at_address(server.address);
    let location = browser.depart(START).await;
    let redirect_uri = reqwest::Url::parse_with_params("http://x/", [("redirect_uri", format!("{base}{CALLBACK}"))]);
    assert!(location.contains(redirect_uri.unwrap().query().unwrap()), "{location}");
    assert_eq!(browser.sign_in_at(&idp).await.status, 303);
    assert_eq!(browser.get("/api/v2/userinfo/").await.json()["result"]["email"], "ada@example.com");

    server.signal("-TERM");
    server.wait();
    let stopped = add("two");
    assert!(stopped.status == Some(1) && stopped.err.contains("needs `server.public_url`"), "{}", stopped.err);
}

/// S-57: without an address, the page does not blame the provider.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_a_sign_in_is_refused_with_its_own_reason() {
    let (app, idp) = (TestApp::spawn().await, Idp::start().await);
    let add = ["provider", "add", "one", "--issuer", &idp.issuer, "--client-id", "muster"];
    assert_eq!(sso_command(&app, &add).status, Some(0));
    let page = Browser::of(&app).get(START).await;
    assert_eq!(page.status, 503);
    assert!(page.text.contains("<h1>Single sign-on is not set up</h1>"), "{}", page.text);
}

/// S-83: the secrets are encrypted with the first key, again and again without effect, and then need no other.
#[tokio::test(flavor = "multi_thread")]
async fn stored_secrets_are_encrypted_with_the_first_key() {
    const NEW: &str = "a new seal key that came in its place today";
    const BOTH: &str = "a new seal key that came in its place today\na seal key that is long enough for the tests";
    let (app, idp) = (TestApp::spawn().await, Idp::start().await);
    let secret = file(SECRET.as_bytes(), ".secret");
    let secret_file = secret.path().to_str().unwrap();
    for name in ["one", "two"] {
        let add = ["provider", "add", name, "--issuer", &idp.issuer, "--client-id", "muster"];
        let secret = ["--client-secret-file", secret_file];
        let arguments = if name == "one" { [&add[..], &secret].concat() } else { add.to_vec() };
        assert_eq!(sso_command(&app, &arguments).status, Some(0));
    }
    sso_command(&app, &["provider", "update", "one", "--second-client-secret-file", secret_file]);
    let reseal = |keys: &str| {
        let mut reseal = muster();
        reseal.env("MUSTER_DATABASE__URL", url(&app.database)).env("MUSTER_SECRETS__SEAL_KEY", keys);
        let ran = run(reseal.args(["secrets", "reseal"]));
        (ran.status, ran.err)
    };
    let said = |moved: &str, current: u8| {
        (
            Some(0),
            format!("encrypted the secrets of {moved} with the first seal key; those of {current} were already\n"),
        )
    };
    let (status, error) = reseal(NEW);
    assert_eq!(status, Some(1));
    assert!(
        error.starts_with(
            "error: some client secrets can't be opened; set them again (`muster sso provider update NAME \
             --client-secret-file FILE`): one of default: the seal key "
        ),
        "{error}"
    );
    assert_eq!(reseal(BOTH), said("1 identity provider", 0));
    assert_eq!(reseal(BOTH), said("0 identity providers", 1));
    assert_eq!(reseal(NEW), said("0 identity providers", 1));
    let resealed: i64 = app.db_value("select count(*) from audit_events where action = 'secret.reseal'").await;
    assert_eq!(resealed, 1);
    // Both secrets can be opened with the new key alone.
    let mut test = command(&app, &["provider", "test", "one", "-o", "json"]);
    assert_eq!(json_of(&run(test.env("MUSTER_SECRETS__SEAL_KEY", NEW)))["keys"], 1);
    assert!(!app.db_value::<bool>("select secret_sealed = secret2_sealed from sso_providers where name = 'one'").await);

    // A lost key: only another secret helps.
    let lost = "a third key, since the other ones are lost";
    let mut update = command(&app, &["provider", "update", "one", "--title", "One"]);
    let refused = run(update.env("MUSTER_SECRETS__SEAL_KEY", lost));
    assert!(refused.status == Some(1) && refused.err.ends_with(" is not configured\n"), "{}", refused.err);
    let mut update = command(&app, &["provider", "update", "one", "--client-secret-file", secret_file, "-o", "json"]);
    let replaced = json_of(&run(update.env("MUSTER_SECRETS__SEAL_KEY", lost)));
    assert_eq!(replaced["client_secrets"], 1);
    assert_eq!(reseal(lost), said("0 identity providers", 1));
}

/// S-83: a message that can't be made does not keep the server from starting.
#[tokio::test(flavor = "multi_thread")]
async fn a_queued_message_of_a_missing_key_does_not_keep_the_server_from_starting() {
    let app = TestApp::spawn_with(|config| {
        config.server.public_url = "http://127.0.0.1".to_owned();
        config.mail.url = Secret::new("smtp://127.0.0.1:1");
        config.mail.from = "muster@example.org".to_owned();
        config.mail.plaintext = true;
        config.secrets.seal_key = Secret::new("a seal key that is long enough for the tests");
    })
    .await;
    app.owner.create(&json!([with_password("ada@example.com", "")])).await;
    let links = json!({"users": [{"user": "ada@example.com"}], "send": true});
    assert_eq!(app.owner.post("/api/v2/users/password_links", &links).await.status, 200);
    let other = "another seal key, which has not sealed anything";
    let mut serve = muster();
    serve.env("MUSTER_DATABASE__URL", url(&app.database)).env("MUSTER_SECRETS__SEAL_KEY", other);
    drop(ServerProcess::start(&mut serve));
    let mut reseal = muster();
    reseal.env("MUSTER_DATABASE__URL", url(&app.database)).env("MUSTER_SECRETS__SEAL_KEY", other);
    let ran = run(reseal.args(["secrets", "reseal"]));
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (
            Some(0),
            "encrypted the secrets of 0 identity providers with the first seal key; those of 0 were already\n\
             hint: keep the old key until 1 queued message is sent (`muster mail list --state queued`)\n"
        )
    );
}

/// The doctor tries all enabled providers, and warns of what keeps people from signing in.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_examines_providers() {
    let (app, idp) = (TestApp::spawn().await, Idp::start().await);
    let secret = file(SECRET.as_bytes(), ".secret");
    let add = ["provider", "add", "one", "--issuer", &idp.issuer, "--client-id", "muster", "--client-secret-file"];
    assert_eq!(sso_command(&app, &[&add[..], &[secret.path().to_str().unwrap()]].concat()).status, Some(0));
    let findings = |key: &str| {
        let mut doctor = muster();
        doctor
            .env("MUSTER_DATABASE__URL", url(&app.database))
            .env("MUSTER_SERVER__PUBLIC_URL", "http://127.0.0.1:8080");
        let ran = run(doctor.env("MUSTER_SECRETS__SEAL_KEY", key).args(["doctor", "--no-hashing", "-o", "json"]));
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        let findings = report["findings"].as_array().unwrap().iter();
        let of_sso = findings.filter(|finding| finding["check"] == "sso.providers");
        of_sso
            .map(|finding| format!("{} {}", finding["state"].as_str().unwrap(), finding["found"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let key = "a seal key that is long enough for the tests";
    assert_eq!(findings(key), ["ok one of default: its metadata and keys can be used"]);
    idp.script().status = 503;
    let away = format!("warning one of default: {}/.well-known/openid-configuration answered 503", idp.issuer);
    assert_eq!(findings(key), [away]);
    idp.script().status = 200;
    idp.script().date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    let behind = findings(key);
    assert!(
        behind.len() == 1
            && behind[0].starts_with("warning one of default: its clock is ")
            && behind[0].ends_with(" seconds behind this machine's"),
        "{behind:?}"
    );
    idp.script().date = None;
    let unreadable = findings("another seal key, which has not sealed anything");
    assert!(
        unreadable.len() == 1
            && unreadable[0].starts_with("warning one of default: its client secret can't be opened: the seal key "),
        "{unreadable:?}"
    );
    sso_command(&app, &["provider", "update", "one", "--enabled", "false"]);
    assert_eq!(findings(key), [""; 0]);
}

/// S-53, S-56, S-57, S-83: what does not fit is said before anything is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_can_not_work_is_not_added() {
    let (app, idp) = (TestApp::spawn().await, Idp::start().await);
    let add = |issuer: &str, more: &[&str]| {
        sso_command(&app, &[&["provider", "add", "one", "--issuer", issuer, "--client-id", "muster"], more].concat())
    };
    let slash = add(&format!("{}/", idp.issuer), &[]);
    assert_eq!(slash.status, Some(1));
    assert!(slash.err.contains("but the provider calls itself"), "{}", slash.err);
    let shared = add("https://login.microsoftonline.com/common/v2.0", &[]);
    assert!(shared.err.contains("use your tenant's issuer"), "{}", shared.err);
    let entra = add("https://login.microsoftonline.com/common/v2.0", &["--preset", "entra"]);
    assert_eq!(entra.status, Some(2));
    let google = add("https://accounts.google.com", &["--preset", "google"]);
    assert!(google.err.contains("name one domain"), "{}", google.err);
    let domain = add(&idp.issuer, &["--domain", "*.example.com"]);
    assert!(domain.err.contains("`*.example.com` is not a domain of addresses"), "{}", domain.err);
    let mut without = command(&app, &["provider", "add", "one", "--issuer", &idp.issuer, "--client-id", "muster"]);
    let without = run(without.env_remove("MUSTER_SERVER__PUBLIC_URL"));
    assert!(without.err.contains("needs `server.public_url`"), "{}", without.err);
    let secret = file(b"s3cret", ".secret");
    let mut unsealed = command(
        &app,
        &["provider", "add", "one", "--issuer", &idp.issuer, "--client-id", "muster", "--client-secret-file"],
    );
    let unsealed = run(unsealed.arg(secret.path()).env_remove("MUSTER_SECRETS__SEAL_KEY"));
    assert!(unsealed.err.contains("`secrets.seal_key` is not set"), "{}", unsealed.err);
    assert_eq!(json_of(&sso_command(&app, &["provider", "list", "-o", "json"])), json!([]));
}

/// S-80: identities, and users that become ones of single sign-on.
#[tokio::test(flavor = "multi_thread")]
async fn users_are_bound_and_converted_by_command() {
    let (app, idp) = (TestApp::spawn().await, Idp::start().await);
    let created = app
        .owner
        .create(&json!([sso("ada@example.com"), with_password("ben@example.com", "tidal-anchor-Plum-91")]))
        .await;
    assert_eq!(created.status, 200, "{}", created.text);
    let added = sso_command(&app, &["provider", "add", "one", "--issuer", &idp.issuer, "--client-id", "muster"]);
    assert!(added.err.contains("hint: without `--domain`"), "{}", added.err);
    let bound = json_of(&sso_command(
        &app,
        &["identity", "bind", "ada@example.com", "--provider", "one", "--subject", "ada-1", "-o", "json"],
    ));
    assert_eq!((&bound[0]["subject"], &bound[0]["bound_how"]), (&json!("ada-1"), &json!("operator")));
    let refused =
        sso_command(&app, &["identity", "bind", "ben@example.com", "--provider", "one", "--subject", "ben-1"]);
    assert!(refused.status == Some(1) && refused.err.contains("muster sso set-sso"), "{}", refused.err);
    let converted = sso_command(&app, &["set-sso", "ben@example.com"]);
    assert_eq!(
        converted.err,
        "ben@example.com signs in with single sign-on from now on; all sessions and links of the user have ended\n"
    );
    assert_eq!(app.db_value::<i64>("select count(*) from passwords").await, 0);
    let again = sso_command(&app, &["set-sso", "ben@example.com"]);
    assert_eq!(again.err, "ben@example.com signs in with single sign-on already; nothing was changed\n");
    let identity = bound[0]["identity_id"].as_str().unwrap();
    let wrong = sso_command(&app, &["identity", "unbind", "ben@example.com", identity]);
    assert_eq!(wrong.status, Some(1), "the identity is Ada's");
    let unbound = sso_command(&app, &["identity", "unbind", "ada@example.com", identity]);
    assert_eq!((unbound.status, unbound.err), (Some(0), format!("unbound {identity}\n")));
    assert_eq!(json_of(&sso_command(&app, &["identity", "list", "ada@example.com", "-o", "json"])), json!([]));
    assert_eq!(sso_command(&app, &["set-password-user", "ada@example.com"]).status, Some(0));
}
