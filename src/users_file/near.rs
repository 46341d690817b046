//! Suggests the column that an unknown one is meant to be.

use super::Contents;
use crate::field::UserField;

/// What other systems call the fields: lower case, letters and digits only.
const OTHER_NAMES: &[(UserField, &[&str])] = &[
    (UserField::Name, &["firstname", "givenname", "forename", "fname", "fullname", "displayname", "vorname", "prenom"]),
    (
        UserField::Lastname,
        &["surname", "familyname", "lname", "sn", "nachname", "familienname", "apellidos", "cognome"],
    ),
    (UserField::Email, &["mail", "emailaddress", "mailaddress", "emailadresse", "mailadresse", "userprincipalname"]),
    (UserField::Password, &["pass", "passwd", "pwd", "initialpassword", "passwort", "kennwort"]),
    (UserField::PasswordHash, &["hash", "hashedpassword"]),
    (UserField::MustChangePassword, &["changepassword", "mustchange", "forcechangepassword"]),
    (UserField::IsSsoUser, &["sso", "ssouser", "issso", "singlesignon"]),
    (UserField::PermissionLevel, &["permission", "permissions", "role", "level"]),
    (UserField::Title, &["jobtitle", "position", "titel"]),
    (UserField::User, &["userid", "username", "email", "mail", "emailaddress"]),
    (UserField::IfMatch, &["revision", "etag"]),
];

/// Longer misspelled names may have two wrong letters.
const LONG: usize = 6;

/// The field that a column of this name is likely meant to be.
pub(super) fn near(contents: &Contents, name: &str) -> Option<UserField> {
    other_name(contents, name).or_else(|| {
        let name = fold(name);
        let mistakes = |field: &UserField| strsim::osa_distance(&name, &fold(field.as_str()));
        let allowed = if name.chars().count() < LONG { 1 } else { 2 };
        let nearest = contents.fields.iter().copied().min_by_key(mistakes)?;
        (mistakes(&nearest) <= allowed).then_some(nearest)
    })
}

/// The field of which this is another spelling, or its name in another system.
pub(super) fn other_name(contents: &Contents, name: &str) -> Option<UserField> {
    let name = fold(name);
    let is_same = |field: &UserField| fold(field.as_str()) == name;
    let is_other =
        |field: &UserField| OTHER_NAMES.iter().any(|(other, names)| other == field && names.contains(&name.as_str()));
    let find = |is_meant: &dyn Fn(&UserField) -> bool| contents.fields.iter().copied().find(is_meant);
    find(&is_same).or_else(|| find(&is_other))
}

/// The letters and digits of a name in lower case.
pub(super) fn fold(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
