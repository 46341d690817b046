//! Lists of existing users: given on the command line, or read from a file.

use muster_client::{Client, Error, RowFinding};
use serde_json::{Value, json};

use super::file_report::{self, FileReport};
use super::{Exit, find};
use crate::users_file::UsersFile;

pub(super) enum UserList {
    Arguments(Vec<Value>),
    File(UsersFile, FileReport),
}

impl UserList {
    /// Users by e-mail address, ID or display name.
    pub(super) fn of(users: &[String]) -> Self {
        Self::Arguments(users.iter().map(|user| json!({ "user": user })).collect())
    }

    /// The list with the IDs of the users that the command line names by their display names.
    pub(super) async fn with_ids(self, client: &Client) -> Result<Self, Exit> {
        let Self::Arguments(mut rows) = self else { return Ok(self) };
        for row in &mut rows {
            let Some(user) = row.get_mut("user") else { continue };
            if let Some(text) = user.as_str().filter(|text| !text.contains('@')) {
                *user = find::user_id(client, text).await?.into();
            }
        }
        Ok(Self::Arguments(rows))
    }

    /// The rows to send.
    pub(super) fn rows(&self) -> Vec<&Value> {
        match self {
            Self::Arguments(rows) => rows.iter().collect(),
            Self::File(file, _) => file.rows().collect(),
        }
    }

    /// Reports the users who were left out.
    pub(super) fn skipped(&self, findings: &[RowFinding]) {
        match self {
            Self::File(file, _) => file_report::warnings(file, findings),
            Self::Arguments(rows) => file_report::say_arguments(&arguments(rows), findings),
        }
    }

    /// Reports a rejected list whose users were to be `done`, such as `suspended`.
    pub(super) fn rejected(&self, error: Error, done: &str) -> Exit {
        match self {
            _ if error.rows().is_empty() => error.into(),
            Self::File(file, report) => report.rejected(file, error.rows(), error.more_findings(), done),
            // The server's message says what to do.
            _ if error.api_error().is_some_and(|rejection| rejection.code == "last_owner") => error.into(),
            Self::Arguments(rows) => {
                file_report::rejected_arguments(&arguments(rows), error.rows(), error.more_findings(), done)
            }
        }
    }
}

/// The users on the command line.
fn arguments(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["user"].as_str().unwrap_or_default()).collect()
}
