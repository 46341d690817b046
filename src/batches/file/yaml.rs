//! Makes rows with places from YAML.
//!
//! The top level is read by [`Reader::document`] (one mapping with `create_users`), everything
//! below it by [`Reader::node`] (in [`super::node`]), which turns one node into a JSON value,
//! whatever it is. A problem that leaves the rest readable is noted and reading goes on; the others
//! end it.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use granit_parser::{Event, Parser, Span, StrInput, options};

use super::error::Problem;
use super::hide::{self, Hidden};
use super::node::Node;
use super::{Row, syntax};

/// What came of a text: rows, or problems.
pub(super) struct Parsed {
    pub rows: Vec<Row>,
    pub hidden: Vec<Hidden>,
    pub problems: Vec<Problem>,
}

pub(super) fn parse(text: &str) -> Parsed {
    let mut reader = Reader::new(text);
    let rows = reader.document().unwrap_or_else(|problem| {
        reader.problems.push(*problem);
        // The parser looks ahead: even the lines of earlier problems may not have been read to
        // their end.
        for problem in &mut reader.problems {
            problem.unparsed = true;
        }
        Vec::new()
    });
    let Reader { mut hidden, problems, .. } = reader;
    hide::tidy(&mut hidden);
    Parsed { rows, hidden, problems }
}

/// A users file is three levels deep. The bound keeps every recursion over values small.
const DEPTH: usize = 32;
/// Problems after which reading ends.
const PROBLEMS: usize = 100;

const LIST: &str = "create_users";
const EXPECTED: &str = "a users file is `create_users:` with a list of users under it";

/// The problem that ends the reading.
pub(super) type Read<T> = Result<T, Box<Problem>>;

/// Goes through the parser's events once, from the first to the last.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    /// What aliases stand for, and what a copy of it costs.
    pub(super) anchors: HashMap<usize, (Rc<Row>, usize)>,
    pub(super) copied: usize,
    pub(super) hidden: Vec<Hidden>,
    pub(super) problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
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
            hidden: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The next event that is part of a value. Comments, and the names of anchors, are hidden.
    pub(super) fn next(&mut self) -> Read<(Event<'t>, Span)> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), span))) => {
                    self.hidden.push(hide::comment(range(&span)));
                }
                Some(Ok((Event::Anchor(..), span))) => self.hidden.push(hide::value(range(&span))),
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
        if self.problems.len() < PROBLEMS {
            self.problems.push(problem);
            return Ok(());
        }
        Err(Box::new(Problem::new("too many problems: the rest of the file was not read", problem.span)))
    }

    fn document(&mut self) -> Read<Vec<Row>> {
        self.next()?; // the stream's start
        if matches!(self.next()?.0, Event::StreamEnd) {
            return Err(Box::new(Problem::new("the file is empty", 0..0).help(EXPECTED)));
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
                let problem = Problem::new("`create_users:` is missing", start..start);
                self.note(problem.help("write `create_users:` on a line of its own above the list"))?;
                Vec::new()
            }
            // A table, a text, or a list whose head lacks its colon: any word of it can be a
            // password.
            _ => {
                return Err(Box::new(
                    Problem::new("`create_users:` is missing", range(&span)).unparsed().help(EXPECTED),
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

    /// The keys of the file: `create_users`, and no other.
    fn top_level(&mut self, place: Range<usize>) -> Read<Vec<Row>> {
        let mut list: Option<(Range<usize>, Vec<Row>)> = None;
        let mut others: Vec<(String, Range<usize>)> = Vec::new(); // a name that can't be printed is empty
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let (name, key) = self.key(event, span)?;
            let (event, span) = self.next()?;
            if name != LIST {
                // Perhaps the list under a misspelt name, perhaps anything: read like rows, so that
                // only keys are shown.
                let value = self.node(Node::row(event, span))?;
                let name = if self.named(&name, &key, &value) { name } else { String::new() };
                others.push((name, key));
            } else if let Some((first, _)) = &list {
                let problem = twice("`create_users`", key, first.clone());
                self.node(Node::row(event, span))?;
                self.note(problem)?;
            } else {
                list = Some((key.clone(), self.list(&key, event, span)?));
            }
        }
        let Some((_, rows)) = list else {
            let near = others.iter().find(|(name, _)| is_near(name)).or(others.first());
            let (name, key) = near.map_or(("", place.start..place.start), |(name, key)| (name.as_str(), key.clone()));
            self.note(if is_near(name) {
                unknown(name, key).help("did you mean `create_users`?")
            } else {
                Problem::new("`create_users:` is missing", key).help(EXPECTED)
            })?;
            return Ok(Vec::new());
        };
        for (name, key) in others {
            self.note(unknown(&name, key).help("a users file has no key but `create_users`"))?;
        }
        Ok(rows)
    }

    /// The value of `create_users`.
    fn list(&mut self, key: &Range<usize>, event: Event<'t>, span: Span) -> Read<Vec<Row>> {
        let mut rows = Vec::new();
        if let Event::SequenceStart(_, _, tag) = &event {
            self.tag(tag.as_deref(), "seq", &span)?;
        } else {
            let node = self.node(Node::row(event, span))?;
            let place = if node.span.is_empty() { key.clone() } else { node.span };
            self.note(Problem::new("`create_users` must be a list", place).help(if node.value.is_null() {
                "for no users at all, write `create_users: []`"
            } else {
                "begin every user with `- `"
            }))?;
            return Ok(rows);
        }
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(rows);
            }
            rows.push(self.node(Node::row(event, span))?);
        }
    }
}

fn unknown(key: &str, place: Range<usize>) -> Problem {
    Problem::new(if key.is_empty() { "unknown key".to_owned() } else { format!("unknown key `{key}`") }, place)
}

pub(super) fn twice(what: &str, place: Range<usize>, first: Range<usize>) -> Problem {
    Problem::new(format!("{what} is given twice"), place).first(first)
}

/// Whether somebody who wrote this key meant `create_users`.
fn is_near(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("user") || key.contains("create")
}

pub(super) fn range(span: &Span) -> Range<usize> {
    // The parser gives offsets for every text in memory.
    span.byte_range().unwrap_or_default()
}
