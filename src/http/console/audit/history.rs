//! Parts of other pages: the history of a person, and what happened lately.

use chrono::{DateTime, Utc};

use super::log::{Day, days};
use crate::app::App;
use crate::audit::{self, ActionFilter, ActionGroup, Filter, Outcome, OutcomeFilter};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::http::extract::encoded;
use crate::id::{Id, User};
use crate::page::{ListKey, PageRequest, Span};

/// What a person did, and what happened to the person.
pub(in crate::http::console) struct History {
    pub(in crate::http::console) views: Vec<View>,
    pub(in crate::http::console) days: Vec<Day>,
    /// The parameters of the pages with later and with earlier entries.
    pub(in crate::http::console) newer: Option<String>,
    pub(in crate::http::console) older: Option<String>,
    pub(in crate::http::console) user_id: Id<User>,
}

impl History {
    /// Whether the log knows the person: there are entries, or pages with entries.
    pub(in crate::http::console) fn is_known(&self) -> bool {
        !self.days.is_empty() || self.newer.is_some() || self.older.is_some()
    }
}

/// A kind of entries that can be chosen.
pub(in crate::http::console) struct View {
    pub(in crate::http::console) title: &'static str,
    /// The parameters of the person's page.
    pub(in crate::http::console) parameters: String,
    pub(in crate::http::console) is_current: bool,
}

/// The kinds of entries, by the values of `show`.
const VIEWS: [(&str, &str); 4] =
    [("", "All"), ("changes", "Changes"), ("sign-ins", "Sign-ins"), ("refused", "Refused")];

/// The parameters of the history, which the person's page has.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::http::console) struct HistoryQuery<'a> {
    pub(in crate::http::console) show: Option<&'a str>,
    pub(in crate::http::console) after: Option<&'a str>,
    pub(in crate::http::console) before: Option<&'a str>,
}

/// The history of a person, also of a deleted one.
///
/// # Errors
/// `forbidden` unless the caller is an owner; `invalid_request` for parameters that are not [`HistoryQuery`]'s.
pub(in crate::http::console) async fn of_person(
    app: &App,
    caller: &Caller,
    user_id: Id<User>,
    query: HistoryQuery<'_>,
    now: DateTime<Utc>,
) -> Result<History> {
    let show = query.show.unwrap_or_default();
    let of_group = |group| Some(ActionFilter::Group(group));
    let (action, outcome) = match show {
        "" => (None, None),
        "changes" => (of_group(ActionGroup::Changes), Some(OutcomeFilter::One(Outcome::Success))),
        "sign-ins" => (of_group(ActionGroup::SignIns), None),
        "refused" => (None, Some(OutcomeFilter::Refused)),
        _ => return Err(Error::invalid("`show` must be `changes`, `sign-ins` or `refused`")),
    };
    let list = ListKey::of(["history", &user_id.to_string(), show]);
    let span = Span::parse(list, None, query.after, query.before)?;
    let filter = Filter { user: Some(user_id), action, outcome, ..Filter::default() };
    let slice = audit::list_span(app, caller, filter, &span).await?;
    let names = audit::names(app, caller, &slice.rows).await?;
    let view = |(value, title): (&str, &'static str)| View {
        title,
        parameters: if value.is_empty() { String::new() } else { format!("?show={value}") },
        is_current: value == show,
    };
    let page = |name: &str, token: String| match show {
        "" => format!("?{name}={}", encoded(&token)),
        show => format!("?show={show}&{name}={}", encoded(&token)),
    };
    Ok(History {
        views: VIEWS.into_iter().map(view).collect(),
        days: days(&slice.rows, &names, now),
        newer: slice.previous.map(|token| page("before", token)),
        older: slice.next.map(|token| page("after", token)),
        user_id,
    })
}

/// How many entries [`recent`] has.
const RECENT: u16 = 5;

/// What happened lately.
///
/// # Errors
/// `forbidden` unless the caller is an owner.
pub(in crate::http::console) async fn recent(app: &App, caller: &Caller, now: DateTime<Utc>) -> Result<Vec<Day>> {
    let page = PageRequest { count: RECENT, after: None };
    let filter = Filter { is_folded: true, ..Filter::default() };
    let entries = audit::list(app, caller, filter, &page).await?.rows;
    let names = audit::names(app, caller, &entries).await?;
    Ok(days(&entries, &names, now))
}
