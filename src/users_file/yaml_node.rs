//! Turns one YAML node into a JSON value that knows its places; the second half of [`super::yaml`].

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{Event, ScalarStyle, Span, StructureStyle, Tag};
use serde_json::{Map, Value};

use super::error::SyntaxError;
use super::parsed::{Read, duplicate};
use super::redact::{self, Visibility};
use super::yaml::{YamlReader, range};
use super::{FileField, FileRow, yaml_scalar};

/// An event that begins a node, and what is known about the place it stands at.
pub(super) struct Node<'t> {
    event: Event<'t>,
    span: Span,
    show: Visibility,
    /// The value of `is_sso_user` or `must_change_password`.
    flag: bool,
}

impl<'t> Node<'t> {
    fn new((event, span): (Event<'t>, Span), show: Visibility) -> Self {
        Self { event, span, show, flag: false }
    }

    /// A node where a row is expected.
    pub fn row(event: Event<'t>, span: Span) -> Self {
        Self::new((event, span), Visibility::Rows)
    }
}

/// The parts of a scalar's event.
type Scalar<'t> = (Cow<'t, str>, ScalarStyle, usize, Option<Cow<'t, Tag>>);

impl<'t> YamlReader<'t> {
    /// Any value, with the events that belong to it.
    pub(super) fn node(&mut self, node: Node<'t>) -> Read<FileRow> {
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
            _ => return Err(Box::new(SyntaxError::new("unsupported YAML", place).unparsed())),
        };
        self.anchor(anchor, &row)?;
        Ok(row)
    }

    fn scalar(&mut self, scalar: Scalar<'t>, span: &Span, show: Visibility, flag: bool) -> Read<FileRow> {
        let (text, style, anchor, tag) = scalar;
        let place = range(span);
        let text_only = self.tag(tag.as_deref(), "str", span)?;
        if anchor != 0 && place.is_empty() {
            self.note(self.lone_anchor(place.start))?;
        }
        if show == Visibility::Rows || (show == Visibility::Public && redact::mentions_password(&text)) {
            self.notes.hidden.push(redact::value(place.clone()));
        }
        let place = match style {
            ScalarStyle::Literal | ScalarStyle::Folded => trim(self.text, place),
            _ => place,
        };
        let value = if style == ScalarStyle::Plain && !text_only {
            yaml_scalar::plain(text, flag)
        } else {
            Value::String(text.into_owned())
        };
        Ok(FileRow::new(value, place))
    }

    fn sequence(&mut self, start: Range<usize>, style: StructureStyle, show: Visibility) -> Read<FileRow> {
        let mut values = Vec::new();
        let mut end = start.end;
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                let end = if style == StructureStyle::Flow { range(&span).end } else { end };
                return Ok(FileRow::new(Value::Array(values), start.start..end));
            }
            let item = self.node(Node::new((event, span), show))?;
            end = end.max(item.span.end);
            values.push(item.value);
        }
    }

    fn mapping(&mut self, start: Range<usize>, style: StructureStyle, show: Visibility) -> Read<FileRow> {
        let mut map = Map::new();
        let mut fields: Vec<FileField> = Vec::new();
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
                let what =
                    if named && show != Visibility::Nothing { format!("key `{name}`") } else { "key".to_owned() };
                self.note(duplicate(&what, key, first.unwrap_or_default()))?;
                continue;
            }
            fields.push(FileField::new(&name, named, key, value.span));
            map.insert(name, value.value);
        }
        for row in merged {
            add(&mut map, &mut fields, row);
        }
        Ok(FileRow::object(map, start.start..end, fields))
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
            self.node(Node::new((event, span), Visibility::Nothing))?.span
        };
        let name = name.unwrap_or_else(|| self.text.get(place.clone()).unwrap_or_default().to_owned());
        Ok((name, place))
    }

    /// Whether a key can be printed; hides it otherwise.
    pub(super) fn named(&mut self, name: &str, key: &Range<usize>, value: &FileRow) -> bool {
        let named = redact::is_printable_key(name, !value.span.is_empty());
        if !named {
            self.notes.hidden.push(redact::value(key.clone()));
        }
        named
    }

    /// The value of a key, hidden unless it is known to be harmless.
    fn value(&mut self, name: &str, key: &Range<usize>, show: Visibility) -> Read<FileRow> {
        let inner = show.inside(self.notes.contents, name);
        let read = self.next().and_then(|next| {
            let flag = self.notes.contents.is_flag(name);
            self.node(Node { flag, ..Node::new(next, inner) })
        });
        if show != Visibility::Nothing && inner == Visibility::Nothing {
            let end = read.as_ref().map_or(self.text.len(), |value| value.span.end);
            // Anchors and tags are hidden with it: what looks like one may be the beginning of a
            // password.
            let rest = self.text.get(key.end..end).unwrap_or_default().trim_start();
            let rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
            self.notes.hidden.push(redact::value(end.saturating_sub(rest.len())..end));
        }
        if let Some(value) = read.as_ref().ok().filter(|value| redact::may_be_password(name, &value.value)) {
            self.notes.hide(value.span.clone());
        }
        read
    }

    /// The value of `<<`: a mapping or a list of them, whose keys count unless the mapping has its
    /// own.
    fn merge(&mut self, merged: &mut Vec<FileRow>, show: Visibility) -> Read<usize> {
        let show = if show == Visibility::Nothing { Visibility::Nothing } else { Visibility::Rows };
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
            self.note(SyntaxError::new("`<<` requires a mapping or a list of mappings", place.start..end))?;
        }
        Ok(end)
    }
}

/// Adds what a merged row has and the mapping has not.
fn add(map: &mut Map<String, Value>, fields: &mut Vec<FileField>, row: FileRow) {
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
