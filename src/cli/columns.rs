//! Options that say where a table is, and which of its columns are which fields.
//!
//! # Decisions
//!
//! *A file of mappings can be for several exports*: a column that the users file does not have is a note, unless the
//! users file lacks its field, too. A mapping on the command line is for this users file: there, it is an error.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::Exit;
use super::output;
use crate::users_file::{ColumnMap, Contents};

/// The largest file of mappings; a longer one is another file.
const MAX_BYTES: u64 = 64 * 1024;

#[derive(clap::Args, Debug, Default)]
pub(super) struct ColumnArgs {
    /// CSV and workbooks: read columns as fields, such as `--map Vorname=name,Nachname=lastname`.
    #[arg(long, value_name = "COLUMN=FIELD", value_delimiter = ',')]
    map: Vec<String>,
    /// CSV and workbooks: file with such mappings, one on each line, also of columns that only other files have. Lines that
    /// start with `#` are comments.
    #[arg(long, value_name = "FILE")]
    map_file: Option<PathBuf>,
    /// CSV and workbooks: leave this column out. Can be repeated.
    #[arg(long, value_name = "COLUMN")]
    ignore: Vec<String>,
    /// Workbooks: read this sheet [default: the first one whose first row names the columns].
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
}

impl ColumnArgs {
    /// Reads the options, and the file of mappings.
    pub(super) fn read(&self, contents: &Contents) -> Result<ColumnMap, Exit> {
        let mut columns = ColumnMap::default();
        for mapping in &self.map {
            columns.map(contents, mapping).map_err(|error| Exit::usage(format!("`--map`: {error}")))?;
        }
        if let Some(path) = &self.map_file {
            let shown = output::clean(&path.to_string_lossy());
            let text = read(path).map_err(|error| Exit::usage(format!("can't read `{shown}`: {error}")))?;
            let lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
            let mappings = lines.filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
            for (mapping, line) in mappings {
                columns
                    .map_if_present(contents, mapping)
                    .map_err(|error| Exit::usage(format!("`{shown}`, line {line}: {error}")))?;
            }
        }
        for column in &self.ignore {
            columns.ignore(column).map_err(|error| Exit::usage(format!("`--ignore`: {error}")))?;
        }
        if let Some(sheet) = &self.sheet {
            columns.select_sheet(sheet.clone());
        }
        Ok(columns)
    }

    /// Checks that no columns are given for users on the command line. Clap ignores `requires` for an option that conflicts
    /// with one that is given.
    pub(super) fn check_unused(&self) -> Result<(), Exit> {
        if self.map.is_empty() && self.map_file.is_none() && self.ignore.is_empty() && self.sheet.is_none() {
            return Ok(());
        }
        Err(Exit::usage("`--map`, `--map-file`, `--ignore` and `--sheet` require `--users-file`"))
    }

    /// The same options for a shell, each after a blank.
    pub(super) fn for_shell(&self) -> String {
        let map = Some(self.map.join(",")).filter(|map| !map.is_empty());
        let file = self.map_file.as_ref().map(|path| path.to_string_lossy().into_owned());
        let options = map.iter().map(|map| ("map", map)).chain(file.iter().map(|file| ("map-file", file)));
        let options = options.chain(self.ignore.iter().map(|column| ("ignore", column)));
        let options = options.chain(self.sheet.iter().map(|sheet| ("sheet", sheet)));
        options.map(|(name, value)| format!(" --{name} {}", output::shell_quote(value))).collect()
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= MAX_BYTES) {
        return Ok(text);
    }
    Err(io::Error::other(format!("larger than {} KiB", MAX_BYTES / 1024)))
}
