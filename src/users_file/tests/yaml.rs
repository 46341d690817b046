//! The rows that are sent for a YAML file.

use serde_json::json;

use super::*;

fn rows(text: &str) -> Value {
    super::rows(FileFormat::Yaml, text)
}

#[test]
fn the_vendors_example_is_accepted() {
    let text = "\
create_users:
  - name: name1
    email: test1@anyscale.com
    password: ''
    is_sso_user: false
    lastname: lastname1
    title: title1
  - name: name2
    email: test2@anyscale.com
    password: ''
    is_sso_user: false
    lastname: lastname2
    title: title2
";
    assert_eq!(
        rows(text),
        json!([
            {"name": "name1", "email": "test1@anyscale.com", "password": "", "is_sso_user": false,
             "lastname": "lastname1", "title": "title1"},
            {"name": "name2", "email": "test2@anyscale.com", "password": "", "is_sso_user": false,
             "lastname": "lastname2", "title": "title2"},
        ])
    );
}

#[test]
fn invalid_and_unknown_values_are_sent_unchanged() {
    assert_eq!(rows("create_users: []"), json!([]));
    assert_eq!(
        rows("create_users: [text, 1, ~, [a], {name: 123, color: {a: [b]}}, {}]"),
        json!(["text", 1, null, ["a"], {"name": 123, "color": {"a": ["b"]}}, {}])
    );
    assert_eq!(
        rows(r#"{"create_users":[{"name":"A\u00e9","is_sso_user":true,"title":null}]}"#),
        json!([{"name": "Aé", "is_sso_user": true, "title": null}])
    );
}

#[test]
fn yes_and_no_are_booleans_in_is_sso_user_only() {
    for (word, value) in [("yes", true), ("On", true), ("TRUE", true), ("no", false), ("OFF", false), ("false", false)]
    {
        let text = format!("create_users: [{{is_sso_user: {word}, nested: {{is_sso_user: {word}}}}}]");
        assert_eq!(rows(&text), json!([{"is_sso_user": value, "nested": {"is_sso_user": value}}]));
    }
    assert_eq!(
        rows("create_users: [{title: no, name: on, is_sso_user: 'no', lastname: y}]"),
        json!([{"title": "no", "name": "on", "is_sso_user": "no", "lastname": "y"}])
    );
    assert_eq!(rows("create_users: [{title: true, is_sso_user: y}]"), json!([{"title": true, "is_sso_user": "y"}]));
}

#[test]
fn numbers_are_those_of_both_yaml_1_1_and_json() {
    assert_eq!(rows("create_users: [0, -0, 42, -7, 1.5, 1.5e+3]"), json!([0, -0.0, 42, -7, 1.5, 1500.0]));
    for text in
        ["007", "0x1F", "0o17", "1_000", "12:30", "1e5", "12e34567", "+1", "1.", ".5", ".inf", "-x", "2024-01-31"]
    {
        assert_eq!(rows(&format!("create_users: [{text}]")), json!([text]));
    }
}

#[test]
fn quoted_and_block_scalars_are_text() {
    let text = "create_users:\n- a: '1'\n  b: \"true\"\n  c: ''\n  d: |\n    1\n  e: >-\n    x\n    y\n  f: !!str 1\n  g: ! 2\n  h: 'null'\n";
    assert_eq!(
        rows(text),
        json!([{"a": "1", "b": "true", "c": "", "d": "1\n", "e": "x y", "f": "1", "g": "2", "h": "null"}])
    );
}

#[test]
fn an_empty_value_is_null() {
    assert_eq!(
        rows("create_users:\n- a:\n  b: ~\n  c: null\n  d: NULL\n  e: # later\n-\n"),
        json!([{"a": null, "b": null, "c": null, "d": null, "e": null}, null])
    );
}

#[test]
fn keys_other_than_text_are_kept_as_written() {
    assert_eq!(
        rows("create_users: [{1: a, ~: b, no: c, 'd e': d, [x, y]: e}]"),
        json!([{"1": "a", "~": "b", "no": "c", "d e": "d", "[x, y]": "e"}])
    );
}

#[test]
fn aliases_and_merges_are_resolved() {
    let text = "\
create_users:
- &base
  name: Ann
  is_sso_user: yes
- <<: *base
  name: Bob
- <<: [{title: x}, *base, {title: y}]
- *base
- name: &n Cy
  lastname: *n
- '<<': 1
";
    assert_eq!(
        rows(text),
        json!([
            {"name": "Ann", "is_sso_user": true},
            {"name": "Bob", "is_sso_user": true},
            {"title": "x", "name": "Ann", "is_sso_user": true},
            {"name": "Ann", "is_sso_user": true},
            {"name": "Cy", "lastname": "Cy"},
            {"<<": 1},
        ])
    );
}

#[test]
fn the_first_mapping_of_a_merged_list_wins() {
    let text = "\
create_users:
- &a {name: A, title: X, is_sso_user: true}
- &b {name: B, title: Y, lastname: L, is_sso_user: false}
- <<: [*a, *b]
  name: C
";
    let rows = rows(text);
    assert_eq!(rows[2], json!({"name": "C", "title": "X", "is_sso_user": true, "lastname": "L"}));
}

#[test]
fn comments_behind_complete_values_are_ignored() {
    let text = "\
create_users: # our people
- name: Ada # the first
  email: a#b@example.com # as given
  password: null  # none yet
  title: '#1' # sales
  is_sso_user: no # as before
- password: 'hunter2 #1' # in quotes
- password: &p \"x\" # in quotes
- password: *p # an alias
- password: # on the next line
    \"x\"
- password: ~ # none
- {password: , name: Bo} # no password
- password:
  # none yet
- name: two\u{a0}words\u{3000}or three
";
    let rows = rows(text);
    assert_eq!(
        rows,
        json!([
            {"name": "Ada", "email": "a#b@example.com", "password": null, "title": "#1", "is_sso_user": false},
            {"password": "hunter2 #1"},
            {"password": "x"},
            {"password": "x"},
            {"password": "x"},
            {"password": null},
            {"password": null, "name": "Bo"},
            {"password": null},
            {"name": "two\u{a0}words\u{3000}or three"},
        ])
    );
}

#[test]
fn a_byte_order_mark_and_windows_line_endings_are_accepted() {
    let file = file("\u{feff}create_users:\r\n- name: Ann\r\n  title: x\r\n");
    assert_eq!(file.rows().cloned().collect::<Value>(), json!([{"name": "Ann", "title": "x"}]));
    assert_eq!(
        file.render(&[finding(0, "title", "c", "m")], false),
        "error[c]: title: m\n --> users:3:10\n  |\n3 |   title: x\n  |          ^\n"
    );
}

#[test]
fn a_text_block_at_the_end_of_the_file_gets_no_line_feed() {
    assert_eq!(rows("create_users:\n- password: |\n    abc"), json!([{"password": "abc"}]));
}

#[test]
fn debug_shows_no_values() {
    let file = file("create_users: [{password: hunter2}]");
    assert_eq!(format!("{file:?}"), "UsersFile { path: \"users\", rows: 1, .. }");
    let error = UsersFile::parse("u", "password: hunter2\n".to_owned(), FileFormat::Yaml).expect_err("no list");
    assert!(!format!("{error:?}").contains("hunter2"));
}
