//! Error messages about malformed files.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io::Write as _;

use super::*;

fn refused(text: &str) -> String {
    said(&refusal(text))
}

const EXPECTED: &str = "= help: a users file has the key `create_users:` with a list of users";

#[test]
fn a_tab_cannot_indent() {
    assert_eq!(
        refusal("create_users:\n- name: Ann\n\temail: ann@example.com\n"),
        "\
error: YAML can't be indented with tabs; use spaces
 --> users.yaml:3:1
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
        assert_eq!(
            refused(text),
            format!("error: YAML can't be indented with tabs; use spaces\n--> {place}"),
            "{text}"
        );
    }
}

#[test]
fn a_missing_list_is_rejected() {
    assert_eq!(refused(""), format!("error: the file is empty\n--> 1:1\n{EXPECTED}"));
    assert_eq!(refused("# nothing\n"), format!("error: the file is empty\n--> 1:1\n{EXPECTED}"));
    assert_eq!(refused("people: []\n"), format!("error: `create_users:` is missing\n--> 1:1\n{EXPECTED}"));
    assert_eq!(refused("name,email\nx,y\n"), format!("error: `create_users:` is missing\n--> 1:1\n{EXPECTED}"));
    assert_eq!(refused("create_users\n- name: x\n"), format!("error: `create_users:` is missing\n--> 1:1\n{EXPECTED}"));
    assert_eq!(
        refused("# users\n- name: x\n  password: hunter2\n"),
        "error: `create_users:` is missing\n--> 2:1\n= help: write `create_users:` on a line of its own above the list"
    );
}

#[test]
fn a_similar_key_is_suggested() {
    for key in ["create_user", "createUsers", "create-users", "users", "CREATE_USERS", "creat_users"] {
        assert_eq!(
            refused(&format!("version: 1\n{key}:\n- name: x\n")),
            format!("error: unknown key `{key}`\n--> 2:1\n= help: did you mean `create_users`?")
        );
    }
}

#[test]
fn other_top_level_keys_are_rejected() {
    assert_eq!(
        refusal("create_users: []\ntoken: hunter2\n"),
        "\
error: unknown key `token`
 --> users.yaml:2:1
  |
2 | token: *******
  | ^^^^^
  |
  = help: the only key of a users file is `create_users`"
    );
}

#[test]
fn create_users_must_be_a_list() {
    assert_eq!(
        refused("create_users:\n"),
        "error: `create_users` must be a list\n--> 1:1\n= help: for an empty list, write `create_users: []`"
    );
    assert_eq!(
        refused("create_users:\n  name: x\n"),
        "error: `create_users` must be a list\n--> 2:3\n= help: start every user with `- `"
    );
}

#[test]
fn a_file_is_one_document() {
    assert_eq!(
        refused("---\ncreate_users: []\n---\ncreate_users: []\n"),
        "error: a second YAML document starts here\n--> 3:1\n= help: a users file is a single document; remove the `---`"
    );
    assert_eq!(file("---\ncreate_users: []\n...\n").len(), 0);
}

#[test]
fn all_duplicate_keys_are_reported_with_both_positions() {
    assert_eq!(
        refusal("create_users:\n- name: x\n  name: y\n- {password: hunter2, password: hunter3}\n"),
        "\
error: duplicate key `name`
 --> users.yaml:3:3
  |
3 |   name: y
  |   ^^^^
  |
 ::: users.yaml:2:3
  |
2 | - name: x
  |   ---- first defined here

error: duplicate key `password`
 --> users.yaml:4:23
  |
4 | - {password: *******, password: *******}
  |                       ^^^^^^^^
  |
 ::: users.yaml:4:4
  |
4 | - {password: *******, password: *******}
  |    -------- first defined here"
    );
    assert_eq!(refused("create_users: []\ncreate_users: []\n"), "error: duplicate key `create_users`\n--> 2:1");
}

#[test]
fn yaml_syntax_at_the_start_of_a_value_is_rejected_and_hidden() {
    for (value, sentence) in [
        ("&hunter2", "a value that starts with `&` is a YAML anchor, not text"),
        ("!hunter2", "a value that starts with `!` is a YAML tag, which is not supported here"),
        ("!!binary aGk=", "a value that starts with `!` is a YAML tag, which is not supported here"),
        ("*hunter2", "a value that starts with `*` is a YAML alias, and there is no anchor with this name"),
        ("@hunter2", "a value can't start with `@`"),
        ("%hunter2", "a value can't start with `%`"),
        ("`hunter2", "a value can't start with ``"),
    ] {
        let text = refusal(&format!("create_users:\n- name: x\n  password: {value}\n"));
        assert!(said(&text).starts_with(&format!("error: {sentence}")), "{text}");
        assert!(text.contains(":3:13\n") && text.contains("= help: ") && !text.contains("hunter"), "{text}");
        assert!(text.contains(&format!("3 |   password: {}\n", "*".repeat(value.len()))), "{text}");
    }
}

#[test]
fn a_control_character_is_named_not_printed() {
    assert_eq!(
        refusal("create_users:\n- name: Ann\u{1b}[31m\n"),
        "\
error: control characters are not allowed in YAML
 --> users.yaml:2:12
  |
2 | - name: Ann\\u{1b}[31m
  |            ^^^^^^
  |
  = help: remove the character, or write it as an escape like \"\\x07\" in double quotes"
    );
}

#[test]
fn syntax_errors_are_explained() {
    for (rows, expected) in [
        ("- name: \"x\n", "error: unclosed quote\n--> 2:9"),
        ("- {name: x\n", "error: unclosed `{`\n--> 2:3"),
        ("- name: x\n  title y\n", "error: missing `: ` after the key on this line\n--> 3:3"),
        (
            "- name: x\n title: y\n",
            "error: inconsistent indentation\n--> 3:2\n= help: indent all keys of a user equally, and all `- ` equally",
        ),
        (
            "- title: Head: sales\n",
            "error: unexpected `:`\n--> 2:14\n= help: check the lines above for a missing `:` or a \
             different indentation; quote text that contains `: `",
        ),
        (
            "- name: \"a\\qb\"\n",
            "error: invalid escape sequence\n--> 2:9\n= help: write `\\\\` for a backslash, \
             or use single quotes",
        ),
        ("- &a [*a]\n", "error: an alias can't refer to a value that contains it\n--> 2:7"),
        ("- <<: 1\n", "error: `<<` requires a mapping or a list of mappings\n--> 2:7"),
        ("- name: [[\n", "error: unclosed `[`\n--> 2:10"),
    ] {
        assert_eq!(refused(&format!("create_users:\n{rows}")), expected);
    }
}

#[test]
fn an_unreadable_line_shows_no_password() {
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
        let text = refusal(&format!("create_users:\n{rows}"));
        assert!(!text.contains("hunter"), "{text}");
        assert!(text.contains(&format!(" | {line}\n")), "{line}\n{text}");
    }
}

#[test]
fn the_expansion_of_aliases_has_a_limit() {
    let mut text = "create_users:\n- a: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        writeln!(text, "- a: &a{level} [{aliases}]").unwrap();
    }
    assert!(refused(&text).starts_with("error: the aliases so far expand to more than 256 MiB\n"));
}

#[test]
fn nesting_has_a_limit() {
    let text = format!("create_users: {}", "[".repeat(100_000));
    assert_eq!(refused(&text), "error: nested too deeply\n--> 1:47");
}

#[test]
fn the_number_of_errors_has_a_limit() {
    let text = refused(&format!("create_users: [{{{}}}]", "a: 1, ".repeat(1000)));
    assert_eq!(text.matches("duplicate key").count(), 100);
    assert!(text.contains("error: too many errors; the rest of the file was not read"), "{text}");
}

fn read(bytes: &[u8]) -> Result<UsersFile, FileError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    UsersFile::read(file.path(), None, Contents::CREATED)
}

#[test]
fn a_file_must_be_utf_8() {
    let text = read(b"create_users:\n- name: Jos\xe9\n  password: hunter2\n").expect_err("not UTF-8").to_string();
    assert!(text.starts_with("error: invalid UTF-8\n"), "{text}");
    assert!(
        text.ends_with(":2:12\n  |\n2 | - name: Jos\u{fffd}\n  |            ^\n  |\n  = help: save the file as UTF-8"),
        "{text}"
    );
    let text = read(b"create_users:\n- password: hunter2\xe9\n").expect_err("not UTF-8").to_string();
    assert!(text.contains("2 | - password: ********\n"), "{text}");
    let text = read(b"\xff\xfec\0r\0").expect_err("not UTF-8").to_string();
    assert!(text.ends_with("= help: the file seems to be UTF-16; save it as UTF-8"), "{text}");
}

#[test]
fn a_file_has_a_maximum_size() {
    let limit = usize::try_from(MAX_BYTES).unwrap();
    let mut bytes = b"create_users: []\n#".to_vec();
    bytes.resize(limit, b'x');
    assert_eq!(read(&bytes).unwrap().len(), 0);
    bytes.push(b'x');
    let refused = read(&bytes).expect_err("too large");
    assert!(matches!(refused, FileError::TooLarge { .. }));
    assert!(refused.to_string().ends_with("` is larger than 64 MiB; split it into several files"));
}

#[test]
fn a_missing_file_says_why() {
    let refused = UsersFile::read(Path::new("/does/not/exist.yaml"), None, Contents::CREATED).expect_err("missing");
    assert_eq!(refused.to_string(), "can't read `/does/not/exist.yaml`");
    assert!(refused.source().unwrap().to_string().contains("No such file"));
}
