//! Options of the commands that take a users file.

use std::path::Path;

use super::Exit;
use super::columns::ColumnArgs;
use super::file_report::{ErrorsArgs, FileReport};
use super::output::{self, Format};
use crate::users_file::{Contents, FileFormat, UsersFile};

#[derive(clap::Args, Debug)]
pub(super) struct FileArgs {
    /// File format [default: by the file extension (.yaml, .yml, .json, .ndjson, .jsonl, .csv, .tsv, .xlsx), else yaml].
    #[arg(long, value_enum, requires = "users_file")]
    pub(super) format: Option<FileFormat>,
    #[command(flatten)]
    pub(super) columns: ColumnArgs,
    #[command(flatten)]
    errors: ErrorsArgs,
}

impl FileArgs {
    /// Reads the file of users who are to be `done`, such as `created`. `output` is the output format of the command.
    pub(super) fn read(
        &self,
        path: &Path,
        contents: &'static Contents,
        output: Format,
        done: &str,
    ) -> Result<(UsersFile, FileReport), Exit> {
        let columns = self.columns.read(contents)?;
        let report = self.errors.prepare(path, output)?;
        let file =
            UsersFile::read(path, self.format, contents, &columns).map_err(|error| report.unusable(&error, done))?;
        if !file.absent_columns().is_empty() {
            let columns: Vec<String> = file.absent_columns().iter().map(|name| output::clean(name)).collect();
            output::say(&format!("note: columns of `--map-file` that the file does not have: {}", columns.join(", ")));
        }
        Ok((file, report))
    }

    /// Checks that there are no options of a file when the users are on the command line. Clap ignores `requires` for an
    /// option that conflicts with one that is given.
    pub(super) fn check_unused(&self) -> Result<(), Exit> {
        self.columns.check_unused()?;
        self.errors.check_unused()
    }
}
