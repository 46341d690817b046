//! Runs the commands of the documentation against real servers and compares their output.

use muster::passwords::{Parameters, verify};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::markdown::{Part, pages, parts, read};
use crate::session::Session;
use crate::support::server::{ServerProcess, url};
use crate::support::{empty_database, sso, with_password};

/// Pages whose commands are run, each by one of the tests below.
const RUN: [&str; 9] = [
    "docs/how-to/at-night.md",
    "docs/how-to/back-up-and-restore.md",
    "docs/how-to/move-from-csv.md",
    "docs/how-to/move-from-directories.md",
    "docs/how-to/move-from-keycloak.md",
    "docs/how-to/move-from-kratos.md",
    "docs/how-to/rotate-keys.md",
    "docs/how-to/sign-in.md",
    "docs/tutorial/first-batch.md",
];

/// Pages whose commands need a container engine or a cluster, or change the machine; `tests/deploy` covers them as far as
/// possible.
const ELSEWHERE: [&str; 3] = ["docs/how-to/container.md", "docs/how-to/kubernetes.md", "docs/how-to/one-vm.md"];

/// A server with a database, and a reader's shell with the environment that the pages assume.
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

    /// Puts practice files into the reader's directory.
    fn with_exports(self, files: &[&str]) -> Self {
        for file in files {
            self.session.write_file(file, &read(&format!("docs/how-to/move/{file}")));
        }
        self
    }

    async fn create(&self, users: &Value) {
        let owner = self.server.actor(self.server.key.as_ref().unwrap());
        assert_eq!(owner.create(users).await.status, 200);
    }

    /// Runs all commands of a page.
    async fn follow(self, name: &'static str) -> Self {
        let mut fixture = self;
        tokio::task::spawn_blocking(move || {
            assert!(fixture.session.follow(name, &read(name)) > 0);
            fixture
        })
        .await
        .unwrap()
    }

    /// All stored passwords: address, whether the user must change it, hash.
    async fn db_passwords(&self) -> Vec<(String, bool, String)> {
        let mut connection = self.database.connect().await.unwrap();
        let query =
            "select email, must_change, phc from passwords join users using (organization_id, user_id) order by email";
        let rows = sqlx::query_as(query).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    }
}

/// Asserts that exactly these users have passwords: address, whether the user must change it, the password.
async fn assert_passwords(fixture: &Fixture, expected: &[(&str, bool, &str)]) {
    let current = Parameters::new(19456, 2, 1).unwrap();
    let stored = fixture.db_passwords().await;
    assert_eq!(stored.len(), expected.len(), "{stored:?}");
    for ((email, must_change, hash), (person, changes, password)) in stored.iter().zip(expected) {
        assert_eq!((email.as_str(), must_change), (*person, changes));
        assert!(
            verify(hash, password.as_bytes(), &current).unwrap().matches,
            "{password} is not the password of {email}"
        );
    }
}

#[test]
fn every_page_with_commands_is_tested() {
    let is_terminal = |part: &Part<'_>| matches!(part, Part::Code(code) if code.info == "console");
    let with_commands: Vec<_> = pages()
        .into_iter()
        .filter(|page| page.starts_with("docs/") && !ELSEWHERE.contains(&page.as_str()))
        .filter(|page| parts(&read(page)).iter().any(is_terminal))
        .collect();
    assert_eq!(with_commands, RUN);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_works() {
    let name = "docs/tutorial/first-batch.md";
    tokio::task::spawn_blocking(move || {
        let mut session = Session::new(&[]);
        assert!(session.follow(name, &read(name)) > 8);
        drop(session);
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_works() {
    Fixture::start().await.follow("docs/how-to/at-night.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_with_all_users() {
    let fixture = Fixture::start().await;
    fixture
        .create(&json!([sso("ada@example.com"), {"name": "Grace", "email": "grace@example.com", "is_sso_user": true}]))
        .await;
    fixture.follow("docs/how-to/back-up-and-restore.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated() {
    Fixture::start().await.follow("docs/how-to/rotate-keys.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_links_and_their_sessions_are_listed() {
    let fixture = Fixture::start().await;
    fixture.create(&json!([with_password("grace@example.com", "")])).await;
    fixture.follow("docs/how-to/sign-in.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spreadsheet_is_migrated() {
    let fixture = Fixture::start().await.follow("docs/how-to/move-from-csv.md").await;
    let expected = [
        ("hedy@example.net", false, "correct horse battery staple"),
        ("radia@example.net", false, "tea, Earl Grey, hot"),
    ];
    assert_passwords(&fixture, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_from_keycloak_keep_their_passwords() {
    let fixture = Fixture::start().await.with_exports(&["keycloak-export.json"]);
    let fixture = fixture.follow("docs/how-to/move-from-keycloak.md").await;
    let expected = [
        ("ada@key.example", false, "correct horse battery staple"),
        ("grace@key.example", true, "tea, Earl Grey, hot"),
        ("margaret@key.example", false, "Margaret's long password"),
    ];
    assert_passwords(&fixture, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_from_kratos_keep_their_passwords() {
    let fixture = Fixture::start().await.with_exports(&["kratos-export.json"]);
    let fixture = fixture.follow("docs/how-to/move-from-kratos.md").await;
    let expected = [
        ("ada@ory.example", false, "correct horse battery staple"),
        ("grace@ory.example", false, "tea, Earl Grey, hot"),
        ("joan@ory.example", false, "one more password"),
        ("margaret@ory.example", false, "Margaret's long password"),
    ];
    assert_passwords(&fixture, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_from_directories_are_migrated() {
    let files =
        ["okta-export.json", "entra-export.csv", "google-export.csv", "ldap-export.ldif", "auth0-export.ndjson"];
    let fixture = Fixture::start().await.with_exports(&files).follow("docs/how-to/move-from-directories.md").await;
    let expected = [
        ("ada@ldap.example", false, "correct horse battery staple"),
        ("grace@ldap.example", false, "tea, Earl Grey, hot"),
    ];
    assert_passwords(&fixture, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_work_one_after_another_on_one_server() {
    let files = [
        "keycloak-export.json",
        "kratos-export.json",
        "okta-export.json",
        "entra-export.csv",
        "google-export.csv",
        "ldap-export.ldif",
        "auth0-export.ndjson",
    ];
    let fixture = Fixture::start().await.with_exports(&files);
    // The users of the README.
    let readme = read("README.md");
    let list = parts(&readme).into_iter().find_map(|part| match part {
        Part::Code(code) => code.text().split_once("$ cat users.yaml\n").map(|(_, list)| list.to_owned()),
        _ => None,
    });
    fixture.session.write_file("users.yaml", &list.unwrap());
    let mut fixture = fixture;
    let fixture = tokio::task::spawn_blocking(move || {
        fixture.session.follow("README", "```console\n$ muster user batch-create -f users.yaml\n…\n```\n");
        fixture
    });
    let mut fixture = fixture.await.unwrap();
    for page in RUN.iter().filter(|page| page.contains("move-from") || page.contains("at-night")) {
        fixture = fixture.follow(page).await;
    }
    let owner = fixture.server.actor(fixture.server.key.as_ref().unwrap());
    let users = owner.get("/api/v2/organization_collaborators/?count=50").await.json();
    assert!(users["results"].as_array().unwrap().len() > 25, "{users}");
}
