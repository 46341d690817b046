//! `/invitations/{token}`: where the link of an invitation leads.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Text, answer, page};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::http::{body, extract};
use crate::invitations::{self, Acceptance, Invited};
use crate::secret::Secret;

/// What the page's form sends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct InvitationForm {
    /// First name, or the whole of it.
    #[schema(min_length = 1, max_length = 255, example = "Ada")]
    name: String,
    /// Last name; may be empty.
    #[serde(default)]
    #[schema(max_length = 255, example = "Lovelace")]
    lastname: String,
    /// The password of their choice.
    #[schema(value_type = String, max_length = 256, format = "password")]
    password: Secret,
}

/// Show the page of an invitation
///
/// For people: a form that works without scripts.
#[utoipa::path(get, path = "/invitations/{token}", operation_id = "invitation_page", tag = "invitations",
    params(("token" = String, Path)),
    responses(
        (status = 200, description = "The form.", body = String, content_type = "text/html"),
        (status = 404, description = "The link opens nothing: a page that says why.", body = String,
            content_type = "text/html"),
        (status = 503, description = "The database is away: a page that says so.", body = String,
            content_type = "text/html"),
    ))]
pub(in crate::http) async fn show(request: HttpRequest, app: web::Data<App>) -> HttpResponse {
    match invitations::open(&app, token(&request), extract::origin(&request)).await {
        Ok(invited) => answer(StatusCode::OK).body(form(&invited, &app, None, ("", ""))),
        Err(error) => failed(error),
    }
}

/// Accept an invitation on its page
///
/// As `POST /api/v2/organization_invitations/accept`, for browsers.
#[utoipa::path(post, path = "/invitations/{token}", operation_id = "invitation_page_accept", tag = "invitations",
    params(("token" = String, Path)),
    request_body(content = InvitationForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The account is there: a page that says so.", body = String,
            content_type = "text/html"),
        (status = 400, description = "Fields that can't be used: the form, with what is wrong.", body = String,
            content_type = "text/html"),
        (status = 404, description = "The link opens nothing: a page that says why.", body = String,
            content_type = "text/html"),
        (status = 409, description = "The address has an account meanwhile.", body = String,
            content_type = "text/html"),
        (status = 413, description = "Too many bytes.", body = String, content_type = "text/html"),
        (status = 503, description = "Too busy, or the database is away; see `Retry-After`.", body = String,
            content_type = "text/html"),
    ))]
pub(in crate::http) async fn accept(request: HttpRequest, app: web::Data<App>, payload: Payload) -> HttpResponse {
    let sent: InvitationForm = match body::small_form(&request, payload, &app.config.server).await {
        Ok(sent) => sent,
        Err(error) => return failed(error),
    };
    match try_accept(&request, &app, &sent).await {
        Ok(email) => answer(StatusCode::OK).body(page(
            "Your account is ready",
            &format!("<p>You are a member now, as <strong>{}</strong>. This link has done its work.</p>", Text(&email)),
        )),
        // What can be mended is, in the form itself.
        Err(error) if matches!(error.code(), Code::InvalidRequest | Code::Overloaded) => {
            match invitations::open(&app, token(&request), extract::origin(&request)).await {
                Ok(invited) => {
                    let again = form(&invited, &app, Some(&error), (&sent.name, &sent.lastname));
                    respond(error, again)
                }
                Err(error) => failed(error),
            }
        }
        Err(error) => failed(error),
    }
}

async fn try_accept(request: &HttpRequest, app: &App, sent: &InvitationForm) -> Result<String> {
    let acceptance = Acceptance {
        name: sent.name.clone(),
        lastname: Some(sent.lastname.clone()),
        title: None,
        password: Some(sent.password.clone()),
        is_sso_user: false,
    };
    let accepted = invitations::accept(app, token(request), acceptance, extract::origin(request)).await?;
    Ok(accepted.user.email.as_str().to_owned())
}

fn token(request: &HttpRequest) -> &str {
    request.match_info().get("token").unwrap_or_default()
}

/// The form, with what was wrong, and what was written before; never the password.
fn form(invited: &Invited, app: &App, error: Option<&Error>, (name, lastname): (&str, &str)) -> String {
    let alert = error.map(|error| format!("<p role=\"alert\">{}</p>\n", Text(&error.to_string()))).unwrap_or_default();
    let content = format!(
        "{alert}<p>This makes the account <strong>{email}</strong>.</p>\n\
         <form method=\"post\">\n\
         <label for=\"name\">Name</label>\n\
         <input id=\"name\" name=\"name\" value=\"{name}\" autocomplete=\"given-name\" maxlength=\"255\" required>\n\
         <label for=\"lastname\">Last name</label>\n\
         <input id=\"lastname\" name=\"lastname\" value=\"{lastname}\" autocomplete=\"family-name\" maxlength=\"255\">\n\
         <label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"new-password\" \
         aria-describedby=\"rule\" required>\n\
         <small id=\"rule\">{least} characters at least, and not easy to guess: several unrelated words are good.</small>\n\
         <button>Make the account</button>\n\
         </form>",
        email = Text(invited.email.as_str()),
        name = Text(name),
        lastname = Text(lastname),
        least = app.config.passwords.min_length,
    );
    page(&format!("Join {}", invited.organization_name), &content)
}

/// A page that says what went wrong.
fn failed(error: Error) -> HttpResponse {
    let body = page("This did not work", &format!("<p role=\"alert\">{}</p>", Text(&error.to_string())));
    respond(error, body)
}

fn respond(error: Error, body: String) -> HttpResponse {
    let mut response = HttpResponse::from_error(error);
    for (name, value) in answer(response.status()).finish().headers() {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response.set_body(BoxBody::new(body))
}
