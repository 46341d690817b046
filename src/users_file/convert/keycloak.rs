//! Keycloak: `kc.sh export`.
//!
//! Sources: Keycloak's server guide "Importing and exporting realms" (`--users realm_file` writes the users into the realm,
//! `same_file` and `different_files` write `STAFF-users-0.json` with `realm` and `users`; without `--realm`, a single file
//! is an array of realms), and `UserRepresentation` and `CredentialRepresentation` of its Admin REST API. Since version 8,
//! `secretData` and `credentialData` are JSON in strings; before, the credential has `hashedSaltedValue`, `salt`,
//! `hashIterations` and `algorithm`, which Keycloak still imports. `value` is a password in plain text, for imports.

use serde_json::Value;

use super::Read;
use super::hash;
use super::json::{self, JsonExport, list, text};
use super::people::{People, Person, SignIn};

pub(super) fn read(export: &str, people: &mut People) -> Read<()> {
    let format = JsonExport {
        list: Some("users"),
        unrecognized: "contains no users of Keycloak; export with `kc.sh export --users realm_file`",
        person: |user, _| person(user),
    };
    json::read(export, &format, people)
}

fn person(user: &Value) -> Option<Person> {
    if user.get("username").is_none() && user.get("email").is_none() && user.get("credentials").is_none() {
        return None;
    }
    let user_name = text(user, "/username");
    let mut person = Person {
        label: if user_name.is_empty() { text(user, "/id") } else { user_name }.to_owned(),
        emails: json::texts(user, "/email"),
        first_name: text(user, "/firstName").to_owned(),
        last_name: text(user, "/lastName").to_owned(),
        user_name: user_name.to_owned(),
        must_change_password: list(user, "/requiredActions").iter().any(|action| action == "UPDATE_PASSWORD"),
        is_disabled: user.get("enabled") == Some(&Value::Bool(false)),
        is_unverified: user.get("emailVerified") == Some(&Value::Bool(false)),
        ..Person::default()
    };
    if !text(user, "/serviceAccountClientId").is_empty() {
        person.left_out = Some("service account; see `muster service-account create`");
    }
    let credentials = list(user, "/credentials");
    let passwords = || credentials.iter().filter(|credential| text(credential, "/type") == "password");
    if !list(user, "/federatedIdentities").is_empty() {
        person.sign_in = SignIn::Sso;
        if passwords().next().is_some() {
            person.remarks.push("signs in through an identity provider, and the password is not used".to_owned());
        }
        return Some(person);
    }
    let mut found = passwords().map(sign_in);
    let first = found.next();
    person.sign_in = match first {
        Some(hash @ SignIn::Hash(_)) => hash,
        Some(unset) => found.find(|other| matches!(other, SignIn::Hash(_))).unwrap_or(unset),
        None => SignIn::Unset(without_password(user, credentials)),
    };
    Some(person)
}

/// Why a user has no credential of type `password`.
fn without_password(user: &Value, credentials: &[Value]) -> String {
    if !text(user, "/federationLink").is_empty() {
        return "signs in through a directory (`federationLink`)".to_owned();
    }
    let known = ["otp", "webauthn", "webauthn-passwordless", "password-history", "recovery-authn-codes", "kerberos"];
    let found: Vec<String> = known
        .into_iter()
        .filter(|kind| credentials.iter().any(|credential| text(credential, "/type") == *kind))
        .map(|kind| format!("`{kind}`"))
        .collect();
    if found.is_empty() {
        "the export has no password".to_owned()
    } else {
        format!("the export has only {}", found.join(" and "))
    }
}

/// Converts a password; its parts are in two strings that contain JSON, or in the credential itself.
fn sign_in(credential: &Value) -> SignIn {
    let part = |pointer| serde_json::from_str(text(credential, pointer)).unwrap_or(Value::Null);
    let (secret, data): (Value, Value) = (part("/secretData"), part("/credentialData"));
    let old_value = text(credential, "/hashedSaltedValue");
    let (secret, data, value) = if old_value.is_empty() {
        (&secret, &data, text(&secret, "/value"))
    } else {
        (credential, credential, old_value)
    };
    if value.is_empty() {
        return match credential.get("value") {
            Some(Value::String(_)) => hash::plain_text(),
            _ => SignIn::Unset("the export lacks the hash".to_owned()),
        };
    }
    if value.starts_with("$2") {
        return hash::check(value);
    }
    let (algorithm, salt) = (text(data, "/algorithm"), text(secret, "/salt"));
    let rounds = data.get("hashIterations").and_then(Value::as_u64).unwrap_or_default();
    let phc = match algorithm {
        "pbkdf2-sha256" | "pbkdf2-sha512" => format!("${algorithm}$i={rounds}${salt}${value}"),
        "argon2" => {
            let more = |name: &str| text(data, &format!("/additionalParameters/{name}/0"));
            let version = match more("version") {
                "1.0" => "16",
                "1.3" => "19",
                other => other,
            };
            format!(
                "$argon2{}$v={version}$m={},t={rounds},p={}${salt}${value}",
                more("type"),
                more("memory"),
                more("parallelism"),
            )
        }
        _ => return hash::unsupported(algorithm),
    };
    hash::check(&hash::without_padding(&phc))
}
