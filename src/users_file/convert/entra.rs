//! Microsoft Entra ID: CSV files.
//!
//! Sources: "Download a list of users" in the Entra documentation (`userPrincipalName`, `displayName`, `surname`, `mail`,
//! `givenName`, `userType`, `jobTitle`, `accountEnabled`, …); "Bulk create users" for the template, whose first line is
//! `version:v1.0` and whose columns are `Name [displayName] Required`, `Block sign in (Yes/No) [accountEnabled] Required`,
//! …; `Get-MgUser | Export-Csv` of PowerShell has the same names as the download in another case.
//!
//! A guest signs in through the tenant as members do, but a list of employees may be expected: guests get a note. The
//! user principal name of a guest (`ada_example.com#EXT#@…`) is no address.

use super::Read;
use super::people::{People, Person, SignIn};
use super::table::{self, Columns, Row};

/// The column of the template that says the opposite of the one with the same name in the download.
const BLOCKED: &str = "[accountenabled]";

const COLUMNS: Columns = Columns {
    known: &[
        "userprincipalname",
        "mail",
        "displayname",
        "givenname",
        "surname",
        "jobtitle",
        "usertype",
        "accountenabled",
        BLOCKED,
    ],
    required: &["userprincipalname", "mail"],
    unrecognized: "not a list of Entra's users: there is no column `userPrincipalName` or `mail`",
    name,
};

/// `displayName` in `Name [displayName] Required`.
fn name(header: &str) -> &str {
    let Some((_, rest)) = header.split_once('[') else { return header };
    let Some((name, _)) = rest.split_once(']') else { return header };
    let name = name.trim();
    if name.eq_ignore_ascii_case("accountEnabled") { BLOCKED } else { name }
}

pub(super) fn read(export: &str, people: &mut People) -> Read<()> {
    let is_sso = people.is_sso;
    table::read(export, &COLUMNS, |row| people.add(person(row, is_sso)))
}

fn person(row: &Row<'_, '_>, is_sso: bool) -> Person {
    let (principal, full_name) = (row.get("userprincipalname"), row.get("displayname"));
    let is_address = !principal.to_ascii_uppercase().contains("#EXT#");
    let email = match row.get("mail") {
        "" if is_address => principal,
        mail => mail,
    };
    let label = match row.first_of(&["userprincipalname", "displayname"]) {
        "" => format!("line {}", row.line),
        name => name.to_owned(),
    };
    let enabled = match row.get("accountenabled") {
        "" => flag(row.get(BLOCKED)).map(|blocked| !blocked.unwrap_or(false)),
        enabled => flag(enabled).map(|enabled| enabled.unwrap_or(true)),
    };
    let is_guest = row.get("usertype").eq_ignore_ascii_case("guest");
    Person {
        label,
        emails: Some(email.to_owned()).filter(|email| !email.is_empty()).into_iter().collect(),
        first_name: row.get("givenname").to_owned(),
        last_name: row.get("surname").to_owned(),
        full_name: full_name.to_owned(),
        title: row.get("jobtitle").to_owned(),
        sign_in: if is_sso { SignIn::Sso } else { SignIn::Unset("Entra exports no hashes".to_owned()) },
        is_disabled: enabled == Ok(false),
        left_out: if full_name.starts_with("Example:") {
            Some("the example of the template")
        } else if enabled.is_err() {
            Some("`accountEnabled` is neither true nor false")
        } else {
            None
        },
        remarks: if is_guest { vec!["is a guest of the tenant".to_owned()] } else { Vec::new() },
        ..Person::default()
    }
}

/// A flag; `None` for an empty cell.
fn flag(cell: &str) -> Result<Option<bool>, ()> {
    match cell.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" | "yes" => Ok(Some(true)),
        "false" | "no" => Ok(Some(false)),
        _ => Err(()),
    }
}
