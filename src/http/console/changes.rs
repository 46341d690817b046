//! `/console/people/changes`: a file that says what people are to be, such as an edited export: what differs, and applying it.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::import::field_label;
use super::numbers;
use super::shell::{Place, Shell};
use super::unusable::Unusable;
use super::visit::{Handled, Visit};
use super::{again, reject, respond, respond_with};
use crate::app::App;
use crate::apply::file::{self, ChangesFile, Opened, Outcome};
use crate::apply::{Applied, AppliedUser, Request, UserAction};
use crate::caller::Action;
use crate::drafts::{self, DraftKey, DraftSummary};
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::pages::{self, Moment};
use crate::http::{extract, session};
use crate::shell;
use crate::users::FieldChange;

/// The most people whose differences are listed.
const MOST_LISTED: usize = 200;

#[derive(Template)]
#[template(path = "console/changes.html")]
pub(super) struct FilePage {
    pub(super) shell: Shell,
    pub(super) max_size: usize,
    pub(super) unusable: Option<Unusable>,
}

#[derive(Template)]
#[template(path = "console/changes_review.html")]
pub(super) struct ReviewPage {
    pub(super) shell: Shell,
    pub(super) name: String,
    pub(super) until: Moment,
    pub(super) revision: i64,
    pub(super) plan: String,
    pub(super) suspends_missing: bool,
    pub(super) total: usize,
    pub(super) outcome: Outcome,
    pub(super) confirm: Confirm,
    pub(super) users: Vec<AppliedUser>,
    /// How many people differ.
    pub(super) differing: usize,
    pub(super) command: String,
    pub(super) problem: Option<String>,
}

#[derive(Template)]
#[template(path = "console/changes_done.html")]
pub(super) struct DonePage {
    pub(super) shell: Shell,
    pub(super) outcome: Outcome,
}

/// What needs a look before it is applied.
#[derive(Default)]
pub(super) struct Confirm {
    pub(super) owners: usize,
    pub(super) former_owners: usize,
    pub(super) sign_in: usize,
    pub(super) suspended: usize,
}

impl Confirm {
    fn of(users: &[AppliedUser]) -> Self {
        let mut confirm = Self::default();
        for change in users.iter().flat_map(|user| user.changes.iter().map(|change| (user.action, change))) {
            match change {
                (_, FieldChange { field, after, .. }) if field == "permission_level" => match after.as_deref() {
                    Some("owner") => confirm.owners += 1,
                    _ if change.0 == UserAction::Change => confirm.former_owners += 1,
                    _ => {}
                },
                (UserAction::Change, FieldChange { field, .. }) if field == "is_sso_user" => confirm.sign_in += 1,
                (_, FieldChange { field, after, .. }) if field == "status" && after.as_deref() == Some("suspended") => {
                    confirm.suspended += 1;
                }
                _ => {}
            }
        }
        confirm
    }

    const fn is_needed(&self) -> bool {
        self.owners + self.former_owners + self.sign_in + self.suspended > 0
    }
}

impl ReviewPage {
    fn verb(&self) -> String {
        format!("Apply to {}", numbers::people(self.outcome.written()))
    }

    /// A value as a person reads it.
    fn value<'a>(&self, change: &'a FieldChange, value: &'a str) -> &'a str {
        match (change.field.as_ref(), value) {
            ("is_sso_user", "true") => "SSO",
            ("is_sso_user", "false") => "Password or link",
            _ => value,
        }
    }

    fn label<'a>(&self, change: &'a FieldChange) -> &'a str {
        match change.field.as_ref() {
            "is_sso_user" => "Sign-in method",
            "status" => "State",
            field => field_label(field),
        }
    }
}

async fn page(app: &App, visit: Visit, unusable: Option<Unusable>) -> Result<FilePage> {
    app.authorize(&visit.caller, Action::UserBatchApply).await?;
    Ok(FilePage { max_size: max_size(app), unusable, shell: visit.shell })
}

/// The largest file, in MiB.
fn max_size(app: &App) -> usize {
    app.config.server.body_limit / (1024 * 1024)
}

/// `GET /console/people/changes`.
pub(super) async fn show_form(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::People).await?;
    Ok(respond(&page(&app, visit, None).await?))
}

/// `POST /console/people/changes`: reads a file.
pub(super) async fn begin(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let app = app.into_inner();
    // The body of somebody who may not apply is not read.
    let visit = Visit::of(&request, &app, Place::People).await?;
    app.authorize(&visit.caller, Action::UserBatchApply).await?;
    let upload = body.upload().await?;
    if upload.content.is_empty() {
        let unusable = Some(Unusable::new("choose a file, or paste a list", Vec::new(), 0));
        return Ok(respond_with(StatusCode::BAD_REQUEST, &page(&app, visit, unusable).await?));
    }
    let key = session::draft_key(&request).unwrap_or_else(DraftKey::generate);
    match file::begin(&app, &visit.caller, &key, upload.name, upload.content).await {
        Ok(Ok(draft_id)) => {
            let mut response = pages::redirect(&request, &format!("console/people/changes/{draft_id}"));
            session::add(&mut response, session::DRAFT, key.text().expose(), drafts::LIFETIME);
            Ok(response)
        }
        Ok(Err(file::Unusable { message, places, more })) => {
            let places = places.into_iter().map(|place| (place.line, place.message)).collect();
            let unusable = Some(Unusable::new(&message, places, more));
            Ok(respond_with(StatusCode::UNPROCESSABLE_ENTITY, &page(&app, visit, unusable).await?))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    missing: Option<String>,
}

impl Query {
    fn suspends_missing(&self) -> Result<bool> {
        match self.missing.as_deref() {
            None | Some("") => Ok(false),
            Some("suspend") => Ok(true),
            Some(_) => Err(Error::invalid("`missing` must be `suspend`")),
        }
    }
}

/// A visit of the review of a file.
struct Review {
    visit: Visit,
    key: DraftKey,
    draft: DraftSummary,
    file: ChangesFile,
    suspends_missing: bool,
}

impl Review {
    /// Opens the file of a request, or shows what came of it.
    async fn open(request: &HttpRequest, app: &Arc<App>, visit: Visit) -> Handled<Self> {
        let draft_id = extract::id(request, "draft_id", "list")?;
        let suspends_missing = extract::query::<Query>(request)?.suspends_missing()?;
        let key = session::draft_key(request);
        match file::open(app, &visit.caller, key.as_ref(), draft_id).await? {
            Opened::Applied(outcome) => Err(respond(&DonePage { shell: visit.shell, outcome }).into()),
            Opened::File(draft, file) => {
                let key = key.ok_or_else(|| Error::internal("a draft that was opened without its key"))?;
                Ok(Self { visit, key, draft, file, suspends_missing })
            }
        }
    }

    /// The page that says what would change.
    async fn page(&self, app: &Arc<App>, problem: Option<String>) -> Result<ReviewPage> {
        let applied = file::review(app, &self.visit.caller, &self.file, self.suspends_missing).await?;
        let outcome = Outcome::of(&applied);
        let Applied { mut users, total, plan, warnings: _ } = applied;
        let (confirm, differing) = (Confirm::of(&users), users.len());
        users.truncate(MOST_LISTED);
        let name = self.file.name.clone().unwrap_or_else(|| "pasted list".to_owned());
        let missing = if self.suspends_missing { " --suspend-missing" } else { "" };
        Ok(ReviewPage {
            until: self.visit.moment(self.draft.expires_at),
            revision: self.draft.revision,
            plan: plan.to_string(),
            suspends_missing: self.suspends_missing,
            command: format!("muster user apply -f {}{missing}", shell::quote(&name)),
            name,
            total,
            outcome,
            confirm,
            users,
            differing,
            problem,
            shell: self.visit.shell.clone(),
        })
    }
}

/// `GET /console/people/changes/{draft_id}`: says what would change, or what has changed.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let app = app.into_inner();
    let visit = Visit::of(&request, &app, Place::People).await?;
    let review = Review::open(&request, &app, visit).await?;
    let shell = review.visit.shell.clone();
    match review.page(&app, None).await {
        Ok(page) => Ok(respond(&page)),
        Err(error) => refused(&request, &app, shell, error),
    }
}

/// The page of a file that can't be applied as it is, since people have changed.
fn refused(request: &HttpRequest, app: &App, shell: Shell, error: Error) -> Handled {
    if error.code() == Code::ReauthenticationNeeded {
        return Ok(again(request));
    }
    let Some(report) = error.report() else { return Err(error.into()) };
    let places = report.findings().iter().map(|finding| (None, finding.message.clone())).collect();
    let unusable = Unusable::new(&error.to_string(), places, report.more_findings().unwrap_or_default());
    let max_size = max_size(app);
    Ok(reject(error, &FilePage { shell, max_size, unusable: Some(unusable) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    revision: i64,
    plan: String,
    /// Whether what needs a look was confirmed.
    seen: Option<String>,
}

/// `POST /console/people/changes/{draft_id}`: applies what was reviewed.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let app = app.into_inner();
    let (visit, form) = Visit::with_form::<Form>(&request, &app, Place::People, &mut body).await?;
    let mut review = Review::open(&request, &app, visit).await?;
    let path = format!("console/people/changes/{}", review.draft.draft_id);
    if form.revision != review.draft.revision {
        // The form was sent twice: the page says what came of it.
        return Ok(pages::redirect(&request, &path));
    }
    let shell = review.visit.shell.clone();
    let plan = form.plan.parse().map_err(|error| Error::invalid(format!("invalid form: {error}")))?;
    let apply = Request { dry_run: false, suspend_missing: review.suspends_missing, plan: Some(plan) };
    if form.seen.is_none() {
        match review.page(&app, None).await {
            Ok(page) if page.confirm.is_needed() => {
                let problem = Some("Confirm what is listed under “Confirm first”. Nothing was written.".to_owned());
                let error = Error::invalid("something has to be confirmed");
                return Ok(reject(error, &ReviewPage { problem, ..page }));
            }
            Ok(_) => {}
            Err(error) => return refused(&request, &app, shell, error),
        }
    }
    let caller = review.visit.caller;
    // A second request finds another revision.
    if !file::claim(&app, &caller, &review.key, &mut review.draft, &review.file).await? {
        return Ok(pages::redirect(&request, &path));
    }
    match file::finish(&app, &caller, &review.key, (&review.draft, &review.file), apply).await {
        Ok(()) => Ok(pages::redirect(&request, &path)),
        Err(error) if error.code() == Code::PlanChanged => {
            // Look again: the page shows what would change now.
            let problem =
                Some("People have changed since this page was made. Nothing was written: look again.".to_owned());
            match review.page(&app, problem).await {
                Ok(page) => Ok(reject(error, &page)),
                Err(error) => refused(&request, &app, shell, error),
            }
        }
        Err(error) => refused(&request, &app, shell, error),
    }
}
