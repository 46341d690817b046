//! `muster user convert`, up to the dry run of the converted list.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{TestApp, file, server};
use crate::{Ran, json, remote, run};

/// Runs the command on a file with this content, which is `export` in messages.
fn convert(source: &str, content: &[u8], arguments: &[&str]) -> Ran {
    let file = file(content, "");
    let path = file.path().to_str().unwrap();
    let ran = run(server::muster().args(["user", "convert", "--from", source, path]).args(arguments));
    Ran { err: ran.err.replace(path, "export"), ..ran }
}

/// The users of a dry run of a converted list.
fn planned(app: &TestApp, list: &str) -> Value {
    let file = file(list.as_bytes(), ".ndjson");
    json(&remote(app, &["user", "batch-create", "-f", file.path().to_str().unwrap(), "--dry-run", "-o", "json"]))
}

const IDENTITY: &str = r#"{"id":"1","traits":{"email":"ada@example.com"},"credentials":{"oidc":{}}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_practice_file_of_each_source_is_accepted_by_a_dry_run() {
    let app = TestApp::spawn().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/how-to/move");
    for (source, name, users, left_out) in [
        ("keycloak", "keycloak-export.json", 5, "; 3 left out"),
        ("kratos", "kratos-export.json", 6, "; 1 left out"),
        ("okta", "okta-export.json", 2, "; 1 left out"),
        ("entra", "entra-export.csv", 3, "; 1 left out"),
        ("google", "google-export.csv", 2, "; 1 left out"),
        ("ldif", "ldap-export.ldif", 3, "; 1 left out"),
        ("auth0", "auth0-export.ndjson", 3, "; 1 left out"),
    ] {
        let ran = convert(source, &fs::read(folder.join(name)).unwrap(), &[]);
        assert_eq!(ran.status, Some(0), "{}", ran.err);
        assert!(ran.err.ends_with(&format!("{users} users converted{left_out}\n")), "{}", ran.err);
        assert_eq!(planned(&app, &ran.out).as_array().unwrap().len(), users, "{source}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_whose_hash_the_server_would_reject_are_created_without_it() {
    let app = TestApp::spawn().await;
    let (salt, tag) = ("AAECAwQFBgcICQoLDA0ODw", "ATsMz00JXy3Yf/ITGYzLCvC0FKN28vSlP9RtlNb2wDU");
    let identity = |of: &str, hash: &str| {
        json!({"id": of, "traits": {"email": format!("{of}@example.com"), "name": {"first": of}},
               "credentials": {"password": {"config": {"hashed_password": hash}}}})
    };
    let export = json!([
        identity("costly", &format!("$argon2id$v=19$m=4194304,t=1,p=1${salt}${tag}")),
        identity("length", &format!("$pbkdf2-sha256$i=1000,l=128${salt}${salt}")),
        identity("ssha", "{SSHA}JFZFs0oHzxbMwkSJmYVeI8MnTDy/276a"),
        identity("bcrypt", "$2b$10$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq"),
    ]);
    let ran = convert("kratos", export.to_string().as_bytes(), &[]);
    assert_eq!(
        (ran.status, ran.err.as_str()),
        (
            Some(0),
            "costly@example.com: has no password until one is set: the hash can't be imported: too costly to verify: \
             argon2's memory (m) must be at most 262144 KiB (256 MiB)\n\
             ssha@example.com: has no password until one is set: muster does not support `{SSHA}` hashes\n\
             4 users converted\n"
        )
    );
    let list = file(ran.out.as_bytes(), ".ndjson");
    let created = remote(&app, &["user", "batch-create", "-f", list.path().to_str().unwrap()]);
    assert_eq!(created.status, Some(0), "{}", created.err);
    assert_eq!(app.db_value::<i64>("select count(*) from passwords").await, 2);
}

#[test]
fn a_broken_export_is_one_error_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let suspend = folder.path().join("suspend.ndjson");
    fs::write(&suspend, "kept").unwrap();
    let suspend = suspend.to_str().unwrap();
    let cut = format!("[{IDENTITY},\n{}", &IDENTITY[..40]);
    for (source, content, due) in [
        ("kratos", cut.as_bytes(), "export:2:40: the JSON text is incomplete; is the export complete?"),
        ("kratos", b"[{\"id\": \"1\"}]", "export: not an export of Kratos: no item is an identity with `traits`"),
        (
            "keycloak",
            b"{\"realm\": \"staff\"}",
            "export: contains no users of Keycloak; export with `kc.sh export --users realm_file`",
        ),
        ("google", b"Email Address,First Name\na@example.com\n", "export:2: this row has 1 cell, but the header has 2"),
        ("entra", b"mail\nj\xf6rg@example.com\n", "export:2: invalid UTF-8; save the file as UTF-8"),
        ("ldif", b"dn: a\nmail: a@example.com\nhunter2", "export:3: not LDIF: expected `attribute: value`"),
    ] {
        let ran = convert(source, content, &["--suspend", suspend]);
        assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
        assert_eq!(ran.err, format!("error: {due}; nothing was converted\n"));
    }
    assert_eq!(fs::read_to_string(suspend).unwrap(), "kept");
}

#[test]
fn a_file_that_is_missing_or_too_large_is_not_read() {
    let ran = run(server::muster().args(["user", "convert", "--from", "okta", "/nowhere"]));
    let due = "error: can't read `/nowhere`: No such file or directory (os error 2)\n";
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(2), "", due));
    let large = tempfile::NamedTempFile::new().unwrap();
    large.as_file().set_len(64 * 1024 * 1024 + 1).unwrap();
    let ran = run(server::muster().args(["user", "convert", "--from", "okta", large.path().to_str().unwrap()]));
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.ends_with("is larger than 64 MiB; split it into several files; nothing was converted\n"));
}

#[test]
fn the_list_of_people_to_suspend_is_private_and_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("suspend.ndjson");
    fs::write(&path, "an earlier list").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let inactive = IDENTITY.replace("\"id\"", "\"state\":\"inactive\",\"id\"").replace("ada", "annie");
    let export = format!("{IDENTITY}\n{inactive}\n");
    let ran = convert("kratos", export.as_bytes(), &["--suspend", path.to_str().unwrap()]);
    assert_eq!((ran.status, ran.out.lines().count()), (Some(0), 2), "{}", ran.err);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"user\":\"annie@example.com\"}\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");

    // If it can't be written, there is no list of users either.
    for path in [folder.path().to_str().unwrap(), "/dev/null", "/nowhere/suspend.ndjson"] {
        let ran = convert("kratos", export.as_bytes(), &["--suspend", path]);
        assert_eq!((ran.status, ran.out.as_str()), (Some(2), ""));
        assert!(ran.err.starts_with(&format!("error: can't write `{path}`: ")), "{}", ran.err);
    }
    let ran = convert("kratos", export.as_bytes(), &[]);
    assert!(ran.err.contains("annie@example.com: left out: disabled\n"), "{}", ran.err);
}

#[test]
fn names_of_all_scripts_are_written_in_utf_8_whatever_the_locale() {
    let name = "\u{639}\u{644}\u{6cc}\u{200c}\u{631}\u{636}\u{627} Łukasz 李";
    let export = json!({"users": [
        {"username": "a", "email": "a@example.com", "firstName": "A", "credentials": []},
        {"username": "l", "email": "l@example.com", "firstName": name, "credentials": []},
    ]});
    let file = file(export.to_string().as_bytes(), "");
    let input = Stdio::from(File::open(file.path()).unwrap());
    let ran =
        run(server::muster().args(["user", "convert", "--from", "keycloak", "-"]).env("LC_ALL", "C").stdin(input));
    assert_eq!((ran.status, ran.out.lines().count()), (Some(0), 2), "{}", ran.err);
    let second: Value = serde_json::from_str(ran.out.lines().nth(1).unwrap()).unwrap();
    assert_eq!(second["name"], name);
    assert!(ran.out.contains("\\u200c") && ran.out.contains("Łukasz"), "{}", ran.out);
}

#[test]
fn sso_can_be_chosen_where_the_export_does_not_say_it() {
    let csv = b"mail,givenName\nada@example.com,Ada\n";
    let of = |arguments: &[&str]| {
        let ran = convert("entra", csv, arguments);
        assert_eq!(ran.status, Some(0), "{}", ran.err);
        serde_json::from_str::<Value>(&ran.out).unwrap()["is_sso_user"].clone()
    };
    assert_eq!((of(&[]), of(&["--sso", "true"]), of(&["--sso", "false"])), (json!(true), json!(true), json!(false)));
    let ran = convert("kratos", IDENTITY.as_bytes(), &["--sso", "false"]);
    let due = "error: `--sso` is only for okta, entra, google and ldif; the other exports say who uses SSO\n";
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(2), "", due));
}

#[test]
fn a_note_is_one_line_without_control_characters() {
    let export = json!([{"id": "1", "traits": {"username": "a\n\u{1b}[2Jb", "email": []}}, {"traits": {"email": "a@example.com"}}]);
    let ran = convert("kratos", export.to_string().as_bytes(), &[]);
    assert_eq!(ran.err.lines().count(), 3, "{}", ran.err);
    assert!(ran.err.starts_with("a\u{fffd}\u{fffd}[2Jb: left out: no e-mail address\n"), "{}", ran.err);
}
