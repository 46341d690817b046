//! Reports of errors and warnings: at their places in a users file, or by the users on the command line.

use std::collections::BTreeSet;
use std::io::IsTerminal;

use muster_client::RowFinding;

use super::{Exit, output};
use crate::users_file::{FileError, UsersFile};

/// The maximum number of warnings shown. All errors are shown, because all must be fixed.
const MAX_WARNINGS: usize = 20;

/// Reports a file that is not a list of users; `done` is the participle of the command, such as `created`.
pub(super) fn unusable(error: &FileError, done: &str) -> Exit {
    match error {
        FileError::Unreadable { source, .. } => Exit::usage(format!("{error}: {source}")),
        FileError::NoColumns { .. } => Exit::usage(error),
        FileError::TooLarge { .. } | FileError::OtherKind { .. } => {
            Exit::rejected(format!("{error}; nothing was {done}"))
        }
        FileError::Form(form) => {
            output::say_rendered(form.render(use_color()).trim_end());
            output::say(&format!("\nnothing was {done}"));
            Exit::Rejected(None)
        }
    }
}

/// Reports the findings at their places in the file. The server lists all but `more` of them.
pub(super) fn rejected(file: &UsersFile, findings: &[RowFinding], more: usize, done: &str) -> Exit {
    output::say_rendered(file.render(findings, use_color()).trim_end());
    let count = rejected_rows(findings, more);
    output::say(&format!("\n{count} of {} users can't be {done}; nothing was {done}", file.len()));
    say_more(more);
    Exit::Rejected(None)
}

/// Reports the findings about the users on the command line. The server lists all but `more` of them.
pub(super) fn rejected_arguments(users: &[&str], findings: &[RowFinding], more: usize, done: &str) -> Exit {
    let name = |index: usize| output::clean(users.get(index).copied().unwrap_or_default());
    let reason = |finding: &RowFinding| {
        let message = match finding.other_index {
            Some(other) => finding.message.replace(&format!("users[{other}]"), &name(other)),
            None => finding.message.clone(),
        };
        match finding.field.as_deref() {
            None | Some("user") => output::clean(&message),
            Some(field) => output::clean(&format!("{field}: {message}")),
        }
    };
    if let [_] = users {
        let reasons: Vec<String> = findings.iter().map(reason).collect();
        return Exit::rejected(format!("{} can't be {done}: {}", name(0), reasons.join("; ")));
    }
    for finding in findings {
        output::say(&format!("{}: {}", name(finding.index), reason(finding)));
    }
    say_more(more);
    let count = rejected_rows(findings, more);
    Exit::rejected(format!("{count} of {} users can't be {done}; nothing was {done}", users.len()))
}

/// The number of rows with findings, as far as the server lists them.
fn rejected_rows(findings: &[RowFinding], more: usize) -> String {
    let rows = findings.iter().map(|finding| finding.index).collect::<BTreeSet<_>>().len();
    if more == 0 { rows.to_string() } else { format!("at least {rows}") }
}

fn say_more(more: usize) {
    if more > 0 {
        output::say(&format!(
            "{} not listed (server setting `batch.max_findings`)",
            output::count(more, "more finding")
        ));
    }
}

/// Reports warnings at their places in the file.
pub(super) fn warnings(file: &UsersFile, warnings: &[RowFinding]) {
    if warnings.is_empty() {
        return;
    }
    let shown = warnings.get(..MAX_WARNINGS).unwrap_or(warnings);
    output::say_rendered(file.render_warnings(shown, use_color()).trim_end());
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    if more > 0 {
        output::say(&format!("\n{} not shown", output::count(more, "more warning")));
    }
}

/// Whether standard error is a terminal and `NO_COLOR` is not set (no-color.org).
fn use_color() -> bool {
    std::io::stderr().is_terminal() && crate::config::environment("NO_COLOR").is_none()
}
