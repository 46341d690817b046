//! `muster user batch-create --generate-passwords`: the requirement S-20.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir, tempdir};

use crate::support::browser::Browser;
use crate::support::{TestApp, file};
use crate::{Ran, remote};

const PEOPLE: &str = "name,email,is_sso_user,password\nAda,ada@example.com,false,\nSam,sam@example.com,true,\n\
                      Ben,ben@example.com,false,tidal-anchor-Plum-91\n";

/// A users file, and a place for passwords.
struct Files {
    users: NamedTempFile,
    folder: TempDir,
}

impl Files {
    fn new(content: &str) -> Self {
        Self { users: file(content.as_bytes(), ".csv"), folder: tempdir().unwrap() }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("passwords.csv")
    }

    fn create(&self, app: &TestApp, more: &[&str]) -> Ran {
        self.create_to(app, &self.out(), more)
    }

    fn create_to(&self, app: &TestApp, out: &Path, more: &[&str]) -> Ran {
        let users = self.users.path().to_str().unwrap();
        let arguments = ["user", "batch-create", "-f", users, "--generate-passwords", out.to_str().unwrap()];
        remote(app, &[&arguments, more].concat())
    }

    /// The generated passwords by address.
    fn passwords(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(self.out()).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("email,name,password"));
        let cells = lines.map(|line| line.split(',').collect::<Vec<_>>());
        cells.map(|cells| (cells[0].to_owned(), cells[2].to_owned())).collect()
    }
}

async fn signs_in(app: &TestApp, (email, password): &(String, String)) -> bool {
    let answer = Browser::of(app).sign_in(email, password).await;
    answer.status == 200 && answer.json()["result"]["stage"] == "must_change"
}

#[tokio::test(flavor = "multi_thread")]
async fn users_without_a_password_get_one_that_is_in_a_file_and_a_second_run_changes_nothing() {
    let app = TestApp::spawn().await;
    let files = Files::new(PEOPLE);
    let planned = files.create(&app, &["--dry-run"]);
    assert_eq!((planned.status, files.out().exists()), (Some(0), false), "{}", planned.err);
    assert!(planned.err.contains("1 password would be generated\n"), "{}", planned.err);
    assert!(
        planned.err.contains("2 with a password") && planned.err.contains("no plan is available"),
        "{}",
        planned.err
    );

    let ran = files.create(&app, &[]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let said =
        format!(" 1 password generated, in `{}`; each must be changed at the first sign-in.\n", files.out().display());
    assert!(ran.err.contains(&said) && ran.err.contains(" 3 users created.\n"), "{}", ran.err);
    assert_eq!(std::fs::metadata(files.out()).unwrap().permissions().mode() & 0o777, 0o600);
    let passwords = files.passwords();
    assert_eq!(passwords.len(), 1);
    assert!(signs_in(&app, &passwords[0]).await);
    assert!(!ran.out.contains(&passwords[0].1) && !ran.err.contains(&passwords[0].1));

    let other = files.folder.path().join("other.csv");
    for again in [files.create(&app, &[]), files.create_to(&app, &other, &[])] {
        assert_eq!(again.status, Some(0), "{}", again.err);
        assert!(again.err.contains("nothing is left to do.\n"), "{}", again.err);
        assert!(again.err.contains("if that run generated passwords, they are in its file.\n"), "{}", again.err);
    }
    assert_eq!((files.passwords(), other.exists()), (passwords, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn hashed_on_this_machine_generated_passwords_are_not_sent() {
    let app = TestApp::spawn().await;
    let files = Files::new(PEOPLE);
    let planned = files.create(&app, &["--hash-locally", "--dry-run"]);
    assert_eq!((planned.status, files.out().exists()), (Some(0), false), "{}", planned.err);
    let ran = files.create(&app, &["--hash-locally"]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert!(signs_in(&app, &files.passwords()[0]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_removed_if_the_batch_is_rejected_and_never_replaced() {
    let app = TestApp::spawn().await;
    let files = Files::new("name,email,is_sso_user\nAda,ada@example.com,false\nBen,ben,false\n");
    for more in [&[][..], &["--hash-locally"]] {
        let ran = files.create(&app, more);
        assert_eq!((ran.status, files.out().exists()), (Some(1), false), "{}", ran.err);
    }
    std::fs::write(files.out(), "precious").unwrap();
    let ran = files.create(&app, &[]);
    let (out, users) = (files.out(), files.users.path().display());
    let message = format!(
        "error: can't write `{}`: the file exists; it may have the passwords of an earlier run; if `muster batch list -f \
         {users}` shows no batch of that run, remove it\n",
        out.display()
    );
    assert_eq!((ran.status, ran.err), (Some(2), message));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "precious");
    // Nobody needs a password.
    let files = Files::new("name,email,is_sso_user\nSam,sam@example.com,true\n");
    let ran = files.create(&app, &[]);
    assert_eq!((ran.status, files.out().exists()), (Some(0), false), "{}", ran.err);
    assert!(ran.err.contains("no user needs a password"), "{}", ran.err);
    assert_eq!(files.create(&app, &["--plan", "plan1_x"]).status, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_kept_if_the_outcome_is_unknown() {
    let app = TestApp::spawn().await;
    let files = Files::new(PEOPLE);
    let users = files.users.path().to_str().unwrap();
    // Accepts the request and closes the connection.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = std::io::Read::read(&mut stream.unwrap(), &mut [0; 64]);
            let _ = tell.send(());
        }
    });
    let out = files.out();
    let mut command = crate::muster_at(&app);
    command.env("MUSTER_HOST", host).args(["user", "batch-create", "-f", users, "--again"]);
    let mut child = command.arg("--generate-passwords").arg(&out).stderr(std::process::Stdio::piped()).spawn().unwrap();
    told.recv().unwrap();
    assert!(out.exists(), "the passwords are written before the request");
    let sent = std::process::Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
    let mut err = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{err}");
    assert!(
        err.contains(&format!("`{}` is kept: it has the users' passwords, if they are created\n", out.display())),
        "{err}"
    );
    assert_eq!(files.passwords().len(), 1);
}
