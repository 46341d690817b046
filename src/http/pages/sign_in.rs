//! `/sign-in`: address and password, or an identity provider.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::visitor::{self, Visitor, keeps_session, needs_https, redirect, redirect_back, with_return};
use super::{Frame, Moment, respond, respond_error};
use crate::app::App;
use crate::caller::{SessionHolder, Stage};
use crate::error::{Code, Error, Result, about};
use crate::http::body::Body;
use crate::http::public_url::{host, public_url};
use crate::http::{browser, extract, sender, session};
use crate::organizations;
use crate::secret::Secret;
use crate::sign_in::{self, Attempt};
use crate::sign_in_policies::{self, OwnersSso, SignInPolicy, SsoMode};
use crate::sso;

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignIn<'a> {
    pub(super) frame: Frame,
    /// The name of the organization, if it is known.
    pub(super) organization_name: Option<&'a str>,
    /// Whether the server has several organizations.
    pub(super) asks_organization: bool,
    /// The organization as it was entered, or as the link to the page names it.
    pub(super) organization: &'a str,
    pub(super) email: &'a str,
    /// The page to go to afterwards; may be empty.
    pub(super) return_to: &'a str,
    pub(super) notice: Option<Notice>,
    pub(super) problem: Option<Problem>,
    pub(super) providers: &'a [Provider],
    pub(super) password_form: PasswordForm,
}

/// Whether the page offers to sign in with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PasswordForm {
    Shown,
    /// Below the identity providers, closed until it is asked for: only owners use it.
    Disclosed,
    Absent,
}

/// Why the person sees the page, if not by going there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    SessionEnded,
    /// The session is not fresh enough for an action; the account is known.
    Confirm,
}

/// Why a sign-in failed.
#[derive(Clone, Debug)]
pub(super) enum Problem {
    Refused,
    Throttled {
        /// Such as `30 seconds`.
        wait: String,
    },
    Busy,
}

/// A button that leads to an identity provider.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) title: String,
    /// The path below the root of this server.
    pub(super) start: String,
    pub(super) unreachable_since: Option<Moment>,
}

impl SignIn<'_> {
    fn is_again(&self) -> bool {
        self.notice == Some(Notice::Confirm)
    }

    /// Whether a password form is followed by identity providers.
    fn has_both(&self) -> bool {
        self.password_form == PasswordForm::Shown && !self.providers.is_empty()
    }

    /// Whether the field for the organization comes first, and is empty.
    fn needs_organization(&self) -> bool {
        self.asks_organization && !self.is_again() && self.organization.is_empty()
    }

    fn is_refused(&self) -> bool {
        matches!(self.problem, Some(Problem::Refused))
    }

    fn heading(&self) -> &'static str {
        if self.is_again() { "Confirm that it’s you" } else { "Sign in" }
    }
}

/// The cookie did not come back after a sign-in.
#[derive(Template)]
#[template(path = "sign_in_check.html")]
pub(super) struct CookieMissing<'a> {
    pub(super) frame: Frame,
    /// The address of the request.
    pub(super) here: &'a str,
    /// `server.public_url`, if it is another one.
    pub(super) other_address: Option<&'a str>,
    /// Whether browsers keep the cookie at this address, if they keep cookies.
    pub(super) keeps_session: bool,
}

#[derive(Template)]
#[template(path = "https_needed.html")]
pub(super) struct HttpsNeeded<'a> {
    pub(super) frame: Frame,
    /// `server.public_url`, if it is one with HTTPS.
    pub(super) https_address: Option<&'a str>,
}

#[derive(Deserialize)]
struct Query {
    return_to: Option<String>,
    /// The organization of the link.
    organization: Option<String>,
    /// `1`: the session is not fresh enough for what comes next.
    again: Option<String>,
}

/// `GET /sign-in`.
pub(in crate::http) async fn show(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    if let Some(page) = needs_https(&request) {
        return Ok(page);
    }
    let query: Query = extract::query(&request)?;
    let return_to = visitor::return_to(query.return_to.as_deref());
    let visitor = Visitor::of(&request).await?;
    let again = confirming(&visitor, query.again.as_deref());
    let (notice, email) = match (&visitor, again) {
        (_, Some(holder)) => (Some(Notice::Confirm), holder.user.email.as_str()),
        (Visitor::SignedIn(_), None) => return Ok(redirect_back(&request, return_to)),
        (Visitor::Anonymous { has_ended: true }, None) => (Some(Notice::SessionEnded), ""),
        (Visitor::Anonymous { has_ended: false }, None) => (None, ""),
    };
    let organization = Organization::of(&request, &app, return_to, again.is_some()).await?;
    let page = SignIn {
        notice,
        email,
        organization: query.organization.as_deref().unwrap_or_default(),
        return_to: return_to.unwrap_or_default(),
        ..organization.form()
    };
    let mut response = respond(StatusCode::OK, &page);
    if notice == Some(Notice::SessionEnded) {
        // Say so once.
        session::clear(&mut response);
    }
    Ok(response)
}

/// The session that is confirmed by signing in again.
fn confirming<'a>(visitor: &'a Visitor, again: Option<&str>) -> Option<&'a SessionHolder> {
    match visitor {
        Visitor::SignedIn(holder) if again == Some("1") && holder.stage == Stage::Full => Some(holder),
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default)]
    email: String,
    password: Secret,
    #[serde(default)]
    organization: String,
    return_to: Option<String>,
    again: Option<String>,
}

/// `POST /sign-in`.
pub(in crate::http) async fn submit(app: web::Data<App>, mut body: Body) -> Result<HttpResponse> {
    if let Some(page) = needs_https(&body.request) {
        return Ok(page);
    }
    browser::check_origin(&body.request, session::has_cookie(&body.request))?;
    let mut form: Form = body.form().await?;
    let request = &body.request;
    let visitor = Visitor::of(request).await?;
    let again = confirming(&visitor, form.again.as_deref());
    if let Some(holder) = again {
        // The same account, whatever the browser sends.
        form.email.clone_from(&holder.user.email);
        form.organization = holder.organization.organization_id.to_string();
    }
    let organization = Some(form.organization.clone()).filter(|organization| !organization.trim().is_empty());
    let device = session::device(request);
    let attempt = Attempt { email: form.email.clone(), password: form.password, organization, device };
    let return_to = visitor::return_to(form.return_to.as_deref());
    match sign_in::sign_in(&app, attempt, &session::client(request)).await {
        Ok(signed_in) => {
            session::end_previous(&app, request).await;
            let check = return_to.map_or_else(|| "sign-in/check".to_owned(), |page| with_return("sign-in/check", page));
            let mut response = redirect(request, &check);
            session::set(&mut response, &signed_in.session, signed_in.device.as_ref(), app.clock.now());
            Ok(response)
        }
        Err(error) => {
            let problem = problem(&error);
            // An organization is missing, which the form can ask for.
            if problem.is_none() && error.code() != Code::InvalidRequest {
                return Err(error);
            }
            let organization = Organization::of(request, &app, return_to, again.is_some()).await?;
            let page = SignIn {
                notice: again.map(|_| Notice::Confirm),
                problem,
                email: &form.email,
                organization: if again.is_some() { "" } else { &form.organization },
                return_to: return_to.unwrap_or_default(),
                ..organization.form()
            };
            Ok(respond_error(error, &page))
        }
    }
}

fn problem(error: &Error) -> Option<Problem> {
    match error.code() {
        Code::SignInRefused => Some(Problem::Refused),
        Code::Throttled => Some(Problem::Throttled { wait: wait(error) }),
        Code::Overloaded => Some(Problem::Busy),
        _ => None,
    }
}

/// After what time to retry, in words.
pub(super) fn wait(error: &Error) -> String {
    about(error.retry_after().unwrap_or_default())
}

/// The parts of the form that do not depend on the attempt.
struct Organization {
    frame: Frame,
    name: Option<String>,
    providers: Vec<Provider>,
    password_form: PasswordForm,
}

impl Organization {
    /// Where there are several organizations, people find the identity providers of theirs by its link.
    async fn of(request: &HttpRequest, app: &App, return_to: Option<&str>, is_again: bool) -> Result<Self> {
        let name = organizations::only_name(app).await?;
        let (found, policy) = match name {
            Some(_) => (sso::enabled(app, None).await?, sign_in_policies::of_organization(app, None).await?),
            None => (Vec::new(), SignInPolicy::default()),
        };
        let password_form = match (policy.sso_mode, policy.owners_sso) {
            (SsoMode::Off | SsoMode::Optional, _) => PasswordForm::Shown,
            (SsoMode::Required, OwnersSso::Optional) => PasswordForm::Disclosed,
            (SsoMode::Required, OwnersSso::Required) => PasswordForm::Absent,
        };
        let now = app.clock.now();
        let providers = found.iter().map(|provider| {
            let start = provider.start_path().trim_start_matches('/').to_owned();
            let start = return_to.map_or_else(|| start.clone(), |page| with_return(&start, page));
            let again = if is_again { if start.contains('?') { "&again=1" } else { "?again=1" } } else { "" };
            Provider {
                title: provider.title().to_owned(),
                start: start + again,
                unreachable_since: provider.away_since(app).map(|at| Moment { at, now }),
            }
        });
        let providers = providers.collect();
        Ok(Self { frame: Frame::of(request), name, providers, password_form })
    }

    fn form(&self) -> SignIn<'_> {
        SignIn {
            frame: self.frame.clone(),
            organization_name: self.name.as_deref(),
            asks_organization: self.name.is_none(),
            organization: "",
            email: "",
            return_to: "",
            notice: None,
            problem: None,
            providers: &self.providers,
            password_form: self.password_form,
        }
    }
}

/// `GET /sign-in/check`, to which a sign-in leads: whether the browser has kept the cookie. Nothing starts again by itself.
pub(in crate::http) async fn check(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let query: Query = extract::query(&request)?;
    let return_to = visitor::return_to(query.return_to.as_deref());
    if let Visitor::SignedIn(holder) = Visitor::of(&request).await? {
        return Ok(match (holder.stage, return_to) {
            (Stage::Full, _) => redirect_back(&request, return_to),
            (Stage::MustChange, Some(page)) => redirect(&request, &with_return("account/password", page)),
            (Stage::MustChange, None) => redirect(&request, "account/password"),
        });
    }
    let scheme = if sender::is_https(&request) { "https" } else { "http" };
    let here = format!("{scheme}://{}", host(&request).unwrap_or_default());
    let public_url = public_url(&request, &app.config.server)?;
    let page = CookieMissing {
        frame: Frame::of(&request),
        other_address: Some(public_url.as_str()).filter(|url| *url != here),
        here: &here,
        keeps_session: keeps_session(&request),
    };
    Ok(respond(StatusCode::BAD_REQUEST, &page))
}
