//! `/console/invitations/new`: inviting people by their addresses, all or none. A review says what would happen; then the links are shown,
//! once.
//!
//! # Decisions
//!
//! *The review carries the list*, with the plan of its dry run: a form that is sent twice invites nobody again, and does not end the links
//! that the first response shows.

use std::collections::HashSet;

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;
use serde_json::{Value, json};

use super::invitation_links::{self, LinksPage};
use super::numbers;
use super::person_edit::Problem;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{reject, respond};
use crate::app::App;
use crate::caller::{Action, PermissionLevel};
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::pages::{self, Moment};
use crate::http::public_url::public_url;
use crate::invitations::{self, InvitationPlan, ListOptions, ListOutcome};
use crate::report::Finding;
use crate::request_body::RequestBody;
use crate::shell::quote;

/// The most rows of a review, and findings of a list, that are shown.
const MOST_SHOWN: usize = 200;

/// The most addresses that a command names.
const MOST_IN_COMMAND: usize = 3;

#[derive(Template)]
#[template(path = "console/invitation_new.html")]
pub(super) struct NewPage {
    pub(super) shell: Shell,
    pub(super) form: NewForm,
    /// Whether the sign-in is recent enough to invite owners.
    pub(super) may_invite_owners: bool,
    pub(super) problems: Vec<Problem>,
    /// The number of problems that are not shown.
    pub(super) more: usize,
    /// The number of addresses that would be left if those with a problem were left out.
    pub(super) left: usize,
    /// How long a link works.
    pub(super) days: String,
}

#[derive(Template)]
#[template(path = "console/invitation_review.html")]
pub(super) struct ReviewPage {
    pub(super) shell: Shell,
    pub(super) form: NewForm,
    pub(super) plan: InvitationPlan,
    pub(super) invited: usize,
    pub(super) replaced: usize,
    pub(super) kept: usize,
    pub(super) rows: Vec<ReviewRow>,
    /// The same on the command line.
    pub(super) command: String,
    pub(super) problem: Option<&'static str>,
    pub(super) days: String,
}

pub(super) struct ReviewRow {
    pub(super) email: String,
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    /// When the open invitation ends that stays.
    pub(super) until: Option<Moment>,
}

/// The fields of the form, and of the review.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NewForm {
    pub(super) addresses: String,
    /// `owner`, or a collaborator.
    pub(super) level: String,
    /// Whether new links replace those of open invitations.
    pub(super) replace: Option<String>,
    /// Whether addresses with a problem are left out.
    leave_out: Option<String>,
    /// The plan of the review; empty before it.
    plan: String,
    /// `page` or `csv`; `edit` to go back to the form.
    r#as: String,
}

impl NewForm {
    fn level(&self) -> PermissionLevel {
        match self.is_for_owners() {
            true => PermissionLevel::Owner,
            false => PermissionLevel::Collaborator,
        }
    }

    pub(super) fn is_for_owners(&self) -> bool {
        self.level == PermissionLevel::Owner.as_str()
    }

    /// The addresses, in the order of the list.
    fn addresses(&self) -> Vec<&str> {
        let separators = |c: char| c.is_whitespace() || [',', ';'].contains(&c);
        self.addresses.split(separators).filter(|part| !part.is_empty()).collect()
    }

    /// Leaves out the addresses with a finding.
    fn leave_out(&mut self, findings: &[&Finding]) {
        let rows: HashSet<usize> = findings.iter().map(|finding| finding.index).collect();
        let kept: Vec<&str> = self
            .addresses()
            .into_iter()
            .enumerate()
            .filter(|(row, _)| !rows.contains(row))
            .map(|(_, kept)| kept)
            .collect();
        self.addresses = kept.join("\n");
    }

    fn command(&self) -> String {
        let addresses = self.addresses();
        let named = match addresses.len() <= MOST_IN_COMMAND {
            true => addresses.iter().map(|address| quote(address)).collect::<Vec<_>>().join(" "),
            false => "--users-file addresses.txt".to_owned(),
        };
        let role = if self.is_for_owners() { " --role owner" } else { "" };
        let resend = if self.replace.is_some() { " --resend" } else { "" };
        format!("muster invitation create {named}{role}{resend}")
    }
}

impl NewPage {
    fn new(app: &App, visit: &Visit, form: NewForm) -> Self {
        Self {
            shell: visit.shell.clone(),
            may_invite_owners: visit.caller.may(Action::OwnerGrant),
            form,
            problems: Vec::new(),
            more: 0,
            left: 0,
            days: days(app),
        }
    }

    fn is_wrong(&self, field: &str) -> bool {
        self.problems.iter().any(|problem| problem.field == field)
    }
}

impl ReviewPage {
    fn new(app: &App, visit: &Visit, form: NewForm, outcomes: &[ListOutcome]) -> Self {
        let count = |is: fn(&ListOutcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
        Self {
            shell: visit.shell.clone(),
            plan: InvitationPlan::of(outcomes),
            invited: count(|outcome| matches!(outcome, ListOutcome::Invited { replaces: None, .. })),
            replaced: count(|outcome| matches!(outcome, ListOutcome::Invited { replaces: Some(_), .. })),
            kept: count(|outcome| matches!(outcome, ListOutcome::AlreadyInvited(_))),
            rows: outcomes.iter().take(MOST_SHOWN).map(|outcome| ReviewRow::of(outcome, visit)).collect(),
            command: form.command(),
            problem: None,
            form,
            days: days(app),
        }
    }

    /// The number of links that would be made.
    fn links(&self) -> usize {
        self.invited + self.replaced
    }
}

impl ReviewRow {
    fn of(outcome: &ListOutcome, visit: &Visit) -> Self {
        match outcome {
            ListOutcome::AlreadyInvited(open) => Self {
                email: open.email.clone(),
                class: "off",
                word: "Invited already: stays",
                until: Some(visit.moment(open.expires_at)),
            },
            ListOutcome::Invited { invitation, replaces } => Self {
                email: invitation.invitee.email.as_str().to_owned(),
                class: if replaces.is_some() { "warn" } else { "busy" },
                word: if replaces.is_some() { "Gets a new link" } else { "Is invited" },
                until: None,
            },
        }
    }
}

fn days(app: &App) -> String {
    numbers::counted(app.config.invitations.days, "day", "days")
}

/// `GET`: the form.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Invitations).await?;
    app.authorize(&visit.caller, Action::InvitationBatchCreate).await?;
    Ok(respond(&NewPage::new(&app, &visit, NewForm::default())))
}

/// `POST`: the review; after it, invites and shows the links. The response is the only place where they are.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<NewForm>(&request, &app, Place::Invitations, &mut body).await?;
    app.authorize(&visit.caller, Action::InvitationBatchCreate).await?;
    if form.r#as == "edit" {
        return Ok(respond(&NewPage::new(&app, &visit, form)));
    }
    if form.is_for_owners()
        && let Err(error) = app.authorize(&visit.caller, Action::OwnerGrant).await
    {
        return rejected(&app, &visit, form, error);
    }
    if form.plan.is_empty() {
        return review(&app, &visit, form).await;
    }
    let plan = form.plan.parse().map_err(|_| Error::invalid("invalid form: `plan` must be that of the review"))?;
    // Fails before anything is written, because a link can't be shown later.
    let base = public_url(&request, &app.config.server)?;
    match invite(&app, &visit, &form, Some(plan)).await {
        Ok(outcomes) if form.r#as == "csv" => Ok(invitation_links::csv(&outcomes, &base)?),
        Ok(outcomes) => Ok(respond(&LinksPage::new(&app, &visit, &outcomes, &base))),
        Err(error) if error.code() == Code::PlanChanged => match invite(&app, &visit, &form, None).await {
            Ok(outcomes) => {
                let problem = Some(
                    "Invitations of these people have changed since the review, perhaps because this form was sent twice. Nothing was \
                     written now. Links are shown only once: if they are lost, make new ones.",
                );
                Ok(reject(error, &ReviewPage { problem, ..ReviewPage::new(&app, &visit, form, &outcomes) }))
            }
            Err(error) => rejected(&app, &visit, form, error),
        },
        Err(error) => rejected(&app, &visit, form, error),
    }
}

/// Shows what would happen.
async fn review(app: &App, visit: &Visit, mut form: NewForm) -> Handled {
    let mut outcomes = invite(app, visit, &form, None).await;
    if form.leave_out.take().is_some()
        && let Err(error) = &outcomes
        && let Some(report) = error.report()
    {
        form.leave_out(&report.findings());
        outcomes = invite(app, visit, &form, None).await;
    }
    match outcomes {
        Ok(outcomes) => Ok(respond(&ReviewPage::new(app, visit, form, &outcomes))),
        Err(error) => rejected(app, visit, form, error),
    }
}

/// Invites the people of the form; without a plan, only says what would happen.
async fn invite(app: &App, visit: &Visit, form: &NewForm, plan: Option<InvitationPlan>) -> Result<Vec<ListOutcome>> {
    let level = form.level().as_str();
    let rows: Vec<Value> =
        form.addresses().iter().map(|email| json!({ "email": email, "permission_level": level })).collect();
    let rows = async {
        let mut body = RequestBody::new(&app.body_budget, 0);
        body.push(Value::Array(rows).to_string().as_bytes())?;
        Ok(body)
    };
    let options = ListOptions { resend: form.replace.is_some(), dry_run: plan.is_none(), plan };
    invitations::create_all(app, &visit.caller, options, rows).await
}

/// The form again, with what is wrong with it.
fn rejected(app: &App, visit: &Visit, form: NewForm, error: Error) -> Handled {
    let addresses = form.addresses();
    let problem = |message: String| Problem { field: "addresses".to_owned(), message };
    let (problems, more, left) = match (error.report(), error.code()) {
        (Some(report), _) => {
            let findings = report.findings();
            let rows: HashSet<usize> = findings.iter().map(|finding| finding.index).collect();
            let described = findings.iter().take(MOST_SHOWN).map(|finding| {
                let address = addresses.get(finding.index).copied().unwrap_or_default();
                problem(format!("{address}: {}", describe(finding)))
            });
            let more = findings.len().saturating_sub(MOST_SHOWN) + report.more_findings().unwrap_or_default();
            (described.collect(), more, addresses.len().saturating_sub(rows.len()))
        }
        (None, Code::EmptyBatch) => (vec![problem("No address was entered.".to_owned())], 0, 0),
        (None, Code::TooLarge | Code::InvalidRequest) => (vec![problem(pages::sentence(&error.to_string()))], 0, 0),
        (None, Code::ReauthenticationNeeded) => {
            let message =
                "Inviting owners needs a recent sign-in. Sign in again, in another tab, and send this form again.";
            (vec![Problem { field: "level".to_owned(), message: message.to_owned() }], 0, 0)
        }
        (None, _) => return Err(error.into()),
    };
    Ok(reject(error, &NewPage { problems, more, left, ..NewPage::new(app, visit, form) }))
}

/// A finding in the words of this page.
fn describe(finding: &Finding) -> String {
    match finding.code {
        "email_taken" => "has an account already.".to_owned(),
        "email_duplicate" => "is in the list twice.".to_owned(),
        "invited_with_another_level" => {
            "has an open invitation with another level; tick “Replace” for a new one.".to_owned()
        }
        _ => format!("{}.", finding.message),
    }
}
