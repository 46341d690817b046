//! Auth0: users as NDJSON or an array.
//!
//! Sources: "Bulk Export User Data" and "User Profile Structure" in Auth0's documentation (`email`, `given_name`,
//! `family_name`, `name`, `email_verified`, `blocked`, `identities` with `provider`); "Export Password Hashes and MFA Secrets", whose file has
//! `email` and `passwordHash`, a bcrypt hash; "User Data JSON Schema for Bulk User Imports" with `password_hash` and
//! `custom_password_hash`.
//!
//! The provider `auth0` is a database connection: its users have passwords, also if they are linked to others. `email` and
//! `sms` send codes. All other providers are SSO.

use serde_json::Value;

use super::Read;
use super::hash;
use super::json::{self, JsonExport, list, text};
use super::people::{People, Person, SignIn};

pub(super) fn read(export: &str, people: &mut People) -> Read<()> {
    let format = JsonExport {
        list: None,
        unrecognized: "not an export of Auth0: no item is a user with an `email`, a `user_id` or `identities`",
        person: |user, _| person(user),
    };
    json::read(export, &format, people)
}

fn person(user: &Value) -> Option<Person> {
    if ["email", "user_id", "identities"].iter().all(|key| user.get(key).is_none()) || user.get("traits").is_some() {
        return None;
    }
    let user_name = text(user, "/username");
    Some(Person {
        label: if user_name.is_empty() { text(user, "/user_id") } else { user_name }.to_owned(),
        emails: json::texts(user, "/email"),
        first_name: text(user, "/given_name").to_owned(),
        last_name: text(user, "/family_name").to_owned(),
        full_name: text(user, "/name").to_owned(),
        user_name: user_name.to_owned(),
        sign_in: sign_in(user),
        is_disabled: user.get("blocked") == Some(&Value::Bool(true)),
        is_unverified: user.get("email_verified") == Some(&Value::Bool(false)),
        ..Person::default()
    })
}

fn sign_in(user: &Value) -> SignIn {
    let hashes = ["/passwordHash", "/password_hash", "/custom_password_hash/hash/value"];
    if let Some(found) = hashes.iter().map(|pointer| text(user, pointer)).find(|hash| !hash.is_empty()) {
        return hash::check(found);
    }
    let uses =
        |names: &[&str]| list(user, "/identities").iter().any(|identity| names.contains(&text(identity, "/provider")));
    if list(user, "/identities").is_empty() || uses(&["auth0"]) {
        SignIn::Unset("the export has no hash".to_owned())
    } else if uses(&["email", "sms"]) {
        SignIn::Unset("signs in with codes".to_owned())
    } else {
        SignIn::Sso
    }
}
