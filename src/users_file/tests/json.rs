//! JSON and NDJSON.

use serde_json::json;

use super::*;

const EXPECTED: &str = "= help: a users file is a list of users, or an object with the list under `create_users`";

fn rows(text: &str) -> Value {
    rows_as(FileFormat::Json, text)
}

fn refused(text: &str) -> String {
    said(&refusal_as(FileFormat::Json, text))
}

fn refused_lines(text: &str) -> String {
    said(&refusal_as(FileFormat::Ndjson, text))
}

#[test]
fn a_list_is_read_with_and_without_an_object_around_it() {
    let list =
        r#"[{"name": "A\u00e9\ud83d\ude00\n", "is_sso_user": true, "title": null, "x": [1, -2.5e3, {}]}, "text", []]"#;
    let due = json!([{"name": "Aé😀\n", "is_sso_user": true, "title": null, "x": [1, -2500.0, {}]}, "text", []]);
    assert_eq!(rows(list), due);
    assert_eq!(rows(&format!(" \r\n{{\t\"create_users\" : {list} }}\n")), due);
    assert_eq!(rows("[]"), json!([]));
    assert_eq!(rows_as(FileFormat::Ndjson, "{\"name\": \"A\"}\r\n\n  \n5\n{}"), json!([{"name": "A"}, 5, {}]));
}

#[test]
fn a_byte_order_mark_is_accepted() {
    assert_eq!(rows("\u{feff}[1]"), json!([1]));
    assert_eq!(rows_as(FileFormat::Ndjson, "\u{feff}{}\n"), json!([{}]));
}

#[test]
fn findings_point_into_the_file() {
    let text = "{\"create_users\": [\n  {\"name\": \"Ann\", \"password\": \"hunter2\",\n   \"email\": \"ann\", \"pasword\": [\"hunter2\"]}]}";
    let file = UsersFile::parse("users.json", text.to_owned(), FileFormat::Json).unwrap();
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
 --> users.json:2:3
  |
2 |   {\"name\": \"Ann\", \"password\": *********,
  |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error[c]: password: too short
 --> users.json:2:31
  |
2 |   {\"name\": \"Ann\", \"password\": *********,
  |                               ^^^^^^^^^

error[c]: email: m
 --> users.json:3:13
  |
3 |    \"email\": \"ann\", \"pasword\": ***********}]}
  |             ^^^^^

error[unknown_field]: pasword: unknown
 --> users.json:3:20
  |
3 |    \"email\": \"ann\", \"pasword\": ***********}]}
  |                    ^^^^^^^^^
"
    );
}

#[test]
fn a_finding_points_to_its_line() {
    let text = "{\"name\": \"Ann\"}\n\n{\"name\": \"Bo\", \"password_hash\": \"hunter2\"}\n";
    let file = UsersFile::parse("users.ndjson", text.to_owned(), FileFormat::Ndjson).unwrap();
    assert_eq!(
        file.render(&[finding(1, "password_hash", "c", "m")], false),
        "\
error[c]: password_hash: m
 --> users.ndjson:3:33
  |
3 | {\"name\": \"Bo\", \"password_hash\": *********}
  |                                 ^^^^^^^^^
"
    );
}

#[test]
fn malformed_json_is_rejected() {
    for (text, expected) in [
        ("", format!("error: the file is empty\n--> 1:1\n{EXPECTED}")),
        (" \n", format!("error: the file is empty\n--> 1:1\n{EXPECTED}")),
        ("create_users: []", format!("error: expected a list of users\n--> 1:1\n{EXPECTED}")),
        ("{}", format!("error: `create_users` is missing\n--> 1:1\n{EXPECTED}")),
        ("{\"x\": 1}", format!("error: `create_users` is missing\n--> 1:2\n{EXPECTED}")),
        (
            "{\"name\": \"Ann\", \"x\": 1}",
            "error: expected a list of users, found a single user\n--> 1:1\n\
             = help: write `[{\"name\": …}]` or `{\"create_users\": […]}`"
                .to_owned(),
        ),
        ("{\"users\": []}", "error: unknown key `users`\n--> 1:2\n= help: did you mean `create_users`?".to_owned()),
        (
            "{\"create_users\": [], \"version\": 1}",
            "error: unknown key `version`\n--> 1:22\n= help: the only key of a users file is `create_users`".to_owned(),
        ),
        ("{\"create_users\": {}}", "error: `create_users` must be a list\n--> 1:18".to_owned()),
        ("{\"create_users\": [], \"create_users\": []}", "error: duplicate key `create_users`\n--> 1:22".to_owned()),
        ("[1,]", "error: trailing comma\n--> 1:3\n= help: remove it".to_owned()),
        ("[,1]", "error: missing value\n--> 1:2".to_owned()),
        ("[1", "error: unclosed `[`\n--> 1:1".to_owned()),
        ("[{\"a\": 1\n", "error: unclosed `{`\n--> 1:2".to_owned()),
        ("[{\"a\":\n", "error: missing value\n--> 1:7".to_owned()),
        ("[\"a]", "error: unclosed quote\n--> 1:2".to_owned()),
        (
            "[{\"name\": \"Ann,\n\"email\": \"x\"}]",
            "error: unclosed quote on this line\n--> 1:11\n= help: write a line break inside text as `\\n`"
                .to_owned(),
        ),
        (
            "[\"a\tb\"]",
            "error: control characters are not allowed in JSON\n--> 1:4\n= help: remove the character, or write it as an escape like \\u0007"
                .to_owned(),
        ),
        (
            "[\"a\\d\"]",
            "error: invalid escape sequence\n--> 1:4\n= help: write `\\\\` for a backslash"
                .to_owned(),
        ),
        (
            "[\"\\\\\\ud800\"]",
            "error: incomplete surrogate pair\n--> 1:2\n= help: characters beyond \\uffff must be \
             written as two escapes, or literally"
                .to_owned(),
        ),
        (
            "[007]",
            "error: invalid JSON number\n--> 1:2\n= help: put text in double quotes".to_owned(),
        ),
        (
            "[1e999e]",
            "error: invalid JSON number\n--> 1:2\n= help: put text in double quotes".to_owned(),
        ),
        ("[1e999]", "error: number out of range\n--> 1:2".to_owned()),
        (&format!("[-1{}.5]", "0".repeat(400)), "error: number out of range\n--> 1:2".to_owned()),
        (
            "[True]",
            "error: invalid JSON value\n--> 1:2\n= help: put text in double quotes; write true, false and null in lower case"
                .to_owned(),
        ),
        ("['a']", "error: invalid JSON value\n--> 1:2\n= help: put text in double quotes".to_owned()),
        ("[1] // x", "error: unexpected text after the list\n--> 1:5".to_owned()),
        ("[// x\n1]", "error: JSON has no comments\n--> 1:2".to_owned()),
        ("[{a: 1}]", "error: expected a key in double quotes\n--> 1:3".to_owned()),
        ("[{\"a\" 1}]", "error: missing `:` after this key\n--> 1:3".to_owned()),
        (
            "[{\"a\": 1 \"b\": 2}]",
            "error: expected `,` or `}`\n--> 1:10\n= help: check for a missing or misplaced quote"
                .to_owned(),
        ),
        (
            "{\"name\": \"a\"}\n{\"name\": \"b\"}\n",
            "error: unexpected text after the list\n--> 2:1\n= help: for one user per line, use \
             `--format ndjson` or a file name that ends in .ndjson"
                .to_owned(),
        ),
    ] {
        assert_eq!(refused(text), expected, "{text}");
    }
    assert_eq!(refused(&"[".repeat(100_000)), "error: nested too deeply\n--> 1:33");
}

#[test]
fn a_duplicate_key_is_reported_with_both_positions() {
    assert_eq!(
        refusal_as(
            FileFormat::Json,
            "[{\"name\": 1, \"name\": 2},\n {\"password\": \"hunter2\", \"password\": \"hunter3\"}]"
        ),
        "\
error: duplicate key `name`
 --> users:1:14
  |
1 | [{\"name\": 1, \"name\": 2},
  |              ^^^^^^
  |
 ::: users:1:3
  |
1 | [{\"name\": 1, \"name\": 2},
  |   ------ first defined here

error: duplicate key `password`
 --> users:2:26
  |
2 |  {\"password\": *********, \"password\": *********}]
  |                          ^^^^^^^^^^
  |
 ::: users:2:3
  |
2 |  {\"password\": *********, \"password\": *********}]
  |   ---------- first defined here"
    );
}

#[test]
fn every_bad_line_is_reported() {
    assert_eq!(
        refused_lines("{\"a\": 1}\n{\"a\": }\n{\"a\": 1} {}\n{\"a\": 1}\n[\n{\"b\": 1, \"b\": 2}"),
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
--> 6:10"
    );
    assert_eq!(
        refused_lines("\n"),
        "error: the file is empty\n--> 1:1\n= help: an NDJSON file has one JSON object per line"
    );
    let many = refused_lines(&"{\n".repeat(1000));
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
        let output = refusal_as(FileFormat::Json, text);
        assert!(!output.contains("hunter"), "{output}");
        assert!(output.contains(&format!("1 | {line}\n")), "{line}\n{output}");
    }
}
