//! What is wrong with a users file before any row is looked at, and how it is said.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::ops::Range;
use std::string::FromUtf8Error;

use super::hide::{self, Hidden};
use super::show::{Block, Printer, Severity};
use super::{Contents, FileFormat};

/// Why there are no rows to send.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be opened or read; the reason is the source.
    #[error("can't read `{}`", path.escape_debug())]
    Unreadable {
        /// As given by the user.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It has more than [`MAX_BYTES`](super::MAX_BYTES).
    #[error(
        "`{}` is larger than {} MiB: split it into several files",
        path.escape_debug(),
        super::MAX_BYTES / (1024 * 1024)
    )]
    TooLarge {
        /// As given by the user.
        path: String,
    },
    /// It isn't a list of users in its format; [`FormError::render`] says where.
    #[error("{0}")]
    Form(FormError),
}

/// The problems of a file's form, with their places.
pub struct FormError {
    path: String,
    text: String,
    hidden: Vec<Hidden>,
    problems: Vec<Problem>,
}

/// One problem of the form. `sentence` and `help` never quote a value of the file.
#[derive(Debug)]
pub(super) struct Problem {
    pub sentence: String,
    pub span: Range<usize>,
    /// A place that has to do with it, and what to say there.
    pub other: Option<(Range<usize>, &'static str)>,
    pub help: Option<Cow<'static, str>>,
    /// The file couldn't be read at this place, and it is not known what on this line is a
    /// password: words decide.
    pub unparsed: bool,
}

impl Problem {
    pub fn new(sentence: impl Into<String>, span: Range<usize>) -> Self {
        Self { sentence: sentence.into(), span, other: None, help: None, unparsed: false }
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
    pub(super) fn new(
        contents: &Contents,
        path: String,
        text: String,
        mut hidden: Vec<Hidden>,
        mut problems: Vec<Problem>,
    ) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        for problem in problems.iter().filter(|problem| problem.unparsed) {
            let places = std::iter::once(&problem.span).chain(problem.other.as_ref().map(|(place, _)| place));
            hidden.extend(places.flat_map(|place| hide::unparsed_line(contents, &text, place.start)));
        }
        hide::tidy(&mut hidden);
        Self { path, text, hidden, problems }
    }

    /// One block of lines for each problem, in file order, an empty line between them, ready for
    /// stderr.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let blocks: Vec<Block<'_>> = self.problems.iter().map(block).collect();
        Printer::new(&self.path, &self.text, &self.hidden, colour).print(&blocks)
    }
}

fn block(problem: &Problem) -> Block<'_> {
    Block {
        severity: Severity::Error,
        title: problem.sentence.clone(),
        code: "",
        place: Some(problem.span.clone()),
        other: problem.other.clone(),
        help: problem.help.as_deref(),
    }
}

/// The error for bytes that aren't text, pointing at the first of them.
pub(super) fn not_utf8(
    contents: &'static Contents,
    path: String,
    format: FileFormat,
    refused: &FromUtf8Error,
) -> FileError {
    let bytes = refused.as_bytes();
    let at = refused.utf8_error().valid_up_to();
    let utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let help = if utf16 { "this looks like UTF-16: save the file as UTF-8" } else { "save the file as UTF-8" };
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    // Everything before `at` is valid, so the place is the same in the repaired text.
    let at = at - super::without_mark(&mut text);
    let problem = Problem::new("not UTF-8 text", at..at).help(help);
    let (hidden, problem) = match format {
        FileFormat::Yaml => (Vec::new(), problem.unparsed()),
        _ => (super::parse_as(contents, format, &text).hidden, problem),
    };
    FileError::Form(FormError::new(contents, path, text, hidden, vec![problem]))
}

/// The plain [`render`](FormError::render), without the last line feed.
impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end_matches('\n'))
    }
}

/// Without the text: it holds passwords.
impl fmt::Debug for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormError").field("path", &self.path).field("problems", &self.problems).finish_non_exhaustive()
    }
}
