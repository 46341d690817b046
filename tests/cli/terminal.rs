//! Text of a server on the terminal: no command prints a control sequence that a server sends, or leaves its memory open to
//! other processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::support::TestApp;
use crate::support::gate::eventually;
use crate::support::server::muster;
use crate::{Ran, remote, run};

/// Sequences that clear the screen, set the title and reverse text; two of them are C1 controls. As SQL, too.
const EVIL: &str = "red\x1b[2J\x1b]0;x\x07\u{9b}31m\u{9d}0;x\u{9c}\u{7f}\u{202e}\u{200b}\u{2066}\r\u{e0041}";
const EVIL_SQL: &str = r"E'red\u001b[2J\u001b]0;x\u0007\u009b31m\u009d0;x\u009c\u007f\u202e\u200b\u2066\r\U000e0041'";

/// Asserts that a terminal shows the text as it is.
fn assert_printable(command: &[&str], text: &str) {
    let rest = text.replace("\r\n", "\n");
    let is_unsafe = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e0fff}')
    };
    let found: Vec<char> = rest.chars().filter(|c| is_unsafe(*c)).collect();
    assert!(found.is_empty(), "{command:?}: {found:?} in {text:?}");
}

fn assert_all_printable(command: &[&str], ran: &Ran) {
    assert_printable(command, &ran.out);
    assert_printable(command, &ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_prints_a_control_or_invisible_character_that_a_server_sends() {
    let app = TestApp::spawn().await;
    let created = app.owner.create(&json!([crate::sso("ada@example.com")])).await.json();
    let user = created["results"][0]["user_id"].as_str().unwrap().to_owned();
    let batch = created["metadata"]["batch_id"].as_str().unwrap().to_owned();
    let group = app.owner.post("/api/v2/user_groups/", &json!({"name": "editors"})).await.json();
    let group = group["result"]["id"].as_str().unwrap().to_owned();
    let key = app.owner.post("/api/v2/api_keys", &json!({"name": "ci"})).await.json();
    let key = key["result"]["key_id"].as_str().unwrap().to_owned();
    let invited = json!([{"email": "eve@example.com"}]);
    assert_eq!(app.owner.post("/api/v2/organization_invitations/batch_create", &invited).await.status, 200);
    for update in [
        format!("update users set name = {EVIL_SQL}, lastname = {EVIL_SQL}, title = {EVIL_SQL}"),
        format!("update user_groups set name = {EVIL_SQL}"),
        format!("update api_keys set name = {EVIL_SQL}"),
        format!("update batches set file_name = {EVIL_SQL}"),
        format!("update invitations set email = {EVIL_SQL}"),
    ] {
        let mut connection = app.database.connect().await.unwrap();
        sqlx::query(AssertSqlSafe(update)).execute(&mut connection).await.unwrap();
    }
    for command in [
        &["user", "list"][..],
        &["user", "get", "--id", &user],
        &["user", "search", "ada"],
        &["api-key", "list"],
        &["api-key", "get", &key],
        &["group", "list"],
        &["group", "get", &group],
        &["batch", "list"],
        &["batch", "show", &batch],
        &["batch", "results", &batch],
        &["invitation", "list"],
    ] {
        for format in ["table", "json", "csv"] {
            let command = [command, &["-o", format]].concat();
            let ran = remote(&app, &command);
            assert_eq!(ran.status, Some(0), "{command:?}: {}", ran.err);
            assert!(ran.out.contains("red"), "{command:?}: {}", ran.out);
            assert_all_printable(&command, &ran);
        }
    }
    // JSON has the exact text, in escapes.
    let ran = remote(&app, &["user", "get", "--id", &user, "-o", "json"]);
    assert_eq!(crate::json(&ran)["name"], EVIL);
    let ran = remote(&app, &["user", "list", "-o", "json"]);
    assert_eq!(crate::json(&ran)[1]["name"], EVIL);
}

/// A server that answers every request with an error.
fn rejecting() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let finding = json!({"index": 0, "field": "email", "code": EVIL, "message": EVIL});
    let body = json!({"error": {"code": "batch_rejected", "detail": EVIL, "rows": [finding], "request_id": EVIL}});
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                request.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            request.take(length).read_to_end(&mut Vec::new()).unwrap();
            let body = body.to_string();
            let head = "HTTP/1.1 422 Unprocessable Entity\r\ncontent-type: application/json\r\nconnection: close\r\n";
            let _ = write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len());
        }
    });
    url
}

#[test]
fn errors_of_a_server_are_printed_without_control_or_invisible_characters() {
    let host = rejecting();
    let users =
        crate::support::file(b"create_users:\n- {name: Ada, email: ada@example.com, is_sso_user: true}\n", ".yaml");
    let path = users.path().to_str().unwrap();
    for command in [
        &["user", "list"][..],
        &["user", "get", "--id", "usr_x"],
        &["user", "batch-create", "-f", path],
        &["user", "batch-create", "-f", path, "--dry-run"],
        &["user", "suspend", "ada@example.com"],
        &["user", "update", "ada@example.com", "--title", "x"],
        &["batch", "show", "bat_x"],
        &["batch", "wait", "bat_x"],
        &["batch", "results", "bat_x"],
        &["batch", "undo", "bat_x", "--yes"],
        &["api-key", "create", "--name", "x"],
        &["group", "create", "x"],
        &["invitation", "create", "eve@example.com"],
        &["login"],
    ] {
        let ran = run(muster().env("MUSTER_HOST", &host).env("MUSTER_TOKEN", "amk_x").args(command));
        assert_eq!(ran.status, Some(1), "{command:?}: {}", ran.err);
        assert!(ran.err.contains("red"), "{command:?}: {}", ran.err);
        assert_all_printable(command, &ran);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_a_process_is_closed_to_other_processes_of_its_user() {
    // Waits for the file on standard input. As root, `/proc` always belongs to root.
    let mut command = muster();
    command
        .args(["user", "batch-create", "-f", "-"])
        .env("MUSTER_TOKEN", "amk_x")
        .stdin(Stdio::piped())
        .current_dir("/");
    if nix::unistd::Uid::effective().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The kernel gives the files of a process without core dumps (PR_SET_DUMPABLE) to root.
    let memory = format!("/proc/{}/mem", child.id());
    eventually("core dumps are disabled", async || std::fs::metadata(&memory).is_ok_and(|file| file.uid() == 0)).await;
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_keys_and_files_have_no_invisible_characters() {
    let app = TestApp::spawn().await;
    for name in ["a\u{202e}b", "a\u{200b}b", "\u{2066}ab", "a\u{feff}"] {
        let answer = app.owner.post("/api/v2/api_keys", &json!({"name": name})).await;
        let expected = json!({
            "code": "invalid_request",
            "detail": "an API key's name must be one line of 1 to 100 visible characters",
        });
        assert_eq!((answer.status, answer.error()), (400, expected), "{name:?}");
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let request = app.owner.request("POST", crate::support::BATCH).header("muster-file-name", encoded);
        let answer = crate::support::Actor::send(request.body(json!([crate::sso("a@example.com")]).to_string())).await;
        let expected = json!({
            "code": "invalid_request",
            "detail": "`Muster-File-Name` must be percent-encoded UTF-8, 1 to 255 characters, none of them invisible",
        });
        assert_eq!((answer.status, answer.error()), (400, expected), "{name:?}");
    }
    let keys: Value = app.owner.get("/api/v2/api_keys").await.json();
    assert_eq!(keys["results"].as_array().unwrap().len(), 1);
}

/// Runs a command on a terminal of this width; returns the exit status and what the terminal shows.
fn on_terminal(command: &mut std::process::Command, columns: u16) -> (Option<i32>, String) {
    let size = nix::pty::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = nix::pty::openpty(Some(&size), None).unwrap();
    let end = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(terminal.slave);
    let reader = std::thread::spawn(move || {
        let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
        let mut master = std::fs::File::from(terminal.master);
        // Reading fails when the last program has closed the terminal.
        while let Ok(length @ 1..) = master.read(&mut buffer) {
            shown.extend_from_slice(&buffer[..length]);
        }
        String::from_utf8(shown).unwrap().replace("\r\n", "\n")
    });
    let status = child.wait().unwrap().code();
    (status, reader.join().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_has_the_columns_that_fit_and_a_dry_run_the_first_rows() {
    let app = TestApp::spawn().await;
    assert_eq!(app.owner.create(&json!([crate::sso("ada@example.com")])).await.status, 200);
    let (status, shown) = on_terminal(crate::muster_at(&app).args(["user", "search", "ada"]), 40);
    assert_eq!(status, Some(0), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!((lines[0], lines[1].starts_with("ada@example.com  ")), ("EMAIL            NAME", true), "{shown}");
    assert!(lines[2].starts_with("left out, because the terminal is too narrow: USER ID, "), "{shown}");
    assert!(lines[2].ends_with("; `-o wide` prints all columns"), "{shown}");
    let (_, wide) = on_terminal(crate::muster_at(&app).args(["user", "search", "ada", "-o", "wide"]), 40);
    assert!(wide.contains("USER ID") && !wide.contains("left out"), "{wide}");
    assert_eq!(
        remote(&app, &["user", "search", "ada"]).out,
        remote(&app, &["user", "search", "ada", "-o", "wide"]).out
    );

    let rows: String = (0..30).map(|n| format!("Ada,a{n}@example.com,true\n")).collect();
    let file = crate::support::file(format!("name,email,is_sso_user\n{rows}").as_bytes(), ".csv");
    let dry_run = ["user", "batch-create", "--dry-run", "-f", file.path().to_str().unwrap()];
    let (status, shown) = on_terminal(crate::muster_at(&app).args(dry_run), 200);
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("\na19@example.com  ") && !shown.contains("\na20@example.com  "), "{shown}");
    assert!(shown.contains("\nand 10 more; `-o table` prints all\n"), "{shown}");
    let (_, all) = on_terminal(crate::muster_at(&app).args(dry_run).args(["-o", "table"]), 200);
    assert!(all.contains("\na29@example.com  ") && !all.contains("more; `-o"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_have_colors_on_a_terminal_but_not_on_a_dumb_one() {
    let app = TestApp::spawn().await;
    let file = crate::support::file(b"name,email,is_sso_user\nAda,ada,true\n", ".csv");
    let create = |term: &str| {
        let mut command = crate::muster_at(&app);
        command.env("TERM", term).env_remove("NO_COLOR");
        on_terminal(command.args(["user", "batch-create", "-f", file.path().to_str().unwrap()]), 120).1
    };
    assert!(create("xterm").contains("\x1b["));
    let dumb = create("dumb");
    assert!(dumb.contains("error[") && !dumb.contains('\x1b'), "{dumb}");
}
