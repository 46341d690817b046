//! Okta: users of `GET /api/v1/users`, as an array, several pages, or NDJSON.
//!
//! Source: "User" in Okta's API reference: `profile` with `firstName`, `lastName`, `displayName`, `email`, `login`,
//! `title`; `status`. Okta does not export hashes.

use serde_json::Value;

use super::Read;
use super::json::{self, JsonExport, text};
use super::people::{People, Person, SignIn};

pub(super) fn read(export: &str, people: &mut People) -> Read<()> {
    let format =
        JsonExport { list: None, unrecognized: "not an export of Okta: no item is a user with a `profile`", person };
    json::read(export, &format, people)
}

fn person(user: &Value, people: &People) -> Option<Person> {
    user.get("profile")?;
    let login = text(user, "/profile/login");
    let mut emails = json::texts(user, "/profile/email");
    if emails.is_empty() && login.contains('@') {
        emails.push(login.to_owned());
    }
    Some(Person {
        label: if login.is_empty() { text(user, "/id") } else { login }.to_owned(),
        emails,
        first_name: text(user, "/profile/firstName").to_owned(),
        last_name: text(user, "/profile/lastName").to_owned(),
        full_name: text(user, "/profile/displayName").to_owned(),
        title: text(user, "/profile/title").to_owned(),
        sign_in: if people.is_sso { SignIn::Sso } else { SignIn::Unset("Okta exports no hashes".to_owned()) },
        is_disabled: matches!(text(user, "/status"), "SUSPENDED" | "DEPROVISIONED"),
        ..Person::default()
    })
}
