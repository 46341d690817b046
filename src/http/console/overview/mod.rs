//! `/console`: what is in progress, what needs attention, and what happened lately.
//!
//! # Decisions
//!
//! *A number leads to the list that it counts*, if the console has such a list, and is there only if it is not zero.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};

use super::audit::history;
use super::audit::log::Day;
use super::numbers::{counted, number, people};
use super::respond;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::audit;
use crate::batches::{self, BatchFilter, BatchState};
use crate::caller::{Action, Caller, PermissionLevel};
use crate::collaborators::{self, CollaboratorFilter, MoreFilters};
use crate::error::Result;
use crate::http::extract::{self, encoded};
use crate::http::pages::Moment;
use crate::id::{Batch, Id};
use crate::invitations;
use crate::keys;
use crate::page::PageRequest;
use crate::users::Status;

/// How many running batches are shown.
const RUNNING: u16 = 5;

/// When a key counts as ending soon.
const KEY_ENDS: TimeDelta = TimeDelta::days(14);

/// When an invitation counts as ending soon.
const INVITATION_ENDS: TimeDelta = TimeDelta::days(1);

/// Since when refused sign-ins count.
const REFUSED_SINCE: TimeDelta = TimeDelta::days(1);

/// How many refused sign-ins of an account need attention.
const REFUSED_TIMES: i64 = 5;

#[derive(Template)]
#[template(path = "console/overview.html")]
pub(super) struct OverviewPage {
    pub(super) shell: Shell,
    /// Today, in words.
    pub(super) day: String,
    /// What only owners see.
    pub(super) private: Option<Private>,
}

pub(super) struct Private {
    pub(super) running: Vec<Running>,
    pub(super) attention: Vec<Attention>,
    pub(super) recent: Vec<Day>,
}

/// A batch in progress.
pub(super) struct Running {
    pub(super) id: Id<Batch>,
    pub(super) name: String,
    pub(super) hashed: i32,
    pub(super) hashes: i32,
    pub(super) users: String,
    pub(super) started: Moment,
}

/// Something to look at.
pub(super) struct Attention {
    pub(super) number: String,
    /// The path of the list, below `/console`; `None`: it has no page.
    pub(super) path: Option<String>,
    pub(super) title: String,
    pub(super) hint: String,
}

/// `GET /console`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Overview).await?;
    extract::query::<NoQuery>(&request)?;
    let private = match visit.caller.may(Action::AuditList) {
        false => None,
        true => Some(Private {
            running: running(&app, &visit).await?,
            attention: attention(&app, &visit.caller, visit.now).await?,
            recent: history::recent(&app, &visit.caller, visit.now).await?,
        }),
    };
    Ok(respond(&OverviewPage { day: visit.now.format("%A, %-d %B %Y").to_string(), private, shell: visit.shell }))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

async fn running(app: &App, visit: &Visit) -> Result<Vec<Running>> {
    let filter = BatchFilter { state: Some(BatchState::Running), ..BatchFilter::default() };
    let page = PageRequest::<Batch> { count: RUNNING, after: None };
    let batches = batches::list(app, &visit.caller, &filter, &page).await?;
    let running = batches.rows.into_iter().map(|batch| Running {
        id: batch.batch_id,
        name: batch.file_name.unwrap_or_else(|| "A list".to_owned()),
        hashed: batch.hashed,
        hashes: batch.hash_count,
        users: people(batch.user_count),
        started: visit.moment(batch.created_at),
    });
    Ok(running.collect())
}

/// What needs attention, the most urgent first.
async fn attention(app: &App, caller: &Caller, now: DateTime<Utc>) -> Result<Vec<Attention>> {
    let invitations = invitations::count_open(app, caller, now + INVITATION_ENDS).await?;
    let keys = keys::ending(app, caller, now + KEY_ENDS).await?;
    let mut list = Vec::new();
    let since = now - REFUSED_SINCE;
    if let Some(refused) = audit::most_refused(app, caller, since.trunc_subsecs(0), REFUSED_TIMES).await? {
        let first = Moment { at: refused.since, now }.dated();
        list.push(Attention {
            number: number(refused.times),
            path: Some(format!(
                "audit?target={}&action=session.start&outcome=refused&since={}",
                refused.user_id,
                encoded(&since.to_rfc3339_opts(SecondsFormat::Secs, true))
            )),
            title: "Sign-ins were refused for one account".to_owned(),
            hint: format!("Since {first}, from {}.", counted(refused.addresses, "address", "addresses")),
        });
    }
    if is_only_owner(app, caller).await? {
        list.push(Attention {
            number: "1".to_owned(),
            path: Some("people?level=owner&state=active".to_owned()),
            title: "There is only one owner".to_owned(),
            hint: "If that account is lost, only the operator of the server can help.".to_owned(),
        });
    }
    if invitations.open > 0 {
        let open = choose(invitations.open, ["Invitation is open", "Invitations are open"]);
        list.push(Attention {
            number: number(invitations.open),
            path: None,
            title: match invitations.ending {
                0 => open.to_owned(),
                ending => format!("{open}, {} within a day", choose(ending, ["one ends", "some end"])),
            },
            hint: "Inviting an address again replaces its link.".to_owned(),
        });
    }
    if let Some(ending) = keys {
        let last_used = match ending.last_used_at {
            Some(at) => format!("last used {}", Moment { at, now }.dated()),
            None => "never used".to_owned(),
        };
        let ends = Moment { at: ending.expires_at, now }.short();
        list.push(Attention {
            number: number(ending.keys),
            path: None,
            title: choose(ending.keys, ["API key ends within 14 days", "API keys end within 14 days"]).to_owned(),
            hint: format!("The first is {}, on {ends}, {last_used}. A key is rotated without a gap.", ending.name),
        });
    }
    Ok(list)
}

/// Whether one person is the only active owner.
async fn is_only_owner(app: &App, caller: &Caller) -> Result<bool> {
    let more = MoreFilters {
        permission_level: Some(PermissionLevel::Owner),
        status: Some(Status::Active),
        ..MoreFilters::default()
    };
    let filter = CollaboratorFilter { is_service_account: Some(false), more, ..CollaboratorFilter::default() };
    let owners = collaborators::list(app, caller, &filter, &PageRequest { count: 2, after: None }).await?;
    Ok(owners.rows.len() == 1)
}

/// The words for one, or for several.
const fn choose(of: i64, [one, several]: [&'static str; 2]) -> &'static str {
    if of == 1 { one } else { several }
}
