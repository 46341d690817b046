//! `muster mail`, the settings of mail, and a server that requires TLS and a password.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use muster::secret::Secret;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::gate::eventually;
use crate::support::server::muster;
use crate::support::smtp::{Behavior, SmtpServer};
use crate::{json, remote, run};

/// An `aiosmtpd` that requires TLS and the password `hunter2 %`, killed on drop.
struct Aiosmtpd {
    child: Child,
    port: u16,
    output: BufReader<std::process::ChildStdout>,
    /// The authority of its certificate, in a file.
    authority: PathBuf,
    _folder: tempfile::TempDir,
}

impl Aiosmtpd {
    fn start(mode: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail");
        let found = Command::new(script.join("server.sh")).stderr(Stdio::inherit()).output().unwrap();
        assert!(found.status.success());
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        std::fs::write(path("pem"), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        std::fs::write(path("authority"), authority_pem).unwrap();
        let mut child = Command::new(String::from_utf8(found.stdout).unwrap().trim())
            .arg(script.join("server.py"))
            .args([mode, path("pem").to_str().unwrap(), path("key").to_str().unwrap()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        output.read_line(&mut port).unwrap();
        let (port, authority) = (port.trim().parse().unwrap(), path("authority"));
        Self { child, port, output, authority, _folder: folder }
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// `muster` with the settings of this server.
    fn muster(&self, scheme: &str, password: &str, arguments: &[&str]) -> Command {
        let mut command = muster();
        command
            .env("MUSTER_MAIL__URL", format!("{scheme}://ada%40example.org:{password}@localhost:{}", self.port))
            .env("MUSTER_MAIL__FROM", "muster@example.org")
            .env("MUSTER_SERVER__PUBLIC_URL", "https://muster.example.org")
            .env("SSL_CERT_FILE", &self.authority)
            .args(arguments);
        command
    }
}

impl Drop for Aiosmtpd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TEST: &[&str] = &["mail", "test", "grace@example.com"];

#[test]
fn s_39_a_test_message_goes_through_starttls_or_tls_with_the_password_of_the_settings() {
    for (mode, scheme) in [("starttls", "smtp"), ("smtps", "smtps")] {
        let mut server = Aiosmtpd::start(mode);
        let name = format!("localhost:{}", server.port);
        let ran = run(&mut server.muster(scheme, "hunter2%20%25", TEST));
        assert_eq!((ran.status, ran.err), (Some(0), format!("{name} accepted a test message to grace@example.com\n")));
        let sent = server.next();
        assert_eq!((&sent["to"], &sent["user"]), (&json!(["grace@example.com"]), &json!("ada@example.org")));
        assert!(sent["message"].as_str().unwrap().contains("https://muster.example.org\r\n"), "{sent}");

        let ran = run(&mut server.muster(scheme, "wrong", TEST));
        assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
        assert!(ran.err.starts_with(&format!("error: {name}: ")) && ran.err.contains("535"), "{}", ran.err);
        assert!(ran.err.ends_with("; nothing was sent\n") && !ran.err.contains("wrong\n"), "{}", ran.err);
        // An authority that is not trusted.
        let ran = run(server.muster(scheme, "hunter2%20%25", TEST).env("SSL_CERT_FILE", "/dev/null"));
        assert_eq!(ran.status, Some(1), "{}", ran.err);
        assert!(!ran.err.contains("hunter2"), "{}", ran.err);
        // The other kind of TLS.
        if mode == "starttls" {
            assert_eq!(run(&mut server.muster("smtps", "hunter2%20%25", TEST)).status, Some(1));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tries_the_smtp_server() {
    let check = |server: &str| {
        let mut command = muster();
        command
            .env("MUSTER_MAIL__URL", server)
            .env("MUSTER_MAIL__FROM", "muster@example.org")
            .env("MUSTER_MAIL__PLAINTEXT", "true")
            .env("MUSTER_SERVER__PUBLIC_URL", "https://muster.example.org")
            .env("MUSTER_SECRETS__SEAL_KEY", "a seal key of at least 32 characters")
            .env("MUSTER_DATABASE__URL", "postgres://127.0.0.1:1/none")
            .args(["doctor", "--no-hashing", "-o", "json"]);
        let report: Value = serde_json::from_str(&run(&mut command).out).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|finding| finding["check"] == "mail.smtp").unwrap()
    };
    let server = SmtpServer::start(Behavior::Accept).await;
    let url = format!("smtp://{}", server.address);
    let finding = tokio::task::block_in_place(|| check(&url));
    let found = format!("{} accepts muster's connection and credentials", server.address);
    assert_eq!((&finding["state"], &finding["found"]), (&json!("ok"), &json!(found)));
    server.set(Behavior::Reply("EHLO", "554 go away"));
    let finding = tokio::task::block_in_place(|| check(&url));
    assert_eq!(finding["state"], "problem");
    assert!(finding["found"].as_str().unwrap().contains("go away"), "{finding}");
}

#[test]
fn mail_that_can_not_work_is_a_mistake_in_the_settings() {
    let check = |settings: &[(&str, &str)], arguments: &[&str]| {
        let mut command = muster();
        command.envs(settings.iter().copied()).args(arguments);
        run(&mut command)
    };
    let url = ("MUSTER_MAIL__URL", "smtp://ada:hunter2@mail.example.org");
    let from = ("MUSTER_MAIL__FROM", "muster@example.org");
    let public_url = ("MUSTER_SERVER__PUBLIC_URL", "https://muster.example.org");
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let missing = "`mail.url` requires `server.public_url`: links that are sent by mail begin with it";
    for (settings, message) in [
        (&[url, from][..], missing),
        (&[url, public_url], "`mail.url` requires `mail.from`, the address of the sender"),
        (&[url, ("MUSTER_MAIL__URL_FILE", "/x"), from, public_url], "`mail.url` and `mail.url_file` can't both be set"),
        (
            &[url, from, public_url, ("MUSTER_MAIL__PLAINTEXT", "true")],
            "`mail.plaintext` is only for a server on this machine, such as smtp://127.0.0.1:25",
        ),
        (
            &[("MUSTER_MAIL__URL", "mail.example.org"), from, public_url],
            "`mail.url` must be smtp://USER:PASSWORD@HOST:587 (with STARTTLS) or smtps://USER:PASSWORD@HOST",
        ),
    ] {
        let [serve, migrate] = ["serve", "migrate"].map(|command| [command, "--data-dir", data_dir.to_str().unwrap()]);
        for arguments in [&["config", "check"][..], &serve, &migrate, TEST] {
            let ran = check(settings, arguments);
            assert_eq!(
                (ran.status, ran.err.as_str()),
                (Some(2), format!("error: {message}\n").as_str()),
                "{arguments:?}"
            );
        }
    }
    assert!(!data_dir.exists());
    assert_eq!(check(&[url, from, public_url], &["config", "check"]).status, Some(0));
    let ran = check(&[], TEST);
    let message = "error: mail is not configured: `mail.url` is not set in defaults and the environment (neither --config nor \
                   MUSTER_CONFIG is set)\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(2), message));
    let ran = check(&[url, from, public_url], &["mail", "test", "ada"]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (Some(2), "error: the address is invalid: not a valid e-mail address\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_listed_and_a_failed_one_is_sent_again() {
    let server = SmtpServer::start(Behavior::Reply("RCPT", "550 no such user")).await;
    let app = TestApp::spawn_with(|config| {
        config.mail.url = Secret::new(format!("smtp://{}", server.address));
        config.mail.from = "muster@example.org".to_owned();
        config.mail.plaintext = true;
        config.server.public_url = "https://muster.example.org".to_owned();
        config.secrets.seal_key = Secret::new("a seal key of at least 32 characters");
    })
    .await;
    let users = json!([{"name": "Ada", "email": "ada@example.com", "is_sso_user": false}]);
    assert_eq!(app.owner.create(&users).await.status, 200);
    let links = json!({"users": [{"user": "ada@example.com"}], "send": true});
    assert_eq!(app.owner.post("/api/v2/users/password_links", &links).await.status, 200);
    let worker = tokio::spawn(muster::mail::run(Arc::clone(&app.app)));
    let list = |more: &[&str]| json(&remote(&app, &[&["mail", "list", "-o", "json"], more].concat()));
    eventually("the message fails", async || list(&["--state", "failed"]).as_array().unwrap().len() == 1).await;
    let ran = remote(&app, &["mail", "list", "-o", "wide"]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["ID", "TO", "KIND", "STATE", "ATTEMPTS", "CREATED", "NEXT", "ERROR"]
    );
    assert!(lines[1].contains("ada@example.com  link  failed  1") && lines[1].contains("no such user"), "{}", lines[1]);
    server.set(Behavior::Accept);
    let id = list(&[])[0]["id"].as_str().unwrap().to_owned();
    let ran = remote(&app, &["mail", "retry", &id, "-o", "json"]);
    assert_eq!((ran.status, &json(&ran)["state"]), (Some(0), &json!("queued")), "{}", ran.err);
    eventually("the message is sent", async || list(&["--state", "sent"]).as_array().unwrap().len() == 1).await;
    let ran = remote(&app, &["mail", "retry", &id]);
    let message = "error: the message is sent; only a failed one can be sent again\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), message));
    worker.abort();
}
