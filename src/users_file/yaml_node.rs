//! Converts YAML nodes into JSON values with their byte ranges.

use std::ops::Range;

use granit_parser::{Event, ScalarStyle, Span, StructureStyle};
use serde_json::Value;

use super::error::SyntaxError;
use super::parsed::{Mapping, Read, duplicate};
use super::redact::{self, Visibility};
use super::yaml::{YamlReader, range};
use super::{FileRow, slice, yaml_errors, yaml_scalar};

impl<'t> YamlReader<'t> {
    /// Converts a value in place of a row, consuming its events.
    pub(super) fn row(&mut self, start: (Event<'t>, Span)) -> Read<FileRow> {
        self.node(start, Visibility::Rows, false)
    }

    /// Converts any value, consuming its events. `flag` is whether it is the value of a true-or-false field.
    fn node(&mut self, (event, span): (Event<'t>, Span), show: Visibility, flag: bool) -> Read<FileRow> {
        let place = range(&span);
        let (row, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text_only = self.tag(tag.as_deref(), "str", &span)?;
                if anchor != 0 && place.is_empty() {
                    self.notes.note(self.lone_anchor(place.start))?;
                }
                if show == Visibility::Rows || (show == Visibility::Public && redact::mentions_password(&text)) {
                    self.notes.hide(place.clone());
                }
                if show == Visibility::Rows && style == ScalarStyle::Plain {
                    // `- name:` and a no-break space, for example.
                    yaml_errors::odd_space(self.text, place.clone()).map_or(Ok(()), Err)?;
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
                (FileRow::new(value, place), anchor)
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
            _ => return Err(SyntaxError::new("unsupported YAML", place).unparsed()),
        };
        self.anchor(anchor, &row)?;
        Ok(row)
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
            let item = self.node((event, span), show, false)?;
            end = end.max(item.span.end);
            values.push(item.value);
        }
    }

    fn mapping(&mut self, start: Range<usize>, style: StructureStyle, show: Visibility) -> Read<FileRow> {
        let mut mapping = Mapping::default();
        let mut merged = Vec::new();
        let mut merge_key = None;
        let mut end = start.end;
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                if style == StructureStyle::Flow {
                    end = range(&span).end;
                }
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, tag)
                if text == "<<" && tag.as_ref().is_none_or(|tag| tag.suffix() == "merge"));
            let (name, key) = self.key(event, span)?;
            if is_merge {
                let first = merge_key.get_or_insert_with(|| key.clone());
                if *first == key {
                    end = end.max(self.merge(&mut merged, show)?);
                } else {
                    let error = duplicate("key `<<`", key, first.clone());
                    end = end.max(self.merge(&mut Vec::new(), show)?);
                    self.notes.note(error.help("to merge several mappings, write a list: `<<: [*a, *b]`"))?;
                }
                continue;
            }
            let value = self.value(&name, &key, show)?;
            end = end.max(key.end).max(value.span.end);
            mapping.add(name, key, value, show, &mut self.notes)?;
        }
        for row in merged {
            mapping.merge(row);
        }
        Ok(mapping.into_row(start.start..end))
    }

    /// A key: its name, or its source text if it is not a scalar.
    pub(super) fn key(&mut self, event: Event<'t>, span: Span) -> Read<(String, Range<usize>)> {
        let place = range(&span);
        if let Event::Scalar(_, ScalarStyle::Plain, ..) = event
            && let Some(error) = yaml_errors::odd_space(self.text, place.clone())
        {
            return Err(error);
        }
        let name = match &event {
            Event::Scalar(text, ..) if !place.is_empty() => Some(text.to_string()),
            _ => None,
        };
        let place = if matches!(event, Event::Scalar(_, _, 0, None)) {
            place
        } else {
            self.node((event, span), Visibility::Nothing, false)?.span
        };
        let name = name.unwrap_or_else(|| slice(self.text, place.clone()).to_owned());
        Ok((name, place))
    }

    /// Converts the value of a key; hides it unless the key is public.
    fn value(&mut self, name: &str, key: &Range<usize>, show: Visibility) -> Read<FileRow> {
        let inner = show.inside(self.notes.contents, name);
        let read = self.next().and_then(|next| {
            let flag = self.notes.contents.is_flag(name);
            self.node(next, inner, flag)
        });
        if show != Visibility::Nothing && inner == Visibility::Nothing {
            let end = read.as_ref().map_or(self.text.len(), |value| value.span.end);
            // Also hides anchors and tags: a password may start like one.
            let rest = self.text.get(key.end..end).unwrap_or_default().trim_start();
            let rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
            self.notes.hide(end.saturating_sub(rest.len())..end);
        }
        let value = read?;
        self.check_comment(name, key, &value)?;
        Ok(value)
    }

    /// Reports a comment that may be meant as the value of a known field, or as the rest of an unquoted secret.
    fn check_comment(&mut self, name: &str, key: &Range<usize>, value: &FileRow) -> Read<()> {
        let Some(field) = self.notes.contents.field(name) else { return Ok(()) };
        let is_missing = value.span.is_empty();
        let is_quoted_or_alias = || slice(self.text, value.span.start..).starts_with(['"', '\'', '*']);
        let is_scalar = !matches!(value.value, Value::Null | Value::Array(_) | Value::Object(_));
        if !is_missing && (!field.is_secret() || !is_scalar || is_quoted_or_alias()) {
            return Ok(());
        }
        let behind = slice(self.text, if is_missing { key.end } else { value.span.end }..);
        let rest = if is_missing { after_properties(behind) } else { trim_blanks(behind) };
        if !rest.starts_with('#') {
            return Ok(());
        }
        let start = self.text.len() - rest.len();
        let comment = rest.split(redact::is_break).next().unwrap_or_default();
        let place = start..start + comment.trim_end().len();
        self.notes.hide(place.clone());
        let (lack, instead) = if is_missing {
            ("has no value", "write `null` before the comment")
        } else {
            ("is cut off", "move the comment to its own line")
        };
        let error = SyntaxError::new(format!("`{name}` {lack}, because ` #` starts a comment"), place);
        self.notes.note(error.help(format!("put the value in quotes, or {instead}")))
    }

    /// Converts the value of `<<`: one or several mappings, whose keys the mapping itself overrides.
    fn merge(&mut self, merged: &mut Vec<FileRow>, show: Visibility) -> Read<usize> {
        let show = if show == Visibility::Nothing { Visibility::Nothing } else { Visibility::Rows };
        let start = self.next()?;
        let place = range(&start.1);
        let mut end = place.end;
        let first = merged.len();
        if matches!(start.0, Event::SequenceStart(..)) {
            loop {
                let (event, span) = self.next()?;
                if matches!(event, Event::SequenceEnd) {
                    end = end.max(trim(self.text, place.start..range(&span).end).end);
                    break;
                }
                merged.push(self.node((event, span), show, false)?);
            }
        } else {
            let row = self.node(start, show, false)?;
            end = row.span.end;
            merged.push(row);
        }
        if merged.iter().skip(first).any(|row| !row.value.is_object()) {
            self.notes.note(SyntaxError::new("`<<` requires a mapping or a list of mappings", place.start..end))?;
        }
        Ok(end)
    }
}

/// The text after the `:` of a key, without the tag, the anchor and the block indicator of the value.
fn after_properties(text: &str) -> &str {
    let text = trim_blanks(text);
    let mut rest = trim_blanks(text.strip_prefix(':').unwrap_or(text));
    while rest.starts_with(['!', '&', '|', '>']) {
        rest = trim_blanks(rest.trim_start_matches(|c: char| !c.is_whitespace()));
    }
    rest
}

fn trim_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// The range without leading and trailing white space.
fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = slice(text, range.clone());
    let start = range.start + (piece.len() - piece.trim_start().len());
    start..start + piece.trim().len()
}
