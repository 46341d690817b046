//! What is wrong with a file, or odd, shown in it.

use std::collections::BTreeSet;
use std::io::IsTerminal;

use muster_client::{RowFinding, Warning};

use super::{Exit, output};
use crate::batches::file::{FileError, Finding, UsersFile};

/// The most warnings that are shown. Findings are shown all, for all have to be mended.
const MOST_WARNINGS: usize = 20;

/// A file that can't be read as a list of users.
pub(super) fn refuse(error: &FileError) -> Exit {
    match error {
        FileError::Unreadable { source, .. } => Exit::Usage(format!("{error}: {source}")),
        FileError::TooLarge { .. } => Exit::Refused(Some(format!("{error}; nothing was created"))),
        FileError::Form(form) => {
            output::say(form.render(colour()).trim_end());
            output::say("\nnothing was created");
            Exit::Refused(None)
        }
    }
}

/// All findings of a server.
pub(super) fn findings(file: &UsersFile, rows: &[RowFinding]) -> Exit {
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
    show(file, &findings)
}

/// All findings.
pub(super) fn show(file: &UsersFile, findings: &[Finding]) -> Exit {
    output::say(file.render(findings, colour()).trim_end());
    let rows = findings.iter().map(|finding| finding.index).collect::<BTreeSet<_>>().len();
    output::say(&format!("\n{rows} of {} users can't be created; nothing was created", file.len()));
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
    output::say(&as_warnings(file.render(&findings, colour()).trim_end()));
    let more = warnings.len().saturating_sub(MOST_WARNINGS);
    if more > 0 {
        output::say(&format!("\n{more} more warnings like these"));
    }
}

/// Titles of findings, made titles of warnings: the word, and its colour, yellow instead of red.
fn as_warnings(rendered: &str) -> String {
    let lines: Vec<String> = rendered
        .lines()
        .map(|line| match line.find("error[") {
            Some(at) if is_colour(line.get(..at).unwrap_or_default()) => line.replacen("error[", "warning[", 1),
            _ => line.to_owned(),
        })
        .collect();
    lines.join("\n").replace("\u{1b}[91m", "\u{1b}[33m")
}

/// Whether a text is nothing that can be seen.
fn is_colour(text: &str) -> bool {
    text.split_inclusive('m').all(|sequence| sequence.starts_with("\u{1b}[") && sequence.ends_with('m'))
}

/// Whether standard error takes colours, and its reader wants them (no-color.org).
fn colour() -> bool {
    std::io::stderr().is_terminal() && crate::config::environment("NO_COLOR").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding {
            index: 0,
            field: Some("title".to_owned()),
            code: "weak_hash".to_owned(),
            message: "is weak".to_owned(),
            other_index: None,
        }
    }

    #[test]
    fn a_warning_points_into_the_file_and_is_called_one() {
        let text = "create_users:\n  - name: a\n    title: error[weak_hash]\n";
        let file = UsersFile::parse("users.yaml", text.to_owned(), crate::batches::file::FileFormat::Yaml).unwrap();
        let shown = as_warnings(&file.render(&[finding()], false));
        assert!(shown.starts_with("warning[weak_hash]: title: is weak\n --> users.yaml:3:12\n"), "{shown}");
        assert!(shown.contains("title: error[weak_hash]"), "{shown}");
        let coloured = as_warnings(&file.render(&[finding()], true));
        assert!(coloured.contains("warning[weak_hash]") && !coloured.contains("\u{1b}[91m"), "{coloured:?}");
    }
}
