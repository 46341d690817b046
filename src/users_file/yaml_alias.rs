//! Anchors, aliases and tags of YAML: what may be copied how often, and what is more likely a
//! password.

use std::ops::Range;
use std::rc::Rc;

use granit_parser::{Span, Tag};
use serde_json::Value;

use super::FileRow;
use super::error::SyntaxError;
use super::parsed::Read;
use super::redact::{self, Visibility};
use super::yaml::{YamlReader, range};

/// Bytes that anchors and aliases may copy: far more than a real file does, far less than a
/// "billion laughs".
const MAX_COPIED_BYTES: usize = 256 * 1024 * 1024;
/// What a copied value takes beside its text.
const NODE: usize = 64;

impl YamlReader<'_> {
    /// Keeps a value for the aliases that may come; `id` 0 is none.
    pub(super) fn anchor(&mut self, id: usize, row: &FileRow) -> Read<()> {
        if id != 0 {
            let cost = weigh(&row.value);
            self.copy(cost, &row.span)?;
            self.anchors.insert(id, (Rc::new(row.clone()), cost));
        }
        Ok(())
    }

    /// A copy of what an alias stands for, at its place.
    pub(super) fn alias(&mut self, id: usize, place: Range<usize>, show: Visibility) -> Read<FileRow> {
        let Some((row, cost)) = self.anchors.get(&id).cloned() else {
            let error = SyntaxError::new("an alias can't refer to a value that contains it", place);
            return Err(Box::new(error));
        };
        self.copy(cost, &place)?;
        if show == Visibility::Nothing {
            // Somewhere it is a secret: hidden where it is written, too.
            self.notes.hidden.push(redact::value(row.span.clone()));
        }
        Ok(FileRow { span: place, ..FileRow::clone(&row) })
    }

    /// Accounts for a copy of a value.
    fn copy(&mut self, cost: usize, place: &Range<usize>) -> Read<()> {
        self.copied = self.copied.saturating_add(cost);
        if self.copied > MAX_COPIED_BYTES {
            let message = format!("the aliases so far expand to more than {} MiB", MAX_COPIED_BYTES / (1024 * 1024));
            return Err(Box::new(SyntaxError::new(message, place.clone())));
        }
        Ok(())
    }

    /// Whether a node has the tag that it may have; any other is a problem.
    pub(super) fn tag(&mut self, tag: Option<&Tag>, allowed: &str, span: &Span) -> Read<bool> {
        let Some(tag) = tag else { return Ok(false) };
        let fits = tag.is_yaml_core_schema_tag(allowed) || (tag.handle().is_empty() && tag.suffix() == "!");
        if !fits {
            let place = span.tag_span().map_or_else(|| range(span), |tag| range(&tag));
            self.notes.hidden.push(redact::value(place.clone()));
            let error =
                SyntaxError::new("a value that starts with `!` is a YAML tag, which is not supported here", place);
            self.note(error.help("if the `!` is part of the text, quote the whole value"))?;
        }
        Ok(fits)
    }

    /// An anchor with nothing behind it, before `end`: most likely text that should be in quotes.
    pub(super) fn lone_anchor(&self, end: usize) -> SyntaxError {
        let start = self.text.get(..end).and_then(|before| before.rfind('&')).unwrap_or(end);
        SyntaxError::new("a value that starts with `&` is a YAML anchor, not text", start..end)
            .help("if the `&` is part of the text, quote the whole value")
    }
}

/// About how much memory a copy takes.
fn weigh(value: &Value) -> usize {
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weigh).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| NODE + key.len() + weigh(value)).sum(),
        _ => 0,
    }
}
