//! `--generate-passwords`: initial passwords for the users of a file who need one, made on this machine, and the file that has them.
//!
//! # Decisions
//!
//! - **The file is written to the disk before the users are created**, so that no user has a password that nobody knows. It is
//!   removed if they are not created, and kept if the outcome is unknown.
//! - **31 characters that nobody confuses**, in groups, because people read these passwords from paper and type them once: the
//!   digits and lower-case letters without 0, 1, i, l and o. 20 of them are 99 bits.

use std::path::Path;

use rand::seq::IndexedRandom;
use serde::Serialize;
use serde_json::Value;

use super::output::{self, Format, TableRow, full_name};
use super::private_file::NewFile;
use super::{Exit, progress::Progress};
use crate::field::UserField;

const CHARACTERS: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";
const GROUPS: usize = 4;
const GROUP_LENGTH: usize = 5;

/// The rows of a file with a password for each user who needs one.
pub(super) struct Filled {
    /// All rows.
    pub(super) rows: Vec<Value>,
    passwords: Vec<GeneratedPassword>,
}

#[derive(Serialize)]
struct GeneratedPassword {
    email: String,
    name: String,
    password: String,
}

impl TableRow for GeneratedPassword {
    const HEADER: &'static [&'static str] = &["EMAIL", "NAME", "PASSWORD"];

    fn cells(&self, _: Format) -> Vec<String> {
        vec![self.email.clone(), self.name.clone(), self.password.clone()]
    }
}

/// Generates a password for each row without SSO, password and hash.
pub(super) fn fill<'a>(rows: impl Iterator<Item = &'a Value>) -> Filled {
    let mut passwords = Vec::new();
    let mut rows: Vec<Value> = rows.cloned().collect();
    for row in &mut rows {
        if !needs_password(row) {
            continue;
        }
        let text = |field: UserField| row.get(field.as_str()).and_then(Value::as_str).unwrap_or_default();
        let generated = GeneratedPassword {
            email: text(UserField::Email).to_owned(),
            name: full_name(text(UserField::Name), Some(text(UserField::Lastname))),
            password: generate(),
        };
        if let Value::Object(row) = row {
            row.insert(UserField::Password.as_str().to_owned(), generated.password.as_str().into());
        }
        passwords.push(generated);
    }
    Filled { rows, passwords }
}

fn needs_password(row: &Value) -> bool {
    let is_unset = |field: UserField| row.get(field.as_str()).is_none_or(|value| value.is_null() || *value == "");
    row.is_object()
        && row.get(UserField::IsSsoUser.as_str()) != Some(&Value::Bool(true))
        && is_unset(UserField::Password)
        && is_unset(UserField::PasswordHash)
}

fn generate() -> String {
    let mut rng = rand::rng();
    let mut group = || -> String {
        (0..GROUP_LENGTH).filter_map(|_| CHARACTERS.choose(&mut rng).copied()).map(char::from).collect()
    };
    (0..GROUPS).map(|_| group()).collect::<Vec<_>>().join("-")
}

impl Filled {
    /// Writes the passwords to a new file, unless there are none.
    pub(super) fn write(
        &self,
        path: &Path,
        users_file: &Path,
        progress: &Progress,
    ) -> Result<Option<PasswordFile>, Exit> {
        let shown = output::clean(&path.to_string_lossy());
        if self.passwords.is_empty() {
            progress.say(&format!("no user needs a password; `{shown}` was not written"));
            return Ok(None);
        }
        let otherwise = format!(
            "it may have the passwords of an earlier run; if `muster batch list -f {}` shows no batch of that run, remove it",
            output::shell_quote(&users_file.to_string_lossy())
        );
        let mut file = NewFile::create(path, &otherwise)?;
        file.write(output::csv_list(&self.passwords)?.as_bytes())?;
        Ok(Some(PasswordFile { file, shown, count: self.passwords.len() }))
    }

    /// What a dry run does not do.
    pub(super) fn say_planned(&self) {
        output::say(&format!("{} would be generated", output::count(self.passwords.len(), "password")));
    }
}

/// The file with the generated passwords of users who are about to be created. It is removed unless it is kept.
pub(super) struct PasswordFile {
    file: NewFile,
    shown: String,
    count: usize,
}

impl PasswordFile {
    /// The users were created.
    pub(super) fn keep(self, progress: &Progress) {
        self.file.keep();
        let (count, shown) = (output::count(self.count, "password"), &self.shown);
        progress.say(&format!("{count} generated, in `{shown}`; each must be changed at the first sign-in."));
    }

    /// Nobody knows whether the users were created.
    pub(super) fn keep_in_doubt(self) {
        self.file.keep();
        output::say(&format!("`{}` is kept: it has the users' passwords, if they are created", self.shown));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;
    use crate::passwords::Policy;

    #[test]
    fn only_users_without_sso_password_and_hash_get_a_password() {
        let list = json!([
            {"name": "Ada", "lastname": "L", "email": "a@x.org", "is_sso_user": false},
            {"name": "b", "email": "b@x.org", "is_sso_user": false, "password": "", "password_hash": null},
            {"name": "c", "email": "c@x.org", "is_sso_user": true},
            {"name": "d", "email": "d@x.org", "is_sso_user": false, "password": "tidal-anchor-Plum-91"},
            {"name": "e", "email": "e@x.org", "is_sso_user": false, "password_hash": "$2b$10$x"},
            "f@x.org",
        ]);
        let list = list.as_array().unwrap();
        let filled = fill(list.iter());
        let got: Vec<_> = filled.passwords.iter().map(|user| (user.email.as_str(), user.name.as_str())).collect();
        assert_eq!(got, [("a@x.org", "Ada L"), ("b@x.org", "b")]);
        assert_eq!(filled.rows[0]["password"], filled.passwords[0].password.as_str());
        assert_eq!(filled.rows[1]["password"], filled.passwords[1].password.as_str());
        assert_eq!(filled.rows[2..], list[2..]);
    }

    #[test]
    fn generated_passwords_are_different_readable_and_satisfy_every_policy() {
        let passwords: HashSet<String> = (0..200).map(|_| generate()).collect();
        assert_eq!(passwords.len(), 200);
        let policy = Policy::new(20, 4);
        for password in passwords {
            let groups: Vec<&str> = password.split('-').collect();
            assert!(groups.len() == 4 && groups.iter().all(|group| group.len() == 5), "{password}");
            assert!(!password.contains(['0', '1', 'i', 'l', 'o']), "{password}");
            assert!(policy.check(&password, &[]).is_ok(), "{password}");
        }
    }
}
