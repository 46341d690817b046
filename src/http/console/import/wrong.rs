//! What is wrong with a list, as CSV, for correcting the file itself.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse, web};

use super::Step;
use crate::app::App;
use crate::error::Error;
use crate::http::console::visit::Handled;
use crate::users_file::{Shown, escape_formula};

/// `GET /console/import/{draft_id}/wrong.csv`.
pub(in crate::http::console) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let step = Step::of(&request, &app.into_inner()).await?;
    let import = &step.opened.import;
    let sheet = &import.sheet;
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["line", "column", "value", "code", "message"]).map_err(Error::internal)?;
    let checked = import.checked.iter().flat_map(|checked| checked.findings.iter().chain(&checked.warnings));
    for finding in checked.filter(|finding| !sheet.left_out.contains(&finding.row)) {
        let column = finding.field.as_deref().and_then(|field| sheet.column_of(field));
        let value = match column.map(|column| sheet.shown(finding.row, column)) {
            Some(Shown::Text(text)) => text,
            Some(Shown::Hidden | Shown::Nothing) | None => String::new(),
        };
        let name = column.and_then(|column| sheet.columns.get(column)).map(|column| column.name.clone());
        let name = name.or_else(|| finding.field.clone()).unwrap_or_default();
        let cells = [name, value, finding.code.clone(), finding.message.clone()].map(escape_formula);
        let line = sheet.line(finding.row).to_string();
        let cells = std::iter::once(line.as_str()).chain(cells.iter().map(String::as_str));
        writer.write_record(cells).map_err(Error::internal)?;
    }
    let text = writer.into_inner().map_err(|error| Error::internal(error.to_string()))?;
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"wrong.csv\""))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(text))
}
