//! `--hash-locally`: checks and hashes the passwords of a users file on this machine.
//!
//! # Decisions
//!
//! - The password policy is that of muster's default settings. A server may have a stricter one, which can't be applied
//!   to a hash; operators who need it have passwords sent.
//! - **Nothing that could be a password leaves this machine.** A `password` that is not text, and the values of unknown
//!   keys such as `pasword`, are replaced by an empty value of the same type before they are sent. The server's finding
//!   about them is the same.
//! - A dry run does not hash: the rows get a placeholder hash with the same parameters, which the server validates in
//!   the same way.
//! - Conflicts of a `password` with other fields (`password_hash`, an SSO user) are found here, with the server's codes
//!   and messages, since the server does not see the password.

use std::sync::Arc;
use std::time::Duration;

use muster_client::RowFinding;
use serde_json::{Map, Value};

use super::progress::Progress;
use super::{Exit, output};
use crate::config::{Config, Passwords};
use crate::field::{CredentialConflict, UserField};
use crate::passwords::{self, HashError, Password, Policy, Pool};
use crate::users::{EmailAddress, password_context};

/// The result of hashing the rows.
pub(super) enum Hashed {
    /// The rows to send.
    Rows(Vec<Value>),
    /// Findings about the passwords; nothing was hashed.
    Findings(Vec<RowFinding>),
}

/// Replaces each non-empty password by its hash, or by a placeholder hash in a dry run.
pub(super) async fn rows<'a>(
    rows: impl Iterator<Item = &'a Value>,
    dry_run: bool,
    progress: &mut Progress,
) -> Result<Hashed, Exit> {
    let config = Config::built_in().map_err(Exit::usage)?;
    let mut rows: Vec<Value> = rows.cloned().collect();
    let texts: Vec<Option<String>> = rows.iter_mut().map(take_password).collect();
    let policy = Policy::new(config.passwords.min_length, config.passwords.min_strength);
    let (passwords, findings) = check(&rows, &texts, policy);
    if !findings.is_empty() {
        return Ok(Hashed::Findings(findings));
    }
    if passwords.is_empty() {
        return Ok(Hashed::Rows(rows));
    }
    let (indexes, passwords): (Vec<usize>, Vec<Password>) = passwords.into_iter().unzip();
    let hashes = if dry_run {
        vec![placeholder_hash(&config.passwords); passwords.len()]
    } else {
        progress.say(&format!("Hashing {} on this machine...", output::count(passwords.len(), "password")));
        let parameters = config.argon2().map_err(Exit::usage)?;
        let pool = Pool::start(parameters, 0, usize::MAX, Duration::MAX).map_err(Exit::usage)?;
        hash(&pool, passwords, progress).await?
    };
    for (index, hash) in indexes.into_iter().zip(hashes) {
        if let Some(Value::Object(row)) = rows.get_mut(index) {
            row.insert("password_hash".to_owned(), hash.into());
            row.entry("must_change_password").or_insert(true.into());
        }
    }
    progress.clear();
    Ok(Hashed::Rows(rows))
}

/// A syntactically valid hash of no password, with the parameters of a real one.
fn placeholder_hash(passwords: &Passwords) -> String {
    let Passwords { memory_kib, iterations, parallelism, .. } = passwords;
    let (salt, hash) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}${salt}${hash}")
}

/// Removes the password from a row, and clears every other value that could be one.
fn take_password(row: &mut Value) -> Option<String> {
    let Value::Object(row) = row else { return None };
    for (key, value) in row.iter_mut() {
        let is_harmless = match UserField::find(UserField::NEW_USER, key) {
            Some(UserField::Password) => value.is_string(),
            field => field.is_some(),
        };
        if !is_harmless {
            *value = empty_of_its_kind(value);
        }
    }
    row.get("password")?.as_str().filter(|text| !text.is_empty())?;
    match row.remove("password") {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn empty_of_its_kind(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => false.into(),
        Value::Number(_) => 0.into(),
        Value::String(_) => "".into(),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Object(_) => Value::Object(Map::new()),
    }
}

/// Returns the valid passwords with the indexes of their rows, and the findings about the others. Estimating the
/// strength of passwords takes time, so the rows are divided between all cores.
fn check(rows: &[Value], texts: &[Option<String>], policy: Policy) -> (Vec<(usize, Password)>, Vec<RowFinding>) {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = rows.len().div_ceil(threads).max(1);
    let parts = std::thread::scope(|scope| {
        let running: Vec<_> = rows
            .chunks(share)
            .zip(texts.chunks(share))
            .enumerate()
            .map(|(number, (rows, texts))| scope.spawn(move || check_some(number * share, rows, texts, policy)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().map(join).collect::<Vec<(Vec<_>, Vec<_>)>>()
    });
    let (passwords, findings): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    (passwords.into_iter().flatten().collect(), findings.into_iter().flatten().collect())
}

fn check_some(
    first: usize,
    rows: &[Value],
    texts: &[Option<String>],
    policy: Policy,
) -> (Vec<(usize, Password)>, Vec<RowFinding>) {
    let (mut passwords, mut findings) = (Vec::new(), Vec::new());
    for (offset, (row, text)) in rows.iter().zip(texts).enumerate() {
        let Some(text) = text else { continue };
        let index = first + offset;
        let finding = |code: &str, message: String| RowFinding {
            index,
            field: Some("password".to_owned()),
            code: code.to_owned(),
            message,
            other_index: None,
        };
        let conflict = if row.get("password_hash").is_some_and(|hash| !hash.is_null() && hash != "") {
            Some(CredentialConflict::PasswordAndHash)
        } else if row.get("is_sso_user") == Some(&Value::Bool(true)) {
            Some(CredentialConflict::PasswordForSsoUser)
        } else {
            None
        };
        if let Some(conflict) = conflict {
            findings.push(finding(conflict.code(), conflict.message().to_owned()));
            continue;
        }
        let text_of =
            |field: UserField| row.get(field.as_str()).and_then(Value::as_str).filter(|text| !text.is_empty());
        let email = text_of(UserField::Email).and_then(|email| EmailAddress::parse(email).ok());
        let context = password_context(text_of(UserField::Name), text_of(UserField::Lastname), email.as_ref());
        match policy.check(text, &context) {
            Ok(password) => passwords.push((index, password)),
            Err(why) => findings.push(finding(why.code(), why.message())),
        }
    }
    (passwords, findings)
}

/// Hashes the passwords on all cores; the hashes are in the order of the passwords.
async fn hash(pool: &Pool, passwords: Vec<Password>, progress: &mut Progress) -> Result<Vec<String>, Exit> {
    progress.count(
        u64::try_from(passwords.len()).unwrap_or_default(),
        "{bar:30} {pos} of {len} passwords hashed on this machine, about {eta} left",
    );
    let counter = Arc::new(passwords::Progress::default());
    let mut hashing = std::pin::pin!(pool.hash_batch(passwords, Arc::clone(&counter)));
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let hashes = loop {
        tokio::select! {
            hashes = &mut hashing => break hashes,
            _ = ticks.tick() => progress.advance_to(u64::try_from(counter.done()).unwrap_or_default()),
        }
    };
    let hashes = hashes.map_err(|error| match error {
        HashError::Failed(why) => Exit::Usage(format!("can't hash a password: {why}")),
        HashError::Busy(_) => Exit::usage("too many passwords to hash"),
    })?;
    Ok(hashes.iter().map(|hash| hash.as_str().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn hashed(list: &Value) -> Hashed {
        rows(list.as_array().unwrap().iter(), false, &mut Progress::start()).await.unwrap()
    }

    #[tokio::test]
    async fn a_dry_run_sends_placeholder_hashes() {
        let list: Vec<Value> = (0..2).map(|n| json!({"password": format!("tidal-anchor-Plum-{n}")})).collect();
        let Hashed::Rows(rows) = rows(list.iter(), true, &mut Progress::start()).await.unwrap() else {
            panic!("findings")
        };
        let hash = rows[0]["password_hash"].as_str().unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(argon2::PasswordHash::new(hash).is_ok(), "{hash}");
        assert_eq!(rows[0], rows[1]);
        let short = [json!({"password": "short"})];
        let checked = super::rows(short.iter(), true, &mut Progress::start()).await.unwrap();
        assert!(matches!(checked, Hashed::Findings(_)));
    }

    #[tokio::test]
    async fn passwords_are_replaced_by_hashes_and_nothing_else_changes() {
        let list = json!([
            {"name": "a", "email": "a@x.org", "password": "tidal-anchor-Plum-91", "is_sso_user": false},
            {"name": "b", "email": "b@x.org", "password": "", "is_sso_user": false, "title": "t"},
            {"name": "c", "email": "c@x.org", "is_sso_user": true},
            {"password": "tidal-anchor-Plum-92", "must_change_password": false},
            "d@x.org",
        ]);
        let Hashed::Rows(mut rows) = hashed(&list).await else { panic!("findings") };
        for index in [0, 3] {
            let hash = rows[index].as_object_mut().unwrap().remove("password_hash").unwrap();
            assert!(hash.as_str().unwrap().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        }
        assert_eq!(
            Value::from(rows),
            json!([
                {"name": "a", "email": "a@x.org", "is_sso_user": false, "must_change_password": true},
                {"name": "b", "email": "b@x.org", "password": "", "is_sso_user": false, "title": "t"},
                {"name": "c", "email": "c@x.org", "is_sso_user": true},
                {"must_change_password": false},
                "d@x.org",
            ])
        );
    }

    #[tokio::test]
    async fn nothing_that_could_be_a_password_is_sent() {
        let list = json!([{"pasword": "hunter2", "password": 12345678, "more": {"hunter2": ["hunter2"]}, "name": 5}]);
        let Hashed::Rows(rows) = hashed(&list).await else { panic!("findings") };
        assert_eq!(Value::from(rows), json!([{"pasword": "", "password": 0, "more": {}, "name": 5}]));
    }

    #[tokio::test]
    async fn every_invalid_password_is_a_finding_of_its_row() {
        let list = json!([
            {"name": "Ada", "email": "ada.lovelace@x.org", "password": "ada.lovelace"},
            {"name": "b", "password": "tidal-anchor-Plum-91"},
            {"name": "c", "password": "short"},
            {"name": "d", "password": "tidal-anchor-Plum-91", "password_hash": "$2b$10$x"},
            {"name": "e", "password": "tidal-anchor-Plum-91", "is_sso_user": true},
        ]);
        let Hashed::Findings(findings) = hashed(&list).await else { panic!("no findings") };
        let found: Vec<_> = findings.iter().map(|finding| (finding.index, finding.code.as_str())).collect();
        assert_eq!(
            found,
            [
                (0, "password_too_easy"),
                (2, "password_too_short"),
                (3, "password_and_hash"),
                (4, "password_for_sso_user")
            ]
        );
        assert!(findings.iter().all(|finding| finding.field.as_deref() == Some("password")));
    }

    #[tokio::test]
    async fn hashes_match_their_rows_across_threads() {
        use argon2::PasswordVerifier;
        let list: Vec<Value> = (0..40).map(|n| json!({"password": format!("tidal-anchor-Plum-{n}")})).collect();
        let Hashed::Rows(rows) = hashed(&Value::from(list)).await else { panic!("findings") };
        for (n, row) in rows.iter().enumerate() {
            let hash = argon2::PasswordHash::new(row["password_hash"].as_str().unwrap()).unwrap();
            let password = format!("tidal-anchor-Plum-{n}");
            assert!(argon2::Argon2::default().verify_password(password.as_bytes(), &hash).is_ok(), "{n}");
        }
    }
}
