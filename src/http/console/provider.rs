//! `/console/providers/{provider}`: one identity provider; testing it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::numbers;
use super::providers::State;
use super::respond_with;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::error::{Code, Result};
use crate::http::body::Body;
use crate::http::pages::Moment;
use crate::http::{extract, pages};
use crate::sso::{self, Probe, ProviderSummary, ProviderUses};

#[derive(Template)]
#[template(path = "console/provider.html")]
pub(super) struct ProviderPage {
    pub(super) shell: Shell,
    pub(super) provider: ProviderSummary,
    pub(super) state: State,
    pub(super) uses: ProviderUses,
    pub(super) added: Moment,
    /// Whether owners configure providers on this server.
    pub(super) may_configure: bool,
    /// What a test found.
    pub(super) tested: Option<std::result::Result<Probe, String>>,
    pub(super) notice: Option<&'static str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    done: Option<String>,
}

/// The provider that the address names.
pub(super) fn named(request: &HttpRequest) -> &str {
    request.match_info().get("provider").unwrap_or_default()
}

/// `GET`: shows it.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Providers).await?;
    let Query { done } = extract::query(&request)?;
    let notice = match done.as_deref() {
        Some("enabled") => Some("People can sign in through the identity provider."),
        Some("disabled") => {
            Some("The identity provider is disabled: nobody signs in through it, and its sessions have ended.")
        }
        _ => None,
    };
    let page = read(&app, &visit, named(&request)).await?;
    Ok(respond_with(StatusCode::OK, &ProviderPage { notice, ..page }))
}

async fn read(app: &App, visit: &Visit, name: &str) -> Result<ProviderPage> {
    let provider = sso::get(app, &visit.caller, name).await?;
    let uses = sso::uses(app, &visit.caller, name).await?;
    Ok(ProviderPage {
        shell: visit.shell.clone(),
        state: State::new(visit, provider.settings.enabled, sso::reachability(app, &provider)),
        uses,
        added: visit.moment(provider.created_at),
        may_configure: sso::may_configure(app, &visit.caller),
        tested: None,
        notice: None,
        provider,
    })
}

/// `POST /console/providers/{provider}/test`: reads the metadata and keys now. It changes nothing, so that the response is the page.
pub(super) async fn test(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, _) = Visit::with_form::<Vec<(String, String)>>(&request, &app, Place::Providers, &mut body).await?;
    let name = named(&request);
    let (status, tested) = match sso::test(&app, &visit.caller, name).await {
        Ok(probe) => (StatusCode::OK, Ok(probe)),
        Err(error) if error.code() == Code::Conflict => {
            (StatusCode::CONFLICT, Err(pages::sentence(&error.to_string())))
        }
        Err(error) => return Err(error.into()),
    };
    let page = read(&app, &visit, name).await?;
    Ok(respond_with(status, &ProviderPage { tested: Some(tested), ..page }))
}
