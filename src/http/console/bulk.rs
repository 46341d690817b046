//! Acting on many people: what is selected, and what is to be done to them.
//!
//! # Decisions
//!
//! *The selection is a draft: the IDs of users, with their revisions when they were selected.* The action takes exactly those, never those who
//! match a filter later; a person who has changed since is left out, or stops it.
//!
//! *The draft is claimed before the action and keeps its outcome.* A form that is sent twice acts once, and shows the same outcome.

use std::collections::HashSet;
use std::future::ready;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};

use super::numbers;
use super::people_query::PeopleQuery;
use super::shell::Place;
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::caller::{Action, PermissionLevel};
use crate::collaborators;
use crate::drafts::{self, DraftKey, DraftKind};
use crate::error::{Code, Error, Result};
use crate::groups::{self, MemberChange, MemberRows};
use crate::http::body::Body;
use crate::http::{extract, pages, session};
use crate::id::{Draft, Group, Id, User};
use crate::names::names;
use crate::request_body::RequestBody;
use crate::users::{self, Access, ChangedList, ListOperation, ListOptions, Status, UserDetails};

names! {
    /// What is to be done to the people.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Doing {
        /// Suspends them.
        Suspend = "suspend",
        /// Reactivates them.
        Reactivate = "reactivate",
        /// Deletes them.
        Delete = "delete",
        /// Makes them owners.
        Owner = "owner",
        /// Makes them collaborators.
        Collaborator = "collaborator",
        /// Adds them to a group.
        Add = "add",
        /// Removes them from a group.
        Remove = "remove",
    }
}

/// The content of a draft: the selection, and what came of it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Selection {
    pub(super) users: Vec<(Id<User>, i64)>,
    /// Whether somebody has pressed the button.
    pub(super) is_begun: bool,
    pub(super) outcome: Option<Outcome>,
}

/// What was done, or would be.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Outcome {
    pub(super) doing: Doing,
    /// The name of the group.
    pub(super) group: Option<String>,
    /// The users who were changed, as far as the operation says.
    pub(super) changed_users: Vec<Id<User>>,
    pub(super) changed: usize,
    /// Those who were as wished before.
    pub(super) unchanged: usize,
    /// Those who can't be changed, and why.
    pub(super) blocked: Vec<(Id<User>, String)>,
    pub(super) sessions: i64,
    pub(super) keys: i64,
}

/// `POST /console/people`: selects people, and leads to the review of what is to be done to them.
pub(super) async fn begin(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<Vec<(String, String)>>(&request, &app, Place::People, &mut body).await?;
    app.authorize(&visit.caller, Action::UserBatchUpdate).await?;
    let query: PeopleQuery = extract::query(&request)?;
    let (mut ids, mut action, mut is_all) = (Vec::new(), "suspend".to_owned(), false);
    for (name, value) in form {
        match (name.as_str(), value.as_str()) {
            ("user", id) => ids.push(id.parse().map_err(|_| Error::invalid("`user` must be the ID of a user"))?),
            ("action", _) => action = value,
            ("scope", "filter") => is_all = true,
            _ => return Err(unknown(&name).into()),
        }
    }
    let users = match is_all {
        true => collaborators::select_all(&app, &visit.caller, &query.filter()?).await?,
        false => {
            let users = collaborators::by_ids(&app, &visit.caller, &ids).await?;
            users.into_iter().map(|user| (user.user_id, user.revision)).collect()
        }
    };
    if users.is_empty() {
        return Err(Error::invalid("nobody is selected; go back, and select somebody").into());
    }
    let key = session::draft_key(&request).unwrap_or_else(DraftKey::generate);
    let draft_id = keep(&app, &visit, &key, Selection { users, is_begun: false, outcome: None }).await?;
    let path = format!("console/people/review/{draft_id}?action={}", extract::encoded(&action));
    let mut response = pages::redirect(&request, &path);
    session::add(&mut response, session::DRAFT, key.text().expose(), drafts::LIFETIME);
    Ok(response)
}

fn unknown(field: &str) -> Error {
    Error::invalid(format!("invalid form: unknown field `{}`", extract::one_line(field)))
}

/// Keeps a selection. The oldest one makes room, if there are too many.
pub(super) async fn keep(app: &App, visit: &Visit, key: &DraftKey, selection: Selection) -> Result<Id<Draft>> {
    let label = selection.users.len().to_string();
    let content = serde_json::to_vec(&selection).map_err(Error::internal)?;
    drafts::create_anyway(app, &visit.caller, DraftKind::People, key, &label, &content).await
}

impl Doing {
    /// The verb and its object: "Suspend 300 people".
    pub(super) fn of(self, count: usize, group: Option<&str>) -> String {
        let people = numbers::people(count);
        let group = group.unwrap_or_default();
        match self {
            Self::Suspend => format!("Suspend {people}"),
            Self::Reactivate => format!("Reactivate {people}"),
            Self::Delete => format!("Delete {people}"),
            Self::Owner if count == 1 => format!("Make {people} an owner"),
            Self::Owner => format!("Make {people} owners"),
            Self::Collaborator if count == 1 => format!("Make {people} a collaborator"),
            Self::Collaborator => format!("Make {people} collaborators"),
            Self::Add => format!("Add {people} to {group}"),
            Self::Remove => format!("Remove {people} from {group}"),
        }
    }

    /// The participle of the people who were changed.
    pub(super) const fn done(self) -> &'static str {
        match self {
            Self::Suspend => "suspended",
            Self::Reactivate => "reactivated",
            Self::Delete => "deleted",
            Self::Owner => "made owners",
            Self::Collaborator => "made collaborators",
            Self::Add => "added",
            Self::Remove => "removed",
        }
    }

    /// What the people are who need no change.
    pub(super) const fn already(self) -> &'static str {
        match self {
            Self::Suspend => "suspended already",
            Self::Reactivate => "active already",
            Self::Delete => "deleted already",
            Self::Owner => "owners already",
            Self::Collaborator => "collaborators already",
            Self::Add => "members already",
            Self::Remove => "no members",
        }
    }

    pub(super) const fn is_dangerous(self) -> bool {
        matches!(self, Self::Suspend | Self::Delete | Self::Owner)
    }

    pub(super) const fn needs_group(self) -> bool {
        matches!(self, Self::Add | Self::Remove)
    }

    /// The action that takes it back, for exactly the people who were changed.
    pub(super) const fn reverse(self) -> Option<Self> {
        match self {
            Self::Suspend => Some(Self::Reactivate),
            Self::Reactivate => Some(Self::Suspend),
            Self::Owner => Some(Self::Collaborator),
            Self::Collaborator => Some(Self::Owner),
            Self::Delete | Self::Add | Self::Remove => None,
        }
    }

    const fn level(self) -> Option<PermissionLevel> {
        match self {
            Self::Owner => Some(PermissionLevel::Owner),
            Self::Collaborator => Some(PermissionLevel::Collaborator),
            Self::Suspend | Self::Reactivate | Self::Delete | Self::Add | Self::Remove => None,
        }
    }

    const fn operation(self) -> ListOperation {
        match self {
            Self::Suspend => ListOperation::Suspend,
            Self::Reactivate => ListOperation::Reactivate,
            Self::Delete => ListOperation::Delete,
            Self::Owner | Self::Collaborator | Self::Add | Self::Remove => ListOperation::Update,
        }
    }

    /// Whether a user is as wished already. A group is not known here.
    pub(super) fn is_done_for(self, user: &UserDetails) -> bool {
        match self {
            Self::Suspend => user.status == Status::Suspended,
            Self::Reactivate => user.status == Status::Active,
            Self::Owner | Self::Collaborator => self.level() == Some(user.own_level),
            Self::Delete | Self::Add | Self::Remove => false,
        }
    }
}

/// Acts on the users of a selection, or finds out in a dry run what would happen. `skip` leaves out those who can't be changed.
///
/// # Errors
/// Those of the operation. A dry run reports users who can't be changed in the outcome.
pub(super) async fn act(
    app: &App,
    visit: &Visit,
    selection: &Selection,
    people: &[UserDetails],
    doing: Doing,
    group: Option<&(Id<Group>, String)>,
    options: ListOptions,
) -> Result<Outcome> {
    if let Some((group_id, name)) = group.filter(|_| doing.needs_group()) {
        return change_members(app, visit, selection, people, doing, (*group_id, name), options).await;
    }
    let rows = selection.users.iter().map(|(user_id, revision)| match doing.level() {
        None => serde_json::json!({ "user": user_id.to_string(), "if_match": revision }),
        Some(level) => serde_json::json!({
            "user": user_id.to_string(), "if_match": revision, "permission_level": level.as_str()
        }),
    });
    let text = serde_json::Value::from_iter(rows).to_string();
    let mut body = RequestBody::new(&app.body_budget, text.len());
    body.push(text.as_bytes())?;
    let done = users::change_all(app, &visit.caller, doing.operation(), options, ready(Ok(body))).await?;
    let ChangedList { users, changed, changes: _, skipped, skipped_count: _, ended: Access { sessions, keys } } = done;
    let unchanged: HashSet<Id<User>> =
        people.iter().filter(|user| doing.is_done_for(user)).map(|user| user.user_id).collect();
    let changed_users = users.iter().map(|user| user.user_id).filter(|user_id| !unchanged.contains(user_id));
    let blocked = skipped.into_iter().filter_map(|finding| {
        let (user_id, _) = selection.users.get(finding.index)?;
        Some((*user_id, pages::sentence(&finding.message)))
    });
    let mut blocked: Vec<(Id<User>, String)> = blocked.collect();
    blocked.dedup_by_key(|(user_id, _)| *user_id);
    Ok(Outcome {
        doing,
        group: None,
        changed_users: changed_users.collect(),
        changed,
        unchanged: users.len() - changed,
        blocked,
        sessions,
        keys,
    })
}

async fn change_members(
    app: &App,
    visit: &Visit,
    selection: &Selection,
    people: &[UserDetails],
    doing: Doing,
    (group_id, name): (Id<Group>, &str),
    options: ListOptions,
) -> Result<Outcome> {
    let kind = if doing == Doing::Add { MemberChange::Add } else { MemberChange::Remove };
    let (mut ids, mut blocked) = (Vec::with_capacity(people.len()), Vec::new());
    for (user_id, _) in &selection.users {
        match people.binary_search_by_key(user_id, |user| user.user_id) {
            Ok(_) => ids.push(user_id.to_string()),
            Err(_) => blocked.push((*user_id, "There is no such user.".to_owned())),
        }
    }
    if !options.skip_blocked && !blocked.is_empty() {
        return Err(Error::new(Code::Conflict, "some of the people do not exist any more"));
    }
    let rows = ready(Ok(MemberRows::UserIds(ids)));
    let counts = groups::change_members(app, &visit.caller, group_id, kind, options.dry_run, rows).await?;
    Ok(Outcome {
        doing,
        group: Some(name.to_owned()),
        changed_users: Vec::new(),
        changed: counts.changed,
        unchanged: counts.unchanged,
        blocked,
        sessions: 0,
        keys: 0,
    })
}
