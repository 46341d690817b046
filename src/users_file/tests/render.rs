//! Rendered findings.

use super::*;

const USERS: &str = "\
create_users:
  - name: Ann Example   # from HR
    email: ann@example.com
    password: hunter2
    is_sso_user: false
  - name: 山田太郎
    email: 'Ann@Example.com' # was hunter2
    pasword: hunter2
    title:
  - {name: Bo, password: \"密码 hunter2\", email: bo, is_sso_user: false}
  - bo@example.com hunter2
  - name: Cy
    password: >-
      hunter2
      hunter3
";

fn shown(findings: &[RowFinding]) -> String {
    file(USERS).render(findings, false)
}

#[test]
fn findings_underline_values_keys_and_rows_in_file_order() {
    assert_eq!(
        shown(&[
            finding(2, "", "bad", "all wrong"),
            finding(1, "title", "title_type", "must be text"),
            finding(1, "pasword", "unknown_field", "unknown; did you mean `password`?"),
            finding(1, "name", "name_script", "wide characters"),
            finding(0, "lastname", "missing", "missing"),
            finding(0, "email", "email_taken", "already exists"),
        ]),
        "\
error[missing]: lastname: missing
 --> users:2:5
  |
2 |   - name: Ann Example
  |     ^^^^^^^^^^^^^^^^^

error[email_taken]: email: already exists
 --> users:3:12
  |
3 |     email: ann@example.com
  |            ^^^^^^^^^^^^^^^

error[name_script]: name: wide characters
 --> users:6:11
  |
6 |   - name: 山田太郎
  |           ^^^^^^^^

error[unknown_field]: pasword: unknown; did you mean `password`?
 --> users:8:5
  |
8 |     pasword: *******
  |     ^^^^^^^

error[title_type]: title: must be text
 --> users:9:5
  |
9 |     title:
  |     ^^^^^

error[bad]: all wrong
  --> users:10:5
   |
10 |   - {name: Bo, password: **************, email: bo, is_sso_user: false}
   |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"
    );
}

#[test]
fn a_duplicate_shows_both_places() {
    let duplicate = RowFinding { other_index: Some(0), ..finding(1, "email", "email_duplicate", "twice in this list") };
    let first = RowFinding { other_index: Some(2), ..finding(0, "email", "email_duplicate", "twice in this list") };
    assert_eq!(
        shown(&[duplicate, first]),
        "\
error[email_duplicate]: email: twice in this list
  --> users:3:12
   |
 3 |     email: ann@example.com
   |            ^^^^^^^^^^^^^^^
   |
  ::: users:10:47
   |
10 |   - {name: Bo, password: **************, email: bo, is_sso_user: false}
   |                                                 -- also used here

error[email_duplicate]: email: twice in this list
 --> users:7:12
  |
7 |     email: 'Ann@Example.com'
  |            ^^^^^^^^^^^^^^^^^
  |
 ::: users:3:12
  |
3 |     email: ann@example.com
  |            --------------- first used here
"
    );
}

#[test]
fn passwords_are_shown_as_asterisks() {
    let all: Vec<RowFinding> =
        (0..6).flat_map(|row| ["", "name", "email", "password"].map(|field| finding(row, field, "c", "m"))).collect();
    let output = shown(&all);
    assert!(!output.contains("hunter"), "{output}");
    assert!(!output.contains('密'), "{output}");
    assert_eq!(
        shown(&[
            finding(3, "", "not_object", "must be an object"),
            finding(4, "password", "password_short", "too short")
        ]),
        "\
error[not_object]: must be an object
  --> users:11:5
   |
11 |   - **********************
   |     ^^^^^^^^^^^^^^^^^^^^^^

error[password_short]: password: too short
  --> users:14:7
   |
14 |       *******
   |       ^^^^^^^
"
    );
}

#[test]
fn a_row_outside_of_the_file_is_named() {
    assert_eq!(
        shown(&[finding(17, "email", "c", "odd"), finding(18, "", "c", "odd")]),
        "error[c]: users[17].email: odd\n--> users\n\nerror[c]: users[18]: odd\n--> users\n"
    );
}

#[test]
fn control_and_invisible_characters_are_escaped() {
    let text = "create_users:\n- name: \"\u{202e}x\u{85}\t.\"\n  \"a\tb\u{200b}\": 1\n".to_owned();
    let file = UsersFile::parse("u\u{1b}[2J.yaml", text, FileFormat::Yaml).unwrap();
    let odd = [
        finding(0, "name", "c\u{1b}", "m\u{1b}[0m\n\u{200b}"),
        finding(0, "a\tb\u{200b}", "unknown_field", "unknown"),
        finding(0, "c\u{1b}d", "missing", "missing"),
    ];
    assert_eq!(
        file.render(&odd, false),
        r#"error[missing]: this key: missing
 --> u\u{1b}[2J.yaml:2:3
  |
2 | - name: "\u{202e}x\u{85}    ."
  |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error[c\u{1b}]: name: m\u{1b}[0m\u{a}\u{200b}
 --> u\u{1b}[2J.yaml:2:9
  |
2 | - name: "\u{202e}x\u{85}    ."
  |         ^^^^^^^^^^^^^^^^^^^^^^

error[unknown_field]: this key: unknown
 --> u\u{1b}[2J.yaml:3:3
  |
3 |   ********: *
  |   ^^^^^^^^
"#
    );
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let rows: Vec<String> = (0..1000).map(|i| format!("{{name: N{i}, email: 密{i}@example.com}}")).collect();
    let file = file(&format!("create_users: [{}]", rows.join(", ")));
    assert_eq!(
        file.render(&[finding(500, "email", "c", "m")], false),
        "\
error[c]: email: m
 --> users:1:19316
  |
1 | ...密499@example.com}, {name: N500, email: 密500@example.com}, {name: N501, email: 密501@example.com}, {name: N502, email: 密502@example.com},...
  |                                            ^^^^^^^^^^^^^^^^^
"
    );
}

#[test]
fn a_long_value_is_cut() {
    let file = file(&format!("create_users: [{{name: {}}}]", "x".repeat(5000)));
    let output = file.render(&[finding(0, "name", "c", "m")], false);
    assert!(output.lines().all(|line| line.len() < 160), "{output}");
    assert!(output.contains("name: xxx") && output.contains("x...\n") && output.ends_with("^^^\n"), "{output}");
}

#[test]
fn colors_change_nothing_else() {
    let findings = [
        RowFinding { other_index: Some(0), ..finding(1, "email", "c", "m") },
        finding(0, "", "c", "m"),
        finding(9, "", "c", "m"),
    ];
    let file = file(USERS);
    let colored = file.render(&findings, true);
    assert!(colored.contains("\u{1b}["));
    let mut plain = String::new();
    for (part, piece) in colored.split("\u{1b}[").enumerate() {
        plain.push_str(if part == 0 { piece } else { piece.split_once('m').unwrap().1 });
    }
    assert_eq!(plain, file.render(&findings, false));
}

#[test]
fn a_merged_value_is_shown_where_it_is_written() {
    let file = file("create_users:\n- &a {name: Ann, email: x}\n- <<: *a\n  name: Bob\n");
    assert_eq!(
        file.render(&[finding(1, "email", "c", "m")], false),
        "error[c]: email: m\n --> users:2:25\n  |\n2 | - ** {name: Ann, email: x}\n  |                         ^\n"
    );
}

#[test]
fn no_findings_render_nothing() {
    assert_eq!(shown(&[]), "");
}

#[test]
fn positions_equal_those_counted_from_the_start() {
    let pieces = ["ab\n", "\r\n", "é", "\r", "x\r\r\n", "密密密密", "\n\n"];
    let text: String = (0..3000).map(|index| pieces[(index * index + index / 7) % pieces.len()]).collect();
    let positions = positions::Positions::new(&text);
    let (mut line, mut column) = (1, 1);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        assert_eq!(positions.find(&text, at), (line, column), "{at}");
        column += 1;
        if c == '\n' || (c == '\r' && chars.peek().map(|(_, next)| *next) != Some('\n')) {
            (line, column) = (line + 1, 1);
        }
    }
    assert_eq!(positions.find(&text, text.len()), (line, column));
}

#[test]
fn a_warning_is_labeled_as_one() {
    let text = "create_users:\n  - name: a\n    title: error[weak_hash]\n";
    let file = parse(FileFormat::Yaml, text).unwrap();
    let odd = finding(0, "title", "weak_hash", "is weak");
    let shown = file.render_warnings(std::slice::from_ref(&odd), false);
    assert!(shown.starts_with("warning[weak_hash]: title: is weak\n --> users:3:12\n"), "{shown}");
    assert!(shown.contains("title: error[weak_hash]"), "{shown}");
}
