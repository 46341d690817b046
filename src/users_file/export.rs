//! Writing a file of existing users, which can be edited and applied.
//!
//! # Decisions
//!
//! - **An export that is applied unchanged changes nothing.** CSV has the prefix of formulas, which is taken away when a file is
//!   read.
//! - **`permission_level` is the member's own level**: with that of a group, an applied export would make owners of its
//!   members.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, Utc};
use muster_client::Collaborator;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::users::attributes::{PREFIX, to_cell};

/// The columns of an exported file. Those of the attributes follow.
pub const EXPORT_COLUMNS: [&str; 9] =
    ["user", "email", "name", "lastname", "title", "is_sso_user", "permission_level", "expires_at", "status"];

/// A person as a row of the file.
#[derive(Serialize)]
pub struct ExportedUser<'a> {
    user: &'a str,
    email: &'a str,
    name: &'a str,
    lastname: Option<&'a str>,
    title: Option<&'a str>,
    is_sso_user: bool,
    permission_level: &'a str,
    expires_at: Option<DateTime<Utc>>,
    status: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    attributes: &'a Map<String, Value>,
}

impl<'a> ExportedUser<'a> {
    /// The row of a user; `None` if the server has not sent all fields.
    #[must_use]
    pub fn new(user: &'a Collaborator) -> Option<Self> {
        Some(Self {
            user: user.user_id.as_deref()?,
            email: &user.email,
            name: &user.name,
            lastname: user.lastname.as_deref(),
            title: user.title.as_deref(),
            is_sso_user: user.is_sso_user?,
            permission_level: user.base_role.as_deref()?,
            expires_at: user.expires_at,
            status: user.status.as_deref()?,
            attributes: &user.attributes,
        })
    }

    /// The names of all columns, with those of these attributes.
    #[must_use]
    pub fn columns(keys: &BTreeSet<String>) -> Vec<String> {
        EXPORT_COLUMNS.map(str::to_owned).into_iter().chain(keys.iter().map(|key| format!("{PREFIX}{key}"))).collect()
    }

    /// The cells of the columns.
    ///
    /// # Errors
    /// The key of an attribute that has no column.
    pub fn cells(&self, keys: &BTreeSet<String>) -> Result<Vec<String>, &str> {
        if let Some(new) = self.attributes.keys().find(|key| !keys.contains(*key)) {
            return Err(new);
        }
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let attributes = keys.iter().map(|key| self.attributes.get(key).map(to_cell).unwrap_or_default());
        let cells = [
            self.user.to_owned(),
            self.email.to_owned(),
            self.name.to_owned(),
            text(self.lastname),
            text(self.title),
            self.is_sso_user.to_string(),
            self.permission_level.to_owned(),
            self.expires_at.map_or_else(String::new, |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            self.status.to_owned(),
        ];
        Ok(cells.into_iter().chain(attributes).collect())
    }
}
