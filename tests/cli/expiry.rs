//! Accounts that expire: `expires_at` in files, `muster user update --expires-at` and `muster user list --expiring`.

use chrono::{TimeDelta, Utc};

use crate::support::{TestApp, file};
use crate::{json, remote, with_file};

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_is_set_from_a_file_changed_listed_and_removed() {
    let app = TestApp::spawn().await;
    let soon = (Utc::now() + TimeDelta::days(10)).format("%Y-%m-%d").to_string();
    let people = format!(
        "name,email,is_sso_user,expires_at\nAda,ada@example.com,true,{soon}\nEve,eve@example.com,true,2099-12-31\n\
         Ivy,ivy@example.com,true,\n"
    );
    let ran = with_file(&app, "batch-create", people.as_bytes(), ".csv", &[]);
    assert_eq!(ran.status, Some(0), "{}", ran.err);

    let ran = remote(&app, &["user", "list", "--expiring", "30d", "-o", "csv"]);
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], ["email", "name", "user_id", "permission", "expires"]);
    assert_eq!((lines.len(), lines[1][0], lines[1][4]), (2, "ada@example.com", format!("{soon}T23:59:59Z").as_str()));

    let update = |expires_at: &str| {
        remote(&app, &["user", "update", "eve@example.com", "--expires-at", expires_at, "--dry-run", "-o", "csv"])
    };
    let ran = update("2098-06-30T12:00:00+02:00");
    let expected =
        "email,field,before,after\r\neve@example.com,expires_at,2099-12-31T23:59:59Z,2098-06-30T10:00:00Z\r\n";
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), expected));
    let ran = update("");
    assert_eq!(ran.out, "email,field,before,after\r\neve@example.com,expires_at,2099-12-31T23:59:59Z,\r\n");
    let ran = update("2020-01-01");
    let message = "error: eve@example.com can't be changed: expires_at: is in the past; to end the access of a user now, \
                   suspend the user\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(1), message));

    let list = file(b"user,expires_at\nada@example.com,\neve@example.com,2098-01-01\n", ".csv");
    let path = list.path().to_str().unwrap();
    let ran = remote(&app, &["user", "update", "-f", path, "--clear-empty"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "2 users changed\n"));
    let expiry = |email: &str| json(&remote(&app, &["user", "get", email, "-o", "json"]))["expires_at"].clone();
    assert_eq!((expiry("ada@example.com"), expiry("eve@example.com")), (().into(), "2098-01-01T23:59:59Z".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_that_is_not_a_date_is_shown_at_its_place() {
    let app = TestApp::spawn().await;
    let forms = "expires_at: must be a date (the last day of access, in UTC), such as 2027-12-31, or a time with its zone, such \
                 as 2027-12-31T18:00:00+01:00";
    let people = "name,email,is_sso_user,expires_at\nAda,ada@example.com,true,31.12.2099\n";
    let ran = with_file(&app, "batch-create", people.as_bytes(), ".csv", &[]);
    assert_eq!(ran.status, Some(1));
    let message = format!("error[expires_at_malformed]: {forms}; did you mean 2099-12-31?\n");
    assert!(ran.err.contains(&message), "{}", ran.err);
    assert!(ran.err.contains("2 | Ada,ada@example.com,true,31.12.2099\n"), "{}", ran.err);

    // A column of such dates is one block.
    let people = format!("{people}Ben,ben@example.com,true,6/30/2099\nCy,cy@example.com,true,6/5/2099\n");
    let errors = tempfile::tempdir().unwrap();
    let errors = errors.path().join("errors.csv");
    let ran = with_file(&app, "batch-create", people.as_bytes(), ".csv", &["--errors-out", errors.to_str().unwrap()]);
    assert!(ran.err.contains(&format!("error[expires_at_malformed]: {forms} (3 rows)\n")), "{}", ran.err);
    assert!(ran.err.contains("= help: did you mean 2099-12-31 in the first of them?\n"), "{}", ran.err);
    let listed = std::fs::read_to_string(errors).unwrap();
    let ends: Vec<&str> = listed.lines().skip(1).map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(ends, ["2099-12-31?\"", "2099-06-30?\"", "2027-12-31T18:00:00+01:00\""], "{listed}");
}
