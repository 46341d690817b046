use serde_json::{Value, json};

use super::*;
use crate::passwords::ImportedHash;

mod auth0;
mod csv;
mod keycloak;
mod kratos;
mod ldif;
mod okta;
mod people;

/// A bcrypt hash.
const BCRYPT: &str = "$2b$10$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq";
/// A salt of 16 bytes and a hash of 32, as in PHC strings.
const SALT: &str = "AAECAwQFBgcICQoLDA0ODw";
const TAG: &str = "ATsMz00JXy3Yf/ITGYzLCvC0FKN28vSlP9RtlNb2wDU";

fn options(source: Source) -> Options {
    Options { source, sso: None, disabled: false }
}

fn rows_of(list: &str) -> Value {
    list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
}

fn with(options: Options, export: &str) -> (Value, Vec<String>) {
    let converted = convert_bytes(export.as_bytes().to_vec(), &options).unwrap_or_else(|broken| panic!("{broken:?}"));
    let rows = rows_of(&converted.list);
    assert_eq!(rows.as_array().unwrap().len(), converted.users);
    (rows, converted.notes)
}

/// The rows and notes of an export.
fn converted(source: Source, export: &str) -> (Value, Vec<String>) {
    with(options(source), export)
}

/// The place and the message of an export that is rejected.
fn broken(source: Source, export: &str) -> String {
    match convert_bytes(export.as_bytes().to_vec(), &options(source)) {
        Ok(converted) => panic!("{}", converted.list),
        Err(Broken { place, message }) => format!("{place} {message}").trim_start().to_owned(),
    }
}

/// The reason for a hash that the server would reject.
fn refused(hash: &str) -> String {
    format!("the hash can't be imported: {}", ImportedHash::parse(hash).unwrap_err().message())
}
