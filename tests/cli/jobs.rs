//! Long jobs of an administrator, from the first command to the last.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use serde_json::json;

use crate::support::{TestApp, sso};
use crate::{Ran, muster_at, remote, run};

const PEOPLE: usize = 5_000;
const MISTAKES: usize = 37;

/// The row of a person; every fiftieth has a password, all others sign in through SSO.
fn right(n: usize) -> String {
    let credential = if n.is_multiple_of(50) { format!("tidal-anchor-Plum-{n},false") } else { ",true".to_owned() };
    format!("Person {n},Example,person{n}@example.com,{credential}")
}

/// The same row with a mistake, one of four kinds.
fn wrong(n: usize) -> String {
    match n % 4 {
        0 => format!(",Example,person{n}@example.com,,true"),
        1 => format!("Person {n},Example,person{n}@@example.com,,true"),
        2 => format!("Person {n},Example,person{},,true", n - 1) + "@example.com",
        _ => format!("Person {n},Example,person{n}@example.com,,perhaps"),
    }
}

fn list(is_wrong: impl Fn(usize) -> bool) -> String {
    (1..=PEOPLE).fold("name,lastname,email,password,is_sso_user\n".to_owned(), |mut list, n| {
        let _ = writeln!(list, "{}", if is_wrong(n) { wrong(n) } else { right(n) });
        list
    })
}

/// Reads standard error up to a text, and the rest once the command has ended.
fn said_until(child: &mut Child, text: &str) -> BufReader<std::process::ChildStderr> {
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(text) {
        assert_ne!(err.read_line(&mut said).unwrap(), 0, "the command ended with: {said}");
    }
    err
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_people_are_imported_after_37_mistakes_and_a_killed_terminal() {
    let (app, held) = TestApp::spawn_holding_hashes().await;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (file, errors) = (path("people.csv"), path("errors.csv"));
    let create = |more: &[&str]| run(muster_at(&app).args(["user", "batch-create", "-f", &file]).args(more));

    // 37 rows have mistakes, none of them in the row of a person with a password.
    std::fs::write(&file, list(|n| n % 131 == 7 && n / 131 < MISTAKES)).unwrap();
    let rejected = create(&["--dry-run", "--errors-out", &errors]);
    assert_eq!(rejected.status, Some(1), "{}", rejected.err);
    let last =
        format!("{MISTAKES} of {PEOPLE} users can't be created; nothing was created\nthe errors are in `{errors}`\n");
    assert!(rejected.err.ends_with(&last), "{}", rejected.err);
    assert!(rejected.err.lines().count() < 100, "equal mistakes are one block:\n{}", rejected.err);

    // The line numbers in the file of errors lead to the rows.
    let mut lines: Vec<String> = std::fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    let mut reader = csv::Reader::from_path(&errors).unwrap();
    let wrong: BTreeSet<usize> = reader.records().map(|record| record.unwrap()[0].parse().unwrap()).collect();
    assert_eq!(wrong.len(), MISTAKES);
    for line in wrong {
        lines[line - 1] = right(line - 1);
    }
    std::fs::write(&file, lines.join("\n")).unwrap();
    let dry = create(&["--dry-run", "--errors-out", &errors]);
    let summary = "5000 users: 4900 with SSO, 100 with a password\n1 domain: example.com (5000)\n";
    assert!(dry.status == Some(0) && dry.err.starts_with(summary), "{}", dry.err);
    assert_eq!(std::fs::read_to_string(&errors).unwrap().lines().count(), 1);

    // The terminal is closed while the server hashes; the same command continues.
    let plan = dry.err.trim_end().rsplit_once(" --plan ").unwrap().1.to_owned();
    let start = || {
        let mut command = muster_at(&app);
        command.args(["user", "batch-create", "-f", &file, "--plan", &plan, "-o", "csv"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut killed = start();
    said_until(&mut killed, "hashing the passwords of batch ");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let mut second = start();
    let mut err = said_until(&mut second, "hashing the passwords of batch ");
    drop(held);
    let (mut out, mut rest) = (String::new(), String::new());
    second.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    err.read_to_string(&mut rest).unwrap();
    assert!(second.wait().unwrap().success() && rest.ends_with(" 5000 users created.\n"), "{rest}");
    assert_eq!(out.lines().count(), PEOPLE + 1);
    let third = create(&["--plan", &plan, "-o", "csv"]);
    assert_eq!((third.status, third.out == out), (Some(0), true), "{}", third.err);
    assert!(third.err.ends_with("; nothing is left to do.\n"), "{}", third.err);
    assert_eq!(app.db_counts().await[..4], [5_000, 5_000, 100, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_people_are_suspended_although_one_is_already() {
    let app = TestApp::spawn_patient().await;
    let users: Vec<_> = (0..300).map(|n| sso(&format!("person{n}@example.com"))).collect();
    assert_eq!(app.owner.create(&json!(users)).await.status, 200);
    let suspend = |arguments: &[&str]| -> Ran { remote(&app, &[&["user", "suspend"], arguments].concat()) };
    let first = suspend(&["person7@example.com"]);
    assert_eq!((first.status, first.err.as_str()), (Some(0), "1 user suspended\n"));

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("leavers.csv");
    let rows: String = (0..300).map(|n| format!("person{n}@example.com\n")).collect();
    std::fs::write(&file, format!("user\n{rows}")).unwrap();
    let file = file.to_str().unwrap();
    let dry = suspend(&["-f", file, "--dry-run"]);
    let planned = "dry run: 299 users would be suspended, 1 already suspended; nothing was written\n";
    assert_eq!((dry.status, dry.err.as_str()), (Some(0), planned));
    let all = suspend(&["-f", file]);
    assert_eq!((all.status, all.err.as_str()), (Some(0), "299 users suspended, 1 already suspended\n"));
    assert_eq!(app.db_value::<i64>("select count(*) from users where status = 'suspended'").await, 300);

    // A misspelled address suspends nobody, and is found at its line.
    std::fs::write(directory.path().join("wrong.csv"), format!("user\n{rows}preson7@example.com\n")).unwrap();
    let wrong = suspend(&["-f", directory.path().join("wrong.csv").to_str().unwrap()]);
    assert_eq!(wrong.status, Some(1));
    assert!(wrong.err.contains("wrong.csv:302:1\n"), "{}", wrong.err);
    let again = remote(&app, &["user", "reactivate", "-f", file]);
    assert_eq!((again.status, again.err.as_str()), (Some(0), "300 users reactivated\n"));
}
