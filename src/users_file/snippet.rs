//! Renders excerpts of a text: path, line and column, and the line with a range underlined.
//!
//! The cost of an excerpt does not depend on the size of the file or the length of its lines (a file may be one line):
//! [`Places`] finds the place, and only [`LEFT`] and [`WIDTH`] columns around it are read.
//!
//! # Decisions
//!
//! - `annotate-snippets` draws the excerpt, but never gets the file: only one prepared line (cut, redacted, without
//!   control characters) and the position as numbers. It would index the whole text for each excerpt and count columns
//!   in the prepared line.
//! - Therefore [`Printer::block`] uses separate groups: `Origin` takes the position, and a `Snippet` without a path draws
//!   the line. An empty first group avoids a redundant bar.

use std::borrow::Cow;
use std::ops::Range;

pub(super) use annotate_snippets::Level;
use annotate_snippets::{AnnotationKind, Element, Group, Origin, Padding, Renderer, Snippet};
use unicode_width::UnicodeWidthChar as _;

use super::document::{Document, Place, Places};
use super::redact::{Redaction, is_break};
use super::slice;
use super::table::MAX_CELLS;
use crate::users::is_invisible;

/// Maximum number of columns shown of a line, without the ellipses.
const WIDTH: usize = 140;
/// Maximum number of columns before the place for which a line is shown from its start.
const LEFT: usize = 100;
/// Number of columns shown before the place otherwise.
const CUT_LEFT: usize = 40;
/// Maximum number of characters on either side, for characters without width.
const CHARS: usize = 400;
/// Marks a cut line.
const CUT: &str = "...";
/// Maximum length of a title or help in characters.
const MAX_MESSAGE_LENGTH: usize = 500;

/// A message about one place.
pub(super) struct Block<'a> {
    pub level: Level<'static>,
    pub title: String,
    /// Shown in brackets unless empty.
    pub code: &'a str,
    /// The range to underline; without it, only the path is shown.
    pub place: Option<Range<usize>>,
    /// Further places; one with a label is related to the one before it.
    pub others: Vec<(Range<usize>, Option<&'static str>)>,
    pub note: Option<String>,
    pub help: Option<Cow<'a, str>>,
}

/// Renders the messages about one file.
pub(super) struct Printer<'a> {
    path: String,
    text: &'a str,
    hidden: &'a [Redaction],
    places: Places<'a>,
    renderer: Renderer,
}

impl<'a> Printer<'a> {
    pub fn new(document: &'a Document, color: bool) -> Self {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        Self {
            path: printable(&document.path),
            text: &document.text,
            hidden: &document.hidden,
            places: document.places(),
            // Lines are cut already.
            renderer: renderer.term_width(20 * WIDTH),
        }
    }

    /// Renders the messages, separated by empty lines.
    pub fn print(&self, blocks: &[Block<'_>]) -> String {
        let mut out = String::new();
        for block in blocks {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(self.block(block).trim_start_matches('\n'));
            out.push('\n');
        }
        out
    }

    fn block(&self, block: &Block<'_>) -> String {
        let mut title = block.level.clone().primary_title(printable(&block.title));
        if !block.code.is_empty() {
            title = title.id(printable(block.code));
        }
        let drawing = || Group::with_level(block.level.clone());
        let mut groups = vec![drawing()];
        let mut last = if let Some(place) = &block.place {
            let excerpt = self.excerpt(place);
            groups.push(title.element(self.origin(&excerpt)));
            drawing().element(excerpt.snippet(AnnotationKind::Primary, None))
        } else {
            title.element(Origin::path(self.path.as_str()))
        };
        for (place, label) in &block.others {
            let excerpt = self.excerpt(place);
            groups.push(last.element(Padding).element(self.origin(&excerpt)));
            let kind = if label.is_some() { AnnotationKind::Context } else { AnnotationKind::Primary };
            last = drawing().element(excerpt.snippet(kind, *label));
        }
        if let Some(note) = &block.note {
            last = last.element(Padding).element(Level::NOTE.message(printable(note)));
        }
        if let Some(help) = &block.help {
            last = last.element(Padding).element(Level::HELP.message(printable(help)));
        }
        groups.push(last);
        self.renderer.render(&groups)
    }

    pub const fn places(&self) -> &Places<'a> {
        &self.places
    }

    /// The line and column of an offset, as `12:5`, or its cell.
    pub fn position(&self, at: usize) -> String {
        let Place { line, column, cell } = self.places.find(at);
        cell.unwrap_or_else(|| format!("{line}:{column}"))
    }

    fn origin(&self, excerpt: &Excerpt) -> Origin<'_> {
        match self.places.cell_of(&excerpt.at) {
            Some(cell) => Origin::path(format!("{}, {}", self.path, printable(&cell))),
            None => Origin::path(self.path.as_str()).line(excerpt.at.line).char_column(excerpt.at.column),
        }
    }

    /// The line in which `place` starts, prepared for the terminal, and the range to underline.
    fn excerpt(&self, place: &Range<usize>) -> Excerpt {
        let at = self.text.floor_char_boundary(place.start);
        let (from, left, cut) = self.window(at);
        let mut shown = if cut { CUT.to_owned() } else { String::new() };
        let mut underline = shown.len()..usize::MAX;
        let mut width = WIDTH.saturating_sub(left);
        let mut hidden = self.after(from);
        let rest = slice(self.text, from..);
        for (index, c) in rest.char_indices() {
            let index = from + index;
            if index == at {
                underline.start = shown.len();
            }
            if index == place.end.max(at) {
                underline.end = shown.len();
            }
            if is_break(c) || (index >= place.end && are_empty_cells(slice(self.text, index..))) {
                break;
            }
            if index >= at {
                width = width.saturating_sub(columns(c));
                if width == 0 || index > at + 4 * CHARS {
                    shown.push_str(CUT);
                    break;
                }
            }
            while hidden.first().is_some_and(|piece| piece.span.end <= index) {
                hidden = hidden.get(1..).unwrap_or_default();
            }
            match hidden.first().filter(|piece| piece.span.start <= index) {
                // The indentation of a multi-line value.
                Some(_) if c.is_whitespace() && shown.trim_start().is_empty() => {
                    push_printable(&mut shown, c);
                }
                Some(piece) => shown.extend(std::iter::repeat_n(piece.with, columns(c))),
                None => push_printable(&mut shown, c),
            }
        }
        if at == self.text.len() {
            underline.start = shown.len();
        }
        shown.truncate(shown.trim_end().len().max(underline.start));
        underline.end = underline.end.clamp(underline.start, shown.len());
        Excerpt { at: self.places.find(at), shown, underline }
    }

    /// Where the excerpt of the line of `at` starts, how many columns before `at` that is, and whether the line is cut.
    fn window(&self, at: usize) -> (usize, usize, bool) {
        let before = slice(self.text, ..at);
        let mut from = at;
        let mut width = 0;
        let mut kept = (at, 0);
        for (count, (index, c)) in before.char_indices().rev().enumerate() {
            if is_break(c) {
                return (from, width, false);
            }
            if width + columns(c) > LEFT || count == CHARS {
                return (kept.0, kept.1, true);
            }
            from = index;
            width += columns(c);
            if width <= CUT_LEFT {
                kept = (from, width);
            }
        }
        (from, width, false)
    }

    /// The redactions that end after `at`.
    fn after(&self, at: usize) -> &'a [Redaction] {
        let first = self.hidden.partition_point(|piece| piece.span.end <= at);
        self.hidden.get(first..).unwrap_or_default()
    }
}

/// One line of the file as shown.
struct Excerpt {
    at: Place,
    shown: String,
    underline: Range<usize>,
}

impl Excerpt {
    fn snippet<'a>(&self, kind: AnnotationKind, label: Option<&'a str>) -> Element<'a> {
        Snippet::source(self.shown.clone())
            .line_start(self.at.line)
            .annotation(kind.span(self.underline.clone()).label(label))
            .into()
    }
}

/// Whether the line has only empty cells from here on, as the header of a workbook does behind its last column.
fn are_empty_cells(rest: &str) -> bool {
    rest.starts_with('\t') && rest.chars().take(MAX_CELLS).find(|c| *c != '\t').is_none_or(is_break)
}

/// The width of a character on the terminal, before [`push_printable`] escapes it.
fn columns(c: char) -> usize {
    if c == '\t' { 4 } else { c.width().unwrap_or(1) }
}

fn printable(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == MAX_MESSAGE_LENGTH {
            out.push_str(CUT);
            break;
        }
        push_printable(&mut out, c);
    }
    out
}

/// Appends a character; escapes control and invisible characters.
fn push_printable(out: &mut String, c: char) {
    match c {
        '\t' => out.push_str("    "),
        c if c.is_control() || is_invisible(c) => out.extend(c.escape_unicode()),
        c => out.push(c),
    }
}
