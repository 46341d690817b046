//! Converting exports of other systems to users files: `muster user convert`. It needs no server.
//!
//! One file for each source turns its text into [`Person`](people::Person)s, and knows nothing about muster's rules. [`People`] checks
//! them with the rules of the server, and collects the rows and a note for each person who does not arrive as expected:
//! without a password, or not at all. `json` and `table` read the two formats that several sources share.
//!
//! # Decisions
//!
//! - **All or nothing.** The list exists only when the whole export was read; a malformed export is one error with its
//!   place. What is wrong with *one person* is one note, never the end: a value of an unexpected type is a missing value.
//! - **A person whom the server would reject is left out, with a note**, because the server rejects the whole list. Only
//!   a hash or a title that the server would reject is dropped, since the person can do without. Hashes are checked by
//!   [`ImportedHash`](crate::passwords::ImportedHash), as on the server.
//! - **A list of people in another format is recognized**: if no item looks like a person of this source, the export is
//!   rejected. A single item that does not is left out.
//! - **A person without a name gets the name before the `@` of the address**, with a note; muster requires a name.
//! - **Of several addresses of one person, the first counts**, with a note: directories have aliases, and do not say which
//!   one is used. Of several people with one address, the first counts.
//! - **Single sign-on**: Keycloak, Kratos and Auth0 say how a person signs in. The others are directories in which people
//!   keep signing in, so that Okta's, Entra's and Google's people are SSO users unless `--sso false` is given. LDAP
//!   directories are as often the password store that is replaced, and an export with `userPassword` says so: no SSO
//!   unless `--sso true` is given.
//! - **Initial passwords in templates are not used**: they are those of the accounts there, in plain text.
//! - **NDJSON only.** In CSV, a cell that begins with `=`, `+`, `-` or `@` is a formula for a spreadsheet, and with the
//!   usual escape the list would have another name in it.
//! - **No JSON value but one person's is in memory**, so that an export of 64 MiB needs no multiple of it.
//! - Notes name the person and the kind of a hash, never a password or a hash: see [`hash`].

mod auth0;
mod entra;
mod google;
mod hash;
mod json;
mod keycloak;
mod kratos;
mod ldif;
mod okta;
mod people;
mod table;
mod text;

use std::path::Path;

use clap::ValueEnum;
use people::People;

use super::{FileError, STDIN, input};

/// The system that wrote an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// A realm with its users, from `kc.sh export`.
    Keycloak,
    /// Identities of Ory Kratos' admin API.
    Kratos,
    /// Users of Okta's API.
    Okta,
    /// Microsoft Entra ID: the CSV file of "Download users", or of "Bulk create".
    Entra,
    /// Google Workspace: the CSV file of "Download users", or of "Bulk update users".
    Google,
    /// LDIF of OpenLDAP, Active Directory and other directories.
    Ldif,
    /// Users of Auth0's export job or API, with or without hashes.
    Auth0,
}

impl Source {
    /// Whether people sign in through single sign-on unless the caller says otherwise; `None` if the export says so.
    #[must_use]
    pub const fn default_sso(self) -> Option<bool> {
        match self {
            Self::Keycloak | Self::Kratos | Self::Auth0 => None,
            Self::Okta | Self::Entra | Self::Google => Some(true),
            Self::Ldif => Some(false),
        }
    }
}

/// How to convert an export.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub source: Source,
    /// Whether people sign in through single sign-on; instead of [`Source::default_sso`].
    pub sso: Option<bool>,
    /// Whether disabled people are included.
    pub disabled: bool,
}

/// A converted export.
pub struct Converted {
    /// The users, one JSON object per line.
    pub list: String,
    /// The number of users in the list.
    pub users: usize,
    /// The disabled people in the list: one JSON object per line, as for `muster user suspend -f`.
    pub suspended: String,
    /// One line for each person who does not arrive as expected. They are not escaped.
    pub notes: Vec<String>,
    /// The number of people who are not in the list.
    pub left_out: usize,
}

/// Why an export can't be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    #[error(transparent)]
    File(#[from] FileError),
    /// Malformed or incomplete, or not an export of this source.
    #[error("{}{place}: {message}", path.escape_debug())]
    Broken {
        /// The path as given.
        path: String,
        /// `:LINE` or `:LINE:COLUMN`, or empty.
        place: String,
        message: String,
    },
}

/// Reads an export, or standard input for `-`, and converts it.
///
/// # Errors
/// [`ConvertError`]; then there is no list.
pub fn convert(path: &Path, options: &Options) -> Result<Converted, ConvertError> {
    let shown = if path == Path::new("-") { STDIN.to_owned() } else { path.display().to_string() };
    let bytes = match input::read(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(FileError::TooLarge { path: shown }.into()),
        Err(source) => return Err(FileError::Unreadable { path: shown, source }.into()),
    };
    convert_bytes(bytes, options).map_err(|Broken { place, message }| ConvertError::Broken {
        path: shown,
        place,
        message,
    })
}

fn convert_bytes(bytes: Vec<u8>, options: &Options) -> Read<Converted> {
    let text = text::decode(bytes)?;
    let mut people = People::new(options);
    match options.source {
        Source::Keycloak => keycloak::read(&text, &mut people),
        Source::Kratos => kratos::read(&text, &mut people),
        Source::Okta => okta::read(&text, &mut people),
        Source::Entra => entra::read(&text, &mut people),
        Source::Google => google::read(&text, &mut people),
        Source::Ldif => ldif::read(&text, &mut people),
        Source::Auth0 => auth0::read(&text, &mut people),
    }?;
    Ok(people.converted())
}

/// The result of reading a part of an export.
type Read<T> = Result<T, Broken>;

/// Why the export is rejected. The message quotes no value that may be a secret.
#[derive(Debug, PartialEq, Eq)]
struct Broken {
    /// `:LINE` or `:LINE:COLUMN`, or empty.
    place: String,
    message: String,
}

impl Broken {
    fn new(message: impl Into<String>) -> Self {
        Self { place: String::new(), message: message.into() }
    }

    fn line(line: usize, message: impl Into<String>) -> Self {
        Self { place: format!(":{line}"), message: message.into() }
    }
}

#[cfg(test)]
mod tests;
