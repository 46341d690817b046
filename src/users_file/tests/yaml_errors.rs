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
fn two_merge_keys_in_a_mapping_show_both_places() {
    const TWO: &str = "- &a {name: A, title: X}\n- &b {name: B, title: Y}\n";
    const HELP: &str = "to merge several mappings, write a list: `<<: [*a, *b]`";
    assert_eq!(
        errors(&format!("create_users:\n{TWO}- <<: *a\n  <<: *b\n  name: C\n")),
        format!(
            "\
error: duplicate key `<<`
 --> users:5:3
  |
5 |   <<: *b
  |   ^^
  |
 ::: users:4:3
  |
4 | - <<: *a
  |   -- first defined here
  |
  = help: {HELP}"
        )
    );
    for (row, place) in [
        ("- <<: *a\n  name: C\n  <<: *b\n", "6:3\n::: 4:3"),
        ("- {<<: *a, <<: {title: Z}, name: C}\n", "4:12\n::: 4:4"),
        ("- <<: [*a]\n  <<: [*b, *a]\n", "5:3\n::: 4:3"),
    ] {
        let text = format!("create_users:\n{TWO}{row}");
        assert_eq!(rejected(&text), error("duplicate key `<<`", place, HELP), "{row}");
    }
    let tagged = rejected(&format!("create_users:\n{TWO}- <<: *a\n  !!merge <<: *b\n"));
    let tag = "a value that starts with `!` is a YAML tag, which is not supported here";
    let tag = error(tag, "5:3", "if the `!` is part of the text, quote the whole value");
    assert_eq!(tagged, format!("{tag}\n{}", error("duplicate key `<<`", "5:11\n::: 4:3", HELP)));
}

const CUT_OFF: &str = "`password` is cut off, because ` #` starts a comment";
const NO_VALUE: &str = "`password` has no value, because ` #` starts a comment";

#[test]
fn a_comment_that_may_belong_to_a_password_is_rejected_and_hidden() {
    assert_eq!(
        errors("create_users:\n- name: Ada\n  password: #hunter2\n- password: hunter2 #hunter3\n"),
        format!(
            "\
error: {NO_VALUE}
 --> users:3:13
  |
3 |   password: ********
  |             ^^^^^^^^
  |
  = help: put the value in quotes, or write `null` before the comment

error: {CUT_OFF}
 --> users:4:21
  |
4 | - password: ******* ********
  |                     ^^^^^^^^
  |
  = help: put the value in quotes, or move the comment to its own line"
        )
    );
    let null = "put the value in quotes, or write `null` before the comment";
    let line = "put the value in quotes, or move the comment to its own line";
    for (value, title, place, help) in [
        ("# none yet", NO_VALUE, "2:13", null),
        ("\t#hunter2", NO_VALUE, "2:14", null),
        ("!!str #hunter2", NO_VALUE, "2:19", null),
        ("| #hunter2", NO_VALUE, "2:15", null),
        ("a\n    b #hunter2", CUT_OFF, "3:7", line),
        ("&a hunter2 #hunter3", CUT_OFF, "2:24", line),
        ("12345678 # x", CUT_OFF, "2:22", line),
    ] {
        let text = errors(&format!("create_users:\n- password: {value}\n  name: Ada\n"));
        assert_eq!(summary(&text), error(title, place, help), "{value}");
        assert!(!text.contains("hunter"), "{text}");
    }
    let flow = "create_users: [{password: hunter2 #hunter3\n}, {password_hash: #hunter2\n}]\n";
    let hash = NO_VALUE.replace("password", "password_hash");
    assert_eq!(rejected(flow), format!("{}\n{}", error(CUT_OFF, "1:35", line), error(&hash, "2:20", null)));
}

#[test]
fn a_comment_in_place_of_a_value_is_rejected() {
    for (line, field, place) in [
        ("is_sso_user: #yes", "is_sso_user", "2:16"),
        ("title: #1 sales", "title", "2:10"),
        ("\"name\" : # Ada", "name", "2:12"),
    ] {
        assert_eq!(
            rejected(&format!("create_users:\n- {line}\n")),
            error(
                &format!("`{field}` has no value, because ` #` starts a comment"),
                place,
                "put the value in quotes, or write `null` before the comment"
            )
        );
    }
}

#[test]
fn spaces_that_yaml_takes_for_text_are_named_at_their_place() {
    assert_eq!(
        errors("create_users:\n  - name: Ada\n\u{a0}\u{a0}\u{a0}\u{a0}email: ada@example.com\n    is_sso_user: true\n"),
        "\
error: a no-break space (U+00A0) can't indent YAML
 --> users:3:1
  |
3 | \u{a0}\u{a0}\u{a0}\u{a0}email: ada@example.com
  | ^^^^
  |
  = help: use spaces"
    );
    let (indent, colon) = ("can't indent YAML", "can't follow the `:` of a key");
    for (rows, title, place) in [
        (
            "- name: Ada\n  email: ada\n\u{a0} title: x\n- name: Bo\n",
            format!("a no-break space (U+00A0) {indent}"),
            "4:1",
        ),
        ("- name: Ada\n \u{200b} email: ada\n", format!("an invisible character (U+200B) {indent}"), "3:2"),
        ("- name: Ada\n\u{3000}\u{3000}email: ada\n", format!("an invisible character (U+3000) {indent}"), "3:1"),
        ("  -\u{a0}name: Ada\n", format!("a no-break space (U+00A0) {indent}"), "2:4"),
        ("- \u{feff}name: Ada\n", format!("an invisible character (U+FEFF) {indent}"), "2:3"),
        ("- name: Ada\n  is_sso_user: yes\n\u{a0}\n- name: Bo\n", format!("a no-break space (U+00A0) {indent}"), "4:1"),
        ("- name: Ada\n  title:\u{a0}Boss\n  email: ada\n", format!("a no-break space (U+00A0) {colon}"), "3:9"),
        ("- name:\u{a0}Ada\n", format!("a no-break space (U+00A0) {colon}"), "2:8"),
    ] {
        assert_eq!(rejected(&format!("create_users:\n{rows}")), error(&title, place, "use spaces"), "{rows:?}");
    }
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
