//! `/console/settings/sign-in`: whether people sign in with passwords or through identity providers.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::shell::{Place, Shell};
use super::visit::{Handled, Visit};
use super::{again, reject, respond};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::{extract, pages};
use crate::names::names;
use crate::sign_in_policies::{self, OwnersSso, SignInPolicy, SsoMode};

names! {
    /// A policy, as one of four choices.
    pub enum Choice {
        /// Nobody signs in through an identity provider.
        Off = "off",
        /// People may.
        Optional = "optional",
        /// People must, but owners may use passwords.
        Required = "required",
        /// Everybody must.
        RequiredOfOwners = "required_of_owners",
    }
}

impl Choice {
    pub(super) const fn of(policy: SignInPolicy) -> Self {
        match (policy.sso_mode, policy.owners_sso) {
            (SsoMode::Off, _) => Self::Off,
            (SsoMode::Optional, _) => Self::Optional,
            (SsoMode::Required, OwnersSso::Optional) => Self::Required,
            (SsoMode::Required, OwnersSso::Required) => Self::RequiredOfOwners,
        }
    }

    fn policy(self) -> SignInPolicy {
        let (sso_mode, owners_sso) = match self {
            Self::Off => (SsoMode::Off, OwnersSso::Optional),
            Self::Optional => (SsoMode::Optional, OwnersSso::Optional),
            Self::Required => (SsoMode::Required, OwnersSso::Optional),
            Self::RequiredOfOwners => (SsoMode::Required, OwnersSso::Required),
        };
        SignInPolicy { sso_mode, owners_sso, changed_at: None }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Off => "Passwords only",
            Self::Optional => "Passwords or single sign-on, as each person can",
            Self::Required => "Single sign-on; owners may use passwords",
            Self::RequiredOfOwners => "Single sign-on, also for owners",
        }
    }

    const fn question(self) -> &'static str {
        match self {
            Self::Off => "Turn single sign-on off?",
            Self::Optional => "Let people choose how they sign in?",
            Self::Required => "Require single sign-on of all but owners?",
            Self::RequiredOfOwners => "Require single sign-on of everybody?",
        }
    }
}

#[derive(Template)]
#[template(path = "console/settings_sign_in.html")]
pub(super) struct SignInPage {
    pub(super) shell: Shell,
    pub(super) choice: Choice,
    pub(super) outcome: Outcome,
}

/// What the change would do.
pub(super) enum Outcome {
    /// Nothing: the policy is like that.
    Nothing,
    /// It ends this number of sessions.
    Ends(usize),
    /// It is refused.
    Refused(String),
}

impl SignInPage {
    fn command(&self) -> String {
        let SignInPolicy { sso_mode, owners_sso, .. } = self.choice.policy();
        format!("muster sign-in policy set --sso {sso_mode} --owners-sso {owners_sso}")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyForm {
    policy: String,
}

impl PolicyForm {
    fn choice(&self) -> Result<Choice> {
        Choice::parse(&self.policy).ok_or_else(|| Error::invalid(format!("`policy` must be one of {}", Choice::list())))
    }
}

/// `GET`: says what would change.
pub(super) async fn show(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::Settings).await?;
    let choice = extract::query::<PolicyForm>(&request)?.choice()?;
    let current = Choice::of(sign_in_policies::get(&app, &visit.caller).await?);
    let page = |outcome| SignInPage { shell: visit.shell.clone(), choice, outcome };
    match set(&app, &visit, choice, true).await {
        Ok(_) if choice == current => Ok(respond(&page(Outcome::Nothing))),
        Ok(sessions) => Ok(respond(&page(Outcome::Ends(sessions)))),
        Err(error) => refused(&request, error, page),
    }
}

/// `POST`: sets the policy.
pub(super) async fn submit(request: HttpRequest, app: web::Data<App>, mut body: Body) -> Handled {
    let (visit, form) = Visit::with_form::<PolicyForm>(&request, &app, Place::Settings, &mut body).await?;
    let choice = form.choice()?;
    match set(&app, &visit, choice, false).await {
        Ok(sessions) => Ok(pages::redirect(&request, &format!("console/settings?done=sign-in&sessions={sessions}"))),
        Err(error) if error.code() == Code::ReauthenticationNeeded => {
            Ok(super::again_at(&request, &format!("{}?policy={choice}", request.path())))
        }
        Err(error) => refused(&request, error, |outcome| SignInPage { shell: visit.shell.clone(), choice, outcome }),
    }
}

fn refused(request: &HttpRequest, error: Error, page: impl FnOnce(Outcome) -> SignInPage) -> Handled {
    match error.code() {
        Code::ReauthenticationNeeded => Ok(again(request)),
        Code::WouldLockOut | Code::LastOwner => {
            let page = page(Outcome::Refused(pages::sentence(&error.to_string())));
            Ok(reject(error, &page))
        }
        _ => Err(error.into()),
    }
}

/// Sets the policy, or finds out what that would do: the number of sessions that end.
async fn set(app: &App, visit: &Visit, choice: Choice, dry_run: bool) -> Result<usize> {
    let policy = async { Ok(choice.policy()) };
    sign_in_policies::set(app, &visit.caller, dry_run, policy).await.map(|(_, sessions)| sessions)
}
