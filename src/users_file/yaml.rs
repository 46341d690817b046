//! Parses YAML into rows.
//!
//! [`YamlReader::document`] parses the top level, a mapping with the list; [`YamlReader::row`] (in
//! [`super::yaml_node`]) converts any node below it into a JSON value. Parsing continues after an error if the rest is
//! unambiguous.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use granit_parser::{Event, Parser, Span, StrInput, options};

use super::error::SyntaxError;
use super::parsed::{MAX_DEPTH, Notes, Parsed, Read, TopLevel, duplicate, push};
use super::redact;
use super::{Contents, FileRow, yaml_errors};

pub(super) fn parse(contents: &'static Contents, text: &str) -> Parsed {
    let mut reader = YamlReader::new(contents, text);
    let rows = reader.document().unwrap_or_else(|error| {
        reader.notes.errors.push(error);
        // The parser looks ahead, so even the lines of earlier errors may not have been parsed to their end.
        for error in &mut reader.notes.errors {
            error.unparsed = true;
        }
        Vec::new()
    });
    reader.notes.into_parsed(rows)
}

fn expected(contents: &Contents) -> String {
    format!("a users file has the key `{}:` with a list of users", contents.list)
}

fn missing(contents: &Contents) -> String {
    format!("`{}:` is missing", contents.list)
}

/// Converts the parser's events in one pass.
pub(super) struct YamlReader<'t> {
    pub(super) text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    /// The anchored values and the cost of copying each.
    pub(super) anchors: HashMap<usize, (Rc<FileRow>, usize)>,
    pub(super) copied: usize,
    pub(super) notes: Notes,
}

impl<'t> YamlReader<'t> {
    fn new(contents: &'static Contents, text: &'t str) -> Self {
        let options = options! {
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
            // Comments are hidden in excerpts. Their number is bounded by the size of the file.
            emit_comments: true,
            max_buffered_comment_events: usize::MAX,
            emit_anchor_events: true,
            // As PyYAML, and therefore Anyscale's client, does.
            block_scalar_eof_without_line_feed: true,
        };
        Self {
            text,
            parser: Parser::new_from_str_with_options(text, options),
            anchors: HashMap::new(),
            copied: 0,
            notes: Notes::new(contents),
        }
    }

    /// The next event of a value. Hides comments and anchor names.
    pub(super) fn next(&mut self) -> Read<(Event<'t>, Span)> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), span))) => {
                    self.notes.hidden.push(redact::comment(range(&span)));
                }
                Some(Ok((Event::Anchor(..), span))) => self.notes.hide(range(&span)),
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => return Err(yaml_errors::error(self.text, &error)),
                None => return Err(self.end("unexpected end of file")),
            }
        }
    }

    /// An error at the end of the file.
    fn end(&self, message: &str) -> SyntaxError {
        let end = self.text.trim_end().len();
        SyntaxError::new(message, end..end).unparsed()
    }

    fn document(&mut self) -> Read<Vec<FileRow>> {
        let contents = self.notes.contents;
        self.next()?; // the stream's start
        if matches!(self.next()?.0, Event::StreamEnd) {
            return Err(SyntaxError::new("the file is empty", 0..0).help(expected(contents)));
        }
        let (event, span) = self.next()?;
        let rows = match event {
            Event::MappingStart(_, _, tag) => {
                self.tag(tag.as_deref(), "map", &span)?;
                self.top_level(range(&span))?
            }
            Event::SequenceStart(..) => {
                let start = range(&span).start;
                self.row((event, span))?;
                let error = SyntaxError::new(missing(contents), start..start);
                self.notes
                    .note(error.help(format!("write `{}:` on a line of its own above the list", contents.list)))?;
                Vec::new()
            }
            // Text, such as a table or a list whose key lacks its colon: any word may be a password.
            _ => {
                return Err(SyntaxError::new(missing(contents), range(&span)).unparsed().help(expected(contents)));
            }
        };
        self.next()?; // the document's end
        if let (Event::DocumentStart(..), span) = self.next()? {
            let error = SyntaxError::new("a second YAML document starts here", range(&span)).unparsed();
            self.notes.note(error.help("a users file is a single document; remove the `---`"))?;
        }
        Ok(rows)
    }

    /// Parses the top-level mapping.
    fn top_level(&mut self, place: Range<usize>) -> Read<Vec<FileRow>> {
        let contents = self.notes.contents;
        let mut rows = Vec::new();
        let mut keys = TopLevel::default();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                keys.check(place.start, &missing(contents), expected(contents), &mut self.notes)?;
                return Ok(rows);
            }
            let (name, key) = self.key(event, span)?;
            let (event, span) = self.next()?;
            if name != contents.list {
                // Possibly the list under a misspelled key: parsed like rows, so that only keys are shown.
                let value = self.row((event, span))?;
                let name = if self.notes.is_shown(&name, &key, !value.span.is_empty()) { name } else { String::new() };
                keys.others.push((name, key));
            } else if let Some(first) = &keys.list {
                let error = duplicate(&format!("key `{}`", contents.list), key, first.clone());
                self.row((event, span))?;
                self.notes.note(error)?;
            } else {
                rows = self.list(&key, event, span)?;
                keys.list = Some(key);
            }
        }
    }

    /// Parses the value of the list's key.
    fn list(&mut self, key: &Range<usize>, event: Event<'t>, span: Span) -> Read<Vec<FileRow>> {
        let mut rows = Vec::new();
        if let Event::SequenceStart(_, _, tag) = &event {
            self.tag(tag.as_deref(), "seq", &span)?;
        } else {
            let name = self.notes.contents.list;
            let node = self.row((event, span))?;
            let place = if node.span.is_empty() { key.clone() } else { node.span };
            self.notes.note(SyntaxError::new(format!("`{name}` must be a list"), place).help(
                if node.value.is_null() {
                    format!("for an empty list, write `{name}: []`")
                } else {
                    "start every user with `- `".to_owned()
                },
            ))?;
            return Ok(rows);
        }
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(rows);
            }
            let row = self.row((event, span))?;
            push(&mut rows, row)?;
        }
    }
}

pub(super) fn range(span: &Span) -> Range<usize> {
    // The parser always has offsets for text in memory. Without them, everything would be hidden.
    span.byte_range().unwrap_or(0..usize::MAX)
}
