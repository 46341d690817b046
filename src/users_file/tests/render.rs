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
error[email_duplicate]: email: twice in this list (2 rows)
  --> users:3:12
   |
 3 |     email: ann@example.com
   |            ^^^^^^^^^^^^^^^
   |
  ::: users:10:47
   |
10 |   - {name: Bo, password: **************, email: bo, is_sso_user: false}
   |                                                 -- also used here
   |
  ::: users:7:12
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

/// A CSV file of so many users, and a finding for each title.
fn many(count: usize) -> (UsersFile, Vec<RowFinding>) {
    let rows: String = (0..count).map(|n| format!("a,a{n}@example.com,true,T{n}\n")).collect();
    let file = parse(FileFormat::Csv, &format!("name,email,is_sso_user,title\n{rows}")).unwrap();
    let findings = (0..count).rev().map(|row| finding(row, "title", "bad", "is bad")).collect();
    (file, findings)
}

#[test]
fn equal_findings_are_one_block_with_the_first_places_and_the_number_of_rows() {
    let (file, mut findings) = many(10_000);
    findings.push(finding(1, "title", "bad", "is worse"));
    assert_eq!(
        file.render(&findings, false),
        "\
error[bad]: title: is bad (10000 rows)
 --> users:2:23
  |
2 | a,a0@example.com,true,T0
  |                       ^^
  |
 ::: users:3:23
  |
3 | a,a1@example.com,true,T1
  |                       ^^
  |
 ::: users:4:23
  |
4 | a,a2@example.com,true,T2
  |                       ^^
  |
  = note: also at 5:23, 6:23, 7:23, 8:23, 9:23, 10:23, 11:23, 12:24, 13:24, 14:24, 15:24, 16:24, 17:24, 18:24, 19:24, \
20:24, 21:24, 22:24, 23:24, 24:24, and 9977 more

error[bad]: title: is worse
 --> users:3:23
  |
3 | a,a1@example.com,true,T1
  |                       ^^
"
    );
    for (count, note) in [(2, None), (3, None), (4, Some("also at 5:23")), (6, Some("also at 5:23, 6:23, 7:23"))] {
        let (file, findings) = many(count);
        let shown = file.render(&findings, false);
        assert!(shown.starts_with(&format!("error[bad]: title: is bad ({count} rows)\n")), "{shown}");
        assert_eq!(shown.split_once("= note: ").map(|(_, note)| note.trim_end()), note, "{shown}");
    }
}

#[test]
fn equal_duplicates_are_one_block_with_both_rows_of_the_first() {
    let (file, _) = many(200);
    let duplicate = |row: usize| {
        let message = format!("the same address as users[{}]", row - 100);
        RowFinding { other_index: Some(row - 100), ..finding(row, "email", "email_duplicate", &message) }
    };
    let findings: Vec<RowFinding> = (100..200).map(duplicate).collect();
    let shown = file.render(&findings, false);
    assert!(
        shown.starts_with(
            "error[email_duplicate]: email: the same address as another row (100 rows)\n   --> users:102:3\n"
        ),
        "{shown}"
    );
    assert_eq!(shown.matches("first used here").count(), 3, "{shown}");
    assert!(shown.ends_with(", 124:3, and 77 more\n"), "{shown}");
}

#[test]
fn located_findings_are_all_findings_in_file_order_without_secrets() {
    let text = "\
create_users:
  - {name: \"Ann\", email: ann@example.com, password: &p hunter2hunter2, title: *p}
  - name: 'Bo'
    email: ann@example.com
    is_sso_user: WAHR
    pasword: hunter2
    must_change_password: hunter2
  - hunter2
";
    let file = file(text);
    let duplicate =
        RowFinding { other_index: Some(0), ..finding(1, "email", "email_duplicate", "the same address as users[0]") };
    let located = file.locate(&[
        duplicate,
        finding(0, "", "c", "row"),
        finding(0, "name", "c", "m"),
        finding(0, "password", "c", "m"),
        finding(0, "title", "c", "m"),
        finding(1, "is_sso_user", "c", "m"),
        finding(1, "lastname", "c", "is missing"),
        finding(1, "pasword", "unknown_field", "is unknown"),
        finding(1, "must_change_password", "c", "m"),
        finding(2, "", "c", "m"),
        finding(7, "name", "c", "outside"),
        finding(1, "hunter2?", "c", "m"),
    ]);
    let rows: Vec<String> = located
        .iter()
        .map(|found| {
            let place = found.line.map_or_else(|| "-".to_owned(), |line| format!("{line}:{}", found.column.unwrap()));
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            format!("{place} {} {} {}", text(&found.field), text(&found.value), found.message)
        })
        .collect();
    assert_eq!(
        rows,
        [
            "2:5 - - row",
            "2:12 name Ann m",
            "2:56 password - m",
            "2:79 title *p m",
            "3:5 lastname - is missing",
            "3:5 - - m",
            "4:12 email ann@example.com the same address as line 2",
            "5:18 is_sso_user WAHR m",
            "6:5 pasword - is unknown",
            "7:27 must_change_password - m",
            "8:5 - - m",
            "- name - outside",
        ]
    );
    assert_eq!(located[0].code, "c");
    let Err(FileError::Form(form)) = parse(FileFormat::Csv, "name,email,is_sso_user\nAnn,hunter2\n") else {
        panic!("accepted")
    };
    let message =
        "this row has 2 cells, but the header has 3; leave the cell of a missing value empty, but write its separator";
    let general = LocatedFinding::general("invalid_file", message.to_owned());
    assert_eq!(form.locate(), [LocatedFinding { line: Some(2), column: Some(1), ..general }]);
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
