//! CSV.

use serde_json::json;

use super::*;

const COLUMNS: &str = "= help: the columns are name, email, password, is_sso_user, lastname, title, password_hash, \
                       must_change_password, permission_level, expires_at and attributes.KEY";
const UNKNOWN: &str = "= help: the columns are name, email, password, is_sso_user, lastname, title, password_hash, \
                       must_change_password, permission_level, expires_at and attributes.KEY; to leave a column out, add `--ignore COLUMN`";
const HEADER: &str = "name,email,password,is_sso_user,title\n";

fn rows(text: &str) -> Value {
    super::rows(FileFormat::Csv, text)
}

fn errors(text: &str) -> String {
    super::errors(FileFormat::Csv, text)
}

fn mapped(
    contents: &'static Contents,
    mappings: &[&str],
    ignored: &[&str],
    text: &str,
) -> Result<UsersFile, FileError> {
    let mut columns = ColumnMap::default();
    mappings.iter().for_each(|mapping| columns.map(contents, mapping).unwrap());
    ignored.iter().for_each(|column| columns.ignore(column).unwrap());
    UsersFile::from_text("users".to_owned(), text.to_owned(), FileFormat::Csv, contents, &columns)
}

fn rejected(text: &str) -> String {
    summary(&errors(text))
}

#[test]
fn the_help_names_all_columns() {
    let (last, first) = UserField::NEW_USER.split_last().unwrap();
    assert_eq!(UNKNOWN, format!("{COLUMNS}; to leave a column out, add `--ignore COLUMN`"));
    assert_eq!(COLUMNS, format!("= help: the columns are {} and {last}.KEY", UserField::names(first)));
}

#[test]
fn empty_cells_are_missing_fields() {
    assert_eq!(
        rows(&format!("{HEADER}Ann,ann@example.com,hunter2,false,\nBo,\"\",\u{a0}, ,  \n")),
        json!([
            {"name": "Ann", "email": "ann@example.com", "password": "hunter2", "is_sso_user": false},
            {"name": "Bo"},
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
        ("true YES On 1 t Y WAHR Vrai VERDADERO vero VERDADEIRO WAAR PRAWDA ИСТИНА", Some(true)),
        ("False no OFF 0 f N FALSCH Faux FALSO ONWAAR FAŁSZ ЛОЖЬ", Some(false)),
        ("ja oui 01 x -1 1.0 'true ✓", None),
    ] {
        for word in words.split(' ') {
            let value = value.map_or(json!(word), Value::Bool);
            assert_eq!(
                rows(&format!("name,email,is_sso_user,must_change_password,title\nno,1,{word},{word},{word}\n")),
                json!([{"name": "no", "email": "1", "is_sso_user": value, "must_change_password": value, "title": word}])
            );
        }
    }
}

#[test]
fn blanks_around_a_cell_are_dropped_but_not_around_a_password() {
    assert_eq!(
        rows(
            "name, email, password, is_sso_user, permission_level\n\
             Ada, ada@example.com, x , true , owner\n\
             \u{feff}Bo\u{2060} ,\u{200b}bo@example.com\u{a0},\u{3000},\ttrue,\n\
             \" Cy \",\u{200e}cy@example.com\u{2028},\" x\",TRUE\u{a0},\" \"\n"
        ),
        json!([
            {"name": "Ada", "email": "ada@example.com", "password": " x ", "is_sso_user": true,
             "permission_level": "owner"},
            {"name": "Bo", "email": "bo@example.com", "is_sso_user": true},
            {"name": "Cy", "email": "cy@example.com", "password": " x", "is_sso_user": true},
        ])
    );
}

#[test]
fn a_row_of_blank_cells_is_no_row() {
    let due = json!([{"name": "Ada", "email": "ada@example.com", "is_sso_user": true}]);
    for end in [
        " , , \n\t,,\n",
        "  \n",
        "\u{a0},\u{a0},\u{200b}\n",
        "\" \",\"\",\"\"\n",
        ";;\n",
        " ; ;",
        "\u{1a}",
        ",,\u{1a}",
        "\u{1a}\r\n",
    ] {
        assert_eq!(rows(&format!("name,email,is_sso_user\nAda,ada@example.com,true\n{end}")), due, "{end:?}");
    }
    assert_eq!(rows("name,email,is_sso_user\nAda,ada@example.com,true\u{1a}"), due);
    assert_eq!(rows("name,email,is_sso_user, ,\nAda,ada@example.com,true, ,\u{a0}\n"), due);
}

#[test]
fn the_header_sets_the_separator() {
    let due = json!([{"name": "A,B", "email": "a;b", "is_sso_user": true}]);
    assert_eq!(rows("name;email;is_sso_user\nA,B;\"a;b\";true\n"), due);
    assert_eq!(rows("# a, comment\n\"name\"\temail\tis_sso_user\nA,B\ta;b\ttrue\n"), due);
    assert_eq!(rows("name | email | is_sso_user\nA,B | a;b | true\n"), due);
}

#[test]
fn the_separator_is_the_one_by_which_the_most_columns_are_known() {
    assert_eq!(
        rejected("name;email;is_sso_user;\"title, dept\"\nAda;ada@example.com;true;x\n"),
        format!("error: unknown column\n--> 1:24\n{UNKNOWN}")
    );
    assert_eq!(
        rejected("name\temail\tis_sso_user\tSize, in m;cm\nAda\tada@example.com\ttrue\tx\n"),
        format!("error: unknown column\n--> 1:24\n{UNKNOWN}")
    );
}

#[test]
fn columns_are_known_regardless_of_case_and_invisible_characters() {
    let due = json!([{"name": "Ada", "email": "ada@example.com", "is_sso_user": true}]);
    for header in [
        "Name,Email,Is_sso_user",
        "NAME,EMAIL,IS_SSO_USER",
        "\u{200b}name,email,is_sso_user",
        "\u{feff}\u{feff}name,email,is_sso_user",
        "\u{a0}name\u{a0},e\u{ad}mail,is_sso_user\u{2060}\u{200e}",
        "\" Name\t\",email ,is_sso_user",
    ] {
        assert_eq!(rows(&format!("{header}\nAda,ada@example.com,true\n")), due, "{header:?}");
    }
    assert_eq!(
        rejected("Email,email,name,is_sso_user\na,b,c,true\n"),
        "error: duplicate column `email`\n--> 1:7\n::: 1:1"
    );
}

#[test]
fn the_column_that_is_meant_is_suggested() {
    for (name, field) in [
        ("E-Mail", "email"),
        ("e mail", "email"),
        ("Email Address", "email"),
        ("Mail", "email"),
        ("pasword", "password"),
        ("First Name", "name"),
        ("givenName", "name"),
        ("Vorname", "name"),
        ("nme", "name"),
        ("Last Name", "lastname"),
        ("last-name", "lastname"),
        ("Surname", "lastname"),
        ("SSO", "is_sso_user"),
        ("Is SSO user", "is_sso_user"),
        ("passwort", "password"),
        ("pasword hash", "password_hash"),
        ("Job Title", "title"),
        ("Role", "permission_level"),
        ("must change", "must_change_password"),
    ] {
        let text = rejected(&format!("{name}\n"));
        assert!(
            text.contains(&format!("error: unknown column `{name}`\n--> 1:1\n= help: did you mean `{field}`?")),
            "{text}"
        );
    }
    // The column that is meant is there already, or none is near.
    for name in ["E-Mail", "Department", "x"] {
        assert_eq!(
            rejected(&format!("name,email,is_sso_user,{name}\nA,a,no,x\n")),
            format!("error: unknown column `{name}`\n--> 1:24\n{UNKNOWN}")
        );
    }
    // Nothing is said about a name that may be a password.
    let text = rejected("name,email,is_sso_user,passw0rd\n");
    assert_eq!(text, format!("error: unknown column\n--> 1:24\n{UNKNOWN}"));
    let text = mapped(Contents::NAMED, &[], &[], "Mail\nx\n").expect_err("unknown").to_string();
    assert!(text.contains("unknown column `Mail`") && text.contains("did you mean `user`?"), "{text}");
}

#[test]
fn a_list_of_users_can_be_a_list_or_export_of_muster() {
    let named = |contents, text: &str| -> Vec<Value> {
        mapped(contents, &[], &[], text).map(|file| file.rows().cloned().collect()).unwrap_or_default()
    };
    for contents in [Contents::NAMED, Contents::MEMBERS] {
        for (text, user) in [
            (
                "email,name,user_id,status,permission,created\na@x.org,Ada,usr_1,active,owner,2026-11-30T10:00:00Z\n",
                "usr_1",
            ),
            (
                "user,email,name,lastname,title,is_sso_user,permission_level,expires_at,status,attributes.team\n\
                 usr_2,a@x.org,Ada,L,T,false,owner,,active,red\n",
                "usr_2",
            ),
            ("Name;Email\nAda;a@x.org\n", "a@x.org"),
        ] {
            assert_eq!(named(contents, text), [json!({ "user": user })], "{text}");
        }
    }
    // Rejected: the ID of a membership, columns that no export of muster has, and columns of files that change users.
    for (contents, text) in [
        (Contents::NAMED, "id,name\nide_1,Ada\n"),
        (Contents::NAMED, "user,department\na@x.org,x\n"),
        (Contents::NAMED, "user,password\na@x.org,x\n"),
        (Contents::CHANGED, "email,name\na@x.org,Ada\n"),
    ] {
        assert!(mapped(contents, &[], &[], text).is_err(), "{text}");
    }
    // A column that was left out on request names nobody.
    let file = mapped(Contents::NAMED, &[], &["user_id"], "user_id,email\nusr_1,a@x.org\n").unwrap();
    assert_eq!(file.rows().collect::<Vec<_>>(), [&json!({ "user": "a@x.org" })]);
}

#[test]
fn comments_and_empty_lines_are_allowed_above_the_header() {
    let text = "\n# name,email\r\n#\n \n name , email,is_sso_user \nA,a,1\n";
    let due = json!([{"name": "A", "email": "a", "is_sso_user": true}]);
    assert_eq!(rows(text), due);
    for above in [
        "\"# notes, and more\",,\n",
        "\u{feff}\"# say \"\"hi\"\"\",,\r\n",
        "\" # two\nlines, in quotes\",\"x\ny\",\n",
        "\"# unclosed\n",
        "# notes,,\n",
        " # notes\n",
        ",,\n",
        "\"\",\" \",\n",
        ";;;\n",
        "\t|\n\u{a0}\n",
    ] {
        assert_eq!(rows(&format!("{above}name,email,is_sso_user\nA,a,1\n")), due, "{above:?}");
        assert_eq!(rows(&format!("{above}{above}name;email;is_sso_user\nA;a;1\n")), due, "{above:?}");
    }
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
  |
  = help: write true, yes, on or 1, or else false, no, off or 0
"
    );
}

#[test]
fn a_row_with_an_invalid_flag_is_shown_if_no_column_can_have_a_secret() {
    let text = "name,email,is_sso_user,title\nAnn,ann@example,perhaps,Boss\n";
    let file = parse(FileFormat::Csv, text).unwrap();
    let output = file.render(&[finding(0, "email", "email_invalid", "not a valid e-mail address")], false);
    assert!(output.contains("2 | Ann,ann@example,perhaps,Boss\n"), "{output}");
    for column in ["password", "password_hash", "must_change_password"] {
        let text = text.replace("title", column).replace("Boss", "");
        let file = parse(FileFormat::Csv, &text).unwrap();
        let output = file.render(&[finding(0, "email", "email_invalid", "not a valid e-mail address")], false);
        assert!(output.contains("2 | ****") && !output.contains("Ann"), "{column}: {output}");
    }
}

#[test]
fn all_column_errors_are_reported_together() {
    let text = errors(
        "name,E-Mail,department,,title,title\nAnn,ann@example.com,hunter2,,x\nBo,bo,hunter2,,x,x,x\n\nCy,cy,IT,,x,x\n",
    );
    assert_eq!(
        summary(&text),
        format!(
            "\
error: missing columns `email` and `is_sso_user`
--> 1:1
error: unknown column `E-Mail`
--> 1:6
= help: did you mean `email`? rename the column, or add `--map E-Mail=email`
error: unknown column `department`
--> 1:13
{UNKNOWN}
error: this column has no name
--> 1:24
{COLUMNS}
error: duplicate column `title`
--> 1:31
::: 1:25
error: this row has 5 cells, but the header has 6
--> 2:1
= help: leave the cell of a missing value empty, but write its separator
error: this row has 7 cells, but the header has 6
--> 3:1
= help: put text that contains the separator in double quotes"
        )
    );
    assert!(
        text.contains("\n1 | name,E-Mail,department,,title,title\n  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"),
        "{text}"
    );
    for hidden in ["2 | ******************************", "3 | ********************"] {
        assert!(text.contains(&format!("\n{hidden}\n")), "{text}");
    }
}

#[test]
fn an_unknown_column_is_named_if_the_first_row_is_certainly_a_header() {
    let header = "name,email,is_sso_user,department";
    let named = format!("error: unknown column `department`\n--> 1:24\n{UNKNOWN}");
    assert_eq!(rejected(&format!("{header}\nAnn,ann@example.com,false,IT\n")), named);
    assert_eq!(rejected(&format!("{header}\n")), named);
    let odd = "name,email,is_sso_user,hunter2";
    assert_eq!(rejected(&format!("{odd}\n")), format!("error: unknown column\n--> 1:24\n{UNKNOWN}"));
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
                "error: unknown column `Vorname`\n--> 1:1\n= help: did you mean `name`? rename the column, or add \
                 `--map Vorname=name`\n{missing}\n{first}\n\
                 error: unknown column `E-Mail`\n--> 1:9\n= help: did you mean `email`? rename the column, or add \
                 `--map E-Mail=email`\n\
                 error: unknown column `SSO`\n--> 1:16\n= help: did you mean `is_sso_user`? rename the column, or add \
                 `--map SSO=is_sso_user`"
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
            "error: 11 unknown columns: `col a`, `col b`, `col c`, `col d`, `col e` and 6 more\n--> 1:24\n{UNKNOWN}"
        )
    );
    let header = format!("name,email,is_sso_user{},title", ",".repeat(12));
    assert_eq!(rejected(&format!("{header}\n")), format!("error: 12 columns have no name\n--> 1:24\n{COLUMNS}"));
}

#[test]
fn columns_are_mapped_and_ignored() {
    let text =
        "Vorname;NACHNAME ;E-Mail;Kennung;SSO;Abteilung;name\nAda;Byron;ada@example.com;hunter2;WAHR;hunter3;Ada B.\n";
    let mappings = ["Vorname=name", " nachname = Lastname ", "E-Mail=email", "Kennung=password", "sso=is_sso_user"];
    let file = mapped(Contents::CREATED, &mappings, &["abteilung", "Name"], text).unwrap();
    let due = json!({"name": "Ada", "lastname": "Byron", "email": "ada@example.com", "password": "hunter2",
                     "is_sso_user": true});
    assert_eq!(file.rows().collect::<Vec<_>>(), [&due]);
    let shown = file.render(&[finding(0, "email", "c", "m")], false);
    assert!(shown.contains("\n2 | Ada;Byron;ada@example.com;*******;WAHR;*******;******\n"), "{shown}");
    let file =
        mapped(Contents::CHANGED, &["Mail, private=user"], &[], "\"Mail, private\",title\na@b.c,Boss\n").unwrap();
    assert_eq!(file.rows().collect::<Vec<_>>(), [&json!({"user": "a@b.c", "title": "Boss"})]);
}

#[test]
fn the_apostrophe_that_muster_writes_before_a_formula_is_taken_away() {
    let text =
        "name,email,is_sso_user,password,title\n'=Ada,'+ada@example.com,true,'=hunter2,''-1\n'Bo,'bo@x.org,true,,'\n";
    assert_eq!(
        rows(text),
        json!([
            {"name": "=Ada", "email": "+ada@example.com", "is_sso_user": true, "password": "'=hunter2", "title": "'-1"},
            {"name": "'Bo", "email": "'bo@x.org", "is_sso_user": true, "title": "'"},
        ])
    );
}

#[test]
fn a_mapping_that_does_not_fit_the_file_is_one_error() {
    let text = "Vorname,email,is_sso_user,Kennung\nAda,ada@example.com,true,hunter2\n";
    let rejected = |mappings: &[&str], ignored: &[&str]| {
        let text = mapped(Contents::CREATED, mappings, ignored, text).expect_err("must be rejected").to_string();
        assert!(!text.contains("hunter"), "{text}");
        summary(&text)
    };
    assert_eq!(
        rejected(&["Vornamen=name", "Kennung=password"], &[]),
        "error: missing column `Vornamen`, which is mapped to `name`\n--> 1:1"
    );
    assert_eq!(
        rejected(&["Vorname=name"], &["Kennungen"]),
        "error: missing column `Kennungen`, which is to be ignored\n--> 1:1"
    );
    assert_eq!(rejected(&["Vorname=name", "Kennung=email"], &[]), "error: duplicate column `email`\n--> 1:27\n::: 1:9");
    let text = mapped(Contents::CREATED, &["Vorname=name"], &[], "Ann,hunter2,Xy7\n").expect_err("data").to_string();
    assert!(text.contains("1 | ***************\n") && text.contains("missing column `Vorname`"), "{text}");
}

#[test]
fn a_mapping_that_contradicts_itself_is_rejected() {
    let error = |mappings: &[&str], ignored: &str| {
        let mut columns = ColumnMap::default();
        let mapped = mappings.iter().try_for_each(|mapping| columns.map(Contents::CREATED, mapping));
        mapped.and_then(|()| columns.ignore(ignored)).expect_err("must be rejected").to_string()
    };
    let fields = "name, email, password, is_sso_user, lastname, title, password_hash, must_change_password, \
                  permission_level, expires_at, attributes.KEY";
    for (mappings, ignored, due) in [
        (&["Vorname"][..], "", "`Vorname` is not of the form COLUMN=FIELD"),
        (&["=name"], "", "`=name` is not of the form COLUMN=FIELD"),
        (&["Vorname= "], "", "`Vorname= ` is not of the form COLUMN=FIELD"),
        (&["Vorname=nme"], "", &format!("unknown field `nme`; the fields are {fields}")),
        (&["A=name", "a =email"], "", "column `a` is given twice"),
        (&["A=name"], "A", "column `A` is given twice"),
    ] {
        assert_eq!(error(mappings, ignored), due);
    }
}

#[test]
fn attributes_have_a_column_each() {
    let header = "name,email,attributes.department,Attributes.Floor,ATTRIBUTES.remote,is_sso_user\n";
    assert_eq!(
        rows(&format!(
            "{header}Ann,a@x.org, Research ,3,true,yes\nBo,b@x.org,\"\"\"3\"\"\",007,,no\nCy,c@x.org,,,,no\n"
        )),
        json!([
            {"name": "Ann", "email": "a@x.org", "is_sso_user": true,
                "attributes": {"department": "Research", "Floor": 3, "remote": true}},
            {"name": "Bo", "email": "b@x.org", "is_sso_user": false, "attributes": {"department": "3", "Floor": "007"}},
            {"name": "Cy", "email": "c@x.org", "is_sso_user": false},
        ])
    );
    let found =
        rejected("name,email,is_sso_user,attributes.a,attributes.a,attributes.b c,attributes\nAnn,a@x.org,no,,,,\n");
    for error in ["duplicate column `attributes.a`", "unknown column `attributes.b c`", "unknown column `attributes`"] {
        assert!(found.contains(error), "{found}");
    }
    let text = "name,email,is_sso_user,A,B\nAnn,a@x.org,no,1,2\n";
    let twice = mapped(Contents::CREATED, &["A=attributes.a", "B=attributes.a"], &[], text).expect_err("twice");
    assert_eq!(summary(&twice.to_string()), "error: duplicate column `attributes.a`\n--> 1:26\n::: 1:24");
    let text = "name,email,is_sso_user,Abteilung,Etage\nAnn,a@x.org,no,Research,3\n";
    let mappings = ["Abteilung=attributes.department", "Etage=attributes.floor"];
    let file = mapped(Contents::CREATED, &mappings, &[], text).unwrap();
    assert_eq!(file.rows().next().unwrap()["attributes"], json!({"department": "Research", "floor": 3}));
    let mut file = mapped(Contents::CHANGED, &[], &[], "user,attributes.a,attributes.b,title\nu@x.org,,1,\n").unwrap();
    file.clear_empty();
    let cleared = json!({"user": "u@x.org", "title": null, "attributes": {"a": null, "b": 1}});
    assert_eq!(file.rows().collect::<Vec<_>>(), [&cleared]);
}
