//! CSV.

use serde_json::json;

use super::*;

const COLUMNS: &str = "= help: the columns are name, email, password, is_sso_user, lastname, title, password_hash, \
                       must_change_password and permission_level";
const HEADER: &str = "name,email,password,is_sso_user,title\n";

fn rows(text: &str) -> Value {
    super::rows(FileFormat::Csv, text)
}

fn errors(text: &str) -> String {
    super::errors(FileFormat::Csv, text)
}

fn rejected(text: &str) -> String {
    summary(&errors(text))
}

#[test]
fn the_help_names_all_columns() {
    let (last, first) = UserField::NEW_USER.split_last().unwrap();
    assert_eq!(COLUMNS, format!("= help: the columns are {} and {last}", UserField::names(first)));
}

#[test]
fn empty_cells_are_missing_fields() {
    assert_eq!(
        rows(&format!("{HEADER}Ann,ann@example.com,hunter2,false,\n,,\"\",,  \n")),
        json!([
            {"name": "Ann", "email": "ann@example.com", "password": "hunter2", "is_sso_user": false},
            {"title": "  "},
        ])
    );
    assert_eq!(rows(HEADER), json!([]));
}

#[test]
fn quoted_cells_may_contain_separators_quotes_and_line_breaks() {
    let due = json!([
        {"name": "Doe, \"Ann\"", "email": "a\nb\r\nc", "is_sso_user": true, "title": "007"},
        {"name": "\"", "email": "x", "is_sso_user": false},
    ]);
    let text =
        "name,email,is_sso_user,title\n\"Doe, \"\"Ann\"\"\",\"a\nb\r\nc\",true,007\n\"\"\"\",\"x\",\"false\",\"\"";
    assert_eq!(rows(text), due);
    assert_eq!(rows(&format!("{text}\n\n\n")), due);
}

#[test]
fn all_line_endings_and_a_byte_order_mark_are_accepted() {
    let due =
        json!([{"name": "A", "email": "a", "is_sso_user": true}, {"name": "B", "email": "b", "is_sso_user": true}]);
    for end in ["\n", "\r\n", "\r"] {
        let text = ["name,email,is_sso_user", "A,a,1", "B,b,1", ""].join(end);
        assert_eq!(rows(&text), due);
        assert_eq!(rows(&format!("\u{feff}{text}")), due);
    }
}

#[test]
fn flags_have_several_spellings() {
    for (words, value) in [
        (["true", "YES", "On", "1"], Some(true)),
        (["False", "no", "OFF", "0"], Some(false)),
        (["y", " true", "wahr", "01"], None),
    ] {
        for word in words {
            let value = value.map_or(json!(word), Value::Bool);
            assert_eq!(
                rows(&format!("name,email,is_sso_user,must_change_password,title\nno,1,{word},{word},{word}\n")),
                json!([{"name": "no", "email": "1", "is_sso_user": value, "must_change_password": value, "title": word}])
            );
        }
    }
}

#[test]
fn the_header_sets_the_separator() {
    let due = json!([{"name": "A,B", "email": "a;b", "is_sso_user": true}]);
    assert_eq!(rows("name;email;is_sso_user\nA,B;\"a;b\";true\n"), due);
    assert_eq!(rows("# a, comment\n\"name\"\temail\tis_sso_user\nA,B\ta;b\ttrue\n"), due);
}

#[test]
fn comments_and_empty_lines_are_allowed_above_the_header() {
    let text = "\n# name,email\r\n#\n \n name , email,is_sso_user \nA,a,1\n";
    assert_eq!(rows(text), json!([{"name": "A", "email": "a", "is_sso_user": true}]));
    assert_eq!(
        rejected("name,email,is_sso_user\n# no\n"),
        "error: this row has 1 cell, but the header has 3\n--> 2:1\n= help: comments are only allowed above the header"
    );
}

#[test]
fn findings_point_to_cells() {
    let text =
        format!("{HEADER}Ann,ann@example.com,hunter2,false,Boss\n\"Bo\nBo\",bo,\"hunter\n2\",no,\"Head, of\"\n,,,,x\n");
    let file = parse(FileFormat::Csv, &text).unwrap();
    assert_eq!(
        file.render(
            &[
                finding(0, "email", "c", "m"),
                finding(0, "password", "c", "m"),
                finding(0, "lastname", "c", "m"),
                finding(1, "title", "c", "m"),
                RowFinding { other_index: Some(0), ..finding(2, "email", "c", "again") },
            ],
            false
        ),
        "\
error[c]: lastname: m
 --> users:2:1
  |
2 | Ann,ann@example.com,*******,false,Boss
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error[c]: email: m
 --> users:2:5
  |
2 | Ann,ann@example.com,*******,false,Boss
  |     ^^^^^^^^^^^^^^^

error[c]: password: m
 --> users:2:21
  |
2 | Ann,ann@example.com,*******,false,Boss
  |                     ^^^^^^^

error[c]: title: m
 --> users:5:7
  |
5 | ****************
  |       ^^^^^^^^^^

error[c]: email: again
 --> users:6:2
  |
6 | ,,,,x
  |  ^
  |
 ::: users:2:5
  |
2 | Ann,ann@example.com,*******,false,Boss
  |     --------------- first used here
"
    );
}

#[test]
fn a_row_that_may_be_shifted_is_hidden() {
    let text = format!("{HEADER}Ann,Doe,ann@example.com,hunter2,false\n");
    let file = parse(FileFormat::Csv, &text).unwrap();
    let output = file.render(&[finding(0, "is_sso_user", "wrong_type", "must be true or false, not text")], false);
    assert_eq!(
        output,
        "\
error[wrong_type]: is_sso_user: must be true or false, not text
 --> users:2:25
  |
2 | *************************************
  |                         ^^^^^^^
"
    );
}

#[test]
fn all_column_errors_are_reported_together() {
    let text = errors(
        "name,Email,department,,title,title\nAnn,ann@example.com,hunter2,,x\nBo,bo,hunter2,,x,x,x\n\nCy,cy,IT,,x,x\n",
    );
    assert_eq!(
        summary(&text),
        format!(
            "\
error: missing columns `email` and `is_sso_user`
--> 1:1
error: unknown column `Email`
--> 1:6
{COLUMNS}
error: unknown column `department`
--> 1:12
{COLUMNS}
error: this column has no name
--> 1:23
{COLUMNS}
error: duplicate column `title`
--> 1:30
::: 1:24
error: this row has 5 cells, but the header has 6
--> 2:1
= help: leave the cell of a missing value empty, but write its separator
error: this row has 7 cells, but the header has 6
--> 3:1
= help: put text that contains the separator in double quotes"
        )
    );
    assert!(
        text.contains("\n1 | name,Email,department,,title,title\n  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"),
        "{text}"
    );
    for hidden in ["2 | ******************************", "3 | ********************"] {
        assert!(text.contains(&format!("\n{hidden}\n")), "{text}");
    }
}

#[test]
fn an_unknown_column_is_named_if_the_first_row_is_certainly_a_header() {
    let header = "name,email,is_sso_user,department";
    let named = format!("error: unknown column `department`\n--> 1:24\n{COLUMNS}");
    assert_eq!(rejected(&format!("{header}\nAnn,ann@example.com,false,IT\n")), named);
    assert_eq!(rejected(&format!("{header}\n")), named);
    let odd = "name,email,is_sso_user,hunter2";
    assert_eq!(rejected(&format!("{odd}\n")), format!("error: unknown column\n--> 1:24\n{COLUMNS}"));
    // The line break after the header is missing.
    let text = errors("name,email,password,is_sso_user,titleAnn,a@example.com,hunter2,false,x\nBo,b,c,false,x\n");
    assert!(!text.contains("hunter") && text.contains("error: unknown column\n"), "{text}");
}

#[test]
fn a_file_without_a_header_is_rejected_and_hidden() {
    let help = "= help: the first row names the columns, such as: name,email,password,is_sso_user,lastname,title";
    let text = errors("Ann,ann@example.com,hunter2,false\nBo,bo@example.com,hunter3,false\n");
    assert_eq!(summary(&text), format!("error: missing columns `name`, `email` and `is_sso_user`\n--> 1:1\n{help}"));
    assert!(text.contains("1 | *********************************\n"), "{text}");
    assert_eq!(
        rejected("create_users: []\n"),
        format!("error: missing columns `name`, `email` and `is_sso_user`\n--> 1:1\n{help}")
    );
    assert_eq!(rejected(""), format!("error: the file is empty\n--> 1:1\n{help}"));
    assert_eq!(rejected("# only this\n\n"), format!("error: the file is empty\n--> 1:1\n{help}"));
}

#[test]
fn an_unclosed_quote_is_located() {
    assert_eq!(
        errors(&format!("{HEADER}Ann,a,x,false,x\nBo,b,\"hunter2,false,x\nCy,c,hunter3,false,x\n")),
        "\
error: unclosed quote
 --> users:3:6
  |
3 | *********************
  |      ^"
    );
    assert_eq!(rejected("name,\"email\n"), "error: unclosed quote\n--> 1:6");
}

#[test]
fn parsing_continues_after_a_misplaced_quote() {
    let text = errors(&format!(
        "{HEADER}Ann \"hunter2\",a,b,false,x\n\"Bo\" hunter3,b,x,false,x\nCy,c,hunter4,false\n\"Di,d,hunter5,false,x\n"
    ));
    assert_eq!(
        summary(&text),
        "\
error: quote inside an unquoted cell
--> 2:5
= help: put the whole cell in double quotes, and write \"\" for a quote inside
error: text after the closing quote of a cell
--> 3:5
::: 3:1
= help: write \"\" for a quote inside a cell
error: this row has 4 cells, but the header has 5
--> 4:1
= help: leave the cell of a missing value empty, but write its separator
error: unclosed quote
--> 5:1"
    );
    assert!(!text.contains("hunter"), "{text}");
}

#[test]
fn the_numbers_of_errors_and_cells_are_limited() {
    let text = rejected(&format!("{HEADER}{}", "a,b\n".repeat(1000)));
    assert_eq!(text.matches("this row has 2 cells").count(), 100);
    assert!(text.ends_with("error: too many errors; the rest of the file was not read\n--> 102:1"), "{text}");
    let text = rejected(&format!("{HEADER}x{}\n", ",".repeat(100_000)));
    assert!(text.starts_with("error: this row has 256 cells or more, but the header has 5\n"), "{text}");
}

#[test]
fn artifacts_of_spreadsheets_are_ignored() {
    let due = json!([
        {"name": "A", "email": "a", "is_sso_user": true},
        {"name": "B", "email": "b", "is_sso_user": true},
    ]);
    assert_eq!(rows("name,email,is_sso_user,,\nA,a,1,,\n,,,,\n,\nB,b,1,\"\",\n,,,,\n"), due);
    for text in [
        "sep=;\r\nname;email;is_sso_user\r\nA;a;1\r\nB;b;1\r\n",
        "\"SEP=|\"\n# x\nname|email|is_sso_user\nA|a|1\nB|b|1",
    ] {
        assert_eq!(rows(text), due);
    }
    let text = "sep=,\nname,email,is_sso_user,\n,,,\nAnn,ann@example.com,no,\n";
    let file = parse(FileFormat::Csv, text).unwrap();
    assert!(file.render(&[finding(0, "email", "c", "m")], false).contains("--> users:4:5\n"));
}

#[test]
fn a_nameless_column_with_values_is_reported_once() {
    let text = errors("name,email,is_sso_user,,\nA,a,1,,\nB,b,1,,hunter2\nC,c,1,,hunter3\nD,d\n");
    assert_eq!(
        summary(&text),
        format!(
            "error: this column has no name\n--> 1:25\n{COLUMNS}\n\
             error: this row has 2 cells, but the header has 3\n--> 5:1\n\
             = help: leave the cell of a missing value empty, but write its separator"
        )
    );
    assert!(!text.contains("hunter"), "{text}");
}

#[test]
fn a_header_in_other_words_reports_missing_and_unknown_columns() {
    let first = "= help: the first row names the columns, such as: name,email,password,is_sso_user,lastname,title";
    let missing = "error: missing columns `name`, `email` and `is_sso_user`\n--> 1:1";
    for text in ["Vorname;E-Mail;SSO\nAnn;ann@example.com;nein\n", "Vorname,E-Mail,SSO\n"] {
        assert_eq!(
            rejected(text),
            format!(
                "error: unknown column `Vorname`\n--> 1:1\n{COLUMNS}\n{missing}\n{first}\n\
                 error: unknown column `E-Mail`\n--> 1:9\n{COLUMNS}\nerror: unknown column `SSO`\n--> 1:16\n{COLUMNS}"
            )
        );
    }
    for text in ["Ann,a,hunter2,no\n", "Ann,Doe,secret,false\n", "Ann,xkTrQwz\n", "Ann,ann@example.com,secret\n"] {
        assert_eq!(rejected(text), format!("{missing}\n{first}"));
        let shown = errors(text);
        assert!(!shown.contains("hunter") && !shown.contains(": secret") && !shown.contains("Ann"), "{shown}");
    }
    let named = rejected("name,Address2\nAnn,x\n");
    assert!(named.contains("error: unknown column `Address2`\n"), "{named}");
}

#[test]
fn more_than_ten_unknown_columns_are_one_error() {
    let columns: Vec<_> = (b'a'..=b'k').map(|c| format!("col {}", char::from(c))).collect();
    let header = format!("name,email,is_sso_user,{}", columns.join(","));
    assert_eq!(
        rejected(&format!("{header}\n")),
        format!(
            "error: 11 unknown columns: `col a`, `col b`, `col c`, `col d`, `col e` and 6 more\n--> 1:24\n{COLUMNS}"
        )
    );
    let header = format!("name,email,is_sso_user{},title", ",".repeat(12));
    assert_eq!(rejected(&format!("{header}\n")), format!("error: 12 columns have no name\n--> 1:24\n{COLUMNS}"));
}
