//! Recognizes files that are not users files of the expected format, by their contents.
//!
//! # Decisions
//!
//! - **Text is examined only if it can't be a users file**: it has errors, or its first row lacks a required field. So no
//!   list that works is taken for another kind.
//! - **One message for the whole file**, without an excerpt: the places of a hundred consequences would hide the cause,
//!   and nothing is known about where such a file has its secrets.

use std::fmt;

use super::parsed::Parsed;
use super::{Contents, FileFormat, csv_header};
use crate::field::UserField;

/// Only the start of a text is examined.
const EXAMINED_BYTES: usize = 64 * 1024;

/// What a file is instead of a users file of the expected format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKind {
    /// A workbook of Excel.
    Workbook,
    /// A workbook of another spreadsheet.
    OpenDocument,
    /// Another zip archive.
    Zip,
    /// Compressed with gzip.
    Gzip,
    /// Text in UTF-16, with or without a byte order mark.
    Utf16,
    /// HTML or XML.
    Markup,
    /// The export of another system, as `muster user convert --from` names it.
    Export(&'static str),
    /// A users file of another format.
    Format(FileFormat),
}

impl OtherKind {
    /// Recognizes a file that is not UTF-8 text.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let contains = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
        if bytes.starts_with(b"PK\x03\x04") {
            // The names of the files in an archive are not compressed.
            return Some(if contains(b"xl/workbook.") {
                Self::Workbook
            } else if contains(b"opendocument.spreadsheet") {
                Self::OpenDocument
            } else {
                Self::Zip
            });
        }
        if bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
            return Some(Self::Workbook);
        }
        if bytes.starts_with(b"\x1f\x8b") {
            return Some(Self::Gzip);
        }
        (bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || has_every_other_byte_zero(bytes))
            .then_some(Self::Utf16)
    }

    /// Recognizes a text that can't be a users file of this format.
    pub(super) fn of_text(contents: &Contents, format: FileFormat, text: &str, parsed: &Parsed) -> Option<Self> {
        let lacks_a_field = || {
            let has = |field: &UserField| parsed.rows.first().is_none_or(|row| row.field(field.as_str()).is_some());
            !contents.required.iter().all(has)
        };
        if parsed.errors.is_empty() && !lacks_a_field() {
            return None;
        }
        let start = text.get(..text.floor_char_boundary(EXAMINED_BYTES))?;
        if let Some(system) = exporting_system(contents, start) {
            return Some(Self::Export(system));
        }
        if parsed.errors.is_empty() {
            return None;
        }
        if start.trim_start().starts_with('<') {
            return Some(Self::Markup);
        }
        other_format(contents, format, start).map(Self::Format)
    }
}

/// Whether this is text in UTF-16 without a byte order mark: most characters of a header are below U+0100. Text in UTF-8
/// has no zeros.
fn has_every_other_byte_zero(bytes: &[u8]) -> bool {
    let start = bytes.get(..bytes.len().min(64)).unwrap_or_default();
    let (pairs, _) = start.as_chunks::<2>();
    let little = pairs.iter().filter(|[low, high]| *low != 0 && *high == 0).count();
    let big = pairs.iter().filter(|[high, low]| *low != 0 && *high == 0).count();
    pairs.len() > 1 && little.max(big) > pairs.len() / 2
}

/// The system whose export this is, in a form that `muster user convert` reads.
fn exporting_system(contents: &Contents, text: &str) -> Option<&'static str> {
    let has = |keys: &[&str]| keys.iter().all(|key| has_key(text, key));
    if text.trim_start().starts_with(['{', '[']) {
        let markers: [(&str, &[&[&str]]); 4] = [
            ("kratos", &[&["traits"]]),
            ("okta", &[&["profile", "login"]]),
            ("auth0", &[&["passwordHash"], &["email_verified"], &["custom_password_hash"], &["user_id", "identities"]]),
            ("keycloak", &[&["realm"], &["username", "credentials"], &["username", "emailVerified"]]),
        ];
        return markers.into_iter().find(|(_, any)| any.iter().any(|all| has(all))).map(|(system, _)| system);
    }
    if is_ldif(text) {
        return Some("ldif");
    }
    if text.starts_with("version:v1.") {
        return Some("entra");
    }
    let names: Vec<String> = csv_header::names(contents, text).iter().map(|name| name.to_lowercase()).collect();
    let any = |text: &str| names.iter().any(|name| name.contains(text));
    if any("[userprincipalname]") || any("[displayname]") || names.iter().any(|name| name == "userprincipalname") {
        Some("entra")
    } else if any("[required]") {
        Some("google")
    } else {
        None
    }
}

/// Whether a JSON text has this key.
fn has_key(text: &str, key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    text.match_indices(&quoted)
        .any(|(at, _)| text.get(at + quoted.len()..).is_some_and(|rest| rest.trim_start().starts_with(':')))
}

/// Whether a text begins as LDIF does (RFC 2849).
fn is_ldif(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let starts = |line: Option<&str>, key: &str| {
        line.and_then(|line| line.get(..key.len())).is_some_and(|start| start.eq_ignore_ascii_case(key))
    };
    let first = lines.next();
    starts(first, "dn:") || (starts(first, "version:") && starts(lines.next(), "dn:"))
}

/// The format that a text has instead of `format`.
fn other_format(contents: &Contents, format: FileFormat, text: &str) -> Option<FileFormat> {
    if format != FileFormat::Csv {
        return csv_header::is_known(contents, text).then_some(FileFormat::Csv);
    }
    let mut lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with(['#', '-']));
    let (first, second) = (lines.next()?, lines.next().unwrap_or(""));
    if first.starts_with('{') && second.starts_with('{') {
        Some(FileFormat::Ndjson)
    } else if first.starts_with(['{', '[']) {
        Some(FileFormat::Json)
    } else if first.strip_prefix(contents.list).is_some_and(|rest| rest.starts_with(':')) {
        Some(FileFormat::Yaml)
    } else {
        None
    }
}

impl fmt::Display for OtherKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Workbook => "looks like an Excel workbook; save the sheet as \"CSV UTF-8\"",
            Self::OpenDocument => "looks like an OpenDocument spreadsheet; save the sheet as CSV in UTF-8",
            Self::Zip => "looks like a zip archive; unpack it first",
            Self::Gzip => "is compressed with gzip; decompress it first",
            Self::Utf16 => "looks like UTF-16; save the file as UTF-8",
            Self::Markup => "looks like HTML or XML; save the table as CSV in UTF-8",
            Self::Format(FileFormat::Csv) => "looks like CSV; use `--format csv`",
            Self::Format(FileFormat::Yaml) => "looks like YAML; use `--format yaml`",
            Self::Format(FileFormat::Json) => "looks like JSON; use `--format json`",
            Self::Format(FileFormat::Ndjson) => "looks like JSON lines; use `--format ndjson`",
            Self::Export(system) => {
                let name = match *system {
                    "keycloak" => "Keycloak",
                    "kratos" => "Ory Kratos",
                    "okta" => "Okta",
                    "entra" => "Microsoft Entra",
                    "google" => "Google Workspace",
                    "auth0" => "Auth0",
                    _ => "an LDAP directory (LDIF)",
                };
                return write!(
                    f,
                    "looks like an export from {name}; convert it with `muster user convert --from {system} FILE`"
                );
            }
        })
    }
}
