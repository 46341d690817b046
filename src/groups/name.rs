//! Names of groups.

use crate::error::{Error, Result};
use crate::users::{InvalidText, LONGEST_TEXT, Name, fold};

/// The longest key, in bytes. Normalization expands some characters, and an index entry of PostgreSQL holds 2,700
/// bytes.
const LONGEST_KEY: usize = 2000;

/// The name of a group: 1 to 255 characters on one line, without surrounding whitespace. Stored as entered, compared
/// ignoring case and Unicode composition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName {
    written: String,
    key: String,
}

impl GroupName {
    /// Validates a name.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn parse(text: &str) -> Result<Self> {
        // The limit applies before trimming, as the OpenAPI description says.
        let name = match text.chars().count() > LONGEST_TEXT {
            true => Err(InvalidText::TooLong),
            false => Name::parse(text.trim().to_owned()),
        };
        let name = name.map_err(|why| Error::invalid(format!("invalid group name: {}", why.message())))?;
        let key = fold(name.as_str());
        if key.len() > LONGEST_KEY {
            return Err(Error::invalid("invalid group name: too long after Unicode normalization"));
        }
        Ok(Self { written: name.as_str().to_owned(), key })
    }

    /// The name as it was entered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The key by which names are compared.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}
