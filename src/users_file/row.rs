//! A row of a users file with the byte ranges of its keys and values.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Map, Value};

use super::Contents;
use super::contents::NAMING;
use crate::field::UserField;

/// A row, independent of the file format.
#[derive(Clone)]
pub(super) struct FileRow {
    /// The value to send.
    pub value: Value,
    /// The byte range of the row.
    pub span: Range<usize>,
    /// The fields sorted by name; empty unless the row is a mapping.
    pub fields: Vec<FileField>,
}

#[derive(Clone)]
pub(super) struct FileField {
    pub name: Cow<'static, str>,
    /// Whether the name may be shown; see [`is_printable_key`](super::redact::is_printable_key).
    pub is_shown: bool,
    pub key: Range<usize>,
    /// Empty if the key has no value.
    pub value: Range<usize>,
}

impl FileRow {
    /// A value without fields.
    pub fn new(value: Value, span: Range<usize>) -> Self {
        Self { value, span, fields: Vec::new() }
    }

    /// A mapping.
    pub fn object(map: Map<String, Value>, span: Range<usize>, mut fields: Vec<FileField>) -> Self {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        fields.shrink_to_fit();
        Self { value: Value::Object(map), span, fields }
    }

    /// Leaves only the user of a row of muster's exports, under the name `user`.
    pub fn name_user(&mut self, contents: &Contents) {
        let Value::Object(values) = &mut self.value else { return };
        let is_named = |key: &&str| values.get(*key).is_some_and(|value| !value.is_null());
        let Some(naming) = NAMING.into_iter().find(is_named) else { return };
        let user = UserField::User.as_str();
        values.retain(|key, _| key == naming || !contents.is_left_out(key));
        self.fields.retain(|field| field.name == naming || !contents.is_left_out(&field.name));
        if let Some(value) = values.remove(naming) {
            values.insert(user.to_owned(), value);
        }
        for field in &mut self.fields {
            if field.name == naming {
                field.name = Cow::Borrowed(user);
            }
        }
        self.fields.sort_by(|a, b| a.name.cmp(&b.name));
    }

    pub fn field(&self, name: &str) -> Option<&FileField> {
        let found = self.fields.binary_search_by(|field| field.name.as_ref().cmp(name)).ok()?;
        self.fields.get(found)
    }
}

impl FileField {
    pub fn new(name: &str, is_shown: bool, key: Range<usize>, value: Range<usize>) -> Self {
        let known = UserField::find(UserField::NEW_USER, name);
        let name = known.map_or_else(|| Cow::Owned(name.to_owned()), |field| Cow::Borrowed(field.as_str()));
        Self { name, is_shown, key, value }
    }
}
