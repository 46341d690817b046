//! Cells of CSV that a spreadsheet would evaluate as formulas: muster writes them behind an apostrophe, and takes it away
//! when it reads them.

/// Prefixes a cell that a spreadsheet would evaluate, also behind apostrophes, so that [`unescape`] gives the cell.
pub fn escape(cell: String) -> String {
    if is_formula(&cell) || cell.starts_with(['\t', '\r']) { format!("'{cell}") } else { cell }
}

/// The cell without the apostrophe of [`escape`]. No field of a user begins with a tab or a carriage return.
pub(super) fn unescape(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|cell| is_formula(cell)).unwrap_or(cell)
}

fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@'])
}
