//! What is wrong with a list, as CSV, for correcting the file itself.

use actix_web::{HttpRequest, web};

use super::Step;
use crate::app::App;
use crate::http::console::download;
use crate::http::console::visit::Handled;
use crate::users_file::Shown;

/// `GET /console/import/{draft_id}/wrong.csv`.
pub(in crate::http::console) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let step = Step::of(&request, &app.into_inner()).await?;
    let import = &step.opened.import;
    let sheet = &import.sheet;
    let checked = import.checked.iter().flat_map(|checked| checked.findings.iter().chain(&checked.warnings));
    let rows = checked.filter(|finding| !sheet.left_out.contains(&finding.row)).map(|finding| {
        let column = finding.field.as_deref().and_then(|field| sheet.column_of(field));
        let value = match column.map(|column| sheet.shown(finding.row, column)) {
            Some(Shown::Text(text)) => text,
            Some(Shown::Hidden | Shown::Nothing) | None => String::new(),
        };
        let name = column.and_then(|column| sheet.columns.get(column)).map(|column| column.name.clone());
        let name = name.or_else(|| finding.field.clone()).unwrap_or_default();
        [sheet.line(finding.row).to_string(), name, value, finding.code.clone(), finding.message.clone()]
    });
    let names = ["line", "column", "value", "code", "message"].map(str::to_owned);
    Ok(download::csv(std::iter::once(names).chain(rows), "wrong")?)
}
