//! Ory Kratos: identities.
//!
//! Sources: `GET /admin/identities/{id}?include_credential=password` of Ory's API reference, "Import user accounts" in its
//! documentation for the schemes of hashes, and `hash/hash_comparator.go` of Kratos: the length `l=` of a PBKDF2 hash is
//! ignored there, and scrypt's `ln` is N itself. Traits have the names that the schema of the installation gives them;
//! those of Ory's presets and common other ones are read.

use serde_json::Value;

use super::Read;
use super::hash;
use super::json::{self, JsonExport, list, text};
use super::people::{People, Person, SignIn};

pub(super) fn read(export: &str, people: &mut People) -> Read<()> {
    let format = JsonExport {
        list: None,
        unrecognized: "not an export of Kratos: no item is an identity with `traits`",
        person: |identity, _| person(identity),
    };
    json::read(export, &format, people)
}

fn person(identity: &Value) -> Option<Person> {
    identity.get("traits")?;
    let first_of = |pointers: &[&str]| {
        let found = pointers.iter().map(|pointer| text(identity, pointer)).find(|text| !text.is_empty());
        found.unwrap_or_default().to_owned()
    };
    let first_names =
        ["/traits/name/first", "/traits/first_name", "/traits/firstName", "/traits/given_name", "/traits/name/given"];
    let last_names =
        ["/traits/name/last", "/traits/last_name", "/traits/lastName", "/traits/family_name", "/traits/name/family"];
    let emails = json::texts(identity, "/traits/email");
    let is_unverified = |address: &Value| {
        let is_used = emails.first().is_some_and(|email| email.eq_ignore_ascii_case(text(address, "/value")));
        is_used && address.get("verified") == Some(&Value::Bool(false))
    };
    Some(Person {
        label: first_of(&["/traits/username", "/id"]),
        first_name: first_of(&first_names),
        last_name: first_of(&last_names),
        full_name: text(identity, "/traits/name").to_owned(),
        sign_in: sign_in(identity),
        is_disabled: text(identity, "/state") == "inactive",
        is_unverified: list(identity, "/verifiable_addresses").iter().any(is_unverified),
        emails,
        ..Person::default()
    })
}

fn sign_in(identity: &Value) -> SignIn {
    let has = |kind: &str| identity.pointer(&format!("/credentials/{kind}")).is_some_and(|found| !found.is_null());
    if !has("password") {
        if has("oidc") || has("saml") {
            return SignIn::Sso;
        }
        let known = ["code", "passkey", "webauthn", "totp", "lookup_secret", "profile"];
        let found: Vec<String> = known.into_iter().filter(|kind| has(kind)).map(|kind| format!("`{kind}`")).collect();
        return SignIn::Unset(if found.is_empty() {
            "the export has no password".to_owned()
        } else {
            format!("the export has only {}", found.join(" and "))
        });
    }
    match text(identity, "/credentials/password/config/hashed_password") {
        "" => SignIn::Unset("the export lacks the hash; add `include_credential=password`".to_owned()),
        stored => hash::check(&converted(stored)),
    }
}

/// A hash in muster's form.
fn converted(stored: &str) -> String {
    if stored.starts_with("$2") || !stored.starts_with('$') {
        return stored.to_owned();
    }
    let stored = hash::without_padding(stored);
    let fields: Vec<&str> = stored.split('$').collect();
    let ["", scheme, costs, salt, tag] = fields[..] else { return stored };
    let costs: Vec<String> = costs
        .split(',')
        .filter(|cost| !(scheme.starts_with("pbkdf2-") && cost.starts_with("l=")))
        .map(|cost| match cost.strip_prefix("ln=").and_then(|n| n.parse::<u64>().ok()) {
            // No exponent is that large, and no N that small.
            Some(n) if scheme == "scrypt" && n > 64 && n.is_power_of_two() => format!("ln={}", n.ilog2()),
            _ => cost.to_owned(),
        })
        .collect();
    format!("${scheme}${}${salt}${tag}", costs.join(","))
}
