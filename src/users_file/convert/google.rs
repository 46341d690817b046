//! Google Workspace: CSV files of the Admin console.
//!
//! Source: "Add or update multiple users from a CSV file" in Google's Admin help: `First Name [Required]`,
//! `Last Name [Required]`, `Email Address [Required]`, `Password [Required]` (`****` in a download), `Password Hash Function
//! [UPLOAD ONLY]` (MD5, SHA-1 or crypt, none of which muster supports), `Employee Title`, `Status [READ ONLY]` and
//! `New Status [UPLOAD ONLY]` (Active, Suspended or Archived).

use super::Read;
use super::people::{People, Person, SignIn};
use super::table::{self, Columns, Row};

const COLUMNS: Columns = Columns {
    known: &["first name", "last name", "email address", "employee title", "status", "new status"],
    required: &["email address"],
    unrecognized: "not a list of Google's users: there is no column `Email Address [Required]`",
    // `[Required]` and the like are not part of the name.
    name: |header| header.split('[').next().unwrap_or(header).trim(),
};

pub(super) fn read(export: &str, people: &mut People) -> Read<()> {
    let is_sso = people.is_sso;
    table::read(export, &COLUMNS, |row| people.add(person(row, is_sso)))
}

fn person(row: &Row<'_, '_>, is_sso: bool) -> Person {
    let email = row.get("email address");
    let status = row.first_of(&["new status", "status"]);
    Person {
        label: format!("line {}", row.line),
        emails: Some(email.to_owned()).filter(|email| !email.is_empty()).into_iter().collect(),
        first_name: row.get("first name").to_owned(),
        last_name: row.get("last name").to_owned(),
        title: row.get("employee title").to_owned(),
        sign_in: if is_sso { SignIn::Sso } else { SignIn::Unset("Google exports no hashes".to_owned()) },
        is_disabled: !status.is_empty() && !status.eq_ignore_ascii_case("active"),
        ..Person::default()
    }
}
