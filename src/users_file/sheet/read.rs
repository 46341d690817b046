//! Reads a file of any kind into a sheet.

use std::fmt;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::names::{may_be_secret, recognize};
use super::{Encoding, Meaning, Recognized, Sheet, SheetColumn, SheetRow};
use crate::field::UserField;
use crate::users::{EmailAddress, trim};
use crate::users_file::csv_cells::{is_empty_row, wrong_length};
use crate::users_file::document::Document;
use crate::users_file::error::SyntaxError;
use crate::users_file::positions::Positions;
use crate::users_file::table::{Cell, Rows, place};
use crate::users_file::xlsx::RawSheet;
use crate::users_file::{
    ColumnMap, Contents, FileFormat, FormError, LocatedFinding, OtherKind, WorkbookError, csv, header, parse_as, xlsx,
};

/// The most errors of a file that are listed.
const MOST_ERRORS: usize = 100;

/// Why a file can't be used.
#[derive(Debug)]
pub(crate) enum SheetError {
    /// It is of another kind.
    OtherKind(OtherKind),
    /// It is a workbook that can't be read.
    Workbook(WorkbookError),
    /// It is no text in UTF-8.
    NotUtf8 {
        /// The line of the first byte that is none.
        line: usize,
    },
    /// It has no rows.
    Empty,
    /// It has more rows than a batch may have users.
    TooLong {
        /// The most rows.
        max: usize,
    },
    /// Its form is wrong in these places.
    Form(Vec<LocatedFinding>),
}

impl fmt::Display for SheetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherKind(kind) => write!(f, "the file {kind}"),
            Self::Workbook(error) => write!(f, "the workbook {error}"),
            Self::NotUtf8 { line } => write!(
                f,
                "line {line} is not UTF-8, perhaps the file is in Windows-1252; in Excel, save the file as `CSV UTF-8`"
            ),
            Self::Empty => {
                f.write_str("the file has no rows; the first row names the columns, and the others are people")
            }
            Self::TooLong { max } => write!(
                f,
                "the file has more than {max} rows, which is the most that can be created together; split it into several files"
            ),
            Self::Form(_) => f.write_str("the file can't be read"),
        }
    }
}

type Read<T> = Result<T, SheetError>;

impl Sheet {
    /// Reads a file with at most `max` rows. Its format is recognized by its contents, then by its name.
    ///
    /// # Errors
    /// [`SheetError`].
    pub(crate) fn read(file_name: Option<&str>, bytes: &[u8], max: usize) -> Read<Self> {
        let mut sheet = Self {
            file_name: file_name.map(str::to_owned),
            sha256: hex::encode(Sha256::digest(bytes)),
            format: FileFormat::Csv,
            separator: None,
            encoding: Encoding::Workbook,
            has_header: true,
            columns: Vec::new(),
            is_confirmed: false,
            rows: Vec::new(),
            blank_rows: 0,
            default_sso: None,
            words: std::collections::BTreeMap::new(),
            fixes: std::collections::BTreeMap::new(),
            left_out: std::collections::BTreeSet::new(),
        };
        if xlsx::is_workbook(bytes) {
            sheet.format = FileFormat::Xlsx;
            sheet.read_workbook(bytes, max)?;
        } else {
            let (text, encoding) = decode(bytes)?;
            if trim(&text).is_empty() {
                return Err(SheetError::Empty);
            }
            sheet.encoding = encoding;
            sheet.format = format_of(&text, file_name);
            match sheet.format {
                FileFormat::Csv | FileFormat::Xlsx => sheet.read_csv(&text, max)?,
                FileFormat::Yaml | FileFormat::Json | FileFormat::Ndjson => sheet.read_objects(&text, max)?,
            }
        }
        if sheet.rows.is_empty() {
            return Err(SheetError::Empty);
        }
        // Who brings passwords does not mean single sign-on.
        let has_password = sheet.has(UserField::Password) || sheet.has(UserField::PasswordHash);
        sheet.default_sso = (!sheet.has(UserField::IsSsoUser) && has_password).then_some(false);
        Ok(sheet)
    }

    fn read_workbook(&mut self, bytes: &[u8], max: usize) -> Read<()> {
        let raw = RawSheet::read(bytes, max, |row| known(row) > 0).map_err(|error| match error {
            WorkbookError::NoTable(_) => SheetError::Empty,
            error => SheetError::Workbook(error),
        })?;
        self.read_table(raw.rows(), max, |at| raw.line(at))?;
        let field = |column: &SheetColumn| match &column.meaning {
            Meaning::Field(field) => Some(*field),
            Meaning::FullName => Some(UserField::Name),
            Meaning::Attribute(_) => Some(UserField::Attributes),
            Meaning::LeftOut => None,
        };
        let fields: Vec<Option<UserField>> = self.columns.iter().map(field).collect();
        let errors = raw.unusable(&fields);
        if errors.is_empty() {
            return Ok(());
        }
        Err(SheetError::Form(FormError::new(Contents::CREATED, raw.into_document(), errors).locate()))
    }

    fn read_csv(&mut self, text: &str, max: usize) -> Read<()> {
        // DOS programs end a file with U+001A.
        let text = text.trim_end_matches('\u{1a}');
        match OtherKind::of_start(Contents::CREATED, FileFormat::Csv, text) {
            // Their columns are as good as any others.
            Some(OtherKind::Export("entra" | "google")) if !text.starts_with("version:") => {}
            Some(kind @ (OtherKind::Export(_) | OtherKind::Markup)) => return Err(SheetError::OtherKind(kind)),
            _ => {}
        }
        let cells = csv::cells_by(text, known);
        self.separator = Some(char::from(cells.delimiter()));
        let positions = Positions::new(text);
        self.read_table(cells, max, |at| positions.find(text, at).0)
    }

    fn read_table<'t>(&mut self, mut source: impl Rows<'t>, max: usize, line: impl Fn(usize) -> usize) -> Read<()> {
        let mut row = Vec::new();
        let mut errors = Vec::new();
        let located = |error: &SyntaxError| {
            let help = error.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
            let message = format!("{}{help}", error.message);
            let line = Some(line(error.span.start));
            LocatedFinding { line, ..LocatedFinding::general(crate::users_file::INVALID_FILE, message) }
        };
        match source.next(&mut row) {
            None => return Err(SheetError::Empty),
            Some(Err(error)) => return Err(SheetError::Form(vec![located(&error)])),
            Some(Ok(())) => {}
        }
        // A list of addresses needs no header.
        self.has_header = !row.iter().any(|cell| EmailAddress::parse(&cell.text).is_ok());
        let tail = if self.has_header { header::without_tail(&mut row).len() } else { 0 };
        self.name_columns(&row);
        let width = self.columns.len();
        let mut is_first = !self.has_header;
        loop {
            if !std::mem::take(&mut is_first) {
                match source.next(&mut row) {
                    None => break,
                    Some(Ok(())) => {}
                    Some(Err(error)) if errors.len() < MOST_ERRORS => {
                        errors.push(located(&error));
                        continue;
                    }
                    Some(Err(_)) => break,
                }
            }
            if is_empty_row(&row) {
                self.blank_rows += 1;
                continue;
            }
            if self.rows.len() == max {
                return Err(SheetError::TooLong { max });
            }
            let is_blank = |cell: &Cell<'_>| trim(&cell.text).is_empty();
            if row.len() > width && row.len() <= width + tail && row.iter().skip(width).all(is_blank) {
                row.truncate(width);
            }
            let is_whole = row.len() == width;
            let problem = (!is_whole).then(|| wrong_length(row.len(), width));
            let cell =
                |cell: &Cell<'_>| if is_blank(cell) { Value::Null } else { Value::String(cell.text.to_string()) };
            let cells = if is_whole { row.iter().map(cell).collect() } else { Vec::new() };
            self.rows.push(SheetRow { line: line(place(&row).start), cells, problem });
        }
        if errors.is_empty() { Ok(()) } else { Err(SheetError::Form(errors)) }
    }

    /// Takes the names of the columns from the first row. A second column of a field is left out.
    fn name_columns(&mut self, row: &[Cell<'_>]) {
        for (index, cell) in row.iter().enumerate() {
            let (name, (mut meaning, recognized)) = if self.has_header {
                let name = header::name(cell);
                let found = recognize(&name);
                (name, found)
            } else {
                let meaning = match EmailAddress::parse(&cell.text) {
                    Ok(_) => Meaning::Field(UserField::Email),
                    Err(_) => Meaning::LeftOut,
                };
                (format!("Column {}", index + 1), (meaning, Recognized::ByValues))
            };
            if self.columns.iter().any(|other| other.meaning == meaning) {
                meaning = Meaning::LeftOut;
            }
            self.columns.push(SheetColumn { name, meaning, recognized });
        }
    }

    fn read_objects(&mut self, text: &str, max: usize) -> Read<()> {
        let parsed = parse_as(Contents::CREATED, &ColumnMap::default(), self.format, text);
        if let Some(kind) = OtherKind::of_text(Contents::CREATED, self.format, text, &parsed) {
            return Err(SheetError::OtherKind(kind));
        }
        if !parsed.errors.is_empty() {
            let document = Document { path: String::new(), text: text.to_owned(), hidden: parsed.hidden, sheet: None };
            return Err(SheetError::Form(FormError::new(Contents::CREATED, document, parsed.errors).locate()));
        }
        if parsed.rows.len() > max {
            return Err(SheetError::TooLong { max });
        }
        let mut names: Vec<&str> = Vec::new();
        for row in &parsed.rows {
            for field in &row.fields {
                if !names.contains(&field.name.as_ref()) {
                    names.push(&field.name);
                }
            }
        }
        names.sort_by_key(|name| {
            UserField::NEW_USER.iter().position(|field| field.as_str() == *name).unwrap_or(usize::MAX)
        });
        let column = |name: &&str| {
            let field = UserField::find(UserField::NEW_USER, name);
            let meaning = field.map_or(Meaning::LeftOut, Meaning::Field);
            let recognized = if field.is_some() { Recognized::ByName } else { Recognized::Unknown };
            SheetColumn { name: (*name).to_owned(), meaning, recognized }
        };
        self.columns = names.iter().map(column).collect();
        let positions = Positions::new(text);
        for row in &parsed.rows {
            let line = positions.find(text, row.span.start).0;
            let (cells, problem) = match &row.value {
                Value::Object(values) => {
                    (names.iter().map(|name| values.get(*name).cloned().unwrap_or(Value::Null)).collect(), None)
                }
                _ => (Vec::new(), Some("this is not a user, which has fields with names".to_owned())),
            };
            self.rows.push(SheetRow { line, cells, problem });
        }
        Ok(())
    }

    /// The first values of a column, up to three, unless they may be secrets.
    pub(crate) fn first_values(&self, column: usize) -> Option<Vec<String>> {
        let named = self.columns.get(column)?;
        let is_listed = named.meaning != Meaning::LeftOut && !named.meaning.is_secret();
        let values = self.rows.iter().filter_map(|row| row.cells.get(column)?.as_str()).map(trim);
        let mut values = values.filter(|value| !value.is_empty()).take(3).peekable();
        if named.meaning.is_secret()
            || (!is_listed && (!self.has_header || may_be_secret(&named.name)))
            || (!is_listed && values.clone().all(looks_generated) && values.peek().is_some())
        {
            return None;
        }
        Some(values.map(|value| value.chars().take(40).collect()).collect())
    }

    /// The number of rows that have a value in a column.
    pub(crate) fn filled(&self, column: usize) -> usize {
        self.rows.iter().filter(|row| row.cells.get(column).is_some_and(|cell| !cell.is_null())).count()
    }
}

/// Whether a value looks like a password: one word with letters, and digits or signs among them.
fn looks_generated(value: &str) -> bool {
    let has = |is: fn(char) -> bool| value.chars().any(is);
    let is_odd = |c: char| !c.is_alphanumeric() && !"-_.".contains(c);
    value.chars().count() >= 6
        && !value.contains([' ', '@'])
        && has(char::is_alphabetic)
        && (has(|c| c.is_ascii_digit()) || has(is_odd))
}

/// The number of columns in a first row that are recognized.
fn known(row: &[Cell<'_>]) -> usize {
    row.iter().filter(|cell| recognize(&header::name(cell)).1 != Recognized::Unknown).count()
}

/// The text of a file, without a byte order mark.
fn decode(bytes: &[u8]) -> Read<(String, Encoding)> {
    match OtherKind::of_bytes(bytes) {
        Some(OtherKind::Utf16) => {
            let (mark, rest) = bytes.split_at_checked(2).unwrap_or((&[], bytes));
            let is_marked = mark == b"\xff\xfe" || mark == b"\xfe\xff";
            let is_big = if is_marked { mark == b"\xfe\xff" } else { bytes.first() == Some(&0) };
            let (pairs, _) = if is_marked { rest } else { bytes }.as_chunks::<2>();
            let unit = |pair: &[u8; 2]| if is_big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) };
            let units: Vec<u16> = pairs.iter().map(unit).collect();
            let text = String::from_utf16(&units).map_err(|_| SheetError::OtherKind(OtherKind::Utf16))?;
            Ok((text, Encoding::Utf16))
        }
        Some(kind) => Err(SheetError::OtherKind(kind)),
        None => match std::str::from_utf8(bytes) {
            Ok(text) => match text.strip_prefix('\u{feff}') {
                Some(text) => Ok((text.to_owned(), Encoding::Utf8WithMark)),
                None => Ok((text.to_owned(), Encoding::Utf8)),
            },
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = valid.split(|byte| *byte == b'\n').count();
                Err(SheetError::NotUtf8 { line })
            }
        },
    }
}

/// The format of a text, by its contents, then by the name of the file.
fn format_of(text: &str, name: Option<&str>) -> FileFormat {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let is_list = |line: &str| line.starts_with(Contents::CREATED.list);
    if first.starts_with('{') && (second.starts_with('{') || (first.ends_with('}') && second.is_empty())) {
        let is_document = first.starts_with(&format!("{{\"{}\"", Contents::CREATED.list));
        return if is_document { FileFormat::Json } else { FileFormat::Ndjson };
    }
    if first.starts_with(['{', '[']) {
        return FileFormat::Json;
    }
    let by_name = name.and_then(|name| FileFormat::of(Path::new(name)));
    match by_name {
        Some(format @ (FileFormat::Yaml | FileFormat::Json | FileFormat::Ndjson)) => format,
        _ if text.lines().take(50).any(is_list) && !first.contains([',', ';', '\t']) => FileFormat::Yaml,
        _ => FileFormat::Csv,
    }
}
