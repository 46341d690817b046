//! YAML anchors, aliases and tags: limits on copies, and errors for values that are more likely passwords.

use std::ops::Range;
use std::rc::Rc;

use granit_parser::{Span, Tag};
use serde_json::Value;

use super::FileRow;
use super::error::SyntaxError;
use super::parsed::Read;
use super::redact::Visibility;
use super::yaml::{YamlReader, range};

/// Maximum number of bytes copied by anchors and aliases, against "billion laughs" attacks.
const MAX_COPIED_BYTES: usize = 256 * 1024 * 1024;
/// Memory overhead of a copied value in bytes.
const NODE_OVERHEAD: usize = 64;

impl YamlReader<'_> {
    /// Stores the value of an anchor for later aliases; `id` 0 means no anchor.
    pub(super) fn anchor(&mut self, id: usize, row: &FileRow) -> Read<()> {
        if id != 0 {
            let cost = weigh(&row.value);
            self.copy(cost, &row.span)?;
            self.anchors.insert(id, (Rc::new(row.clone()), cost));
        }
        Ok(())
    }

    /// A copy of the anchored value, at the place of the alias.
    pub(super) fn alias(&mut self, id: usize, place: Range<usize>, show: Visibility) -> Read<FileRow> {
        let Some((row, cost)) = self.anchors.get(&id).cloned() else {
            let error = SyntaxError::new("an alias can't refer to a value that contains it", place);
            return Err(error);
        };
        self.copy(cost, &place)?;
        if show == Visibility::Nothing {
            // Used as a secret here, so it is also hidden where it was defined.
            self.notes.hide(row.span.clone());
        }
        Ok(FileRow { span: place, ..FileRow::clone(&row) })
    }

    /// Counts a copy towards the limit.
    fn copy(&mut self, cost: usize, place: &Range<usize>) -> Read<()> {
        self.copied = self.copied.saturating_add(cost);
        if self.copied > MAX_COPIED_BYTES {
            let message = format!("the aliases so far expand to more than {} MiB", MAX_COPIED_BYTES / (1024 * 1024));
            return Err(SyntaxError::new(message, place.clone()));
        }
        Ok(())
    }

    /// Whether a node has the `allowed` tag; any other tag is an error.
    pub(super) fn tag(&mut self, tag: Option<&Tag>, allowed: &str, span: &Span) -> Read<bool> {
        let Some(tag) = tag else { return Ok(false) };
        let fits = tag.is_yaml_core_schema_tag(allowed) || (tag.handle().is_empty() && tag.suffix() == "!");
        if !fits {
            let place = span.tag_span().map_or_else(|| range(span), |tag| range(&tag));
            self.notes.hide(place.clone());
            let error =
                SyntaxError::new("a value that starts with `!` is a YAML tag, which is not supported here", place);
            self.notes.note(error.help("if the `!` is part of the text, quote the whole value"))?;
        }
        Ok(fits)
    }

    /// An anchor without a value: most likely text that should be quoted.
    pub(super) fn lone_anchor(&self, end: usize) -> SyntaxError {
        let start = self.text.get(..end).and_then(|before| before.rfind('&')).unwrap_or(end);
        SyntaxError::new("a value that starts with `&` is a YAML anchor, not text", start..end)
            .help("if the `&` is part of the text, quote the whole value")
    }
}

/// Estimates the memory of a copy in bytes.
fn weigh(value: &Value) -> usize {
    NODE_OVERHEAD
        + match value {
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(weigh).sum(),
            Value::Object(map) => map.iter().map(|(key, value)| NODE_OVERHEAD + key.len() + weigh(value)).sum(),
            _ => 0,
        }
}
