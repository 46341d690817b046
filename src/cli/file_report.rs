//! Reports of errors and warnings: at their places in a users file, or by the users on the command line.
//!
//! # Decisions
//!
//! - Equal errors are one block on standard error, so that a report can be read. All of them, one by one, are in the file
//!   of `--errors-out`, and on standard output with `-o json` and `-o csv`.
//! - **The file of `--errors-out` is written before anything is sent**, with its header only, and again with the errors:
//!   a path that can't be written is reported while nothing has happened, and the errors of an earlier run don't outlive
//!   it. It is never the users file itself, nor anything but a regular file.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use muster_client::RowFinding;

use super::output::{Format, TableRow};
use super::{Exit, output, private_file};
use crate::users_file::{self, FileError, LocatedFinding, UsersFile};

/// The file of all errors.
#[derive(clap::Args, Debug)]
pub(super) struct ErrorsArgs {
    /// Write all errors in the users file to this CSV file: line, column, cell (of a workbook), field, value (unless it may
    /// be secret), code and message. Without errors, the file has only a header.
    #[arg(long, value_name = "FILE.csv", value_hint = ValueHint::FilePath)]
    errors_out: Option<PathBuf>,
}

impl ErrorsArgs {
    /// Prepares the report on a users file. `format` is the output format of the command.
    ///
    /// # Errors
    /// The file of errors can't be written.
    pub(super) fn prepare(&self, users_file: &Path, format: Format) -> Result<FileReport, Exit> {
        let report = FileReport { path: self.errors_out.clone(), format };
        if let Some(path) = &report.path {
            private_file::check(path, users_file)?;
        }
        report.write(&[])?;
        Ok(report)
    }

    /// Checks that no file of errors is requested for users on the command line. Clap ignores `requires` for an option
    /// that conflicts with one that is given.
    ///
    /// # Errors
    /// Wrong usage.
    pub(super) fn check_unused(&self) -> Result<(), Exit> {
        match self.errors_out {
            Some(_) => Err(Exit::usage("`--errors-out` requires `--users-file`")),
            None => Ok(()),
        }
    }
}

/// Where the errors in a users file are reported.
pub(super) struct FileReport {
    path: Option<PathBuf>,
    format: Format,
}

impl FileReport {
    /// A report on standard error only.
    pub(super) const fn on_terminal() -> Self {
        Self { path: None, format: Format::Table }
    }

    /// Reports a file that is not a list of users; `done` is the participle of the command, such as `created`.
    pub(super) fn unusable(&self, error: &FileError, done: &str) -> Exit {
        match error {
            FileError::Unreadable { source, .. } => {
                let message = format!("{error}: {source}");
                match self.list(&[LocatedFinding::general(users_file::INVALID_FILE, message.clone())]) {
                    Exit::Rejected(_) => Exit::Usage(message),
                    exit @ Exit::Usage(_) => exit,
                }
            }
            FileError::NoColumns { .. } | FileError::NoSheets { .. } => Exit::usage(error),
            FileError::TooLarge { .. } | FileError::OtherKind { .. } | FileError::Workbook { .. } => {
                match self.list(&[LocatedFinding::general(users_file::INVALID_FILE, error.to_string())]) {
                    Exit::Rejected(_) => Exit::rejected(format!("{error}; nothing was {done}")),
                    exit @ Exit::Usage(_) => exit,
                }
            }
            FileError::Form(form) => {
                output::say_rendered(form.render(use_color()).trim_end());
                output::say(&format!("\nnothing was {done}"));
                self.list(&form.locate())
            }
        }
    }

    /// Reports the findings at their places in the file. The server lists all but `more` of them.
    pub(super) fn rejected(&self, file: &UsersFile, findings: &[RowFinding], more: usize, done: &str) -> Exit {
        output::say_rendered(file.render(findings, use_color()).trim_end());
        let count = rejected_rows(findings, more);
        output::say(&format!("\n{count} of {} users can't be {done}; nothing was {done}", file.len()));
        say_more(more);
        if self.path.is_none() && findings.len() > users_file::MAX_PLACES {
            output::say("hint: `--errors-out FILE.csv` writes all errors to a file");
        }
        let mut located = file.locate(findings);
        if more > 0 {
            located.push(LocatedFinding::general("more_findings", more_findings(more)));
        }
        self.list(&located)
    }

    /// Prints all errors if the output is for programs, and writes them to the file.
    fn list(&self, errors: &[LocatedFinding]) -> Exit {
        let print = || if self.format.is_table() { Ok(()) } else { output::print_list(self.format, errors) };
        match self.write(errors).and_then(|()| print()) {
            Ok(()) => Exit::Rejected(None),
            Err(exit) => exit,
        }
    }

    fn write(&self, errors: &[LocatedFinding]) -> Result<(), Exit> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = output::csv_list(errors)?;
        private_file::write(path, text.as_bytes())?;
        if !errors.is_empty() {
            output::say(&format!("the errors are in `{}`", path.display()));
        }
        Ok(())
    }
}

impl TableRow for LocatedFinding {
    const HEADER: &'static [&'static str] = &["LINE", "COLUMN", "CELL", "FIELD", "VALUE", "CODE", "MESSAGE"];

    fn cells(&self, _: Format) -> Vec<String> {
        let number = |number: Option<usize>| number.map_or_else(String::new, |number| number.to_string());
        vec![
            number(self.line),
            number(self.column),
            self.cell.clone().unwrap_or_default(),
            self.field.clone().unwrap_or_default(),
            self.value.clone().unwrap_or_default(),
            self.code.clone(),
            self.message.clone(),
        ]
    }
}

/// Reports the findings about the users on the command line. The server lists all but `more` of them.
pub(super) fn rejected_arguments(users: &[&str], findings: &[RowFinding], more: usize, done: &str) -> Exit {
    if let [only] = users {
        let reasons: Vec<String> = findings.iter().map(|finding| reason(users, finding)).collect();
        return Exit::rejected(format!("{} can't be {done}: {}", output::clean(only), reasons.join("; ")));
    }
    say_arguments(users, findings);
    say_more(more);
    let count = rejected_rows(findings, more);
    Exit::rejected(format!("{count} of {} users can't be {done}; nothing was {done}", users.len()))
}

/// Prints the findings about the users on the command line.
pub(super) fn say_arguments(users: &[&str], findings: &[RowFinding]) {
    for finding in findings {
        output::say(&format!("{}: {}", argument(users, finding.index), reason(users, finding)));
    }
}

fn argument(users: &[&str], index: usize) -> String {
    output::clean(users.get(index).copied().unwrap_or_default())
}

fn reason(users: &[&str], finding: &RowFinding) -> String {
    let message = match finding.other_index {
        Some(other) => finding.message.replace(&format!("users[{other}]"), &argument(users, other)),
        None => finding.message.clone(),
    };
    match finding.field.as_deref() {
        None | Some("user") => output::clean(&message),
        Some(field) => output::clean(&format!("{field}: {message}")),
    }
}

/// The number of rows with findings, as far as the server lists them.
fn rejected_rows(findings: &[RowFinding], more: usize) -> String {
    let rows = findings.iter().map(|finding| finding.index).collect::<BTreeSet<_>>().len();
    if more == 0 { rows.to_string() } else { format!("at least {rows}") }
}

fn say_more(more: usize) {
    if more > 0 {
        output::say(&more_findings(more));
    }
}

fn more_findings(more: usize) -> String {
    format!("{} not listed (server setting `batch.max_findings`)", output::count(more, "more finding"))
}

/// Reports warnings at their places in the file.
pub(super) fn warnings(file: &UsersFile, warnings: &[RowFinding]) {
    if !warnings.is_empty() {
        output::say_rendered(file.render_warnings(warnings, use_color()).trim_end());
    }
}

/// Whether standard error is a terminal with colors, and `NO_COLOR` is not set (no-color.org).
fn use_color() -> bool {
    std::io::stderr().is_terminal() && !output::is_dumb_terminal() && crate::config::environment("NO_COLOR").is_none()
}
