//! The rows: those that have to be fixed, those to check, all.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::corrections::Corrections;
use super::grid::{Grid, Show, rows_with};
use super::{Head, Step, counted, number};
use crate::app::App;
use crate::caller::{Action, PermissionLevel};
use crate::error::Error;
use crate::http::body::Body;
use crate::http::console::respond;
use crate::http::console::shell::Shell;
use crate::http::console::visit::Handled;
use crate::http::{extract, pages};

#[derive(Template)]
#[template(path = "console/import_rows.html")]
pub(in crate::http::console) struct RowsPage {
    shell: Shell,
    head: Head,
    show: Show,
    grid: Grid,
    to_fix: usize,
    to_check: usize,
    fine: usize,
    left_out: usize,
    /// The findings that are not listed.
    more_findings: usize,
    /// Codes with their numbers of rows, for fixing many at once.
    kinds: Vec<(String, String)>,
    has_corrections: bool,
    /// Whether creating the owners of the list needs another sign-in.
    needs_sign_in: bool,
}

impl RowsPage {
    fn question(&self) -> String {
        match (self.to_fix, self.to_check) {
            (0, 0) => "Every row is fine".to_owned(),
            (0, check) => format!("{} to check", counted(check, "row", "rows")),
            (1, _) => format!("1 of {} needs fixing", counted(self.head.rows, "row", "rows")),
            (fix, _) => format!("{} of {} need fixing", number(fix), counted(self.head.rows, "row", "rows")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    show: String,
    after: Option<String>,
}

/// `GET /console/import/{draft_id}/rows`.
pub(in crate::http::console) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let step = Step::of(&request, &app.into_inner()).await?;
    let query: Query = extract::query(&request)?;
    let unknown = || Error::invalid("`show` must be `fix`, `check` or `all`");
    let show = Show::parse(&query.show).ok_or_else(unknown)?;
    let after = query.after.map(|after| after.parse::<usize>()).transpose();
    let after = after.map_err(|_| Error::invalid("`after` must be the number of a row"))?;
    if step.opened.import.checked.is_none() {
        return Ok(pages::redirect(&request, &format!("{}/columns", step.path())));
    }
    Ok(respond(&page(step, show, after)))
}

fn page(step: Step, show: Show, after: Option<usize>) -> RowsPage {
    let import = &step.opened.import;
    let sheet = &import.sheet;
    let none = Vec::new();
    let (findings, warnings, more_findings) = import
        .checked
        .as_ref()
        .map_or((&none, &none, 0), |checked| (&checked.findings, &checked.warnings, checked.more_findings));
    let (to_fix, to_check) = (rows_with(findings, sheet), rows_with(warnings, sheet));
    let odd = to_fix.union(&to_check).count();
    let mut of_code: BTreeMap<&str, std::collections::BTreeSet<usize>> = BTreeMap::new();
    for finding in findings.iter().chain(warnings).filter(|finding| !sheet.left_out.contains(&finding.row)) {
        of_code.entry(&finding.code).or_default().insert(finding.row);
    }
    let kinds = of_code.into_iter().map(|(code, rows)| {
        let text = findings.iter().chain(warnings).find(|finding| finding.code == code);
        let text = text.map_or(code, |finding| finding.message.as_str());
        let label = if rows.len() > 1 { code.replace('_', " ") } else { text.to_owned() };
        (code.to_owned(), format!("{label} ({})", number(rows.len())))
    });
    let is_owner = step.visit.holder.permission == PermissionLevel::Owner;
    let is_refused = findings.iter().any(|finding| finding.code == "permission_level_forbidden");
    RowsPage {
        head: step.head(),
        grid: Grid::new(import, show, after),
        to_fix: to_fix.len(),
        to_check: to_check.len(),
        fine: sheet.kept().saturating_sub(odd),
        left_out: sheet.left_out.len(),
        more_findings,
        kinds: kinds.collect(),
        has_corrections: !sheet.fixes.is_empty() || !sheet.left_out.is_empty(),
        needs_sign_in: is_refused && is_owner && !step.visit.caller.may(Action::OwnerGrant),
        show,
        shell: step.visit.shell,
    }
}

/// `POST /console/import/{draft_id}/rows`.
pub(in crate::http::console) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let app = app.into_inner();
    let (mut step, form) = Step::with_form::<Vec<(String, String)>>(&request, &app, &mut body).await?;
    let corrections = Corrections::parse(form)?;
    step.expect(corrections.revision)?;
    corrections.apply(&mut step.opened.import);
    let path = step.path();
    let opened = step.save(&app).await?;
    let is_right = opened.import.checked.is_some_and(|checked| checked.findings.is_empty());
    let next = match (corrections.goes_on() && is_right, Show::parse(&corrections.show)) {
        (true, _) => "review",
        (false, Some(Show::All)) => "rows?show=all",
        (false, Some(Show::Check)) => "rows?show=check",
        (false, _) => "rows",
    };
    Ok(pages::redirect(&request, &format!("{path}/{next}")))
}
