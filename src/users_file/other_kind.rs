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
use super::{ColumnMap, Contents, FileFormat, csv, header, xlsx};
use crate::field::UserField;

/// Only the start of a text is examined.
const EXAMINED_BYTES: usize = 64 * 1024;

/// What a file is instead of a users file of the expected format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKind {
    /// A binary workbook of Excel, `.xls`.
    OldWorkbook,
    /// A binary workbook of Excel, `.xlsb`.
    BinaryWorkbook,
    /// A workbook of Excel that only a password opens.
    EncryptedWorkbook,
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
        if xlsx::is_workbook(bytes) {
            return Some(Self::Format(FileFormat::Xlsx));
        }
        if bytes.starts_with(b"PK\x03\x04") {
            // The names of the files in an archive are not compressed.
            return Some(if contains(b"xl/workbook.bin") {
                Self::BinaryWorkbook
            } else if contains(b"opendocument.spreadsheet") {
                Self::OpenDocument
            } else {
                Self::Zip
            });
        }
        if bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
            let encrypted: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
            return Some(if contains(&encrypted) { Self::EncryptedWorkbook } else { Self::OldWorkbook });
        }
        if bytes.starts_with(b"\x1f\x8b") {
            return Some(Self::Gzip);
        }
        (bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || has_every_other_byte_zero(bytes))
            .then_some(Self::Utf16)
    }

    /// Recognizes a file that is not the workbook it is said to be.
    pub(super) fn of_no_workbook(contents: &Contents, bytes: &[u8]) -> Option<Self> {
        Self::of_bytes(bytes).or_else(|| {
            let text = std::str::from_utf8(bytes).ok()?;
            Self::of_start(contents, FileFormat::Xlsx, text.strip_prefix('\u{feff}').unwrap_or(text))
        })
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
        Self::of_start(contents, format, text)
            .filter(|kind| matches!(kind, Self::Export(_)) || !parsed.errors.is_empty())
    }

    /// Recognizes the start of a text.
    pub(super) fn of_start(contents: &Contents, format: FileFormat, text: &str) -> Option<Self> {
        let start = text.get(..text.floor_char_boundary(EXAMINED_BYTES))?;
        if let Some(system) = exporting_system(contents, start) {
            return Some(Self::Export(system));
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
    let names: Vec<String> =
        csv::first_cells(contents, text).iter().map(|cell| header::name(cell).to_lowercase()).collect();
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
        let is_known = header::is_known(contents, &ColumnMap::default(), &csv::first_cells(contents, text));
        if is_known || format != FileFormat::Xlsx {
            return is_known.then_some(FileFormat::Csv);
        }
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
            Self::OldWorkbook => "looks like an old Excel workbook (.xls); save the workbook as .xlsx",
            Self::BinaryWorkbook => "looks like a binary Excel workbook (.xlsb); save the workbook as .xlsx",
            Self::EncryptedWorkbook => "looks like an encrypted Excel workbook; save the workbook without a password",
            Self::OpenDocument => "looks like an OpenDocument spreadsheet; save the spreadsheet as .xlsx",
            Self::Zip => "looks like a zip archive; unpack it first",
            Self::Gzip => "is compressed with gzip; decompress it first",
            Self::Utf16 => "looks like UTF-16; save the file as UTF-8",
            Self::Markup => "looks like HTML or XML; save the table as CSV in UTF-8",
            Self::Format(FileFormat::Xlsx) => "looks like an Excel workbook; use `--format xlsx`",
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
