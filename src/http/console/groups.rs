//! `/console/groups`: the groups, and a form for a new one.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{reject, respond};
use crate::app::App;
use crate::caller::{Action, PermissionLevel};
use crate::error::Code;
use crate::groups::{self, Group, GroupSource};
use crate::http::body::Body;
use crate::http::{extract, pages};
use crate::id;
use crate::page::{Page, PageRequest};

#[derive(Template)]
#[template(path = "console/groups.html")]
pub(super) struct GroupsPage {
    pub(super) shell: Shell,
    pub(super) rows: Vec<Group>,
    pub(super) next: Option<String>,
    pub(super) may_create: bool,
    /// The name that was entered, and why it can't be used.
    pub(super) name: String,
    pub(super) problem: Option<String>,
    pub(super) notice: Option<&'static str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    after: Option<String>,
    done: Option<String>,
}

/// `GET /console/groups`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Groups).await?;
    let Query { after, done } = extract::query(&request)?;
    let page = PageRequest::<id::Group>::new(None, after.as_deref())?;
    let groups = groups::list(&app, &visit.caller, &page).await?;
    let notice = (done.as_deref() == Some("deleted")).then_some("The group is deleted. Its members are still here.");
    Ok(respond(&page_of(visit, groups, notice)))
}

fn page_of(visit: Visit, groups: Page<Group>, notice: Option<&'static str>) -> GroupsPage {
    GroupsPage {
        may_create: visit.caller.may(Action::GroupCreate),
        shell: visit.shell,
        rows: groups.rows,
        next: groups.next,
        name: String::new(),
        problem: None,
        notice,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NameForm {
    pub(super) name: String,
}

/// `POST /console/groups`: creates a group.
pub(super) async fn create(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<NameForm>(&request, &app, Place::Groups, &mut body).await?;
    let name = form.name.trim().to_owned();
    match groups::create(&app, &visit.caller, async { Ok(name.clone()) }).await {
        Ok(group) => Ok(pages::redirect(&request, &format!("console/groups/{}", group.group_id))),
        Err(error) if matches!(error.code(), Code::InvalidRequest | Code::Conflict) => {
            let groups = groups::list(&app, &visit.caller, &PageRequest::new(None, None)?).await?;
            let problem = Some(pages::sentence(&error.to_string()));
            Ok(reject(error, &GroupsPage { name, problem, ..page_of(visit, groups, None) }))
        }
        Err(error) => Err(error.into()),
    }
}
