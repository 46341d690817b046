//! Converts YAML nodes into JSON values with their byte ranges.

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{Event, ScalarStyle, Span, StructureStyle, Tag};
use serde_json::{Map, Value};

use super::error::SyntaxError;
use super::parsed::{Read, duplicate};
use super::redact::{self, Visibility};
use super::yaml::{YamlReader, range};
use super::{FileField, FileRow, yaml_scalar};

/// The first event of a node, with its context.
pub(super) struct Node<'t> {
    event: Event<'t>,
    span: Span,
    show: Visibility,
    /// Whether the node is the value of a true-or-false field.
    flag: bool,
}

impl<'t> Node<'t> {
    fn new((event, span): (Event<'t>, Span), show: Visibility) -> Self {
        Self { event, span, show, flag: false }
    }

    /// A node in place of a row.
    pub fn row(event: Event<'t>, span: Span) -> Self {
        Self::new((event, span), Visibility::Rows)
    }
}

/// The parts of a scalar event.
type Scalar<'t> = (Cow<'t, str>, ScalarStyle, usize, Option<Cow<'t, Tag>>);

impl<'t> YamlReader<'t> {
    /// Converts any value, consuming its events.
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

    /// A key: its name, or its source text if it is not a scalar.
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

    /// Whether a key may be shown; hides it otherwise.
    pub(super) fn named(&mut self, name: &str, key: &Range<usize>, value: &FileRow) -> bool {
        let named = redact::is_printable_key(name, !value.span.is_empty());
        if !named {
            self.notes.hidden.push(redact::value(key.clone()));
        }
        named
    }

    /// Converts the value of a key; hides it unless the key is public.
    fn value(&mut self, name: &str, key: &Range<usize>, show: Visibility) -> Read<FileRow> {
        let inner = show.inside(self.notes.contents, name);
        let read = self.next().and_then(|next| {
            let flag = self.notes.contents.is_flag(name);
            self.node(Node { flag, ..Node::new(next, inner) })
        });
        if show != Visibility::Nothing && inner == Visibility::Nothing {
            let end = read.as_ref().map_or(self.text.len(), |value| value.span.end);
            // Also hides anchors and tags: a password may start like one.
            let rest = self.text.get(key.end..end).unwrap_or_default().trim_start();
            let rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
            self.notes.hidden.push(redact::value(end.saturating_sub(rest.len())..end));
        }
        if let Some(value) = read.as_ref().ok().filter(|value| redact::may_be_password(name, &value.value)) {
            self.notes.hide(value.span.clone());
        }
        read
    }

    /// Converts the value of `<<`: one or several mappings, whose keys the mapping itself overrides.
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

/// Adds the fields of a merged row that the mapping does not have.
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

/// The range without leading and trailing white space.
fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = text.get(range.clone()).unwrap_or_default();
    let start = range.start + (piece.len() - piece.trim_start().len());
    start..start + piece.trim().len()
}
