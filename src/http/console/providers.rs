//! `/console/providers`: the identity providers through which people sign in.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{numbers, respond};
use crate::app::App;
use crate::http::extract;
use crate::http::pages::Moment;
use crate::sso::{self, ListedProvider, Reachability};

#[derive(Template)]
#[template(path = "console/providers.html")]
pub(super) struct ProvidersPage {
    pub(super) shell: Shell,
    pub(super) rows: Vec<Row>,
    pub(super) notice: Option<&'static str>,
}

pub(super) struct Row {
    pub(super) listed: ListedProvider,
    pub(super) state: State,
}

/// Whether people can sign in through a provider now, as far as this instance knows.
pub(super) struct State {
    is_enabled: bool,
    pub(super) reachability: Reachability,
    /// When the provider last answered, or since when it has not.
    pub(super) since: Option<Moment>,
}

impl State {
    pub(super) fn new(visit: &Visit, is_enabled: bool, reachability: Reachability) -> Self {
        let since = match &reachability {
            Reachability::Unknown => None,
            Reachability::Reachable(at) | Reachability::Unreachable(at, _) => Some(visit.moment(*at)),
        };
        Self { is_enabled, reachability, since }
    }

    pub(super) const fn class(&self) -> &'static str {
        match (self.is_enabled, &self.reachability) {
            (false, _) => "off",
            (true, Reachability::Unknown) => "busy",
            (true, Reachability::Reachable(_)) => "ok",
            (true, Reachability::Unreachable(..)) => "bad",
        }
    }

    pub(super) const fn word(&self) -> &'static str {
        match (self.is_enabled, &self.reachability) {
            (false, _) => "Disabled",
            (true, Reachability::Unknown) => "Not asked yet",
            (true, Reachability::Reachable(_)) => "Answers",
            (true, Reachability::Unreachable(..)) => "Does not answer",
        }
    }

    /// Why it does not answer.
    pub(super) fn failure(&self) -> Option<&str> {
        match &self.reachability {
            Reachability::Unreachable(_, why) => Some(why),
            Reachability::Unknown | Reachability::Reachable(_) => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    done: Option<String>,
}

/// `GET /console/providers`.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Providers).await?;
    let Query { done } = extract::query(&request)?;
    let notice = match done.as_deref() {
        Some("removed") => Some("The identity provider is removed. The accounts of its people are still here."),
        _ => None,
    };
    let listed = sso::browse(&app, &visit.caller).await?;
    let row = |listed: ListedProvider| Row {
        state: State::new(&visit, listed.provider.settings.enabled, listed.reachability.clone()),
        listed,
    };
    let rows = listed.into_iter().map(row).collect();
    Ok(respond(&ProvidersPage { rows, notice, shell: visit.shell.clone() }))
}
