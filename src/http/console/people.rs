//! `/console/people`: the list of people.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::numbers::{people, short};
use super::people_query::{Chip, PeopleQuery, of_view};
use super::respond;
use super::shell::{Place, Shell};
use super::state::State;
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::caller::PermissionLevel;
use crate::collaborators::{self, MOST_COUNTED, Person, SignInMethod, Total, View};
use crate::http::extract;
use crate::http::pages::Short;
use crate::page::Span;

#[derive(Template)]
#[template(path = "console/people.html")]
pub(super) struct PeoplePage {
    pub(super) shell: Shell,
    pub(super) query: PeopleQuery,
    pub(super) views: Vec<ViewLink>,
    pub(super) chips: Vec<Chip>,
    pub(super) rows: Vec<Row>,
    /// How many match, in words; `None` if counting takes too long.
    pub(super) total: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    pub(super) notice: Option<&'static str>,
}

/// A named filter, with the number of people that it matches.
pub(super) struct ViewLink {
    pub(super) title: &'static str,
    pub(super) parameters: String,
    pub(super) count: Option<String>,
    pub(super) is_current: bool,
}

pub(super) struct Row {
    pub(super) person: Person,
    pub(super) state: State,
    pub(super) last_signed_in: Option<Short>,
}

impl Row {
    fn method(&self) -> &'static str {
        match self.person.sign_in {
            None => "API keys",
            Some(SignInMethod::Sso) => "SSO",
            Some(SignInMethod::Password) => "Password",
            Some(SignInMethod::Link) => "Link, open",
            Some(SignInMethod::None) => "—",
        }
    }
}

impl PeoplePage {
    /// How a column is sorted, for `aria-sort`.
    fn sort(&self, column: &str) -> Option<&'static str> {
        let order = if self.query.order.is_empty() { "name" } else { self.query.order.as_str() };
        match order.strip_prefix('-') {
            Some(order) if order == column => Some("descending"),
            None if order == column => Some("ascending"),
            _ => None,
        }
    }

    /// The parameters of the list by a column, or backward if it is by that already.
    fn by(&self, column: &str, first: &str) -> String {
        let order = match self.sort(column) {
            Some("ascending") => format!("-{column}"),
            Some(_) => column.to_owned(),
            None => first.to_owned(),
        };
        format!("{}order={order}", self.query.without(&["order"]))
    }
}

/// `GET /console/people`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::People).await?;
    let query: PeopleQuery = extract::query(&request)?;
    let (filter, order) = (query.filter()?, query.order()?);
    let [count, after, before] = query.place();
    let span = Span::parse(collaborators::list_key(&filter, order), count, after, before)?;
    let slice = collaborators::browse(&app, &visit.caller, &filter, order, &span).await?;
    let total = collaborators::count(&app, &visit.caller, &filter).await?;
    let counts = collaborators::views(&app, &visit.caller).await?;
    let rows = slice.rows.into_iter().map(|person| Row {
        state: match (State::of(&person.user, visit.now), person.sign_in) {
            (State::CannotSignIn, Some(SignInMethod::Link)) => State::NeverSignedIn,
            (state, _) => state,
        },
        last_signed_in: person.user.last_signed_in_at.map(|at| visit.moment(at).short()),
        person,
    });
    let current = query.without(&["order", "count"]);
    let views = View::ALL.into_iter().zip(counts).map(|(view, count)| {
        let parameters = of_view(view, visit.now);
        ViewLink {
            title: title(view),
            is_current: current.replace("%3A", ":").replace("%2D", "-") == parameters,
            parameters,
            count: count.map(short),
        }
    });
    let views = views.collect();
    Ok(respond(&PeoplePage {
        views,
        chips: query.chips(),
        rows: rows.collect(),
        total: total.map(described),
        previous: slice.previous,
        next: slice.next,
        notice: (query.done == "deleted").then_some("The person is deleted."),
        query,
        shell: visit.shell,
    }))
}

const fn title(view: View) -> &'static str {
    match view {
        View::Everyone => "Everyone",
        View::Owners => "Owners",
        View::Suspended => "Suspended",
        View::NeverSignedIn => "Never signed in",
        View::CannotSignIn => "Can’t sign in",
        View::NotForAYear => "Not for a year",
    }
}

fn described(total: Total) -> String {
    match total {
        Total::Exactly(count) => people(count),
        Total::Many => format!("more than {}", people(MOST_COUNTED)),
    }
}
