//! `/invitations/{token}`: the page behind the link of an invitation.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Text, html, page};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::extract;
use crate::invitations::{self, Acceptance, Invited};
use crate::secret::Secret;

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
            let [name, lastname, title] =
                [&invited.name, &invited.lastname, &invited.title].map(|text| text.as_deref().unwrap_or_default());
            html(StatusCode::OK).body(show_form(&invited, &app, None, [name, lastname, title]))
        }
        Err(error) => failed(error),
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
        Err(error) => return failed(error),
    };
    match try_accept(&body.request, &app, &form).await {
        Ok(email) => html(StatusCode::OK).body(page(
            "Your account is ready",
            &format!("<p>You are now a member as <strong>{}</strong>. This link is no longer valid.</p>", Text(&email)),
        )),
        // Show the form again for errors that the user can fix.
        Err(error) if matches!(error.code(), Code::InvalidRequest | Code::Overloaded) => {
            match invitations::open(&app, token(&body.request), extract::origin(&body.request)).await {
                Ok(invited) => {
                    let content = show_form(&invited, &app, Some(&error), [&form.name, &form.lastname, &form.title]);
                    respond(error, content)
                }
                Err(error) => failed(error),
            }
        }
        Err(error) => failed(error),
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

/// The form, with an error message and the values of its fields except the password.
fn show_form(invited: &Invited, app: &App, error: Option<&Error>, [name, lastname, title]: [&str; 3]) -> String {
    let alert = error.map(|error| format!("<p role=\"alert\">{}</p>\n", Text(&error.to_string()))).unwrap_or_default();
    let content = format!(
        "{alert}<p>Create the account <strong>{email}</strong>.</p>\n\
         <form method=\"post\">\n\
         <label for=\"name\">Name</label>\n\
         <input id=\"name\" name=\"name\" value=\"{name}\" autocomplete=\"given-name\" maxlength=\"255\" required>\n\
         <label for=\"lastname\">Last name</label>\n\
         <input id=\"lastname\" name=\"lastname\" value=\"{lastname}\" autocomplete=\"family-name\" maxlength=\"255\">\n\
         <label for=\"title\">Job title</label>\n\
         <input id=\"title\" name=\"title\" value=\"{title}\" autocomplete=\"organization-title\" maxlength=\"255\">\n\
         <label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"new-password\" \
         aria-describedby=\"rule\" required>\n\
         <small id=\"rule\">At least {least} characters and hard to guess, for example several unrelated words.</small>\n\
         <button>Create account</button>\n\
         </form>",
        email = Text(invited.email.as_str()),
        name = Text(name),
        lastname = Text(lastname),
        title = Text(title),
        least = app.config.passwords.min_length,
    );
    page(&format!("Join {}", invited.organization_name), &content)
}

/// A page with an error message.
fn failed(error: Error) -> HttpResponse {
    let body = page("Something went wrong", &format!("<p role=\"alert\">{}</p>", Text(&error.to_string())));
    respond(error, body)
}

fn respond(error: Error, body: String) -> HttpResponse {
    let mut response = HttpResponse::from_error(error);
    for (name, value) in html(response.status()).finish().headers() {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response.set_body(BoxBody::new(body))
}
