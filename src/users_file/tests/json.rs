//! JSON, and lines of JSON.

use serde_json::json;

use super::*;

const EXPECTED: &str = "= help: a users file is a list of users, or an object with such a list under `create_users`";

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
fn a_byte_order_mark_is_fine() {
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
fn what_is_no_json_is_refused() {
    for (text, expected) in [
        ("", format!("error: the file is empty\n--> 1:1\n{EXPECTED}")),
        (" \n", format!("error: the file is empty\n--> 1:1\n{EXPECTED}")),
        ("create_users: []", format!("error: there is no list of users here\n--> 1:1\n{EXPECTED}")),
        ("{}", format!("error: `create_users` is missing\n--> 1:1\n{EXPECTED}")),
        ("{\"x\": 1}", format!("error: `create_users` is missing\n--> 1:2\n{EXPECTED}")),
        (
            "{\"name\": \"Ann\", \"x\": 1}",
            "error: a list of users is due here, and this is one user\n--> 1:1\n\
             = help: write `[{\"name\": …}]` or `{\"create_users\": […]}`"
                .to_owned(),
        ),
        ("{\"users\": []}", "error: unknown key `users`\n--> 1:2\n= help: did you mean `create_users`?".to_owned()),
        (
            "{\"create_users\": [], \"version\": 1}",
            "error: unknown key `version`\n--> 1:22\n= help: a users file has no key but `create_users`".to_owned(),
        ),
        ("{\"create_users\": {}}", "error: `create_users` must be a list\n--> 1:18".to_owned()),
        ("{\"create_users\": [], \"create_users\": []}", "error: `create_users` is given twice\n--> 1:22".to_owned()),
        ("[1,]", "error: a `,` stands behind the last entry\n--> 1:3\n= help: remove it".to_owned()),
        ("[,1]", "error: a value is missing here\n--> 1:2".to_owned()),
        ("[1", "error: this `[` is never closed\n--> 1:1".to_owned()),
        ("[{\"a\": 1\n", "error: this `{` is never closed\n--> 1:2".to_owned()),
        ("[{\"a\":\n", "error: a value is missing here\n--> 1:7".to_owned()),
        ("[\"a]", "error: this quote is never closed\n--> 1:2".to_owned()),
        (
            "[{\"name\": \"Ann,\n\"email\": \"x\"}]",
            "error: this quote is not closed on its line\n--> 1:11\n= help: inside of text, a line break is written as `\\n`"
                .to_owned(),
        ),
        (
            "[\"a\tb\"]",
            "error: a control character can't stand in JSON\n--> 1:4\n= help: remove it, or write it as an escape like \\u0007"
                .to_owned(),
        ),
        (
            "[\"a\\d\"]",
            "error: a `\\` in this text begins no escape that JSON knows\n--> 1:4\n= help: write `\\\\` for a backslash"
                .to_owned(),
        ),
        (
            "[\"\\\\\\ud800\"]",
            "error: an escape in this text is only half of a character\n--> 1:2\n= help: characters beyond \\uffff are \
             written as two escapes, or as themselves"
                .to_owned(),
        ),
        (
            "[007]",
            "error: this is no number that JSON can have\n--> 1:2\n= help: text stands in double quotes".to_owned(),
        ),
        (
            "[1e999e]",
            "error: this is no number that JSON can have\n--> 1:2\n= help: text stands in double quotes".to_owned(),
        ),
        ("[1e999]", "error: this number is too large\n--> 1:2".to_owned()),
        (&format!("[-1{}.5]", "0".repeat(400)), "error: this number is too large\n--> 1:2".to_owned()),
        (
            "[True]",
            "error: this is no JSON value\n--> 1:2\n= help: text stands in double quotes; true, false and null in small letters"
                .to_owned(),
        ),
        ("['a']", "error: no JSON value begins like this\n--> 1:2\n= help: text stands in double quotes".to_owned()),
        ("[1] // x", "error: the list has ended, but the file goes on\n--> 1:5".to_owned()),
        ("[// x\n1]", "error: JSON has no comments\n--> 1:2".to_owned()),
        ("[{a: 1}]", "error: a key in double quotes is due here\n--> 1:3".to_owned()),
        ("[{\"a\" 1}]", "error: a `:` is missing behind this key\n--> 1:3".to_owned()),
        (
            "[{\"a\": 1 \"b\": 2}]",
            "error: a `,` or `}` is due here\n--> 1:10\n= help: look for a quote that is missing, or in the wrong place"
                .to_owned(),
        ),
        (
            "{\"name\": \"a\"}\n{\"name\": \"b\"}\n",
            "error: the list has ended, but the file goes on\n--> 2:1\n= help: one user a line is another format: \
             `--format ndjson`, or a file that ends in .ndjson"
                .to_owned(),
        ),
    ] {
        assert_eq!(refused(text), expected, "{text}");
    }
    assert_eq!(refused(&"[".repeat(100_000)), "error: this is nested too deeply\n--> 1:33");
}

#[test]
fn a_key_given_twice_shows_both() {
    assert_eq!(
        refusal_as(
            FileFormat::Json,
            "[{\"name\": 1, \"name\": 2},\n {\"password\": \"hunter2\", \"password\": \"hunter3\"}]"
        ),
        "\
error: `name` is given twice
 --> users:1:14
  |
1 | [{\"name\": 1, \"name\": 2},
  |              ^^^^^^
  |
 ::: users:1:3
  |
1 | [{\"name\": 1, \"name\": 2},
  |   ------ first given here

error: `password` is given twice
 --> users:2:26
  |
2 |  {\"password\": *********, \"password\": *********}]
  |                          ^^^^^^^^^^
  |
 ::: users:2:3
  |
2 |  {\"password\": *********, \"password\": *********}]
  |   ---------- first given here"
    );
}

#[test]
fn every_bad_line_is_reported() {
    assert_eq!(
        refused_lines("{\"a\": 1}\n{\"a\": }\n{\"a\": 1} {}\n{\"a\": 1}\n[\n{\"b\": 1, \"b\": 2}"),
        "\
error: a value is missing here
--> 2:7
error: the user has ended, but the line goes on
--> 3:10
= help: each user has a line of its own
error: this `[` is never closed
--> 5:1
= help: each user has to be on one line
error: `b` is given twice
--> 6:10"
    );
    assert_eq!(
        refused_lines("\n"),
        "error: the file is empty\n--> 1:1\n= help: a file of lines has one user a line, as a JSON object"
    );
    let many = refused_lines(&"{\n".repeat(1000));
    assert_eq!(many.matches("is never closed").count(), 100);
    assert!(many.contains("error: too many problems: the rest of the file was not read\n--> 101:1"), "{many}");
}

#[test]
fn what_is_behind_a_problem_is_hidden() {
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
