//! The formats of users files.

use std::path::Path;

use clap::ValueEnum;

/// How a users file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// A list under `create_users`, as the vendor's client reads it; `users` for commands that change users.
    Yaml,
    /// An array of users, or an object with one under the same name.
    Json,
    /// One user a line, as a JSON object.
    Ndjson,
    /// A table whose first row names the columns.
    Csv,
}

impl FileFormat {
    /// The format of a file by the end of its name, in any case: `.yaml`, `.yml`, `.json`,
    /// `.ndjson`, `.jsonl` or `.csv`.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}
