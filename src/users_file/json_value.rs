//! Parses JSON values (RFC 8259) with their byte ranges. After a syntax error, the rest of the text is hidden.

use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::{Number, Value};

use super::error::SyntaxError;
use super::parsed::{MAX_DEPTH, Mapping, Notes, Read};
use super::redact::{self, Visibility};
use super::{Contents, FileRow, slice};

const ONE_LINE: &str = "each user must be on one line";

/// A parser for one pass over a text.
pub(super) struct JsonReader<'t> {
    text: &'t str,
    pub(super) at: usize,
    /// The end of the text, or of the line.
    pub(super) end: usize,
    depth: usize,
    /// Whether the text is JSON lines.
    lines: bool,
    pub(super) notes: Notes,
}

impl<'t> JsonReader<'t> {
    pub fn new(contents: &'static Contents, text: &'t str, lines: bool) -> Self {
        Self { text, at: 0, end: text.len(), depth: 0, lines, notes: Notes::new(contents) }
    }

    /// Continues at `at`, up to `end`.
    pub fn go_to(&mut self, at: usize, end: usize) {
        (self.at, self.end, self.depth) = (at, end, 0);
    }

    pub fn peek(&self) -> Option<u8> {
        self.byte(self.at)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied().filter(|_| at < self.end)
    }

    /// Skips white space and returns the offset after it.
    pub fn skip(&mut self) -> usize {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.at
    }

    /// Stops with an error, and hides the text from `unknown` on.
    pub fn fail<T>(&mut self, unknown: usize, error: SyntaxError) -> Read<T> {
        self.at = unknown;
        Err(error)
    }

    /// Hides the unparsed rest.
    pub fn hide_rest(&mut self) {
        self.notes.hide(self.at..self.end);
    }

    /// Parses any value.
    pub fn value(&mut self, show: Visibility) -> Read<FileRow> {
        let start = self.skip();
        let value = match self.peek() {
            Some(b'{') => return self.object(show),
            Some(b'[') => return self.array(show),
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b'a'..=b'z' | b'A'..=b'Z') => self.word()?,
            Some(b',' | b'}' | b']' | b':') => {
                return self.fail(start, SyntaxError::new("missing value", start..start));
            }
            Some(b'/' | b'#') => return self.fail(start, SyntaxError::new("JSON has no comments", start..start)),
            Some(_) => {
                let error = SyntaxError::new("invalid JSON value", start..start);
                return self.fail(start, error.help("put text in double quotes"));
            }
            None => {
                let last = slice(self.text, ..start).trim_end().len();
                return self.fail(start, SyntaxError::new("missing value", last..last));
            }
        };
        let place = start..self.at;
        let suspect = show == Visibility::Public && value.as_str().is_some_and(redact::mentions_password);
        if show == Visibility::Rows || suspect {
            self.notes.hide(place.clone());
        }
        Ok(FileRow::new(value, place))
    }

    fn object(&mut self, show: Visibility) -> Read<FileRow> {
        let start = self.open()?;
        let mut mapping = Mapping::default();
        let mut more = self.any(start, b'}')?;
        while more {
            let (name, key) = self.key()?;
            let value = self.field(&name, show)?;
            mapping.add(name, key, value, show, &mut self.notes)?;
            more = self.more(start, b'}')?;
        }
        Ok(mapping.into_row(start..self.at))
    }

    fn array(&mut self, show: Visibility) -> Read<FileRow> {
        let mut values = Vec::new();
        let span = self.items(show, |item| {
            values.push(item.value);
            Ok(())
        })?;
        Ok(FileRow::new(Value::Array(values), span))
    }

    /// Parses an array and passes each item to `take`; returns its byte range.
    pub fn items(&mut self, show: Visibility, mut take: impl FnMut(FileRow) -> Read<()>) -> Read<Range<usize>> {
        let start = self.open()?;
        let mut more = self.any(start, b']')?;
        while more {
            let item = self.value(show)?;
            take(item)?;
            more = self.more(start, b']')?;
        }
        Ok(start..self.at)
    }

    /// Enters an object or array and returns its start.
    pub fn open(&mut self) -> Read<usize> {
        let start = self.at;
        if self.depth == MAX_DEPTH {
            return self.fail(start, SyntaxError::new("nested too deeply", start..start));
        }
        self.depth += 1;
        self.at += 1;
        Ok(start)
    }

    /// After an opening bracket: whether there is an entry.
    pub fn any(&mut self, start: usize, close: u8) -> Read<bool> {
        self.skip();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(_) => Ok(true),
            None => {
                let open = if close == b'}' { "unclosed `{`" } else { "unclosed `[`" };
                let error = SyntaxError::new(open, start..start + 1);
                self.fail(self.at, if self.lines { error.help(ONE_LINE) } else { error })
            }
        }
    }

    /// After an entry: whether there is another one.
    pub fn more(&mut self, start: usize, close: u8) -> Read<bool> {
        let at = self.skip();
        if !self.any(start, close)? {
            return Ok(false);
        }
        if self.peek() != Some(b',') {
            let due = if close == b'}' { "expected `,` or `}`" } else { "expected `,` or `]`" };
            let error = SyntaxError::new(due, at..at);
            return self.fail(at, error.help("check for a missing or misplaced quote"));
        }
        self.at += 1;
        if !self.any(start, close)? {
            let error = SyntaxError::new("trailing comma", at..at + 1);
            return self.fail(self.at, error.help("remove it"));
        }
        Ok(true)
    }

    /// Parses a key and its colon.
    pub fn key(&mut self) -> Read<(String, Range<usize>)> {
        let start = self.skip();
        if self.peek() != Some(b'"') {
            let error = SyntaxError::new("expected a key in double quotes", start..start);
            return self.fail(start, error);
        }
        let name = self.string()?;
        let place = start..self.at;
        let at = self.skip();
        if self.peek() != Some(b':') {
            let unknown = if self.notes.contents.field(&name).is_some() { at } else { start };
            return self.fail(unknown, SyntaxError::new("missing `:` after this key", place));
        }
        self.at += 1;
        Ok((name, place))
    }

    /// Parses the value of a key; hides it unless the key is public.
    fn field(&mut self, name: &str, show: Visibility) -> Read<FileRow> {
        let inner = show.inside(self.notes.contents, name);
        let start = self.skip();
        let read = self.value(inner);
        if show != Visibility::Nothing && inner == Visibility::Nothing {
            let end = read.as_ref().map_or(self.end, |value| value.span.end);
            self.notes.hide(start..end);
        }
        read
    }

    fn string(&mut self) -> Read<String> {
        let start = self.at;
        let quote = start..start + 1;
        let mut at = quote.end;
        let mut escapes = false;
        loop {
            match self.byte(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escapes = true;
                    at += 2;
                }
                Some(b'\n' | b'\r') => {
                    let error = SyntaxError::new("unclosed quote on this line", quote.clone());
                    return self.fail(quote.end, error.help("write a line break inside text as `\\n`"));
                }
                Some(0..0x20) => {
                    let error = SyntaxError::new("control characters are not allowed in JSON", at..at + 1);
                    return self
                        .fail(quote.end, error.help("remove the character, or write it as an escape like \\u0007"));
                }
                Some(_) => at += 1,
                None => return self.fail(quote.end, SyntaxError::new("unclosed quote", quote)),
            }
        }
        let source = slice(self.text, start..=at);
        let text = if escapes {
            match serde_json::from_str(source) {
                Ok(text) => text,
                Err(_) => return self.bad_escape(start, source),
            }
        } else {
            slice(self.text, quote.end..at).to_owned()
        };
        self.at = at + 1;
        Ok(text)
    }

    /// Reports the invalid escape of a string.
    fn bad_escape<T>(&mut self, start: usize, source: &str) -> Read<T> {
        let mut at = 0;
        while let Some(escape) = source.get(at..).and_then(|rest| rest.find('\\')) {
            at += escape;
            let after = source.as_bytes().get(at + 1).copied();
            let digits = source.as_bytes().get(at + 2..at + 6).unwrap_or_default();
            let fine = match after {
                Some(b'u') => digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit),
                after => after.is_some_and(|byte| b"\"\\/bfnrt".contains(&byte)),
            };
            if !fine {
                let error = SyntaxError::new("invalid escape sequence", start + at..start + at + 1);
                return self.fail(start + 1, error.help("write `\\\\` for a backslash"));
            }
            at += 2;
        }
        let error = SyntaxError::new("incomplete surrogate pair", start..start + source.len());
        self.fail(start + 1, error.help("characters beyond \\uffff must be written as two escapes, or literally"))
    }

    fn number(&mut self) -> Read<Number> {
        let start = self.at;
        let mut end = start;
        while let Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') = self.byte(end) {
            end += 1;
        }
        let source = slice(self.text, start..end);
        let Ok(number) = serde_json::from_str(source) else {
            // Checks the syntax, not the range.
            if serde_json::from_str::<IgnoredAny>(source).is_ok() {
                return self.fail(start, SyntaxError::new("number out of range", start..end));
            }
            let error = SyntaxError::new("invalid JSON number", start..end);
            return self.fail(start, error.help("put text in double quotes"));
        };
        self.at = end;
        Ok(number)
    }

    fn word(&mut self) -> Read<Value> {
        let start = self.at;
        let mut end = start;
        while self.byte(end).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            end += 1;
        }
        let value = match slice(self.text, start..end) {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ => {
                let error = SyntaxError::new("invalid JSON value", start..end);
                return self
                    .fail(start, error.help("put text in double quotes; write true, false and null in lower case"));
            }
        };
        self.at = end;
        Ok(value)
    }
}
