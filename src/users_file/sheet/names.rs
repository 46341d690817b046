//! What columns are called: by muster, by other systems, and in ten languages.

use super::{Meaning, Recognized};
use crate::field::UserField;
use crate::users_file::columns::visible;
use crate::users_file::near;
use crate::users_file::{ColumnMap, Contents};

/// Names in German, French, Spanish, Italian, Dutch, Portuguese, Polish, Swedish, Norwegian and Danish: lower case, letters and
/// digits only. [`near`] has those of other systems, which the command line suggests.
const SYNONYMS: &[(UserField, &[&str])] = &[
    (
        UserField::Name,
        &[
            "first",
            "rufname",
            "prénom",
            "nombre",
            "nome",
            "voornaam",
            "imię",
            "imie",
            "förnamn",
            "fornamn",
            "fornavn",
            "vollständigername",
            "nomcomplet",
            "nombrecompleto",
            "nomecompleto",
            "volledigenaam",
        ],
    ),
    (
        UserField::Lastname,
        &[
            "last",
            "zuname",
            "nom",
            "nomdefamille",
            "apellido",
            "achternaam",
            "sobrenome",
            "apelido",
            "nazwisko",
            "efternamn",
            "etternavn",
            "efternavn",
        ],
    ),
    (
        UserField::Email,
        &[
            "courriel",
            "adressemail",
            "adresseemail",
            "adresseélectronique",
            "correo",
            "correoelectrónico",
            "correoelectronico",
            "posta",
            "indirizzoemail",
            "emailadres",
            "mailadres",
            "endereçodeemail",
            "enderecodeemail",
            "adresemail",
            "adrespocztyelektronicznej",
            "epost",
            "epostadress",
            "epostadresse",
        ],
    ),
    (
        UserField::Password,
        &[
            "motdepasse",
            "contraseña",
            "contrasena",
            "wachtwoord",
            "senha",
            "palavrapasse",
            "hasło",
            "haslo",
            "lösenord",
            "losenord",
            "passord",
            "adgangskode",
            "startpasswort",
            "initialpasswort",
            "temporarypassword",
        ],
    ),
    (
        UserField::Title,
        &[
            "funktion",
            "fonction",
            "poste",
            "puesto",
            "cargo",
            "titolo",
            "functie",
            "stanowisko",
            "befattning",
            "stilling",
        ],
    ),
    (UserField::PermissionLevel, &["rolle", "rôle", "rol", "rola", "roll", "niveau", "berechtigung", "stufe", "nível"]),
    (
        UserField::ExpiresAt,
        &["expires", "expiry", "expirydate", "validuntil", "enddate", "gültigbis", "gueltigbis", "ablaufdatum"],
    ),
];

/// Words that are no booleans of any program, and that people write into columns for yes and no.
const YES: &[&str] = &["ja", "j", "oui", "o", "sí", "si", "sim", "tak", "x", "✓"];
const NO: &[&str] = &["nein", "non", "não", "nao", "nee", "nej", "nei", "nie", "-"];

/// What such a word means.
pub(super) fn preset(word: &str) -> Option<bool> {
    if YES.contains(&word) { Some(true) } else { NO.contains(&word).then_some(false) }
}

/// What a column of this name is.
pub(super) fn recognize(name: &str) -> (Meaning, Recognized) {
    let contents = Contents::CREATED;
    let map = ColumnMap::default();
    if let Some(key) = map.attribute(contents, name) {
        return (Meaning::Attribute(key), Recognized::ByName);
    }
    if let Some(field) = map.column(contents, name).field() {
        return (Meaning::Field(field), Recognized::ByName);
    }
    let folded = near::fold(&visible(name));
    let is_synonym = |(_, names): &&(UserField, &[&str])| names.contains(&folded.as_str());
    let synonym = || SYNONYMS.iter().find(is_synonym).map(|(field, _)| *field);
    match near::other_name(contents, name).or_else(synonym) {
        Some(field) if field != UserField::Attributes => (Meaning::Field(field), Recognized::BySynonym),
        _ => (Meaning::LeftOut, Recognized::Unknown),
    }
}

/// Whether the values of a column of this name may be secrets, such as those of a misspelled `password`.
pub(super) fn may_be_secret(name: &str) -> bool {
    const PARTS: [&str; 10] =
        ["pass", "pwd", "kennwort", "secret", "geheim", "hash", "token", "senha", "pin", "contraseñ"];
    let folded = near::fold(name);
    folded.is_empty()
        || PARTS.iter().any(|part| folded.contains(part))
        || near::near(Contents::CREATED, name).is_some_and(UserField::is_secret)
        || matches!(recognize(name).0, Meaning::Field(field) if field.is_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u_56_columns_are_recognized_by_musters_names_in_any_case_and_in_ten_languages() {
        for (name, field) in [
            ("E-Mail", UserField::Email),
            ("EMAIL", UserField::Email),
            ("Vorname", UserField::Name),
            ("Nachname", UserField::Lastname),
            ("Prénom", UserField::Name),
            ("Nom de famille", UserField::Lastname),
            ("Apellidos", UserField::Lastname),
            ("Cognome", UserField::Lastname),
            ("Voornaam", UserField::Name),
            ("Sobrenome", UserField::Lastname),
            ("Nazwisko", UserField::Lastname),
            ("Förnamn", UserField::Name),
            ("Etternavn", UserField::Lastname),
            ("Efternavn", UserField::Lastname),
            ("Kennwort", UserField::Password),
            ("SSO", UserField::IsSsoUser),
        ] {
            assert_eq!(recognize(name).0, Meaning::Field(field), "{name}");
        }
        assert_eq!(recognize("email").1, Recognized::ByName);
        assert_eq!(recognize("Vorname").1, Recognized::BySynonym);
        assert_eq!(recognize("attributes.team"), (Meaning::Attribute("team".to_owned()), Recognized::ByName));
        assert_eq!(recognize("Kostenstelle"), (Meaning::LeftOut, Recognized::Unknown));
    }

    #[test]
    fn values_under_a_name_like_a_passwords_may_be_secrets() {
        for name in ["password", "Pasword", "Mot de passe", "initial pwd", "", "PIN", "API token"] {
            assert!(may_be_secret(name), "{name}");
        }
        for name in ["Abteilung", "email", "Vorname"] {
            assert!(!may_be_secret(name), "{name}");
        }
    }
}
