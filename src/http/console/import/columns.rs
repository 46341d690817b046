//! What each column of the file is.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;

use super::{Head, Step, describe, field_label, next};
use crate::app::App;
use crate::error::{Error, Result};
use crate::field::UserField;
use crate::http::body::Body;
use crate::http::console::shell::Shell;
use crate::http::console::visit::Handled;
use crate::http::console::{respond, respond_with};
use crate::http::pages;
use crate::users_file::{Meaning, Recognized, Sheet, SheetColumn};

#[derive(Template)]
#[template(path = "console/import_columns.html")]
pub(in crate::http::console) struct ColumnsPage {
    shell: Shell,
    head: Head,
    described: String,
    columns: Vec<Column>,
    choices: Vec<(String, String)>,
    words: Vec<Word>,
    /// Whether the file says for each person how they sign in.
    has_sso: bool,
    default_sso: &'static str,
    problems: Vec<(String, String)>,
}

struct Column {
    name: String,
    meaning: String,
    /// The first values; `None` if they must not be shown.
    values: Option<String>,
    filled: String,
    recognized: (&'static str, &'static str),
}

/// A word for yes or no.
struct Word {
    word: String,
    rows: String,
    /// `yes`, `no` or empty.
    means: &'static str,
    /// Whether it means so in every file.
    is_usual: bool,
}

fn page(step: Step, problems: Vec<(String, String)>) -> ColumnsPage {
    let sheet = &step.opened.import.sheet;
    let column = |(index, column): (usize, &SheetColumn)| Column {
        name: column.name.clone(),
        meaning: column.meaning.text(),
        values: sheet.first_values(index).map(|values| values.join(", ")),
        filled: super::counted(sheet.filled(index), "row", "rows"),
        recognized: match (column.recognized, &column.meaning) {
            (_, Meaning::LeftOut) => ("off", "Left out"),
            (Recognized::ByName, _) => ("ok", "By its name"),
            (Recognized::BySynonym, _) => ("ok", "By a usual name"),
            (Recognized::ByValues, _) => ("ok", "By its values"),
            (Recognized::Chosen | Recognized::Unknown, _) => ("ok", "Chosen"),
        },
    };
    let mut choices: Vec<(String, String)> = UserField::NEW_USER
        .iter()
        .filter(|field| !sheet.is_table() || **field != UserField::Attributes)
        .map(|field| (field.as_str().to_owned(), choice(*field)))
        .collect();
    if sheet.is_table() {
        choices.insert(1, (Meaning::FullName.text(), "Full name, split at the last space".to_owned()));
        for attribute in sheet.columns.iter().filter(|column| matches!(column.meaning, Meaning::Attribute(_))) {
            let text = attribute.meaning.text();
            choices.push((text.clone(), text));
        }
    }
    let yes_no = |means: Option<bool>| means.map_or("", |means| if means { "yes" } else { "no" });
    ColumnsPage {
        head: step.head(),
        described: describe(sheet),
        columns: sheet.columns.iter().enumerate().map(column).collect(),
        choices,
        words: sheet
            .flag_words()
            .into_iter()
            .take(50)
            .map(|(word, rows, means)| Word {
                is_usual: Sheet::is_usual_flag(&word),
                rows: super::number(rows),
                means: yes_no(means),
                word,
            })
            .collect(),
        has_sso: sheet.has(UserField::IsSsoUser),
        default_sso: yes_no(sheet.default_sso),
        problems,
        shell: step.visit.shell,
    }
}

fn choice(field: UserField) -> String {
    match field {
        UserField::IsSsoUser => "SSO (yes or no)".to_owned(),
        UserField::MustChangePassword => "Must change password (yes or no)".to_owned(),
        UserField::Attributes => "Attributes".to_owned(),
        field => field_label(field.as_str()).to_owned(),
    }
}

/// `GET /console/import/{draft_id}/columns`.
pub(in crate::http::console) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let step = Step::of(&request, &app.into_inner()).await?;
    Ok(respond(&page(step, Vec::new())))
}

/// `POST /console/import/{draft_id}/columns`.
pub(in crate::http::console) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let app = app.into_inner();
    let (mut step, form) = Step::with_form::<Vec<(String, String)>>(&request, &app, &mut body).await?;
    let mut form: BTreeMap<String, String> = form.into_iter().collect();
    step.expect(revision(&mut form)?)?;
    let sheet = &mut step.opened.import.sheet;
    choose(sheet, form)?;
    let problems = problems(sheet);
    sheet.is_confirmed = problems.is_empty();
    if !problems.is_empty() {
        return Ok(respond_with(StatusCode::UNPROCESSABLE_ENTITY, &page(step, problems)));
    }
    let path = step.path();
    let opened = step.save(&app).await?;
    Ok(pages::redirect(&request, &format!("{path}/{}", next(&opened))))
}

/// The revision of a form.
pub(super) fn revision(form: &mut BTreeMap<String, String>) -> Result<i64> {
    let text = form.remove("revision").unwrap_or_default();
    text.parse().map_err(|_| Error::invalid("invalid form: `revision` is missing; open the page again"))
}

/// Applies a form.
fn choose(sheet: &mut Sheet, form: BTreeMap<String, String>) -> Result<()> {
    let unknown = |name: &str| Error::invalid(format!("invalid form: unknown field `{}`", extract_name(name)));
    for (name, value) in form {
        if name == "sso" {
            sheet.default_sso = yes_no(&value).map_err(|()| unknown(&name))?;
        } else if let Some(word) = name.strip_prefix("word:") {
            match yes_no(&value).map_err(|()| unknown(&name))? {
                Some(means) => sheet.words.insert(word.to_owned(), means),
                None => sheet.words.remove(word),
            };
        } else {
            let index: Option<usize> = name.strip_prefix("column:").and_then(|index| index.parse().ok());
            let column = index.and_then(|index| sheet.columns.get_mut(index)).ok_or_else(|| unknown(&name))?;
            column.meaning = Meaning::parse(&value).ok_or_else(|| unknown(&name))?;
        }
    }
    for column in &mut sheet.columns {
        column.recognized = match column.recognized {
            Recognized::ByName if column.meaning != Meaning::LeftOut => Recognized::ByName,
            _ => Recognized::Chosen,
        };
    }
    Ok(())
}

fn extract_name(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn yes_no(text: &str) -> std::result::Result<Option<bool>, ()> {
    match text {
        "yes" => Ok(Some(true)),
        "no" => Ok(Some(false)),
        "" => Ok(None),
        _ => Err(()),
    }
}

/// What is missing or contradictory: the ID of a control, and a message.
fn problems(sheet: &Sheet) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let first = "column-0".to_owned();
    if !sheet.has(UserField::Email) {
        problems.push((first.clone(), "No column is the address".to_owned()));
    }
    if !sheet.has(UserField::Name) {
        problems.push((first, "No column is the first name or the full name".to_owned()));
    }
    for (index, column) in sheet.columns.iter().enumerate() {
        let Some(field) = column.meaning.field() else { continue };
        let is_before =
            |(other, same): (usize, &SheetColumn)| other < index && same.meaning.field().as_deref() == Some(&field);
        if sheet.columns.iter().enumerate().any(is_before) {
            let message = format!("Two columns are “{}”; leave one of them out", field_label(&field));
            problems.push((format!("column-{index}"), message));
        }
    }
    if !sheet.has(UserField::IsSsoUser) && sheet.default_sso.is_none() {
        problems.push(("sso".to_owned(), "Say how these people sign in".to_owned()));
    }
    problems
}
