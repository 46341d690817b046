//! TLS: protocols, certificate reload and client certificates.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Identity, Version};

use crate::certificates::{Authority, Files, serve_tls};
use crate::support::gate::eventually;
use crate::support::server::{ServerProcess, muster, url};
use crate::support::{Actor, TestApp, migrated_database};
use crate::{LIVEZ, connect, to_the_end};

/// A client that trusts only this CA and reuses no connections.
pub fn trusting(authority: &Authority) -> ClientBuilder {
    // Installs the crypto provider for `reqwest`.
    drop(Actor::new(([127, 0, 0, 1], 1).into(), None));
    let trusted = Certificate::from_pem(authority.pem.as_bytes()).unwrap();
    Client::builder().no_proxy().pool_max_idle_per_host(0).tls_certs_only([trusted])
}

async fn livez(client: &Client, server: &ServerProcess) -> Result<reqwest::Response, reqwest::Error> {
    client.get(format!("https://{}/livez", server.address)).send().await
}

/// Waits until the client trusts the server.
async fn is_trusted(client: &Client, server: &ServerProcess) {
    eventually("the server uses the new certificate", async || livez(client, server).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_and_http_1_1_are_served_with_hsts() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let server = serve_tls(&files, &[]).await;
    assert!(server.announced.iter().any(|line| line.starts_with("listening on https://127.0.0.1:")));
    for (client, version) in
        [(trusting(&authority), Version::HTTP_2), (trusting(&authority).http1_only(), Version::HTTP_11)]
    {
        let answer = livez(&client.build().unwrap(), &server).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=63072000; includeSubDomains");
        assert_eq!(answer.text().await.unwrap(), r#"{"status":"ok"}"#);
    }
    // Plain HTTP is not served.
    let plain = Actor::new(server.address, None).request("GET", "/livez").send().await;
    assert!(plain.is_err(), "{plain:?}");
    assert!(livez(&trusting(&Authority::new()).build().unwrap(), &server).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_loaded_without_a_restart_and_an_invalid_one_is_not() {
    let (first, second, third) = (Authority::new(), Authority::new(), Authority::new());
    let files = Files::new(&first);
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&migrated_database().await)).stderr(Stdio::from(log.reopen().unwrap()));
    for (name, value) in files.settings() {
        command.env(format!("MUSTER_{name}"), value);
    }
    let server = ServerProcess::start(&mut command);
    let said = || std::fs::read_to_string(log.path()).unwrap();
    let [one, two, three] = [&first, &second, &third].map(|authority| trusting(authority).build().unwrap());
    assert_eq!(livez(&one, &server).await.unwrap().status(), 200);

    // Files are polled.
    files.replace(&second);
    is_trusted(&two, &server).await;
    assert!(livez(&one, &server).await.is_err(), "the old certificate is no longer used");

    // Invalid files are logged once and not used.
    let (_, key) = second.issue();
    let path = |name: &str| files.path(name).to_str().unwrap().to_owned();
    for (name, content, problem) in [
        (
            "server.pem",
            "no certificate",
            format!("server.tls_certificate_file {} has no certificate in PEM", path("server.pem")),
        ),
        (
            "server.key",
            "no key",
            format!("server.tls_key_file {} has no private key in PEM without a password", path("server.key")),
        ),
        (
            "server.key",
            &key,
            format!(
                "server.tls_key_file {} belongs to another certificate than server.tls_certificate_file {}",
                path("server.key"),
                path("server.pem")
            ),
        ),
    ] {
        let before = std::fs::read_to_string(files.path(name)).unwrap();
        files.write(name, content);
        let line = format!("error={problem}");
        is_logged(said, &line).await;
        assert_eq!(livez(&two, &server).await.unwrap().status(), 200, "the previous certificate stays in use");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(said().matches(&line).count(), 1, "logged once: {}", said());
        files.write(name, &before);
        // Until the restored file was polled, too.
        tokio::time::sleep(Duration::from_millis(2500)).await;
    }
    assert!(
        said().contains("ERROR the new TLS certificate can't be used; the previous one stays in use"),
        "{}",
        said()
    );
    assert!(!said().contains("PRIVATE KEY"), "{}", said());

    // SIGHUP reloads immediately and does not stop the server: polling waits until the files don't change any more.
    files.replace(&third);
    let certificate = std::fs::read_to_string(files.path("server.pem")).unwrap();
    let changing = Arc::new(AtomicBool::new(true));
    let changes = std::thread::spawn({
        let (changing, path, next) = (Arc::clone(&changing), files.path("server.pem"), files.path("next"));
        move || {
            for n in 0.. {
                if !changing.load(Ordering::Relaxed) {
                    break;
                }
                std::fs::write(&next, format!("{certificate}\n# {n}\n")).unwrap();
                std::fs::rename(&next, &path).unwrap();
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    });
    server.signal("-HUP");
    is_trusted(&three, &server).await;
    changing.store(false, Ordering::Relaxed);
    changes.join().unwrap();
    assert_eq!(livez(&three, &server).await.unwrap().status(), 200);
}

/// Starts a server with these files; returns it with a function that reads its log.
async fn logged(files: &Files) -> (ServerProcess, impl Fn() -> String) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&migrated_database().await)).stderr(Stdio::from(log.reopen().unwrap()));
    command.env("MUSTER_SERVER__SHUTDOWN_TIMEOUT_SECONDS", "3600");
    for (name, value) in files.settings() {
        command.env(format!("MUSTER_{name}"), value);
    }
    (ServerProcess::start(&mut command), move || std::fs::read_to_string(log.path()).unwrap())
}

async fn is_logged(said: impl Fn() -> String, line: &str) {
    eventually(&format!("logged: {line}"), async || said().contains(line)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_logged_and_replaces_no_valid_one() {
    let (first, second) = (Authority::new(), Authority::new());
    let files = Files::new(&first);
    let put = |(certificate, key): (String, String)| {
        files.write("server.pem", &certificate);
        files.write("server.key", &key);
    };
    let path = files.path("server.pem").display().to_string();
    let (server, said) = logged(&files).await;
    let client = trusting(&first).build().unwrap();
    for (from, to, why) in
        [(1990, 2001, "expired 2001-01-01 00:00 UTC"), (3001, 3002, "is not valid before 3001-01-01 00:00 UTC")]
    {
        put(second.issue_for(from, to));
        let line = format!(
            "ERROR the new TLS certificate can't be used; the previous one stays in use certificate={path} \
             error=server.tls_certificate_file {path} {why}"
        );
        is_logged(&said, &line).await;
        assert_eq!(livez(&client, &server).await.unwrap().status(), 200, "the previous certificate stays in use");
    }
    put(second.issue());
    is_trusted(&trusting(&second).build().unwrap(), &server).await;

    // At startup an expired certificate is used and logged, also by `config check`; another expired one may replace it.
    put(first.issue_for(1990, 2001));
    let expired = format!("the TLS certificate {path} expired 2001-01-01 00:00 UTC; clients reject it");
    let mut check = muster();
    check.args(["config", "check", "--data-dir", "/tmp/never-made"]);
    for (name, value) in files.settings() {
        check.env(format!("MUSTER_{name}"), value);
    }
    let checked = check.output().unwrap();
    assert_eq!(
        (checked.status.code(), String::from_utf8(checked.stderr).unwrap()),
        (Some(0), format!("warning: {expired}\nthe configuration is valid\n"))
    );
    let (server, said) = logged(&files).await;
    assert!(said().contains(&format!("ERROR {expired}")), "{}", said());
    put(first.issue_for(1990, 2002));
    let line = format!("ERROR the TLS certificate {path} expired 2002-01-01 00:00 UTC; clients reject it");
    is_logged(&said, &line).await;
    put(first.issue());
    is_trusted(&client, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_file_that_is_a_pipe_or_too_long_is_not_read_and_does_not_block_the_shutdown() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let (mut server, said) = logged(&files).await;
    let path = files.path("server.pem");
    let client = trusting(&authority).build().unwrap();
    for (target, why) in [("pipe", "not a regular file"), ("long", "longer than 1048576 bytes")] {
        if target == "pipe" {
            assert!(std::process::Command::new("mkfifo").arg(files.path(target)).status().unwrap().success());
        } else {
            files.write(target, &"x".repeat(1024 * 1024 + 1));
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(files.path(target), &path).unwrap();
        let line = format!("error=server.tls_certificate_file {} can't be read: {why}", path.display());
        is_logged(&said, &line).await;
        assert_eq!(livez(&client, &server).await.unwrap().status(), 200);
    }
    server.signal("-TERM");
    // Long before the shutdown timeout.
    assert!(server.wait().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_a_valid_client_certificate_are_rejected() {
    let (authority, people, others) = (Authority::new(), Authority::new(), Authority::new());
    let files = Files::new(&authority);
    let trusted = files.write("people.pem", &people.pem);
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&migrated_database().await)).stderr(Stdio::from(log.reopen().unwrap()));
    command.env("MUSTER_SERVER__TLS_CLIENT_CA_FILE", trusted);
    for (name, value) in files.settings() {
        command.env(format!("MUSTER_{name}"), value);
    }
    let server = ServerProcess::start(&mut command);
    let holding = |authority: &Authority| {
        let (certificate, key) = authority.issue();
        Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap()
    };
    let known = trusting(&authority).identity(holding(&people)).build().unwrap();
    assert_eq!(livez(&known, &server).await.unwrap().status(), 200);
    let without = trusting(&authority).build().unwrap();
    assert!(livez(&without, &server).await.is_err(), "without a certificate");
    let unknown = trusting(&authority).identity(holding(&others)).build().unwrap();
    assert!(livez(&unknown, &server).await.is_err(), "with a certificate of another CA");
    // The client CA is reloaded, too.
    files.write("people.pem", &others.pem);
    is_trusted(&unknown, &server).await;
    assert!(livez(&known, &server).await.is_err(), "with a certificate of the previous CA");
    // A plaintext health check is not logged.
    std::net::TcpStream::connect(server.address).unwrap().write_all(LIVEZ).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let said = || std::fs::read_to_string(log.path()).unwrap();
    for line in [
        "INFO TLS handshake failed error=peer sent no certificates",
        "INFO TLS handshake failed error=invalid peer certificate: ",
    ] {
        is_logged(said, line).await;
    }
    assert!(!said().contains("corrupt message"), "{}", said());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_handshake_times_out() {
    let files = Files::new(&Authority::new());
    let settings = [("TEST_LIMITS", "header_timeout=1 body_timeout=600"), ("SERVER__KEEP_ALIVE_SECONDS", "600")];
    let server = serve_tls(&files, &settings).await;
    assert_eq!(to_the_end(&mut connect(&server)), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_is_ignored_without_tls() {
    let server = crate::serve(&[]).await;
    server.signal("-HUP");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(Actor::new(server.address, None).get("/livez").await.status, 200);
}

#[test]
fn invalid_tls_settings_are_reported_in_one_line() {
    let (one, other) = (Authority::new().issue(), Authority::new().issue());
    let files = Files::new(&Authority::new());
    let [certificate, _] = [files.write("one.pem", &one.0), files.write("one.key", &one.1)];
    let key = files.write("other.key", &other.1);
    let empty = files.write("empty", "");
    for (settings, sentence) in [
        (
            &[("CERTIFICATE_FILE", certificate.as_str())][..],
            "`server.tls_certificate_file` and `server.tls_key_file` must both be set, or neither".to_owned(),
        ),
        (
            &[("CLIENT_CA_FILE", &certificate)],
            "`server.tls_client_ca_file` requires `server.tls_certificate_file` and `server.tls_key_file`".to_owned(),
        ),
        (
            &[("CERTIFICATE_FILE", "/nowhere/x.pem"), ("KEY_FILE", &key)],
            "server.tls_certificate_file /nowhere/x.pem can't be read: No such file or directory (os error 2)"
                .to_owned(),
        ),
        (
            &[("CERTIFICATE_FILE", &certificate), ("KEY_FILE", &key)],
            format!(
                "server.tls_key_file {key} belongs to another certificate than server.tls_certificate_file {certificate}"
            ),
        ),
        (
            &[("CERTIFICATE_FILE", &certificate), ("KEY_FILE", &empty)],
            format!("server.tls_key_file {empty} has no private key in PEM without a password"),
        ),
    ] {
        for command in [&["config", "check"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let mut muster = muster();
            muster.args(command).env("MUSTER_DATA_DIR", "/tmp/never-made");
            for (name, value) in settings {
                muster.env(format!("MUSTER_SERVER__TLS_{name}"), value);
            }
            let ran = muster.output().unwrap();
            assert_eq!(ran.status.code(), Some(2));
            assert_eq!(String::from_utf8(ran.stderr).unwrap(), format!("error: {sentence}\n"));
        }
    }
    assert!(!std::path::Path::new("/tmp/never-made").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_trusts_the_ca_in_ssl_cert_file() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let server = serve_tls(&files, &[]).await;
    let host = format!("https://{}", server.address);
    // A CA with the same name and another key.
    let other = Authority::new();
    for (pem, status, words) in [
        (&authority.pem, 0, String::new()),
        (&other.pem, 2, format!("error: no response from `{host}`: invalid peer certificate: BadSignature\n")),
    ] {
        let mut command = muster();
        command.args(["user", "list", "--host", &host]).env("MUSTER_TOKEN", server.key.as_ref().unwrap());
        command.env("SSL_CERT_FILE", files.write("trusted.pem", pem));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(status), words));
        assert_eq!(output.stdout.starts_with(b"EMAIL"), status == 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_uses_a_ca_certificate_is_not_trusted() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    files.write("server.pem", &authority.pem);
    files.write("server.key", &authority.key());
    let server = serve_tls(&files, &[]).await;
    let host = format!("https://{}", server.address);
    let mut command = muster();
    command.args(["user", "list", "--host", &host]).env("MUSTER_TOKEN", server.key.as_ref().unwrap());
    command.env("SSL_CERT_FILE", files.path("server.pem"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("CaUsedAsEndEntity"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_what_to_look_at_when_it_gets_no_response() {
    let server = serve_tls(&Files::new(&Authority::new()), &[]).await;
    let plain = TestApp::spawn().await;
    let hint = |host: String| {
        let mut command = muster();
        let ran =
            command.args(["user", "list"]).env("MUSTER_TOKEN", "amk_x").env("MUSTER_HOST", &host).output().unwrap();
        let err = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{err}");
        let (error, hint) = err.split_once("\nhint: ").unwrap_or_else(|| panic!("no hint: {err}"));
        assert!(error.contains(&format!("error: no response from `{host}`: ")), "{err}");
        hint.trim_end().to_owned()
    };
    let https = "the server may speak HTTPS; use an address that begins with https://";
    assert_eq!(hint(format!("http://{}", server.address)), https);
    let http = "the server speaks HTTP, not HTTPS; use an address that begins with http://";
    assert_eq!(hint(format!("https://{}", plain.address)), http);
    let certificate =
        "the certificate is not from an authority of this machine; SSL_CERT_FILE names a file with others";
    assert_eq!(hint(format!("https://{}", server.address)), certificate);
    let serve =
        "is `muster serve` running on this machine? The address is that of `--host`, MUSTER_HOST or ANYSCALE_HOST";
    assert_eq!(hint("http://127.0.0.1:9".to_owned()), serve);
}
