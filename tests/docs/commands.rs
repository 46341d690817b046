//! The commands on the pages do what the pages say, against real servers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use muster::passwords::{Parameters, verify};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::markdown::{Part, pages, parts, read, root};
use crate::session::Session;
use crate::support::server::{ServerProcess, url};
use crate::support::{empty_database, sso};

/// Pages whose commands are run, each by a test below.
const RUN: [&str; 7] = [
    "docs/how-to/at-night.md",
    "docs/how-to/back-up-and-restore.md",
    "docs/how-to/move-from-csv.md",
    "docs/how-to/move-from-keycloak.md",
    "docs/how-to/move-from-kratos.md",
    "docs/how-to/rotate-keys.md",
    "docs/tutorial/first-batch.md",
];

/// Pages whose commands need what no test has: a container engine, a cluster, a machine to install on.
const ELSEWHERE: [&str; 3] = ["docs/how-to/container.md", "docs/how-to/kubernetes.md", "docs/how-to/one-vm.md"];

/// A server with a database, and a reader who has set what the pages ask for.
struct Fixture {
    database: PgConnectOptions,
    server: ServerProcess,
    session: Session,
}

impl Fixture {
    async fn start() -> Self {
        let database = empty_database().await;
        let server = ServerProcess::start_on(&database);
        let (host, token) = (format!("http://{}", server.address), server.key.clone().unwrap());
        let environment = [("MUSTER_DATABASE__URL", url(&database)), ("MUSTER_HOST", host), ("MUSTER_TOKEN", token)];
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let session = Session::new(&environment).with_server(&server.address.to_string());
        Self { database, server, session }
    }

    async fn create(&self, users: &Value) {
        let owner = self.server.actor(self.server.key.as_ref().unwrap());
        assert_eq!(owner.create(users).await.status, 200);
    }

    /// Does what the page says.
    async fn follow(self, name: &'static str) -> Self {
        let mut fixture = self;
        tokio::task::spawn_blocking(move || {
            assert!(fixture.session.follow(name, &read(name)) > 0);
            fixture
        })
        .await
        .unwrap()
    }

    /// Who can sign in with which password, and what stands in the way of others: address, must change, hash.
    async fn db_passwords(&self) -> Vec<(String, bool, String)> {
        let mut connection = self.database.connect().await.unwrap();
        let query =
            "select email, must_change, phc from passwords join users using (organization_id, user_id) order by email";
        let rows = sqlx::query_as(query).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    }
}

/// Whose password opens which account; `None` if a new one has to be chosen then.
fn opened_by<'p>(stored: &[(String, bool, String)], passwords: &[&'p str]) -> Vec<(String, bool, &'p str)> {
    let current = Parameters::new(19456, 2, 1).unwrap();
    let opens = |hash: &str, password: &str| verify(hash, password.as_bytes(), &current).unwrap().matches;
    stored
        .iter()
        .map(|(email, must_change, hash)| {
            let password = passwords.iter().find(|password| opens(hash, password));
            (email.clone(), *must_change, *password.unwrap_or_else(|| panic!("no password opens {email}")))
        })
        .collect()
}

#[test]
fn every_page_with_commands_that_can_be_run_here_is_run() {
    let is_terminal = |part: &Part<'_>| matches!(part, Part::Code(code) if code.info == "console");
    let with_commands: Vec<_> = pages()
        .into_iter()
        .filter(|page| page.starts_with("docs/") && !ELSEWHERE.contains(&page.as_str()))
        .filter(|page| parts(&read(page)).iter().any(is_terminal))
        .collect();
    assert_eq!(with_commands, RUN);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_leads_from_nothing_to_a_batch() {
    // A folder that PostgreSQL's own user can reach, too.
    let data = tempfile::Builder::new().prefix("muster-data-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let name = RUN[6];
    tokio::task::spawn_blocking(move || {
        let mut session = Session::new(&[("MUSTER_DATA_DIR", data.path().to_str().unwrap())]);
        assert!(session.follow(name, &read(name)) > 8);
        drop(session);
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_to_do_at_night_can_be_done() {
    Fixture::start().await.follow(RUN[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_with_everybody_in_it() {
    let fixture = Fixture::start().await;
    fixture
        .create(&json!([sso("ada@example.com"), {"name": "Grace", "email": "grace@example.com", "is_sso_user": true}]))
        .await;
    fixture.follow(RUN[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated() {
    Fixture::start().await.follow(RUN[5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_from_a_spreadsheet_becomes_accounts() {
    Fixture::start().await.follow(RUN[2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_from_keycloak_keep_their_passwords() {
    let fixture = Fixture::start().await;
    for file in ["keycloak.py", "keycloak-export.json"] {
        fixture.session.has(file, &read(&format!("docs/how-to/move/{file}")));
    }
    let fixture = fixture.follow(RUN[3]).await;
    let passwords = ["correct horse battery staple", "tea, Earl Grey, hot", "Margaret's long password"];
    assert_eq!(
        opened_by(&fixture.db_passwords().await, &passwords),
        [
            ("ada@example.com".to_owned(), false, passwords[0]),
            ("grace@example.com".to_owned(), true, passwords[1]),
            ("margaret@example.com".to_owned(), false, passwords[2]),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_from_kratos_keep_their_passwords() {
    let fixture = Fixture::start().await;
    for file in ["kratos.py", "kratos-export.json"] {
        fixture.session.has(file, &read(&format!("docs/how-to/move/{file}")));
    }
    let fixture = fixture.follow(RUN[4]).await;
    let passwords =
        ["correct horse battery staple", "tea, Earl Grey, hot", "Margaret's long password", "one more password"];
    assert_eq!(
        opened_by(&fixture.db_passwords().await, &passwords),
        [
            ("ada@example.com".to_owned(), false, passwords[0]),
            ("grace@example.com".to_owned(), false, passwords[1]),
            ("joan@example.com".to_owned(), false, passwords[3]),
            ("margaret@example.com".to_owned(), false, passwords[2]),
        ]
    );
}

#[test]
fn a_file_that_is_no_export_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.json");
    for (script, content, words) in [
        ("keycloak.py", "no JSON", "can't be read: Expecting value"),
        ("keycloak.py", r#"{"realm": "staff"}"#, "has no users in it: export with --users realm_file"),
        ("kratos.py", "no JSON", "can't be read: Expecting value"),
        ("kratos.py", r#"[{"id": "1"}]"#, "is no list of identities: each has `traits`"),
    ] {
        fs::write(&file, content).unwrap();
        let script = root().join("docs/how-to/move").join(script);
        let output = Command::new("python3").arg(&script).arg(&file).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len(), said.lines().count()), (Some(1), 0, 1), "{said}");
        assert!(said.starts_with(&format!("{} {words}", file.display())), "{said}");
    }
}
