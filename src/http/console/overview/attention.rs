//! What needs attention.
//!
//! # Decisions
//!
//! *A number leads to the list that it counts*, and is there only if it is not zero.

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};

use crate::app::App;
use crate::audit;
use crate::caller::{Caller, PermissionLevel};
use crate::collaborators::{self, AttentionTotals, CollaboratorFilter, MoreFilters, Total, View};
use crate::error::Result;
use crate::http::console::numbers::{counted, number, short};
use crate::http::console::people_query::of_view;
use crate::http::extract::encoded;
use crate::http::pages::Moment;
use crate::invitations;
use crate::keys;
use crate::page::PageRequest;
use crate::users::Status;

/// When a key counts as ending soon.
const KEY_ENDS: TimeDelta = TimeDelta::days(14);

/// When an invitation counts as ending soon.
const INVITATION_ENDS: TimeDelta = TimeDelta::days(1);

/// Since when refused sign-ins count.
const REFUSED_SINCE: TimeDelta = TimeDelta::days(1);

/// How many refused sign-ins of an account need attention.
const REFUSED_TIMES: i64 = 5;

/// Something to look at.
pub(super) struct Attention {
    pub(super) number: String,
    /// The path of the list, below `/console`; `None`: it has no page.
    pub(super) path: Option<String>,
    pub(super) title: String,
    pub(super) hint: String,
}

/// What needs attention, the most urgent first.
pub(super) async fn list(
    app: &App,
    caller: &Caller,
    totals: &AttentionTotals,
    now: DateTime<Utc>,
) -> Result<Vec<Attention>> {
    let invitations = invitations::count_open(app, caller, now + INVITATION_ENDS).await?;
    let keys = keys::ending(app, caller, now + KEY_ENDS).await?;
    let mut list = Vec::new();
    let since = now - REFUSED_SINCE;
    if let Some(refused) = audit::most_refused(app, caller, since.trunc_subsecs(0), REFUSED_TIMES).await? {
        let first = when(refused.since, now);
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
            path: Some(active(View::Owners, now)),
            title: "There is only one owner".to_owned(),
            hint: "If that account is lost, only the operator of the server can help.".to_owned(),
        });
    }
    if let Some(people) = totals.cannot_sign_in.filter(is_some) {
        list.push(Attention {
            number: short(people),
            path: Some(active(View::CannotSignIn, now)),
            title: of_people(people, ["Person can’t sign in yet", "People can’t sign in yet"]),
            hint: "No password, no single sign-on, no open link. A one-time link lets each choose a password."
                .to_owned(),
        });
    }
    if invitations.open > 0 {
        let open = choose(invitations.open, ["Invitation is open", "Invitations are open"]);
        list.push(Attention {
            number: number(invitations.open),
            path: Some("invitations?state=open".to_owned()),
            title: match invitations.ending {
                0 => open.to_owned(),
                ending => format!("{open}, {} within a day", choose(ending, ["one ends", "some end"])),
            },
            hint: "Inviting an address again replaces its link.".to_owned(),
        });
    }
    if let Some(people) = totals.not_for_a_year.filter(is_some) {
        list.push(Attention {
            number: short(people),
            path: Some(active(View::NotForAYear, now)),
            title: of_people(people, ["Person has not signed in for a year", "People have not signed in for a year"]),
            hint: "Suspending ends their access and keeps their accounts.".to_owned(),
        });
    }
    if let Some(ending) = keys {
        let last_used = match ending.last_used_at {
            Some(at) => format!("last used {}", when(at, now)),
            None => "never used".to_owned(),
        };
        let ends = Moment { at: ending.expires_at, now }.short();
        list.push(Attention {
            number: number(ending.keys),
            path: Some("keys?ends=14".to_owned()),
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

/// A time within a sentence.
fn when(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    Moment { at, now }.dated().to_string().replace("Today", "today at")
}

/// The path of the active people of a view.
fn active(view: View, now: DateTime<Utc>) -> String {
    format!("people?{}state=active", of_view(view, now))
}

fn is_some(people: &Total) -> bool {
    *people != Total::Exactly(0)
}

fn of_people(people: Total, [one, several]: [&str; 2]) -> String {
    if people == Total::Exactly(1) { one } else { several }.to_owned()
}
