//! Turns one YAML node into a JSON value that knows its places; the second half of [`super::yaml`].

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{Event, ScalarStyle, Span, StructureStyle, Tag};
use serde_json::{Map, Value};

use super::error::Problem;
use super::hide::{self, Show};
use super::parsed::{Read, twice};
use super::yaml::{Reader, range};
use super::{Field, Row, scalar};

/// An event that begins a node, and what is known about the place it stands at.
pub(super) struct Node<'t> {
    event: Event<'t>,
    span: Span,
    show: Show,
    /// The value of `is_sso_user` or `must_change_password`.
    flag: bool,
}

impl<'t> Node<'t> {
    fn new((event, span): (Event<'t>, Span), show: Show) -> Self {
        Self { event, span, show, flag: false }
    }

    /// A node where a row is expected.
    pub fn row(event: Event<'t>, span: Span) -> Self {
        Self::new((event, span), Show::Rows)
    }
}

/// The parts of a scalar's event.
type Scalar<'t> = (Cow<'t, str>, ScalarStyle, usize, Option<Cow<'t, Tag>>);

impl<'t> Reader<'t> {
    /// Any value, with the events that belong to it.
    pub(super) fn node(&mut self, node: Node<'t>) -> Read<Row> {
        let Node { event, span, show, flag } = node;
        let place = range(&span);
        let (row, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar((text, style, anchor, tag), &span, show, flag)?, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.tag(tag.as_deref(), "seq", &span)?;
                (self.sequence(place, style, show)?, anchor)
            }
            Event::MappingStart(style, anchor, tag) => {
                self.tag(tag.as_deref(), "map", &span)?;
                (self.mapping(place, style, show)?, anchor)
            }
            Event::Alias(id) => (self.alias(id, place, show)?, 0),
            _ => return Err(Box::new(Problem::new("not understood", place).unparsed())),
        };
        self.anchor(anchor, &row)?;
        Ok(row)
    }

    fn scalar(&mut self, scalar: Scalar<'t>, span: &Span, show: Show, flag: bool) -> Read<Row> {
        let (text, style, anchor, tag) = scalar;
        let place = range(span);
        let text_only = self.tag(tag.as_deref(), "str", span)?;
        if anchor != 0 && place.is_empty() {
            self.note(self.lone_anchor(place.start))?;
        }
        if show == Show::Rows || (show == Show::Public && hide::is_suspect(&text)) {
            self.notes.hidden.push(hide::value(place.clone()));
        }
        let place = match style {
            ScalarStyle::Literal | ScalarStyle::Folded => trim(self.text, place),
            _ => place,
        };
        let value = if style == ScalarStyle::Plain && !text_only {
            scalar::plain(text, flag)
        } else {
            Value::String(text.into_owned())
        };
        Ok(Row::new(value, place))
    }

    fn sequence(&mut self, start: Range<usize>, style: StructureStyle, show: Show) -> Read<Row> {
        let mut values = Vec::new();
        let mut end = start.end;
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                let end = if style == StructureStyle::Flow { range(&span).end } else { end };
                return Ok(Row::new(Value::Array(values), start.start..end));
            }
            let item = self.node(Node::new((event, span), show))?;
            end = end.max(item.span.end);
            values.push(item.value);
        }
    }

    fn mapping(&mut self, start: Range<usize>, style: StructureStyle, show: Show) -> Read<Row> {
        let mut map = Map::new();
        let mut fields: Vec<Field> = Vec::new();
        let mut merged = Vec::new();
        let mut end = start.end;
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                if style == StructureStyle::Flow {
                    end = range(&span).end;
                }
                break;
            }
            if matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<") {
                end = end.max(self.merge(&mut merged, show)?);
                continue;
            }
            let (name, key) = self.key(event, span)?;
            let value = self.value(&name, &key, show)?;
            let named = self.named(&name, &key, &value);
            end = end.max(key.end).max(value.span.end);
            if map.contains_key(&name) {
                let first = fields.iter().find(|field| field.name == name).map(|field| field.key.clone());
                let what = if named && show != Show::Nothing { format!("`{name}`") } else { "a key".to_owned() };
                self.note(twice(&what, key, first.unwrap_or_default()))?;
                continue;
            }
            fields.push(Field::new(&name, named, key, value.span));
            map.insert(name, value.value);
        }
        for row in merged {
            add(&mut map, &mut fields, row);
        }
        Ok(Row::object(map, start.start..end, fields))
    }

    /// A key: its name, or its source text when it is no scalar.
    pub(super) fn key(&mut self, event: Event<'t>, span: Span) -> Read<(String, Range<usize>)> {
        let place = range(&span);
        let name = match &event {
            Event::Scalar(text, ..) if !place.is_empty() => Some(text.to_string()),
            _ => None,
        };
        let place = if matches!(event, Event::Scalar(_, _, 0, None)) {
            place
        } else {
            self.node(Node::new((event, span), Show::Nothing))?.span
        };
        let name = name.unwrap_or_else(|| self.text.get(place.clone()).unwrap_or_default().to_owned());
        Ok((name, place))
    }

    /// Whether a key can be printed; hides it otherwise.
    pub(super) fn named(&mut self, name: &str, key: &Range<usize>, value: &Row) -> bool {
        let named = hide::is_word(name, !value.span.is_empty());
        if !named {
            self.notes.hidden.push(hide::value(key.clone()));
        }
        named
    }

    /// The value of a key, hidden unless it is known to be harmless.
    fn value(&mut self, name: &str, key: &Range<usize>, show: Show) -> Read<Row> {
        let inner = show.inside(self.notes.contents, name);
        let read = self.next().and_then(|next| {
            let flag = self.notes.contents.is_flag(name);
            self.node(Node { flag, ..Node::new(next, inner) })
        });
        if show != Show::Nothing && inner == Show::Nothing {
            let end = read.as_ref().map_or(self.text.len(), |value| value.span.end);
            // Anchors and tags are hidden with it: what looks like one may be the beginning of a
            // password.
            let rest = self.text.get(key.end..end).unwrap_or_default().trim_start();
            let rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
            self.notes.hidden.push(hide::value(end.saturating_sub(rest.len())..end));
        }
        if let Some(value) = read.as_ref().ok().filter(|value| hide::is_odd(name, &value.value)) {
            self.notes.hide(value.span.clone());
        }
        read
    }

    /// The value of `<<`: a mapping or a list of them, whose keys count unless the mapping has its
    /// own.
    fn merge(&mut self, merged: &mut Vec<Row>, show: Show) -> Read<usize> {
        let show = if show == Show::Nothing { Show::Nothing } else { Show::Rows };
        let (event, span) = self.next()?;
        let place = range(&span);
        let mut end = place.end;
        let first = merged.len();
        if matches!(event, Event::SequenceStart(..)) {
            loop {
                let (event, span) = self.next()?;
                if matches!(event, Event::SequenceEnd) {
                    end = end.max(trim(self.text, place.start..range(&span).end).end);
                    break;
                }
                merged.push(self.node(Node::new((event, span), show))?);
            }
        } else {
            let row = self.node(Node::new((event, span), show))?;
            end = row.span.end;
            merged.push(row);
        }
        if merged.iter().skip(first).any(|row| !row.value.is_object()) {
            self.note(Problem::new("`<<` merges a mapping, or a list of mappings", place.start..end))?;
        }
        Ok(end)
    }
}

/// Adds what a merged row has and the mapping has not.
fn add(map: &mut Map<String, Value>, fields: &mut Vec<Field>, row: Row) {
    let Value::Object(mut values) = row.value else {
        return;
    };
    for field in row.fields {
        let value = values.remove(field.name.as_ref());
        if let Some(value) = value.filter(|_| !map.contains_key(field.name.as_ref())) {
            map.insert(field.name.clone().into_owned(), value);
            fields.push(field);
        }
    }
}

/// The range without the white space at its ends.
fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = text.get(range.clone()).unwrap_or_default();
    let start = range.start + (piece.len() - piece.trim_start().len());
    start..start + piece.trim().len()
}
