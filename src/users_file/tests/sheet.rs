//! Sheets: files of every kind that are corrected on pages.

use proptest::prelude::*;
use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};

use crate::users_file::{FileFormat, Meaning, Repair, Sheet, SheetError, SheetFinding, Shown, UsersFile};

fn sheet(text: &str) -> Sheet {
    Sheet::read(Some("people.csv"), text.as_bytes(), 100).unwrap()
}

fn list(sheet: &Sheet) -> Value {
    serde_json::from_slice(&sheet.list().json).unwrap()
}

#[test]
fn a_workbook_is_read_with_foreign_columns() {
    let mut workbook = Workbook::new();
    workbook.add_worksheet().write_string(0, 0, "notes").unwrap();
    let people = workbook.add_worksheet();
    for (column, name) in ["Vorname", "E-Mail", "SSO"].into_iter().enumerate() {
        people.write_string(0, u16::try_from(column).unwrap(), name).unwrap();
    }
    people.write_string(2, 0, "Zoë").unwrap();
    people.write_string(2, 1, "zoe@example.com").unwrap();
    people.write_boolean(2, 2, true).unwrap();
    let read = Sheet::read(None, &workbook.save_to_buffer().unwrap(), 100).unwrap();
    assert_eq!((read.format, read.line(0), read.line_word()), (FileFormat::Xlsx, 3, "row"));
    assert_eq!(list(&read), json!([{"name": "Zoë", "email": "zoe@example.com", "is_sso_user": true}]));
}

#[test]
fn a_list_of_addresses_needs_no_header() {
    let read = sheet("Ada;ada@example.com\n\nEva;eva@example.com\n;\n");
    assert!(!read.has_header);
    assert_eq!(read.columns[1].meaning.text(), "email");
    assert_eq!((read.rows.len(), read.blank_rows, read.line(1)), (2, 1, 3));
    assert_eq!(list(&read), json!([{"email": "ada@example.com"}, {"email": "eva@example.com"}]));
}

#[test]
fn a_full_name_is_split_at_its_last_space() {
    let mut read = sheet("name,email\nAda King Lovelace,ada@example.com\nPlato,plato@example.com\n");
    read.columns[0].meaning = Meaning::FullName;
    read.default_sso = Some(true);
    let expected = json!([
        {"name": "Ada King", "lastname": "Lovelace", "email": "ada@example.com", "is_sso_user": true},
        {"name": "Plato", "email": "plato@example.com", "is_sso_user": true},
    ]);
    assert_eq!(list(&read), expected);
}

#[test]
fn corrections_are_in_the_list_and_can_be_undone() {
    let mut read = sheet("name,email,password\nAda,ada@example.com,hunter2\nEva,eva@example.com,\n");
    let file = list(&read);
    read.fix(0, "name", "Augusta".to_owned());
    read.fix(1, "name", "Eva".to_owned());
    assert_eq!(read.fixes.len(), 1, "the text of the file is no correction");
    let finding = SheetFinding {
        row: 0,
        field: Some("password".to_owned()),
        code: "password_too_short".to_owned(),
        message: String::new(),
        other: None,
    };
    assert_eq!(read.repair(&finding), Some(Repair::DropPassword));
    assert_eq!(read.shown(0, 2), Shown::Hidden);
    read.apply(&finding, &Repair::DropPassword);
    assert_eq!(read.shown(0, 2), Shown::Nothing);
    read.apply(&SheetFinding { row: 1, ..finding }, &Repair::LeaveOut);
    assert_eq!(list(&read), json!([{"name": "Augusta", "email": "ada@example.com", "is_sso_user": false}]));
    read.restore();
    assert_eq!(list(&read), file);
}

#[test]
fn every_row_is_counted_or_named() {
    let read = sheet(
        "name,email,is_sso_user\nAda,ada@example.com,true\nEva,Lien,eva@example.com,true\n,,\nKim,kim@example.com\n",
    );
    assert_eq!((read.rows.len(), read.blank_rows), (3, 1));
    let problems: Vec<_> = read.list().findings.into_iter().map(|finding| (finding.row, finding.message)).collect();
    assert_eq!(
        problems,
        [
            (1, "this row has 4 cells, but the header has 3".to_owned()),
            (2, "this row has 2 cells, but the header has 3".to_owned())
        ]
    );
    assert!(matches!(
        Sheet::read(None, b"name,email\n\"Ada,a@b.c\n", 100),
        Err(SheetError::Form(places)) if places.len() == 1 && places[0].line == Some(2)
    ));
}

fn quoted(cell: &str) -> String {
    format!("\"{}\"", cell.replace('"', "\"\""))
}

proptest! {
    /// The pages and the command line make the same list of the same file.
    #[test]
    fn a_sheet_stands_for_the_list_that_the_command_line_sends(
        rows in prop::collection::vec(
            ("[ a\"'=+;\u{200b}é]{0,5}", "[a@.]{0,5}", "[ ap1\"]{0,6}", "(true|no|WAHR| 1|maybe|)", "[ x7]{0,3}"), 1..6
        )
    ) {
        let mut text = "name,email,password,is_sso_user,attributes.team\n".to_owned();
        for (name, email, password, flag, team) in &rows {
            let cells = [name.as_str(), email, password, flag, team].map(quoted);
            text.push_str(&(cells.join(",") + "\n"));
        }
        let Ok(file) = UsersFile::parse("people.csv", text.clone(), FileFormat::Csv) else { return Ok(()) };
        let Ok(mut read) = Sheet::read(None, text.as_bytes(), 100) else {
            prop_assert_eq!(file.len(), 0);
            return Ok(());
        };
        read.default_sso = None;
        let sent = Value::Array(file.rows().cloned().collect());
        prop_assert_eq!(list(&read), sent);
    }

    #[test]
    fn reading_a_sheet_does_not_panic(text in "[a-c,;\"\n@{}\\[\\]: ]{0,80}") {
        if let Ok(read) = Sheet::read(None, text.as_bytes(), 5) {
            let list = read.list();
            prop_assert_eq!(list.rows.len() + list.findings.len(), read.rows.len());
        }
    }
}
