//! Writing CSV.

use csv::{Terminator, WriterBuilder};

use super::formula::escape;

/// Rows as CSV (RFC 4180). A cell that a spreadsheet would evaluate as a formula is prefixed with an apostrophe.
///
/// # Errors
/// If the rows have different lengths.
pub fn csv_text<R>(rows: impl IntoIterator<Item = R>) -> Result<String, Box<dyn std::error::Error + Send + Sync>>
where
    R: IntoIterator<Item = String>,
{
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.into_iter().map(escape))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
