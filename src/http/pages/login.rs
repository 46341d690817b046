//! `/login/{otp}`: approving the login of a program.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::{Frame, Moment, respond};
use crate::app::App;
use crate::device_logins::{self, InvalidOtp};

#[derive(Template)]
#[template(path = "login.html")]
pub(super) struct LoginPage<'a> {
    pub(super) frame: Frame,
    pub(super) state: Login<'a>,
}

/// The states of a login.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "the handlers follow"))]
pub(super) enum Login<'a> {
    Unknown,
    Expired,
    AlreadyApproved,
    /// The person said that they did not start it.
    Voided,
    Approved,
    Open {
        request: Asked<'a>,
        person: Option<Person<'a>>,
        step: Step,
    },
}

/// Who asks.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// The code, or the one-time password of a login without one.
    pub(super) code: String,
    pub(super) machine: Option<&'a str>,
    pub(super) program: Option<&'a str>,
    pub(super) network: Option<String>,
    pub(super) requested: Option<Moment>,
    pub(super) until: Moment,
    /// The path of the page.
    pub(super) path: &'a str,
}

/// Who would approve.
#[derive(Debug)]
pub(super) struct Person<'a> {
    pub(super) name: &'a str,
    pub(super) email: &'a str,
    pub(super) is_owner: bool,
}

/// What the person can do.
#[cfg_attr(not(test), expect(dead_code, reason = "the handlers follow"))]
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Only there: browsers keep no session at this address.
    CommandLine,
    SignIn,
    SignInAgain,
    Approve {
        /// The program is on another network than the browser.
        is_elsewhere: bool,
        /// The box for that was not ticked.
        is_unticked: bool,
    },
}

impl Step {
    const fn is_unticked(&self) -> bool {
        matches!(self, Self::Approve { is_unticked: true, .. })
    }
}

impl LoginPage<'_> {
    const fn heading(&self) -> &'static str {
        match self.state {
            Login::Unknown => "Unknown code",
            Login::Expired => "This code has expired",
            Login::AlreadyApproved => "This login was approved already",
            Login::Voided => "The login is denied",
            Login::Approved => "Approved",
            Login::Open { .. } => "Approve a login",
        }
    }
}

/// Show who asks for a login
///
/// The page behind the link of a started login.
#[utoipa::path(get, path = "/login/{otp}", operation_id = "login_page", tag = "logins",
    params(("otp" = String, Path)),
    responses(
        (status = 200, description = "The page.", content_type = "text/html", body = String),
        (status = 404, description = "The one-time password is unknown or expired; the page says which.",
            content_type = "text/html", body = String),
    ),
    security(()))]
pub(in crate::http) async fn show(request: HttpRequest, app: web::Data<App>) -> HttpResponse {
    let frame = Frame::of(&request);
    let otp = match device_logins::check(&app, request.match_info().get("otp").unwrap_or_default()) {
        Ok(otp) => otp,
        Err(error) => {
            let state = match error {
                InvalidOtp::Unknown => Login::Unknown,
                InvalidOtp::Expired => Login::Expired,
            };
            return respond(StatusCode::NOT_FOUND, &LoginPage { frame, state });
        }
    };
    // Without the database, the one-time password is shown, which can be approved later.
    let code = app.in_time(device_logins::code(&app, &otp)).await.and_then(|code| code).ok().flatten();
    let code = code.map_or_else(|| otp.as_str().to_owned(), |code| code.to_string());
    let until = Moment { at: otp.expires_at, now: app.clock.now() };
    let asked =
        Asked { code, machine: None, program: None, network: None, requested: None, until, path: request.path() };
    respond(
        StatusCode::OK,
        &LoginPage { frame, state: Login::Open { request: asked, person: None, step: Step::CommandLine } },
    )
}
