//! `/console/providers/{provider}/enable`, `disable`, `remove`: each asks first and says what it ends.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::numbers;
use super::provider::named;
use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{again, reject, respond};
use crate::app::App;
use crate::caller::Action;
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::pages;
use crate::shell::quote;
use crate::sso::{self, ProviderSummary, ProviderUses};

/// What is to be done to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Enable,
    Disable,
    Remove,
}

#[derive(Template)]
#[template(path = "console/provider_action.html")]
pub(super) struct ActionPage {
    pub(super) shell: Shell,
    pub(super) provider: ProviderSummary,
    pub(super) doing: Doing,
    pub(super) uses: ProviderUses,
    /// Why it was not done.
    pub(super) problem: Option<String>,
}

impl Doing {
    /// What the last part of the address stands for.
    fn of(path: &str) -> Result<Self> {
        Ok(match path.rsplit('/').next().unwrap_or_default() {
            "enable" => Self::Enable,
            "disable" => Self::Disable,
            "remove" => Self::Remove,
            _ => return Err(Error::new(Code::NotFound, "there is no page at this address")),
        })
    }

    const fn action(self) -> Action {
        match self {
            Self::Enable | Self::Disable => Action::SsoProviderUpdate,
            Self::Remove => Action::SsoProviderDelete,
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Enable => "Enable",
            Self::Disable => "Disable",
            Self::Remove => "Remove",
        }
    }
}

impl ActionPage {
    /// The same on the command line.
    fn command(&self) -> String {
        let name = quote(&self.provider.name);
        match self.doing {
            Doing::Enable => format!("muster sso provider update {name} --enabled true"),
            Doing::Disable => format!("muster sso provider update {name} --enabled false"),
            Doing::Remove => format!("muster sso provider remove {name}"),
        }
    }
}

async fn page(app: &App, visit: &Visit, name: &str, doing: Doing) -> Result<ActionPage> {
    let provider = sso::get(app, &visit.caller, name).await?;
    let uses = sso::uses(app, &visit.caller, name).await?;
    Ok(ActionPage { shell: visit.shell.clone(), provider, doing, uses, problem: None })
}

/// `GET`: asks.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Providers).await?;
    let doing = Doing::of(request.path())?;
    let page = page(&app, &visit, named(&request), doing).await?;
    match sso::authorize(&app, &visit.caller, doing.action()).await {
        Ok(()) => Ok(respond(&page)),
        Err(error) if error.code() == Code::ReauthenticationNeeded => Ok(again(&request)),
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    /// The name of the provider, typed to confirm a removal.
    #[serde(default)]
    confirm: String,
}

/// `POST`: does it.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<Confirmation>(&request, &app, Place::Providers, &mut body).await?;
    let doing = Doing::of(request.path())?;
    let page = page(&app, &visit, named(&request), doing).await?;
    match perform(&app, &visit, &page, form.confirm.trim()).await {
        Ok(path) => Ok(pages::redirect(&request, &path)),
        Err(error) if error.code() == Code::ReauthenticationNeeded => Ok(again(&request)),
        Err(error) if matches!(error.code(), Code::Conflict | Code::LastOwner | Code::InvalidRequest) => {
            let problem = Some(pages::sentence(&error.to_string()));
            Ok(reject(error, &ActionPage { problem, ..page }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the address that says that it is done.
async fn perform(app: &App, visit: &Visit, page: &ActionPage, typed: &str) -> Result<String> {
    let (caller, name) = (&visit.caller, page.provider.name.as_str());
    let enabled = match page.doing {
        Doing::Remove if typed != name => {
            return Err(Error::invalid("the name that was typed is another one; nothing was removed"));
        }
        Doing::Remove => {
            sso::remove(app, caller, name).await?;
            return Ok("console/providers?done=removed".to_owned());
        }
        Doing::Enable => true,
        Doing::Disable => false,
    };
    sso::authorize(app, caller, page.doing.action()).await?;
    // A form that is sent twice changes nothing.
    if page.provider.settings.enabled != enabled {
        sso::update(app, caller, name, |settings| settings.enabled = enabled, |_| ()).await?;
    }
    Ok(format!("console/providers/{name}?done={}", if enabled { "enabled" } else { "disabled" }))
}
