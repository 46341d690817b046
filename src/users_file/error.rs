//! Errors in the form of a users file.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::ops::Range;
use std::string::FromUtf8Error;

use super::document::Document;
use super::redact;
use super::snippet::{Block, Level, Printer};
use super::{ColumnMap, Contents, FileFormat, OtherKind, WorkbookError};

/// Why a users file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file can't be opened or read.
    #[error("can't read `{}`", path.escape_debug())]
    Unreadable {
        /// The path as given.
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is larger than [`MAX_BYTES`](super::MAX_BYTES).
    #[error("`{}` is larger than {} MiB; split it into several files", path.escape_debug(), super::MAX_BYTES / (1024 * 1024))]
    TooLarge {
        /// The path as given.
        path: String,
    },
    /// Only tables have columns.
    #[error("`{}` is not a table; `--map`, `--map-file` and `--ignore` are for the columns of CSV files and workbooks", path.escape_debug())]
    NoColumns {
        /// The path as given.
        path: String,
    },
    /// Only workbooks have sheets.
    #[error("`{}` is not a workbook; `--sheet` selects the sheet of a workbook", path.escape_debug())]
    NoSheets {
        /// The path as given.
        path: String,
    },
    /// The file is a workbook that can't be read.
    #[error("`{}` {error}", path.escape_debug())]
    Workbook {
        /// The path as given.
        path: String,
        /// Why.
        error: WorkbookError,
    },
    /// The file is of another kind.
    #[error("`{}` {kind}", path.escape_debug())]
    OtherKind {
        /// The path as given.
        path: String,
        /// What the file is.
        kind: OtherKind,
    },
    /// The file is not a list of users in its format; [`FormError::render`] shows all errors.
    #[error("{0}")]
    Form(FormError),
}

/// All errors in the form of a file, with their places.
pub struct FormError {
    pub(super) document: Document,
    pub(super) errors: Vec<SyntaxError>,
}

/// An error in the form. `message` and `help` never quote a value of the file.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub message: String,
    pub span: Range<usize>,
    /// A related place and its label.
    pub other: Option<(Range<usize>, &'static str)>,
    pub help: Option<Cow<'static, str>>,
    /// Whether the line could not be parsed; then [`redact::unparsed_line`] decides what is shown of it.
    pub unparsed: bool,
}

impl SyntaxError {
    pub fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span, other: None, help: None, unparsed: false }
    }

    pub fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn other(mut self, place: Range<usize>, label: &'static str) -> Self {
        self.other = Some((place, label));
        self
    }

    pub fn unparsed(mut self) -> Self {
        self.unparsed = true;
        self
    }
}

impl FormError {
    pub(super) fn new(contents: &Contents, mut document: Document, mut errors: Vec<SyntaxError>) -> Self {
        errors.sort_by_key(|error| error.span.start);
        for error in errors.iter().filter(|error| error.unparsed) {
            let places = std::iter::once(&error.span).chain(error.other.as_ref().map(|(place, _)| place));
            let pieces = places.flat_map(|place| redact::unparsed_line(contents, &document.text, place.start));
            document.hidden.extend(pieces);
        }
        redact::tidy(&mut document.hidden);
        Self { document, errors }
    }

    /// Renders all errors in file order, separated by empty lines; see [`super::UsersFile::render`].
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let blocks: Vec<Block<'_>> = self.errors.iter().map(block).collect();
        Printer::new(&self.document, color).print(&blocks)
    }
}

fn block(error: &SyntaxError) -> Block<'_> {
    Block {
        level: Level::ERROR,
        title: error.message.clone(),
        code: "",
        place: Some(error.span.clone()),
        others: error.other.iter().map(|(place, label)| (place.clone(), Some(*label))).collect(),
        note: None,
        help: error.help.as_deref().map(Cow::from),
    }
}

/// The error for invalid UTF-8, at the first invalid byte.
pub(super) fn invalid_utf8(
    contents: &'static Contents,
    columns: &ColumnMap,
    path: String,
    format: FileFormat,
    source: &FromUtf8Error,
) -> FileError {
    let bytes = source.as_bytes();
    let at = source.utf8_error().valid_up_to();
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    // Everything before `at` is valid, so the offset also holds in the lossy text.
    let at = at - super::strip_bom(&mut text);
    let help = match format {
        FileFormat::Csv => "save the file as UTF-8; in Excel, as `CSV UTF-8`",
        _ => "save the file as UTF-8",
    };
    let error = SyntaxError::new("invalid UTF-8", at..at).help(help);
    let (hidden, error) = match format {
        FileFormat::Yaml => (Vec::new(), error.unparsed()),
        _ => (super::parse_as(contents, columns, format, &text).hidden, error),
    };
    let document = Document { path, text, hidden, sheet: None };
    FileError::Form(FormError::new(contents, document, vec![error]))
}

/// [`render`](FormError::render) without color and without the last line feed.
impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end_matches('\n'))
    }
}

/// Omits the text, which contains passwords.
impl fmt::Debug for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormError")
            .field("path", &self.document.path)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}
