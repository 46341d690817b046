//! Makes rows with places from YAML.
//!
//! The top level is read by [`Reader::document`] (one mapping with the list), everything
//! below it by [`Reader::node`] (in [`super::node`]), which turns one node into a JSON value,
//! whatever it is. A problem that leaves the rest readable is noted and reading goes on; the others
//! end it.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use granit_parser::{Event, Parser, Span, StrInput, options};

use super::error::Problem;
use super::hide;
use super::node::Node;
use super::parsed::{DEPTH, Notes, Parsed, Read, TopLevel, push, twice};
use super::{Contents, Row, syntax};

pub(super) fn parse(contents: &'static Contents, text: &str) -> Parsed {
    let mut reader = Reader::new(contents, text);
    let rows = reader.document().unwrap_or_else(|problem| {
        reader.notes.problems.push(*problem);
        // The parser looks ahead: even the lines of earlier problems may not have been read to
        // their end.
        for problem in &mut reader.notes.problems {
            problem.unparsed = true;
        }
        Vec::new()
    });
    reader.notes.into_parsed(rows)
}

fn expected(contents: &Contents) -> String {
    format!("a users file is `{}:` with a list of users under it", contents.list)
}

/// That there is no list.
fn missing(contents: &Contents) -> String {
    format!("`{}:` is missing", contents.list)
}

/// Goes through the parser's events once, from the first to the last.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    /// What aliases stand for, and what a copy of it costs.
    pub(super) anchors: HashMap<usize, (Rc<Row>, usize)>,
    pub(super) copied: usize,
    pub(super) notes: Notes,
}

impl<'t> Reader<'t> {
    fn new(contents: &'static Contents, text: &'t str) -> Self {
        let options = options! {
            flow_nesting_limit: DEPTH,
            block_nesting_limit: DEPTH,
            // To hide them; the text is bounded already.
            emit_comments: true,
            max_buffered_comment_events: usize::MAX,
            emit_anchor_events: true,
            // As PyYAML does, and with it the vendor's client.
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

    /// The next event that is part of a value. Comments, and the names of anchors, are hidden.
    pub(super) fn next(&mut self) -> Read<(Event<'t>, Span)> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), span))) => {
                    self.notes.hidden.push(hide::comment(range(&span)));
                }
                Some(Ok((Event::Anchor(..), span))) => self.notes.hidden.push(hide::value(range(&span))),
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => return Err(Box::new(syntax::problem(self.text, &error))),
                None => return Err(Box::new(self.end("the file ends too early"))),
            }
        }
    }

    /// A problem at the end of the file.
    fn end(&self, sentence: &str) -> Problem {
        let end = self.text.trim_end().len();
        Problem::new(sentence, end..end).unparsed()
    }

    pub(super) fn note(&mut self, problem: Problem) -> Read<()> {
        self.notes.note(problem)
    }

    fn document(&mut self) -> Read<Vec<Row>> {
        let contents = self.notes.contents;
        self.next()?; // the stream's start
        if matches!(self.next()?.0, Event::StreamEnd) {
            return Err(Box::new(Problem::new("the file is empty", 0..0).help(expected(contents))));
        }
        let (event, span) = self.next()?;
        let rows = match event {
            Event::MappingStart(_, _, tag) => {
                self.tag(tag.as_deref(), "map", &span)?;
                self.top_level(range(&span))?
            }
            Event::SequenceStart(..) => {
                let start = range(&span).start;
                self.node(Node::row(event, span))?;
                let problem = Problem::new(missing(contents), start..start);
                self.note(problem.help(format!("write `{}:` on a line of its own above the list", contents.list)))?;
                Vec::new()
            }
            // A table, a text, or a list whose head lacks its colon: any word of it can be a
            // password.
            _ => {
                return Err(Box::new(
                    Problem::new(missing(contents), range(&span)).unparsed().help(expected(contents)),
                ));
            }
        };
        self.next()?; // the document's end
        if let (Event::DocumentStart(..), span) = self.next()? {
            let problem = Problem::new("a second document begins here", range(&span)).unparsed();
            self.note(problem.help("a users file is one document: remove the `---`"))?;
        }
        Ok(rows)
    }

    /// The keys of the file: that of the list, and no other.
    fn top_level(&mut self, place: Range<usize>) -> Read<Vec<Row>> {
        let contents = self.notes.contents;
        let mut rows = Vec::new();
        let mut keys = TopLevel::default();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                keys.judge(place.start, &missing(contents), expected(contents), &mut self.notes)?;
                return Ok(rows);
            }
            let (name, key) = self.key(event, span)?;
            let (event, span) = self.next()?;
            if name != contents.list {
                // Perhaps the list under a misspelt name, perhaps anything: read like rows, so that
                // only keys are shown.
                let value = self.node(Node::row(event, span))?;
                let name = if self.named(&name, &key, &value) { name } else { String::new() };
                keys.others.push((name, key));
            } else if let Some(first) = &keys.list {
                let problem = twice(&format!("`{}`", contents.list), key, first.clone());
                self.node(Node::row(event, span))?;
                self.note(problem)?;
            } else {
                rows = self.list(&key, event, span)?;
                keys.list = Some(key);
            }
        }
    }

    /// The value of the list's key.
    fn list(&mut self, key: &Range<usize>, event: Event<'t>, span: Span) -> Read<Vec<Row>> {
        let mut rows = Vec::new();
        if let Event::SequenceStart(_, _, tag) = &event {
            self.tag(tag.as_deref(), "seq", &span)?;
        } else {
            let name = self.notes.contents.list;
            let node = self.node(Node::row(event, span))?;
            let place = if node.span.is_empty() { key.clone() } else { node.span };
            self.note(Problem::new(format!("`{name}` must be a list"), place).help(if node.value.is_null() {
                format!("for no users at all, write `{name}: []`")
            } else {
                "begin every user with `- `".to_owned()
            }))?;
            return Ok(rows);
        }
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(rows);
            }
            let row = self.node(Node::row(event, span))?;
            push(&mut rows, row)?;
        }
    }
}

pub(super) fn range(span: &Span) -> Range<usize> {
    // The parser gives offsets for every text in memory.
    span.byte_range().unwrap_or_default()
}
