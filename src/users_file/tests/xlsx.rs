//! Workbooks of Excel.

use std::io::{Cursor, Write as _};

use proptest::collection;
use proptest::prelude::*;
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook, Worksheet};
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

/// A workbook with one sheet.
fn sheet(fill: impl FnOnce(&mut Worksheet)) -> Vec<u8> {
    let mut workbook = Workbook::new();
    fill(workbook.add_worksheet());
    workbook.save_to_buffer().unwrap()
}

/// Writes rows of text from `A1` on.
fn write(sheet: &mut Worksheet, rows: &[&[&str]]) {
    for (row, cells) in (0..).zip(rows) {
        for (column, cell) in (0..).zip(*cells).filter(|(_, cell)| !cell.is_empty()) {
            sheet.write(row, column, *cell).unwrap();
        }
    }
}

fn table(rows: &[&[&str]]) -> Vec<u8> {
    sheet(|sheet| write(sheet, rows))
}

/// A workbook whose only sheet has this XML in place of the cells, and these shared strings.
fn raw(cells: &str, strings: &str) -> Vec<u8> {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let packages = "http://schemas.openxmlformats.org/package/2006/relationships";
    let parts = [
        (
            "_rels/.rels",
            format!(
                "<Relationships xmlns=\"{packages}\"><Relationship Id=\"rId1\" Type=\"{kind}/officeDocument\" \
                 Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                "<workbook xmlns=\"{main}\" xmlns:r=\"{kind}\"><sheets><sheet name=\"Sheet1\" sheetId=\"1\" \
                 r:id=\"rId1\"/></sheets></workbook>"
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                "<Relationships xmlns=\"{packages}\"><Relationship Id=\"rId1\" Type=\"{kind}/worksheet\" \
                 Target=\"worksheets/sheet1.xml\"/></Relationships>"
            ),
        ),
        ("xl/sharedStrings.xml", strings.to_owned()),
        ("xl/worksheets/sheet1.xml", format!("<worksheet xmlns=\"{main}\"><sheetData>{cells}</sheetData></worksheet>")),
    ];
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, part) in parts.into_iter().filter(|(_, part)| !part.is_empty()) {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(head.as_bytes()).unwrap();
        archive.write_all(part.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A row of text cells in XML.
fn xml_row(number: usize, cells: &[&str]) -> String {
    let cells = ('A'..).zip(cells).filter(|(_, cell)| !cell.is_empty());
    let cells = cells.map(|(letter, cell)| {
        format!("<c r=\"{letter}{number}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">{cell}</t></is></c>")
    });
    format!("<row r=\"{number}\">{}</row>", cells.collect::<String>())
}

fn read_as(name: &str, bytes: &[u8], map: &ColumnMap) -> Result<UsersFile, FileError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let mut file = UsersFile::read(&path, None, Contents::CREATED, map);
    match &mut file {
        Ok(file) => file.document.path = name.to_owned(),
        Err(FileError::Form(form)) => form.document.path = name.to_owned(),
        Err(FileError::OtherKind { path, .. } | FileError::Workbook { path, .. } | FileError::NoSheets { path }) => {
            *path = name.to_owned();
        }
        Err(error) => panic!("{error}"),
    }
    file
}

fn read(bytes: &[u8]) -> Result<UsersFile, FileError> {
    read_as("people.xlsx", bytes, &ColumnMap::default())
}

fn rows(bytes: &[u8]) -> Value {
    read(bytes).unwrap_or_else(|error| panic!("{error}")).rows().cloned().collect()
}

fn errors(bytes: &[u8]) -> String {
    read(bytes).expect_err("must be rejected").to_string()
}

fn mapped(mappings: &[&str], sheet: Option<&str>) -> ColumnMap {
    let mut map = ColumnMap::default();
    for mapping in mappings {
        map.map(Contents::CREATED, mapping).unwrap();
    }
    if let Some(sheet) = sheet {
        map.select_sheet(sheet.to_owned());
    }
    map
}

const HEADER: &[&str] = &["name", "email", "is_sso_user", "title"];

#[test]
fn cells_are_what_the_sheet_shows() {
    let bytes = sheet(|sheet| {
        write(sheet, &[&["Name ", "EMAIL", "is_sso_user", "password", "lastname", "title"]]);
        let zeros = Format::new().set_num_format("00000");
        let date = Format::new().set_num_format("dd.mm.yyyy");
        let moment = Format::new().set_num_format("yyyy-mm-dd hh:mm");
        let duration = Format::new().set_num_format("[h]:mm:ss");
        let day = ExcelDateTime::from_ymd(2026, 11, 22).unwrap();
        for (row, title) in
            (1..).zip(["7", "0.3", "00042", "2026-11-22", "2026-11-22T13:30:00", "13:30:00", "26:30:05"])
        {
            sheet.write(row, 0, title).unwrap().write(row, 1, "ada@example.com").unwrap();
            sheet.write(row, 2, row % 2 == 0).unwrap();
        }
        sheet.write(1, 5, 7.0).unwrap();
        sheet.write(2, 5, 0.1 + 0.2).unwrap();
        sheet.write_with_format(3, 5, 42, &zeros).unwrap();
        sheet.write_with_format(4, 5, &day, &date).unwrap();
        sheet.write_with_format(5, 5, day.clone().and_hms(13, 30, 0).unwrap(), &moment).unwrap();
        sheet.write_with_format(6, 5, ExcelDateTime::from_hms(13, 30, 0).unwrap(), &moment).unwrap();
        sheet.write_with_format(7, 5, 1.0 + 9005.0 / 86400.0, &duration).unwrap();
        sheet.write(8, 0, "00123").unwrap().write(8, 1, "bo@example.com").unwrap().write(8, 2, 1).unwrap();
        sheet.write(8, 3, " tidal anchor\tPlum ").unwrap().write(8, 4, "two\nlines").unwrap();
        sheet.write_formula(8, 5, Formula::new("='[other.xlsx]Staff'!A1").set_result("Boss")).unwrap();
        sheet.write(9, 0, " Cy ").unwrap().write(9, 1, "cy@example.com").unwrap();
        sheet.write_formula(9, 2, Formula::new("=FALSE()").set_result("FALSE")).unwrap();
    });
    let rows = rows(&bytes);
    let rows = rows.as_array().unwrap();
    for (index, row) in rows[..7].iter().enumerate() {
        assert_eq!(row["title"], row["name"]);
        assert_eq!(row["is_sso_user"], index % 2 == 1);
    }
    assert_eq!(
        rows[7..],
        [
            json!({"name": "00123", "email": "bo@example.com", "is_sso_user": true, "password": " tidal anchor\tPlum ",
                "lastname": "two\nlines", "title": "Boss"}),
            json!({"name": "Cy", "email": "cy@example.com", "is_sso_user": false}),
        ]
    );
}

#[test]
fn an_excerpt_of_the_header_ends_with_its_last_column() {
    let bytes = sheet(|sheet| write(sheet, &[&["Vorname", "Kennung"], &["Ada", "hunter2"]]));
    assert!(errors(&bytes).contains("1 | Vorname    Kennung\n"), "{}", errors(&bytes));
}

#[test]
fn findings_name_the_cell() {
    let bytes = sheet(|sheet| {
        sheet.set_name("All staff").unwrap();
        for (row, cells) in (1..).zip([
            &["# notes", "", "", "", ""][..],
            &[],
            &["name", "email", "is_sso_user", "password", "title"],
            &["Ada", "ada@example.com", "SANT", "hunter2", "Boss"],
            &[],
            &["Bo", "", "true"],
            &["Cy", "ada@example.com", "true", "", "password hunter2"],
        ]) {
            for (column, cell) in (1..).zip(cells) {
                sheet.write(row, column, *cell).unwrap();
            }
        }
    });
    let file = read(&bytes).unwrap();
    let twice =
        RowFinding { other_index: Some(0), ..finding(2, "email", "email_duplicate", "the same address as users[0]") };
    let findings = [
        finding(0, "is_sso_user", "wrong_type", "must be true or false"),
        finding(0, "password", "password_too_short", "too short"),
        finding(1, "email", "required", "missing"),
        twice,
        finding(2, "title", "bad", "no good"),
        finding(2, "lastname", "odd", "not there"),
    ];
    assert_eq!(
        file.render(&findings, false),
        "\
error[wrong_type]: is_sso_user: must be true or false
 --> people.xlsx, 'All staff'!D5
  |
5 |     *************************************************
  |                               ^^^^
  |
  = help: write true, yes, on or 1, or else false, no, off or 0

error[password_too_short]: password: too short
 --> people.xlsx, 'All staff'!E5
  |
5 |     *************************************************
  |                                       ^^^^^^^

error[required]: email: missing
 --> people.xlsx, 'All staff'!C7
  |
7 |     Bo        true
  |           ^

error[odd]: lastname: not there
 --> people.xlsx, 'All staff'!B8
  |
8 |     Cy    ada@example.com    true        ****************
  |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error[email_duplicate]: email: the same address as row 5
 --> people.xlsx, 'All staff'!C8
  |
8 |     Cy    ada@example.com    true        ****************
  |           ^^^^^^^^^^^^^^^
  |
 ::: people.xlsx, 'All staff'!C5
  |
5 |     *************************************************
  |            --------------- first used here

error[bad]: title: no good
 --> people.xlsx, 'All staff'!F8
  |
8 |     Cy    ada@example.com    true        ****************
  |                                          ^^^^^^^^^^^^^^^^
"
    );
    let located = file.locate(&findings);
    let place = |finding: &LocatedFinding| (finding.line, finding.column, finding.cell.clone());
    assert_eq!(place(&located[0]), (Some(5), Some(4), Some("'All staff'!D5".to_owned())));
    assert_eq!(located[0].message, "must be true or false; write true, yes, on or 1, or else false, no, off or 0");
    assert_eq!((located[1].value.as_deref(), located[1].field.as_deref()), (None, Some("password")));
    assert_eq!(located[4].message, "the same address as row 5");
    let many: Vec<RowFinding> = (0..3).map(|index| finding(index, "title", "bad", "equal")).collect();
    assert!(!file.render(&many, false).contains("also at"));
}

#[test]
fn many_equal_findings_name_their_cells() {
    let rows: Vec<Vec<String>> = (0..10).map(|n| vec!["Ada".to_owned(), format!("a{n}@example.com")]).collect();
    let bytes = sheet(|sheet| {
        write(sheet, &[HEADER]);
        for (row, cells) in (1..).zip(&rows) {
            sheet.write_row(row, 0, cells).unwrap();
        }
    });
    let findings: Vec<_> = (0..10).map(|index| finding(index, "title", "required", "missing")).collect();
    let shown = read(&bytes).unwrap().render(&findings, false);
    assert!(shown.contains("\n  = note: also at D5, D6, D7, D8, D9, D10, D11\n"), "{shown}");
}

#[test]
fn the_first_sheet_with_known_columns_is_read() {
    let mut workbook = Workbook::new();
    workbook.add_worksheet();
    write(workbook.add_worksheet().set_name("Notes").unwrap(), &[&["Staff of 2026"], &["name", "email"]]);
    write(
        workbook.add_worksheet().set_name("Old").unwrap().set_hidden(true),
        &[HEADER, &["Old", "old@example.com", "true"]],
    );
    write(workbook.add_worksheet().set_name("Staff").unwrap(), &[HEADER, &["Ada", "ada@example.com", "true"]]);
    write(workbook.add_worksheet().set_name("More").unwrap(), &[HEADER, &["Bo", "bo@example.com", "true"]]);
    write(
        workbook.add_worksheet().set_name("Fremd").unwrap(),
        &[&["Vorname", "Mail", "SSO"], &["Cy", "cy@example.com", "1"]],
    );
    let bytes = workbook.save_to_buffer().unwrap();
    let name = |map: &ColumnMap| read_as("people.xlsx", &bytes, map).unwrap().rows().next().unwrap()["name"].clone();
    let foreign = ["Vorname=name", "Mail=email", "SSO=is_sso_user"];
    assert_eq!(name(&ColumnMap::default()), "Ada");
    assert_eq!(name(&mapped(&foreign, None)), "Cy");
    assert_eq!(name(&mapped(&[], Some("more"))), "Bo");
    assert_eq!(name(&mapped(&[], Some("Old"))), "Old");
    let unknown = read_as("people.xlsx", &bytes, &mapped(&[], Some("Team"))).unwrap_err().to_string();
    assert_eq!(
        unknown,
        "`people.xlsx` has no sheet `Team`; the sheets are `Sheet1`, `Notes`, `Old`, `Staff`, `More` and `Fremd`"
    );
    // With the sheet given, its errors are reported.
    let notes = read_as("people.xlsx", &bytes, &mapped(&[], Some("Notes"))).unwrap_err().to_string();
    assert!(
        notes.contains("missing columns `name`, `email` and `is_sso_user`\n --> people.xlsx, Notes!A1\n"),
        "{notes}"
    );
}

#[test]
fn a_workbook_without_a_table_is_rejected_with_its_sheets() {
    let mut workbook = Workbook::new();
    write(workbook.add_worksheet(), &[&["Staff of 2026"]]);
    write(workbook.add_worksheet(), &[&["Vorname", "Mail"], &["Ada", "ada@example.com"]]);
    assert_eq!(
        errors(&workbook.save_to_buffer().unwrap()),
        "`people.xlsx` has no sheet whose first row names the columns; the sheets are `Sheet1` and `Sheet2`, and \
         `--sheet NAME` selects one"
    );
    // A single sheet is reported like a CSV file.
    let shown = errors(&table(&[&["name", "E-Mail", "is_sso_user"], &["Ada", "ada@example.com", "true"]]));
    assert!(shown.contains("missing column `email`\n --> people.xlsx, Sheet1!A1\n"), "{shown}");
    assert!(shown.contains("unknown column `E-Mail`\n --> people.xlsx, Sheet1!B1\n"), "{shown}");
    let shown = errors(&table(&[]));
    assert!(shown.starts_with("error: the file is empty\n --> people.xlsx, Sheet1!A1\n"), "{shown}");
    assert_eq!(rows(&table(&[HEADER])), json!([]));
}

#[test]
fn blank_rows_and_columns_are_none_wherever_the_table_begins() {
    let bytes = sheet(|sheet| {
        sheet.set_row_format(0, &Format::new().set_bold()).unwrap();
        write(
            sheet,
            &[
                &[],
                &["", "# a comment"],
                &["", "name", "", "email", "is_sso_user", "", " "],
                &["", " ", "", "\u{a0}"],
                &["", "Ada", "", "ada@example.com", "true"],
            ],
        );
        for row in 5..500 {
            sheet.write_blank(row, 9, &Format::new().set_bold()).unwrap();
        }
    });
    assert_eq!(rows(&bytes), json!([{"name": "Ada", "email": "ada@example.com", "is_sso_user": true}]));
    let shown = errors(&table(&[
        &["name", "", "email", "is_sso_user"],
        &["Ada", "hunter2", "ada@example.com", "true"],
        &["Bo", "", "bo@example.com", "true", "", "hunter3"],
    ]));
    assert!(shown.contains("this column has no name\n --> people.xlsx, Sheet1!B1\n"), "{shown}");
    assert!(shown.contains("this column has no name\n --> people.xlsx, Sheet1!F1\n"), "{shown}");
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn errors_in_cells_and_formulas_without_a_value_are_reported() {
    let bytes = sheet(|sheet| {
        write(
            sheet,
            &[&["name", "email", "is_sso_user", "title", "x"], &["Ada", "", "true"], &["Bo", "bo@example.com", "true"]],
        );
        sheet.write_formula(1, 1, Formula::new("=VLOOKUP(1,A1:A2,1)").set_result("#N/A")).unwrap();
        sheet.write_formula(2, 3, Formula::new("=#REF!").set_result("#REF!")).unwrap();
        sheet.write_formula(2, 4, Formula::new("=1/0").set_result("#DIV/0!")).unwrap();
    });
    let mut map = ColumnMap::default();
    map.ignore("x").unwrap();
    let shown = read_as("people.xlsx", &bytes, &map).unwrap_err().to_string();
    assert_eq!(
        shown,
        "\
error: this cell has an error instead of a value
 --> people.xlsx, Sheet1!B2
  |
2 | Ada    #N/A    true
  |        ^^^^
  |
  = help: correct the formula, or clear the cell

error: this cell has an error instead of a value
 --> people.xlsx, Sheet1!D3
  |
3 | Bo    bo@example.com    true    #REF!    *******
  |                                 ^^^^^
  |
  = help: correct the formula, or clear the cell"
    );
    // Programs that can't compute write no value.
    let never =
        "<row r=\"2\"><c r=\"A2\"><f>B9</f></c><c r=\"B2\"><f>B9</f><v></v></c><c r=\"C2\"><f>TRUE()</f></c></row>";
    let shown = errors(&raw(&(xml_row(1, HEADER) + never), ""));
    for cell in ["A2", "B2", "C2"] {
        let due = format!("error: this formula has no stored value\n --> people.xlsx, Sheet1!{cell}\n");
        assert!(shown.contains(&due), "{shown}");
    }
    let empty = "<row r=\"3\"><c r=\"D3\" t=\"str\"><f>\"\"</f><v></v></c></row>";
    let user = xml_row(2, &["Ada", "ada@example.com", "true"]);
    assert_eq!(rows(&raw(&(xml_row(1, HEADER) + &user + empty), "")).as_array().unwrap().len(), 1);
    assert!(shown.contains("= help: open the workbook in a spreadsheet program and save it"), "{shown}");
}

#[test]
fn merged_cells_are_reported_where_they_cover_fields() {
    let merge = |range: (u32, u16, u32, u16), text: &'static str| {
        sheet(move |sheet| {
            write(
                sheet,
                &[
                    &["name", "email", "is_sso_user", "title", "x"],
                    &["Ada", "ada@example.com", "true", "Boss"],
                    &["Bo", "bo@example.com", "true"],
                ],
            );
            let (top, left, bottom, right) = range;
            sheet.merge_range(top, left, bottom, right, text, &Format::new()).unwrap();
        })
    };
    let ignoring = |bytes: &[u8]| {
        let mut map = ColumnMap::default();
        map.ignore("x").unwrap();
        read_as("people.xlsx", bytes, &map).map(|file| file.len()).map_err(|error| error.to_string())
    };
    for (range, place) in
        [((1, 3, 2, 3), "D2:D3"), ((1, 3, 5, 4), "D2:E6"), ((2, 0, 2, 1), "A3:B3"), ((0, 0, 1, 0), "A1:A2")]
    {
        let text = if range.0 == 0 { "name" } else { "hunter" };
        let shown = ignoring(&merge(range, text)).unwrap_err();
        let cell = place.split(':').next().unwrap();
        let due = format!(
            "error: of the merged cells {place}, only the first has a value\n --> people.xlsx, Sheet1!{cell}\n"
        );
        assert!(shown.contains(&due), "{shown}");
    }
    // Merged cells of ignored columns, of empty rows, and without a value.
    for (range, text) in [((1, 4, 2, 4), "x"), ((2, 3, 8, 3), "Boss"), ((1, 3, 2, 3), ""), ((5, 0, 9, 3), "")] {
        assert_eq!(ignoring(&merge(range, text)), Ok(2), "{range:?}");
    }
}

#[test]
fn secrets_in_cells_are_hidden() {
    let shown = errors(&table(&[
        &["name", "email", "is_sso_user", "pasword"],
        &["Ada", "ada@example.com", "true", "hunter2"],
        &["#N/A", "bo@example.com", "true", "hunter2"],
    ]));
    assert!(shown.contains("unknown column `pasword`") && !shown.contains("hunter"), "{shown}");
    // A header that may be data.
    let shown = errors(&table(&[&["Ada", "Lovelace", "ada@example.com", "hunter2"]]));
    assert!(!shown.contains("hunter") && !shown.contains("ada@"), "{shown}");
}

#[test]
fn a_file_that_is_no_workbook_is_named() {
    let good = table(&[HEADER, &["Ada", "ada@example.com", "true"]]);
    for name in ["people.xlsx", "people.XLSM", "people.csv", "people", "people.json"] {
        assert_eq!(read_as(name, &good, &ColumnMap::default()).unwrap().len(), 1, "{name}");
    }
    let encrypted =
        [&b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0"[..], b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0"].concat();
    for (content, due) in [
        (&b"name,email,is_sso_user\nAda,ada@example.com,true\n"[..], "looks like CSV; use `--format csv`"),
        (b"\xef\xbb\xbfname;email;is_sso_user\n", "looks like CSV; use `--format csv`"),
        (b"create_users:\n", "looks like YAML; use `--format yaml`"),
        (b"<html><table>", "looks like HTML or XML; save the table as CSV in UTF-8"),
        (b"", "is not an Excel workbook"),
        (b"PK\x05\x06", "is not an Excel workbook"),
        (&encrypted, "looks like an encrypted Excel workbook; save the workbook without a password"),
        (
            &good[..good.len() / 2],
            "is damaged or incomplete; open the workbook in a spreadsheet program and save it again",
        ),
    ] {
        assert_eq!(errors(content), format!("`people.xlsx` {due}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.xlsx");
    std::fs::write(&path, &good).unwrap();
    let error = UsersFile::read(&path, Some(FileFormat::Csv), Contents::CREATED, &ColumnMap::default()).unwrap_err();
    assert!(error.to_string().ends_with("` looks like an Excel workbook; use `--format xlsx`"), "{error}");
    let csv = b"name,email,is_sso_user\n";
    let error = read_as("people.csv", csv, &mapped(&[], Some("Sheet1"))).unwrap_err().to_string();
    assert_eq!(error, "`people.csv` is not a workbook; `--sheet` selects the sheet of a workbook");
}

#[test]
fn a_huge_workbook_is_rejected_without_reading_it_all() {
    let large = "`people.xlsx` is too large when decompressed; delete the empty rows and columns, or save the sheet as \
                 \"CSV UTF-8\"";
    let damaged =
        "`people.xlsx` is damaged or incomplete; open the workbook in a spreadsheet program and save it again";
    let header = xml_row(1, HEADER);
    let blanks = " ".repeat(65 << 20);
    assert_eq!(errors(&raw(&header, &blanks)), large);
    // A text that is referred to so often.
    let long = "x".repeat(32_000);
    let strings = format!("<sst uniqueCount=\"1\"><si><t>{long}</t></si></sst>");
    let often: String =
        (2..2500).map(|row| format!("<row r=\"{row}\"><c r=\"A{row}\" t=\"s\"><v>0</v></c></row>")).collect();
    assert_eq!(errors(&raw(&(header.clone() + &often), &strings)), large);
    assert_eq!(errors(&raw(&header, "<sst uniqueCount=\"99999999999999\"></sst>")), damaged);
    assert_eq!(errors(&raw(&header, "<sst><si><t>")), damaged);
    assert_eq!(errors(&raw(&(xml_row(2, HEADER) + &header), "")), damaged);
    assert_eq!(
        errors(&raw(&format!("{header}<row r=\"2\"><c r=\"XFD2\"><v>1</v></c></row>"), "")),
        "`people.xlsx` has a value in Sheet1!XFD2; a table can have at most 256 columns"
    );
    let empty: String = (3..300_000).map(|row| format!("<row r=\"{row}\"/>")).collect();
    let user = xml_row(2, &["Ada", "ada@example.com", "true"]);
    let last = xml_row(1_048_576, &["Bo", "bo@example.com", "true"]);
    assert_eq!(rows(&raw(&format!("{header}{user}{empty}{last}"), "")).as_array().unwrap().len(), 2);
    let many: String =
        (2..=100_002).map(|row| format!("<row r=\"{row}\"><c r=\"A{row}\"><v>1</v></c></row>")).collect();
    let shown = errors(&raw(&(header + &many), ""));
    assert!(
        shown.starts_with("error: a file can have at most 100000 users\n      --> people.xlsx, Sheet1!A100002\n"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn a_workbook_is_read_like_the_same_table_in_csv(users in collection::vec(collection::vec("\\PC{0,6}", 4), 0..5)) {
        let header = ["name", "email", "password", "title"].map(str::to_owned).to_vec();
        let table: Vec<_> = std::iter::once(header).chain(users).collect();
        let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let lines = table.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(","));
        let csv = UsersFile::from_text(
            String::new(),
            lines.collect::<Vec<_>>().join("\n"),
            FileFormat::Csv,
            Contents::INVITED,
            &ColumnMap::default(),
        );
        let bytes = sheet(|sheet| {
            for (row, cells) in (0..).zip(&table) {
                for (column, cell) in (0..).zip(cells) {
                    sheet.write_string(row, column, cell).unwrap();
                }
            }
        });
        let workbook =
            UsersFile::from_workbook(String::new(), bytes, Contents::INVITED, &ColumnMap::default());
        let values = |file: Result<UsersFile, FileError>| file.unwrap().rows().cloned().collect::<Value>();
        prop_assert_eq!(values(workbook), values(csv));
    }
}
