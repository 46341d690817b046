//! File formats.

use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The format of a users file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub enum FileFormat {
    /// A list under `create_users`, as for Anyscale's client; under `users` for commands that change users.
    Yaml,
    /// An array of users, or an object with the array under the same key as in YAML.
    Json,
    /// JSON lines: one JSON object per line.
    Ndjson,
    /// A table with a header row.
    Csv,
    /// A workbook of Excel with such a table.
    Xlsx,
}

impl FileFormat {
    /// The format by file extension, case-insensitive: `.yaml`, `.yml`, `.json`,
    /// `.ndjson`, `.jsonl`, `.csv`, `.tsv`, `.xlsx` or `.xlsm`.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "csv" | "tsv" => Some(Self::Csv),
            "xlsx" | "xlsm" => Some(Self::Xlsx),
            _ => None,
        }
    }
}
