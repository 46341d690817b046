//! `/console/people/review/{draft_id}`: what would happen to the selected people, the button, and what has happened.

use std::collections::HashSet;

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::bulk::{self, Doing, Outcome, Selection};
use super::numbers;
use super::shell::{Place, Shell};
use super::state::State;
use super::visit::{Handled, Visit};
use super::{again, reject, respond};
use crate::app::App;
use crate::caller::{Action, PermissionLevel};
use crate::collaborators;
use crate::drafts::{self, Draft, DraftKey, DraftKind, DraftSummary};
use crate::error::{Code, Error, Result};
use crate::groups;
use crate::http::body::Body;
use crate::http::pages::Short;
use crate::http::{extract, pages, session};
use crate::id::{self, Group, Id, User};
use crate::page::{MAX_COUNT, PageRequest};
use crate::shell;
use crate::users::{ListOptions, UserDetails};

/// The most people that the page lists.
const MOST_LISTED: usize = 200;

#[derive(Template)]
#[template(path = "console/bulk_review.html")]
pub(super) struct ReviewPage {
    pub(super) shell: Shell,
    pub(super) doing: Doing,
    pub(super) group: Option<(Id<Group>, String)>,
    pub(super) outcome: Outcome,
    pub(super) revision: i64,
    pub(super) rows: Vec<Row>,
    pub(super) total: usize,
    pub(super) problem: Option<String>,
}

pub(super) struct Row {
    pub(super) user: UserDetails,
    pub(super) state: State,
    pub(super) is_blocked: bool,
    pub(super) is_done: bool,
    pub(super) last_signed_in: Option<Short>,
}

impl ReviewPage {
    fn group_name(&self) -> Option<&str> {
        self.group.as_ref().map(|(_, name)| name.as_str())
    }

    fn question(&self) -> String {
        format!("{}?", self.doing.of(self.total, self.group_name()))
    }

    fn button(&self) -> String {
        self.doing.of(self.outcome.changed, self.group_name())
    }

    /// The people who can't be changed, with their rows, if they exist.
    fn blocked(&self) -> impl Iterator<Item = (&Id<User>, Option<&Row>, &str)> {
        self.outcome
            .blocked
            .iter()
            .take(MOST_LISTED)
            .map(|(user_id, why)| (user_id, self.rows.iter().find(|row| row.user.user_id == *user_id), why.as_str()))
    }

    /// The same on the command line.
    fn command(&self) -> String {
        let group = shell::quote(self.group_name().unwrap_or_default());
        match self.doing {
            Doing::Suspend => "muster user suspend -f people.csv --skip-blocked --dry-run".to_owned(),
            Doing::Reactivate => "muster user reactivate -f people.csv --skip-blocked --dry-run".to_owned(),
            Doing::Delete => "muster user delete -f people.csv --skip-blocked --dry-run".to_owned(),
            Doing::Owner | Doing::Collaborator => {
                "muster user update -f people.csv --skip-blocked --dry-run".to_owned()
            }
            Doing::Add => format!("muster group add {group} -f people.csv --dry-run"),
            Doing::Remove => format!("muster group remove {group} -f people.csv --dry-run"),
        }
    }
}

/// Which level, or which group.
#[derive(Template)]
#[template(path = "console/bulk_choice.html")]
pub(super) struct ChoicePage {
    pub(super) shell: Shell,
    pub(super) is_level: bool,
    pub(super) total: usize,
    pub(super) groups: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "console/bulk_done.html")]
pub(super) struct DonePage {
    pub(super) shell: Shell,
    /// `None`: it was begun, and has not ended.
    pub(super) outcome: Option<Outcome>,
    pub(super) total: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    action: Option<String>,
    group: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    revision: i64,
    skip: Option<String>,
    /// The number of people, typed to confirm a deletion.
    confirm: Option<String>,
    /// Whether the opposite is to be reviewed.
    reverse: Option<String>,
}

/// An opened selection.
struct Review {
    visit: Visit,
    key: DraftKey,
    draft: DraftSummary,
    selection: Selection,
}

impl Review {
    async fn open(request: &HttpRequest, app: &App, visit: Visit) -> Result<Self> {
        app.authorize(&visit.caller, Action::UserBatchUpdate).await?;
        let draft_id: Id<id::Draft> = extract::id(request, "draft_id", "list")?;
        let key = session::draft_key(request);
        let Draft { summary, content } =
            drafts::open(app, &visit.caller, DraftKind::People, key.as_ref(), draft_id).await?;
        let (text, _share) = content.into_parts();
        let selection = serde_json::from_slice(&text)
            .map_err(|_| Error::new(Code::NotFound, "this list is not a selection of people"))?;
        let key = key.ok_or_else(|| Error::internal("a draft that was opened without its key"))?;
        Ok(Self { visit, key, draft: summary, selection })
    }

    /// The people who exist, in the order of their IDs.
    async fn people(&self, app: &App) -> Result<Vec<UserDetails>> {
        let ids: Vec<Id<User>> = self.selection.users.iter().map(|(user_id, _)| *user_id).collect();
        collaborators::by_ids(app, &self.visit.caller, &ids).await
    }

    fn path(&self) -> String {
        format!("console/people/review/{}", self.draft.draft_id)
    }

    /// The page that says what would happen.
    async fn page(
        self,
        app: &App,
        doing: Doing,
        group: Option<(Id<Group>, String)>,
        problem: Option<String>,
    ) -> Result<ReviewPage> {
        let people = self.people(app).await?;
        let dry_run = ListOptions { dry_run: true, skip_blocked: true };
        let outcome = bulk::act(app, &self.visit, &self.selection, &people, doing, group.as_ref(), dry_run).await?;
        let blocked: HashSet<Id<User>> = outcome.blocked.iter().map(|(user_id, _)| *user_id).collect();
        let mut rows: Vec<Row> = people
            .into_iter()
            .map(|user| Row {
                state: State::of(&user, self.visit.now),
                is_blocked: blocked.contains(&user.user_id),
                is_done: doing.is_done_for(&user),
                last_signed_in: user.last_signed_in_at.map(|at| self.visit.moment(at).short()),
                user,
            })
            .collect();
        // What needs a look comes first.
        rows.sort_by_key(|row| (!row.is_blocked, !row.is_done));
        rows.truncate(MOST_LISTED);
        let (revision, total) = (self.draft.revision, self.selection.users.len());
        Ok(ReviewPage { shell: self.visit.shell, doing, group, outcome, revision, rows, total, problem })
    }
}

/// `GET`: says what would happen, or what has happened.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::People).await?;
    let query: Query = extract::query(&request)?;
    let review = Review::open(&request, &app, visit).await?;
    let total = review.selection.users.len();
    if review.selection.is_begun {
        let page = DonePage { shell: review.visit.shell, outcome: review.selection.outcome, total };
        return Ok(respond(&page));
    }
    let action = query.action.as_deref().unwrap_or_default();
    let doing = match (action, Doing::parse(action)) {
        (_, Some(doing)) if !doing.needs_group() || query.group.is_some() => doing,
        ("level" | "group", _) | (_, Some(_)) => {
            let is_level = action == "level";
            let groups = if is_level { Vec::new() } else { choices(&app, &review.visit).await? };
            return Ok(respond(&ChoicePage { shell: review.visit.shell, is_level, total, groups }));
        }
        (_, None) => {
            let unknown = format!("`action` must be one of: {}, level, group", Doing::list());
            return Err(Error::invalid(unknown).into());
        }
    };
    let group = group(&app, &review.visit, doing, query.group.as_deref()).await?;
    match review.page(&app, doing, group, None).await {
        Ok(page) => Ok(respond(&page)),
        Err(error) if error.code() == Code::ReauthenticationNeeded => Ok(again(&request)),
        Err(error) => Err(error.into()),
    }
}

/// `POST`: does it. The response leads to what has happened.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<Confirmation>(&request, &app, Place::People, &mut body).await?;
    let query: Query = extract::query(&request)?;
    let mut review = Review::open(&request, &app, visit).await?;
    let path = review.path();
    if review.selection.is_begun {
        return match form.reverse {
            Some(_) => reverse(&request, &app, review).await,
            // The form was sent twice.
            None => Ok(pages::redirect(&request, &path)),
        };
    }
    let doing = query.action.as_deref().and_then(Doing::parse);
    let doing = doing.ok_or_else(|| Error::invalid(format!("`action` must be one of: {}", Doing::list())))?;
    let group = group(&app, &review.visit, doing, query.group.as_deref()).await?;
    let people = review.people(&app).await?;
    let typed = form.confirm.as_deref().map(|typed| typed.trim().replace([',', '.', ' '], ""));
    if doing == Doing::Delete {
        let planned = ListOptions { dry_run: true, skip_blocked: true };
        let planned = bulk::act(&app, &review.visit, &review.selection, &people, doing, None, planned).await?;
        if typed.and_then(|typed| typed.parse().ok()) != Some(planned.changed) {
            let error = Error::invalid("the number that was typed is not the number of people to delete");
            let problem = Some(pages::sentence(&error.to_string()));
            return Ok(reject(error, &review.page(&app, doing, group, problem).await?));
        }
    }
    // A second request finds it begun.
    review.selection.is_begun = true;
    if form.revision != review.draft.revision || !review.keep(&app).await? {
        return Ok(pages::redirect(&request, &path));
    }
    let options = ListOptions { dry_run: false, skip_blocked: form.skip.is_some() };
    match review.act(&app, &people, doing, group.as_ref(), options).await {
        Ok(()) => Ok(pages::redirect(&request, &path)),
        Err(error) if error.code() == Code::ReauthenticationNeeded => Ok(again(&request)),
        Err(error) if error.report().is_none() && error.code() != Code::Conflict => Err(error.into()),
        Err(error) => {
            let problem = Some(pages::sentence(&error.to_string()));
            Ok(reject(error, &review.page(&app, doing, group, problem).await?))
        }
    }
}

impl Review {
    /// Acts on the selection, and keeps what came of it. After an error, it can be tried again.
    async fn act(
        &mut self,
        app: &App,
        people: &[UserDetails],
        doing: Doing,
        group: Option<&(Id<Group>, String)>,
        options: ListOptions,
    ) -> Result<()> {
        match bulk::act(app, &self.visit, &self.selection, people, doing, group, options).await {
            Ok(outcome) => {
                self.selection.outcome = Some(outcome);
                let content = serde_json::to_vec(&self.selection).map_err(Error::internal)?;
                drafts::finish(app, &self.visit.caller, &self.key, &self.draft, &content).await
            }
            Err(error) => {
                self.selection.is_begun = false;
                self.keep(app).await?;
                Err(error)
            }
        }
    }

    /// Keeps the selection as it is now. `false` if another request has changed it.
    async fn keep(&mut self, app: &App) -> Result<bool> {
        let content = serde_json::to_vec(&self.selection).map_err(Error::internal)?;
        match drafts::update(app, &self.visit.caller, &self.key, &self.draft, &content).await {
            Ok(revision) => {
                self.draft.revision = revision;
                Ok(true)
            }
            Err(error) if error.code() == Code::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Selects the people who were changed, for the opposite action.
async fn reverse(request: &HttpRequest, app: &App, review: Review) -> Handled {
    let outcome = review.selection.outcome.as_ref();
    let Some((outcome, opposite)) = outcome.and_then(|outcome| Some((outcome, outcome.doing.reverse()?))) else {
        return Err(Error::invalid("there is nothing to reverse").into());
    };
    let people = collaborators::by_ids(app, &review.visit.caller, &outcome.changed_users).await?;
    let users = people.into_iter().map(|user| (user.user_id, user.revision)).collect();
    let selection = Selection { users, is_begun: false, outcome: None };
    let draft_id = bulk::keep(app, &review.visit, &review.key, selection).await?;
    Ok(pages::redirect(request, &format!("console/people/review/{draft_id}?action={opposite}")))
}

/// The group of an action that needs one: by its ID or name.
async fn group(app: &App, visit: &Visit, doing: Doing, text: Option<&str>) -> Result<Option<(Id<Group>, String)>> {
    let Some(text) = text.filter(|_| doing.needs_group()) else { return Ok(None) };
    let group = match text.parse() {
        Ok(group_id) => groups::get(app, &visit.caller, group_id).await?,
        Err(_) => groups::by_name(app, &visit.caller, text).await?,
    };
    Ok(Some((group.group_id, group.name)))
}

/// The IDs and names of the first groups.
async fn choices(app: &App, visit: &Visit) -> Result<Vec<(String, String)>> {
    let page = PageRequest { count: MAX_COUNT, after: None };
    let groups = groups::list(app, &visit.caller, &page).await?;
    Ok(groups.rows.into_iter().map(|group| (group.group_id.to_string(), group.name)).collect())
}
