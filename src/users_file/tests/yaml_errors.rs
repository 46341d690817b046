//! Errors of YAML files.

use std::fmt::Write as _;

use super::*;

fn errors(text: &str) -> String {
    super::errors(FileFormat::Yaml, text)
}

fn rejected(text: &str) -> String {
    summary(&errors(text))
}

const EXPECTED: &str = "a users file has the key `create_users:` with a list of users";

#[test]
fn indentation_with_tabs_is_rejected() {
    assert_eq!(
        errors("create_users:\n- name: Ann\n\temail: ann@example.com\n"),
        "\
error: YAML can't be indented with tabs; use spaces
 --> users:3:1
  |
3 |     email: ann@example.com
  | ^^^^"
    );
    for (text, place) in [
        ("create_users:\n\t- name: x\n", "2:1"),
        ("create_users:\n- name: x\n  \ttitle: y\n", "3:3"),
        ("create_users:\n-\tname: x\n\ttitle: y\n", "2:2"),
        ("create_users:\n- name: |\n\tx\n", "3:1"),
        ("create_users: [\n\t{a: b}]\n- x", "2:1"),
    ] {
        assert_eq!(rejected(text), error("YAML can't be indented with tabs; use spaces", place, ""), "{text}");
    }
}

#[test]
fn a_file_must_be_one_mapping_with_a_list() {
    for (text, title, place, help) in [
        ("", "the file is empty", "1:1", EXPECTED),
        ("# nothing\n", "the file is empty", "1:1", EXPECTED),
        ("people: []\n", "`create_users:` is missing", "1:1", EXPECTED),
        ("some text\nx,y\n", "`create_users:` is missing", "1:1", EXPECTED),
        ("create_users\n- name: x\n", "`create_users:` is missing", "1:1", EXPECTED),
        (
            "# users\n- name: x\n  password: hunter2\n",
            "`create_users:` is missing",
            "2:1",
            "write `create_users:` on a line of its own above the list",
        ),
        ("create_users:\n", "`create_users` must be a list", "1:1", "for an empty list, write `create_users: []`"),
        ("create_users:\n  name: x\n", "`create_users` must be a list", "2:3", "start every user with `- `"),
        ("create_users: []\ncreate_users: []\n", "duplicate key `create_users`", "2:1\n::: 1:1", ""),
        (
            "---\ncreate_users: []\n---\ncreate_users: []\n",
            "a second YAML document starts here",
            "3:1",
            "a users file is a single document; remove the `---`",
        ),
    ] {
        assert_eq!(rejected(text), error(title, place, help), "{text}");
    }
    assert_eq!(file("---\ncreate_users: []\n...\n").len(), 0);
    for key in ["create_user", "createUsers", "create-users", "users", "CREATE_USERS", "creat_users"] {
        let due = error(&format!("unknown key `{key}`"), "2:1", "did you mean `create_users`?");
        assert_eq!(rejected(&format!("version: 1\n{key}:\n- name: x\n")), due);
    }
}

#[test]
fn other_top_level_keys_are_rejected() {
    assert_eq!(
        errors("create_users: []\ntoken: hunter2\n"),
        "\
error: unknown key `token`
 --> users:2:1
  |
2 | token: *******
  | ^^^^^
  |
  = help: the only key of a users file is `create_users`"
    );
}

#[test]
fn every_duplicate_key_shows_both_places() {
    assert_eq!(
        errors("create_users:\n- name: x\n  name: y\n- {password: hunter2, password: hunter3}\n"),
        "\
error: duplicate key `name`
 --> users:3:3
  |
3 |   name: y
  |   ^^^^
  |
 ::: users:2:3
  |
2 | - name: x
  |   ---- first defined here

error: duplicate key `password`
 --> users:4:23
  |
4 | - {password: *******, password: *******}
  |                       ^^^^^^^^
  |
 ::: users:4:4
  |
4 | - {password: *******, password: *******}
  |    -------- first defined here"
    );
}

#[test]
fn yaml_indicators_at_the_start_of_a_value_are_rejected_and_hidden() {
    for (value, message) in [
        ("&hunter2", "a value that starts with `&` is a YAML anchor, not text"),
        ("!hunter2", "a value that starts with `!` is a YAML tag, which is not supported here"),
        ("!!binary aGk=", "a value that starts with `!` is a YAML tag, which is not supported here"),
        ("*hunter2", "a value that starts with `*` is a YAML alias, and there is no anchor with this name"),
        ("@hunter2", "a value can't start with `@`"),
        ("%hunter2", "a value can't start with `%`"),
        ("`hunter2", "a value can't start with ``"),
    ] {
        let text = errors(&format!("create_users:\n- name: x\n  password: {value}\n"));
        assert!(summary(&text).starts_with(&format!("error: {message}")), "{text}");
        assert!(text.contains(":3:13\n") && text.contains("= help: ") && !text.contains("hunter"), "{text}");
        assert!(text.contains(&format!("3 |   password: {}\n", "*".repeat(value.len()))), "{text}");
    }
}

#[test]
fn a_control_character_is_escaped() {
    assert_eq!(
        errors("create_users:\n- name: Ann\u{1b}[31m\n"),
        "\
error: control characters are not allowed in YAML
 --> users:2:12
  |
2 | - name: Ann\\u{1b}[31m
  |            ^^^^^^
  |
  = help: remove the character, or write it as an escape like \"\\x07\" in double quotes"
    );
}

#[test]
fn syntax_errors_are_explained() {
    for (rows, title, place, help) in [
        ("- name: \"x\n", "unclosed quote", "2:9", ""),
        ("- {name: x\n", "unclosed `{`", "2:3", ""),
        ("- name: x\n  title y\n", "missing `: ` after the key on this line", "3:3", ""),
        (
            "- name: x\n title: y\n",
            "inconsistent indentation",
            "3:2",
            "indent all keys of a user equally, and all `- ` equally",
        ),
        (
            "- title: Head: sales\n",
            "unexpected `:`",
            "2:14",
            "check the lines above for a missing `:` or a different indentation; quote text that contains `: `",
        ),
        ("- name: \"a\\qb\"\n", "invalid escape sequence", "2:9", "write `\\\\` for a backslash, or use single quotes"),
        ("- &a [*a]\n", "an alias can't refer to a value that contains it", "2:7", ""),
        ("- <<: 1\n", "`<<` requires a mapping or a list of mappings", "2:7", ""),
        ("- name: [[\n", "unclosed `[`", "2:10", ""),
        (&format!("- {}", "[".repeat(100_000)), "nested too deeply", "2:35", ""),
    ] {
        assert_eq!(rejected(&format!("create_users:\n{rows}")), error(title, place, help));
    }
}

#[test]
fn an_unparsed_line_shows_no_password() {
    for (rows, line) in [
        ("- name: Ann\n  password: a: hunter2\n", "  password: **********"),
        ("- name: Ann\n  \"password\" : 'a'hunter2\n", "  \"password\" : **********"),
        ("- name: Ann\n  password hunter2\n", "  password *******"),
        ("- name: Ann\n  PASSWORD_HASH=hunter2\n", "  PASSWORD_HASH=*******"),
        ("- name: Ann\n  pasword hunter2\n", "  pasword *******"),
        ("- name: Ann\n  pasword: a: hunter2\n", "  pasword: **********"),
        ("- {name: Ann, password: hunter2\n", "- {name: Ann, password: *******"),
        ("- {\"name\":\"Ann\",\"password\":\"hunter2\"\n", "- {\"name\":\"Ann\",\"password\":*********"),
        ("- password: x\n   hunter2: hunter3\n", "   ****************"),
        ("- name: Ann: # hunter2\n", "- name: Ann: *********"),
        ("- email: a@b.c: Ann\n", "- email: a@b.c: ***"),
    ] {
        let text = errors(&format!("create_users:\n{rows}"));
        assert!(!text.contains("hunter"), "{text}");
        assert!(text.contains(&format!(" | {line}\n")), "{line}\n{text}");
    }
}

#[test]
fn copies_by_aliases_are_limited() {
    let mut text = "create_users:\n- a: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        writeln!(text, "- a: &a{level} [{aliases}]").unwrap();
    }
    assert!(rejected(&text).starts_with("error: the aliases so far expand to more than 256 MiB\n"));
}

#[test]
fn the_number_of_errors_is_limited() {
    let text = rejected(&format!("create_users: [{{{}}}]", "a: 1, ".repeat(1000)));
    assert_eq!(text.matches("duplicate key").count(), 100);
    assert!(text.contains("error: too many errors; the rest of the file was not read"), "{text}");
}
