//! `/invitations/{token}`: the page behind the link of an invitation.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Frame, error, reason, respond, respond_error, sentence};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::extract;
use crate::invitations::{self, Acceptance, Invited};
use crate::secret::Secret;

#[derive(Template)]
#[template(path = "invitation.html")]
pub(super) struct Page<'a> {
    pub(super) frame: Frame,
    pub(super) organization_name: &'a str,
    pub(super) email: &'a str,
    pub(super) name: &'a str,
    pub(super) lastname: &'a str,
    pub(super) title: &'a str,
    pub(super) min_length: usize,
    pub(super) problem: Option<Problem>,
}

/// Why no account was created.
#[derive(Clone, Debug)]
pub(super) enum Problem {
    /// The password can't be used.
    Password(String),
    Other(String),
}

impl Page<'_> {
    const fn is_rejected(&self) -> bool {
        matches!(self.problem, Some(Problem::Password(_)))
    }
}

#[derive(Template)]
#[template(path = "invitation_accepted.html")]
pub(super) struct Accepted<'a> {
    pub(super) frame: Frame,
    pub(super) email: &'a str,
}

/// The form of the page.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct InvitationForm {
    /// First name or full name.
    #[schema(min_length = 1, max_length = 255, example = "Ada")]
    name: String,
    /// Last name; may be empty.
    #[serde(default)]
    #[schema(max_length = 255, example = "Lovelace")]
    lastname: String,
    /// Job title; may be empty.
    #[serde(default)]
    #[schema(max_length = 255)]
    title: String,
    /// Password.
    #[schema(value_type = String, max_length = 256, format = "password")]
    password: Secret,
}

/// Show the page of an invitation
///
/// An HTML form that works without scripts.
#[utoipa::path(get, path = "/invitations/{token}", operation_id = "invitation_page", tag = "invitations",
    params(("token" = String, Path)),
    responses(
        (status = 200, description = "The form.", body = String, content_type = "text/html"),
        (status = 404, description = "The link is invalid; the page says why.", body = String,
            content_type = "text/html"),
        (status = 429, description = "Too many invalid links from this network; see `Retry-After`.", body = String,
            content_type = "text/html"),
        (status = 503, description = "The database is unavailable.", body = String,
            content_type = "text/html"),
    ),
    security(()))]
pub(in crate::http) async fn show(request: HttpRequest, app: web::Data<App>) -> HttpResponse {
    match invitations::open(&app, token(&request), extract::origin(&request)).await {
        Ok(invited) => {
            let fields = [&invited.name, &invited.lastname, &invited.title];
            let fields = fields.map(|text| text.as_deref().unwrap_or_default());
            respond(StatusCode::OK, &page(&request, &app, &invited, None, fields))
        }
        Err(error) => failed(&request, error),
    }
}

/// Accept an invitation on its page
///
/// `POST /api/v2/organization_invitations/accept` for browsers.
#[utoipa::path(post, path = "/invitations/{token}", operation_id = "invitation_page_accept", tag = "invitations",
    params(("token" = String, Path)),
    request_body(content = InvitationForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The account is created.", body = String,
            content_type = "text/html"),
        (status = 400, description = "Invalid fields; the page is the form with an error message.", body = String,
            content_type = "text/html"),
        (status = 404, description = "The link is invalid; the page says why.", body = String,
            content_type = "text/html"),
        (status = 409, description = "An account with the address exists.", body = String,
            content_type = "text/html"),
        (status = 413, description = "The body is too long.", body = String, content_type = "text/html"),
        (status = 415, description = "The body is not the form of the page.", body = String, content_type = "text/html"),
        (status = 429, description = "Too many invalid links from this network, or attempts to accept this invitation; see \
            `Retry-After`.", body = String,
            content_type = "text/html"),
        (status = 503, description = "The server is overloaded or the database is unavailable; see `Retry-After`.", body = String,
            content_type = "text/html"),
    ),
    security(()))]
pub(in crate::http) async fn accept(app: web::Data<App>, mut body: Body) -> HttpResponse {
    let form: InvitationForm = match body.form().await {
        Ok(form) => form,
        Err(error) => return failed(&body.request, error),
    };
    let request = &body.request;
    match try_accept(request, &app, &form).await {
        Ok(email) => respond(StatusCode::OK, &Accepted { frame: Frame::of(request), email: &email }),
        // Show the form again for errors that the user can fix.
        Err(error) if matches!(error.code(), Code::InvalidRequest | Code::Overloaded) => {
            match invitations::open(&app, token(request), extract::origin(request)).await {
                Ok(invited) => {
                    let problem = Some(problem(&error));
                    let fields = [&form.name, &form.lastname, &form.title].map(String::as_str);
                    respond_error(error, &page(request, &app, &invited, problem, fields))
                }
                Err(error) => failed(request, error),
            }
        }
        Err(error) => failed(request, error),
    }
}

fn problem(error: &Error) -> Problem {
    match error.to_string().strip_prefix("the account can't be created: ") {
        // The password is the last field, so the others are right.
        Some(wrong) if wrong.starts_with("password: ") => Problem::Password(reason(wrong)),
        wrong => Problem::Other(wrong.map_or_else(|| sentence(&error.to_string()), sentence)),
    }
}

async fn try_accept(request: &HttpRequest, app: &App, form: &InvitationForm) -> Result<String> {
    let acceptance = Acceptance {
        name: form.name.clone(),
        lastname: Some(form.lastname.clone()),
        title: Some(form.title.clone()),
        password: Some(form.password.clone()),
        is_sso_user: false,
    };
    let accepted = invitations::accept(app, token(request), acceptance, extract::origin(request)).await?;
    Ok(accepted.user.email.as_str().to_owned())
}

fn token(request: &HttpRequest) -> &str {
    request.match_info().get("token").unwrap_or_default()
}

/// The form, with the values of its fields except the password.
fn page<'a>(
    request: &HttpRequest,
    app: &App,
    invited: &'a Invited,
    problem: Option<Problem>,
    [name, lastname, title]: [&'a str; 3],
) -> Page<'a> {
    Page {
        frame: Frame::of(request),
        organization_name: &invited.organization_name,
        email: invited.email.as_str(),
        name,
        lastname,
        title,
        min_length: app.config.passwords.min_length,
        problem,
    }
}

fn failed(request: &HttpRequest, error: Error) -> HttpResponse {
    match error.code() {
        Code::NotFound => error::titled(request, "This invitation can’t be used", error),
        Code::EmailTaken => error::titled(request, "You have an account already", error),
        _ => error::page(request, error),
    }
}
