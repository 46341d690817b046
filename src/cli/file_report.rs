//! What is wrong with a file, or odd, shown in it; and what is wrong with users who are named instead.

use std::collections::BTreeSet;
use std::io::IsTerminal;

use muster_client::{RowFinding, Warning};

use super::{Exit, output};
use crate::users_file::{FileError, Finding, UsersFile};

/// The most warnings that are shown. Findings are shown all, for all have to be mended.
const MOST_WARNINGS: usize = 20;

/// A file that can't be read as a list of users who were to be `done`: created, changed.
pub(super) fn refuse(error: &FileError, done: &str) -> Exit {
    match error {
        FileError::Unreadable { source, .. } => Exit::Usage(format!("{error}: {source}")),
        FileError::TooLarge { .. } => Exit::Refused(Some(format!("{error}; nothing was {done}"))),
        FileError::Form(form) => {
            output::say(form.render(colour()).trim_end());
            output::say(&format!("\nnothing was {done}"));
            Exit::Refused(None)
        }
    }
}

/// All findings of a server.
pub(super) fn findings(file: &UsersFile, rows: &[RowFinding], done: &str) -> Exit {
    let findings: Vec<Finding> = rows
        .iter()
        .map(|row| Finding {
            index: row.index,
            field: row.field.clone(),
            code: row.code.clone(),
            message: row.message.clone(),
            other_index: row.other_index,
        })
        .collect();
    show(file, &findings, done)
}

/// All findings of a server about users who were named on the command line.
pub(super) fn of_named(users: &[&str], rows: &[RowFinding], done: &str) -> Exit {
    let name = |index: usize| output::clean(users.get(index).copied().unwrap_or_default());
    let reason = |row: &RowFinding| {
        let message = match row.other_index {
            Some(other) => row.message.replace(&format!("users[{other}]"), &name(other)),
            None => row.message.clone(),
        };
        match row.field.as_deref() {
            None | Some("user") => output::clean(&message),
            Some(field) => output::clean(&format!("{field}: {message}")),
        }
    };
    if let [_] = users {
        let reasons: Vec<String> = rows.iter().map(reason).collect();
        return Exit::Refused(Some(format!("{} can't be {done}: {}", name(0), reasons.join("; "))));
    }
    for row in rows {
        output::say(&format!("{}: {}", name(row.index), reason(row)));
    }
    let count = rows.iter().map(|row| row.index).collect::<BTreeSet<_>>().len();
    Exit::Refused(Some(format!("{count} of {} users can't be {done}; nothing was {done}", users.len())))
}

/// All findings.
pub(super) fn show(file: &UsersFile, findings: &[Finding], done: &str) -> Exit {
    output::say(file.render(findings, colour()).trim_end());
    let rows = findings.iter().map(|finding| finding.index).collect::<BTreeSet<_>>().len();
    output::say(&format!("\n{rows} of {} users can't be {done}; nothing was {done}", file.len()));
    Exit::Refused(None)
}

/// What is odd about rows that are fine otherwise.
pub(super) fn warnings(file: &UsersFile, warnings: &[Warning]) {
    if warnings.is_empty() {
        return;
    }
    let findings: Vec<Finding> = warnings
        .iter()
        .take(MOST_WARNINGS)
        .map(|warning| Finding {
            index: warning.index,
            field: warning.field.clone(),
            code: warning.code.clone(),
            message: warning.message.clone(),
            other_index: None,
        })
        .collect();
    output::say(file.render_warnings(&findings, colour()).trim_end());
    let more = warnings.len().saturating_sub(MOST_WARNINGS);
    if more > 0 {
        output::say(&format!("\n{more} more warnings like these"));
    }
}

/// Whether standard error takes colours, and its reader wants them (no-color.org).
fn colour() -> bool {
    std::io::stderr().is_terminal() && crate::config::environment("NO_COLOR").is_none()
}
