//! `/password/…`: choosing a password with a link, and asking for one.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::sign_in::wait;
use super::visitor::{needs_https, redirect};
use super::{Frame, error, reason, respond, respond_error};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::{browser, extract, session};
use crate::links::{self, OpenLink, Purpose};
use crate::organizations;
use crate::secret::Secret;
use crate::sign_in::{self, ResetRequest};

#[derive(Template)]
#[template(path = "password_link.html")]
pub(super) struct Link<'a> {
    pub(super) frame: Frame,
    pub(super) organization_name: &'a str,
    pub(super) email: &'a str,
    pub(super) min_length: usize,
    /// Why the password was rejected.
    pub(super) rejected: Option<String>,
    pub(super) is_busy: bool,
    /// Whether the link is the local operator's: the session that it starts is a short one.
    pub(super) is_recovery: bool,
    /// Whether a password is set with the link.
    pub(super) sets_password: bool,
}

impl Link<'_> {
    const fn heading(&self) -> &'static str {
        if self.sets_password { "Choose a password" } else { "Sign in with a recovery link" }
    }
}

#[derive(Template)]
#[template(path = "password_forgot.html")]
pub(super) struct ForgotPage<'a> {
    pub(super) frame: Frame,
    pub(super) state: Forgot<'a>,
}

/// The states of `/password/forgot`.
#[derive(Debug)]
pub(super) enum Forgot<'a> {
    Form { email: &'a str, asks_organization: bool, organization: &'a str, wait: Option<String> },
    Sent,
    NoMail,
}

impl ForgotPage<'_> {
    const fn heading(&self) -> &'static str {
        match self.state {
            Forgot::Form { .. } => "Forgot your password?",
            Forgot::Sent => "Check your mail",
            Forgot::NoMail => "Ask for a link",
        }
    }
}

/// `GET /password/{token}`. Opening a link changes nothing: scanners of mail and chat open it first.
pub(in crate::http) async fn show(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    if let Some(page) = needs_https(&request) {
        return Ok(page);
    }
    match links::open(&app, token(&request), extract::origin(&request)).await {
        Ok(link) => Ok(respond(StatusCode::OK, &page(&request, &app, &link))),
        Err(error) => failed(&request, error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    /// Absent for a recovery.
    password: Option<Secret>,
}

/// `POST /password/{token}`.
pub(in crate::http) async fn submit(app: web::Data<App>, mut body: Body) -> Result<HttpResponse> {
    if let Some(page) = needs_https(&body.request) {
        return Ok(page);
    }
    browser::check_origin(&body.request, session::has_cookie(&body.request))?;
    let Form { password } = body.form().await?;
    let (request, password) = (&body.request, password.unwrap_or_else(|| Secret::new("")));
    let error = match links::set_password(&app, token(request), &password, &session::client(request)).await {
        Ok(used) => {
            let mut response = redirect(request, "sign-in/check");
            session::set(&mut response, &used.session, used.device.as_ref(), app.clock.now());
            return Ok(response);
        }
        Err(error) => error,
    };
    if !matches!(error.code(), Code::PasswordRejected | Code::Overloaded) {
        return failed(request, error);
    }
    // The link stays open.
    match links::open(&app, token(request), extract::origin(request)).await {
        Ok(link) => {
            let is_busy = error.code() == Code::Overloaded;
            let rejected = (!is_busy).then(|| reason(&error.to_string()));
            let page = Link { rejected, is_busy, ..page(request, &app, &link) };
            Ok(respond_error(error, &page))
        }
        Err(error) => failed(request, error),
    }
}

fn token(request: &HttpRequest) -> &str {
    request.match_info().get("token").unwrap_or_default()
}

fn page<'a>(request: &HttpRequest, app: &App, link: &'a OpenLink) -> Link<'a> {
    Link {
        frame: Frame::of(request),
        organization_name: &link.organization_name,
        email: &link.email,
        min_length: app.config.passwords.min_length,
        rejected: None,
        is_busy: false,
        is_recovery: link.purpose == Purpose::Recover,
        sets_password: link.sets_password(),
    }
}

fn failed(request: &HttpRequest, error: Error) -> Result<HttpResponse> {
    match error.code() {
        Code::NotFound => Ok(error::titled(request, "This link can’t be used", error)),
        _ => Err(error),
    }
}

#[derive(Deserialize)]
struct ForgotQuery {
    #[serde(default)]
    organization: String,
}

/// `GET /password/forgot`.
pub(in crate::http) async fn forgot(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let ForgotQuery { organization } = extract::query(&request)?;
    let state = match app.mailer {
        Some(_) => Forgot::Form {
            email: "",
            asks_organization: organizations::only_name(&app).await?.is_none(),
            organization: &organization,
            wait: None,
        },
        None => Forgot::NoMail,
    };
    Ok(respond(StatusCode::OK, &ForgotPage { frame: Frame::of(&request), state }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgotForm {
    email: String,
    #[serde(default)]
    organization: String,
}

/// `POST /password/forgot`. The response does not tell whether there is such an account.
pub(in crate::http) async fn ask(app: web::Data<App>, mut body: Body) -> Result<HttpResponse> {
    browser::check_origin(&body.request, session::has_cookie(&body.request))?;
    let ForgotForm { email, organization } = body.form().await?;
    let (request, named) = (&body.request, Some(organization.clone()).filter(|named| !named.is_empty()));
    let asked = ResetRequest { email: email.clone(), organization: named };
    let frame = Frame::of(request);
    match sign_in::request_reset(&app, asked, &session::client(request)).await {
        Ok(()) => Ok(respond(StatusCode::ACCEPTED, &ForgotPage { frame, state: Forgot::Sent })),
        Err(error) if error.code() == Code::MailNotConfigured => {
            Ok(respond_error(error, &ForgotPage { frame, state: Forgot::NoMail }))
        }
        Err(error) if error.code() == Code::Throttled => {
            let state = Forgot::Form {
                email: &email,
                asks_organization: !organization.is_empty(),
                organization: &organization,
                wait: Some(wait(&error)),
            };
            Ok(respond_error(error, &ForgotPage { frame, state }))
        }
        Err(error) => Err(error),
    }
}
