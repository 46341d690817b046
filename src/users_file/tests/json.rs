//! JSON and JSON lines.

use serde_json::json;

use super::*;

const EXPECTED: &str = "a users file is a list of users, or an object with the list under `create_users`";

fn rejected(text: &str) -> String {
    summary(&errors(FileFormat::Json, text))
}

fn rejected_lines(text: &str) -> String {
    summary(&errors(FileFormat::Ndjson, text))
}

#[test]
fn the_list_may_be_inside_an_object() {
    let list =
        r#"[{"name": "A\u00e9\ud83d\ude00\n", "is_sso_user": true, "title": null, "x": [1, -2.5e3, {}]}, "text", []]"#;
    let due = json!([{"name": "Aé😀\n", "is_sso_user": true, "title": null, "x": [1, -2500.0, {}]}, "text", []]);
    assert_eq!(rows(FileFormat::Json, list), due);
    assert_eq!(rows(FileFormat::Json, &format!(" \r\n{{\t\"create_users\" : {list} }}\n")), due);
    assert_eq!(rows(FileFormat::Json, "[]"), json!([]));
    assert_eq!(rows(FileFormat::Ndjson, "\u{feff}{\"name\": \"A\"}\r\n\n  \n5\n{}"), json!([{"name": "A"}, 5, {}]));
}

#[test]
fn findings_point_into_the_file() {
    let text = "{\"create_users\": [\n  {\"name\": \"Ann\", \"password\": \"hunter2\",\n   \"email\": \"ann\", \"pasword\": [\"hunter2\"]}]}";
    let file = parse(FileFormat::Json, text).unwrap();
    assert_eq!(
        file.render(
            &[
                finding(0, "email", "c", "m"),
                finding(0, "pasword", "unknown_field", "unknown"),
                finding(0, "is_sso_user", "missing", "is missing"),
                finding(0, "password", "c", "too short"),
            ],
            false
        ),
        "\
error[missing]: is_sso_user: is missing
 --> users:2:3
  |
2 |   {\"name\": \"Ann\", \"password\": *********,
  |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error[c]: password: too short
 --> users:2:31
  |
2 |   {\"name\": \"Ann\", \"password\": *********,
  |                               ^^^^^^^^^

error[c]: email: m
 --> users:3:13
  |
3 |    \"email\": \"ann\", \"pasword\": ***********}]}
  |             ^^^^^

error[unknown_field]: pasword: unknown
 --> users:3:20
  |
3 |    \"email\": \"ann\", \"pasword\": ***********}]}
  |                    ^^^^^^^^^
"
    );
}

#[test]
fn findings_point_to_lines_of_ndjson() {
    let text = "{\"name\": \"Ann\"}\n\n{\"name\": \"Bo\", \"password_hash\": \"hunter2\"}\n";
    let output = parse(FileFormat::Ndjson, text).unwrap().render(&[finding(1, "password_hash", "c", "m")], false);
    assert!(output.contains("--> users:3:33\n  |\n3 | {\"name\": \"Bo\", \"password_hash\": *********}\n"), "{output}");
}

#[test]
fn malformed_json_is_rejected() {
    let quotes = "put text in double quotes";
    for (text, title, place, help) in [
        ("", "the file is empty", "1:1", EXPECTED),
        (" \n", "the file is empty", "1:1", EXPECTED),
        ("create_users: []", "expected a list of users", "1:1", EXPECTED),
        ("{}", "`create_users` is missing", "1:1", EXPECTED),
        ("{\"x\": 1}", "`create_users` is missing", "1:2", EXPECTED),
        (
            "{\"name\": \"Ann\", \"x\": 1}",
            "expected a list of users, found a single user",
            "1:1",
            "write `[{\"name\": …}]` or `{\"create_users\": […]}`",
        ),
        ("{\"users\": []}", "unknown key `users`", "1:2", "did you mean `create_users`?"),
        (
            "{\"create_users\": [], \"version\": 1}",
            "unknown key `version`",
            "1:22",
            "the only key of a users file is `create_users`",
        ),
        ("{\"create_users\": {}}", "`create_users` must be a list", "1:18", ""),
        ("{\"create_users\": [], \"create_users\": []}", "duplicate key `create_users`", "1:22\n::: 1:2", ""),
        ("[1,]", "trailing comma", "1:3", "remove it"),
        ("[,1]", "missing value", "1:2", ""),
        ("[1", "unclosed `[`", "1:1", ""),
        ("[{\"a\": 1\n", "unclosed `{`", "1:2", ""),
        ("[{\"a\":\n", "missing value", "1:7", ""),
        ("[\"a]", "unclosed quote", "1:2", ""),
        (
            "[{\"name\": \"Ann,\n\"email\": \"x\"}]",
            "unclosed quote on this line",
            "1:11",
            "write a line break inside text as `\\n`",
        ),
        (
            "[\"a\tb\"]",
            "control characters are not allowed in JSON",
            "1:4",
            "remove the character, or write it as an escape like \\u0007",
        ),
        ("[\"a\\d\"]", "invalid escape sequence", "1:4", "write `\\\\` for a backslash"),
        (
            "[\"\\\\\\ud800\"]",
            "incomplete surrogate pair",
            "1:2",
            "characters beyond \\uffff must be written as two escapes, or literally",
        ),
        ("[007]", "invalid JSON number", "1:2", quotes),
        ("[1e999e]", "invalid JSON number", "1:2", quotes),
        ("[1e999]", "number out of range", "1:2", ""),
        (&format!("[-1{}.5]", "0".repeat(400)), "number out of range", "1:2", ""),
        ("[True]", "invalid JSON value", "1:2", "put text in double quotes; write true, false and null in lower case"),
        ("['a']", "invalid JSON value", "1:2", quotes),
        ("[1] // x", "unexpected text after the list", "1:5", ""),
        ("[// x\n1]", "JSON has no comments", "1:2", ""),
        ("[{a: 1}]", "expected a key in double quotes", "1:3", ""),
        ("[{\"a\" 1}]", "missing `:` after this key", "1:3", ""),
        ("[{\"a\": 1 \"b\": 2}]", "expected `,` or `}`", "1:10", "check for a missing or misplaced quote"),
        (
            "{\"name\": \"a\"}\n{\"name\": \"b\"}\n",
            "unexpected text after the list",
            "2:1",
            "for one user per line, use `--format ndjson` or a file name that ends in .ndjson",
        ),
        (&"[".repeat(100_000), "nested too deeply", "1:33", ""),
    ] {
        assert_eq!(rejected(text), error(title, place, help));
    }
}

#[test]
fn a_duplicate_key_shows_both_places() {
    let text = "[{\"name\": 1, \"name\": 2},\n {\"password\": \"hunter2\", \"password\": \"hunter3\"}]";
    let text = errors(FileFormat::Json, text);
    assert_eq!(
        summary(&text),
        "error: duplicate key `name`\n--> 1:14\n::: 1:3\nerror: duplicate key `password`\n--> 2:26\n::: 2:3"
    );
    assert_eq!(text.matches("\n2 |  {\"password\": *********, \"password\": *********}]\n").count(), 2, "{text}");
}

#[test]
fn every_malformed_line_is_reported() {
    assert_eq!(
        rejected_lines("{\"a\": 1}\n{\"a\": }\n{\"a\": 1} {}\n{\"a\": 1}\n[\n{\"b\": 1, \"b\": 2}"),
        "\
error: missing value
--> 2:7
error: unexpected text after the user
--> 3:10
= help: write each user on a line of its own
error: unclosed `[`
--> 5:1
= help: each user must be on one line
error: duplicate key `b`
--> 6:10
::: 6:2"
    );
    assert_eq!(
        rejected_lines("\n"),
        "error: the file is empty\n--> 1:1\n= help: an NDJSON file has one JSON object per line"
    );
    let many = rejected_lines(&"{\n".repeat(1000));
    assert_eq!(many.matches("unclosed `{`").count(), 100);
    assert!(many.contains("error: too many errors; the rest of the file was not read\n--> 101:1"), "{many}");
}

#[test]
fn text_after_an_error_is_hidden() {
    for (text, line) in [
        (r#"[{"name": "Ann, "password": "hunter2"}]"#, r#"[{"name": "Ann, "**********************"#),
        (r#"[{"name": "Ann" "password": "hunter2"}]"#, r#"[{"name": "Ann" ***********************"#),
        (r#"[{"password": "hunter2}]"#, r#"[{"password": **********"#),
        (r#"[{"password": hunter2}]"#, r#"[{"password": *********"#),
        (r#"[{"name": hunter2}]"#, r#"[{"name": *********"#),
        (r#"[{"hunter2" "x"}]"#, r#"[{***************"#),
        (r#"[{"title": "password: hunter2", }]"#, r#"[{"title": *******************, }*"#),
        (r#"["hunter2",]"#, r#"[*********,]"#),
    ] {
        let output = errors(FileFormat::Json, text);
        assert!(!output.contains("hunter"), "{output}");
        assert!(output.contains(&format!("1 | {line}\n")), "{line}\n{output}");
    }
}

#[test]
fn a_row_of_a_list_of_muster_names_its_user() {
    let rows = |text: &str| {
        let file = UsersFile::from_text(
            "users".into(),
            text.into(),
            FileFormat::Ndjson,
            Contents::NAMED,
            &ColumnMap::default(),
        );
        file.unwrap().rows().cloned().collect::<Vec<_>>()
    };
    let listed =
        r#"{"id": "ide_1", "user_id": "usr_1", "email": "a@x.org", "name": "Ada", "attributes": {"team": "red"}}"#;
    let exported = r#"{"user": "usr_2", "email": "b@x.org", "status": "active"}"#;
    let by_address = r#"{"user_id": null, "email": "c@x.org", "if_match": 3}"#;
    let other = r#"{"email": "d@x.org", "team": "red"}"#;
    assert_eq!(
        rows(&[listed, exported, by_address, other, r#"{"id": "ide_1"}"#, r#""e@x.org""#].join("\n")),
        [
            json!({"user": "usr_1"}),
            json!({"user": "usr_2"}),
            json!({"user": "c@x.org", "if_match": 3}),
            json!({"user": "d@x.org", "team": "red"}),
            json!({"id": "ide_1"}),
            json!("e@x.org"),
        ]
    );
}
