//! `/console/groups/{group_id}`: one group and its members; renaming and deleting it.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;
use serde_json::{Value, json};

use super::groups::NameForm;
use super::person_edit::{Problem, problems};
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{again, reject, respond};
use crate::app::App;
use crate::caller::{Action, PermissionLevel};
use crate::error::{Code, Error, Result};
use crate::groups::{self, Group, GroupMember, GroupSource, MemberChange, MemberRows};
use crate::http::body::Body;
use crate::http::{extract, pages};
use crate::id::{self, Id, User};
use crate::page::PageRequest;
use crate::request_body::RequestBody;

#[derive(Template)]
#[template(path = "console/group.html")]
pub(super) struct GroupPage {
    pub(super) shell: Shell,
    pub(super) group: Group,
    pub(super) members: Vec<GroupMember>,
    pub(super) next: Option<String>,
    /// Whether the visitor may change the group, and it is kept here.
    pub(super) may_change: bool,
    /// The people that were entered, and what is wrong with them.
    pub(super) entered: String,
    pub(super) problems: Vec<Problem>,
    pub(super) notice: Option<String>,
}

impl GroupPage {
    fn grants_owner(&self) -> bool {
        self.group.base_role == Some(PermissionLevel::Owner)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    after: Option<String>,
    added: Option<usize>,
    removed: Option<usize>,
    done: Option<String>,
}

/// `GET /console/groups/{group_id}`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Groups).await?;
    let query: Query = extract::query(&request)?;
    let notice = match (query.added, query.removed, query.done.as_deref()) {
        (Some(added), _, _) => Some(counted(added, "added")),
        (None, Some(removed), _) => Some(counted(removed, "removed")),
        (None, None, Some("renamed")) => Some("The group is renamed.".to_owned()),
        (None, None, Some("policy")) => Some("The policy is changed.".to_owned()),
        _ => None,
    };
    let group_id = extract::id(&request, "group_id", "group")?;
    let page = read(&app, &visit, group_id, query.after.as_deref()).await?;
    Ok(respond(&GroupPage { notice, ..page }))
}

fn counted(people: usize, done: &str) -> String {
    match people {
        0 => format!("Nobody was {done}: the group was like that already."),
        1 => format!("1 person was {done}."),
        people => format!("{people} people were {done}."),
    }
}

async fn read(app: &App, visit: &Visit, group_id: Id<id::Group>, after: Option<&str>) -> Result<GroupPage> {
    let group = groups::get(app, &visit.caller, group_id).await?;
    let page = groups::members(app, &visit.caller, group_id, &PageRequest::<User>::new(None, after)?).await?;
    Ok(GroupPage {
        shell: visit.shell.clone(),
        may_change: visit.caller.may(Action::GroupAddMembers) && group.source == GroupSource::User,
        group,
        members: page.rows,
        next: page.next,
        entered: String::new(),
        problems: Vec::new(),
        notice: None,
    })
}

/// `POST /console/groups/{group_id}/members`: adds the people of the field `add`, or removes those that are ticked.
pub(super) async fn change_members(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, fields) = Visit::with_form::<Vec<(String, String)>>(&request, &app, Place::Groups, &mut body).await?;
    let group_id: Id<id::Group> = extract::id(&request, "group_id", "group")?;
    let entered = fields.iter().find(|(name, _)| name == "add").map(|(_, value)| value.as_str()).unwrap_or_default();
    let ticked = fields.iter().filter(|(name, _)| name == "user").map(|(_, value)| value.as_str());
    let (kind, people, done): (_, Vec<&str>, _) = match entered.trim().is_empty() {
        true => (MemberChange::Remove, ticked.collect(), "removed"),
        false => {
            let separators = |c: char| c.is_whitespace() || [',', ';'].contains(&c);
            (MemberChange::Add, entered.split(separators).filter(|part| !part.is_empty()).collect(), "added")
        }
    };
    let rows: Vec<Value> = people.iter().map(|user| json!({ "user": user })).collect();
    let rows = async {
        let mut body = RequestBody::new(&app.body_budget, 0);
        body.push(Value::Array(rows).to_string().as_bytes())?;
        Ok(MemberRows::Json(body))
    };
    match groups::change_members(&app, &visit.caller, group_id, kind, false, rows).await {
        Ok(counts) => Ok(pages::redirect(&request, &format!("console/groups/{group_id}?{done}={}", counts.changed))),
        Err(error) if error.code() == Code::ReauthenticationNeeded => Ok(again(&request)),
        Err(error) => {
            let problems = problems_of(&error, &people);
            if problems.is_empty() {
                return Err(error.into());
            }
            let page = read(&app, &visit, group_id, None).await?;
            Ok(reject(error, &GroupPage { entered: entered.to_owned(), problems, ..page }))
        }
    }
}

/// The findings, each with the person that it is about.
fn problems_of(error: &Error, people: &[&str]) -> Vec<Problem> {
    let Some(report) = error.report() else {
        return match error.code() {
            Code::EmptyBatch => vec![Problem { field: "add".to_owned(), message: "Nobody was chosen.".to_owned() }],
            _ => problems(error),
        };
    };
    let problem = |finding: &crate::report::Finding| Problem {
        field: "add".to_owned(),
        message: format!("{}: {}", people.get(finding.index).unwrap_or(&""), pages::sentence(&finding.message)),
    };
    report.findings().into_iter().map(problem).collect()
}

/// `POST /console/groups/{group_id}/rename`.
pub(super) async fn rename(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<NameForm>(&request, &app, Place::Groups, &mut body).await?;
    let group_id: Id<id::Group> = extract::id(&request, "group_id", "group")?;
    match groups::rename(&app, &visit.caller, group_id, async { Ok(form.name.trim().to_owned()) }).await {
        Ok(_) => Ok(pages::redirect(&request, &format!("console/groups/{group_id}?done=renamed"))),
        Err(error) if matches!(error.code(), Code::InvalidRequest | Code::Conflict) => {
            let problem = Problem { field: "name".to_owned(), message: pages::sentence(&error.to_string()) };
            let page = read(&app, &visit, group_id, None).await?;
            Ok(reject(error, &GroupPage { problems: vec![problem], ..page }))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    /// The name of the group, typed.
    confirm: String,
}

/// `POST /console/groups/{group_id}/delete`.
pub(super) async fn delete(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<Confirmation>(&request, &app, Place::Groups, &mut body).await?;
    let group_id: Id<id::Group> = extract::id(&request, "group_id", "group")?;
    let page = read(&app, &visit, group_id, None).await?;
    let problem = |message: String| vec![Problem { field: "confirm".to_owned(), message }];
    if form.confirm.trim() != page.group.name {
        let problems = problem("The name that was typed is another one. Nothing was deleted.".to_owned());
        return Ok(reject(Error::invalid("the name that was typed is another one"), &GroupPage { problems, ..page }));
    }
    match groups::delete(&app, &visit.caller, group_id).await {
        Ok(_) => Ok(pages::redirect(&request, "console/groups?done=deleted")),
        Err(error) if matches!(error.code(), Code::Conflict | Code::LastOwner) => {
            let problems = problem(pages::sentence(&error.to_string()));
            Ok(reject(error, &GroupPage { problems, ..page }))
        }
        Err(error) => Err(error.into()),
    }
}
