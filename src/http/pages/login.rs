//! `/login/{otp}`: approving the login of a program.

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::visitor::{Visitor, keeps_session, redirect, see_other, with_return};
use super::{Frame, Moment, full_name, respond, respond_error};
use crate::app::App;
use crate::caller::{Origin, PermissionLevel, SessionHolder};
use crate::device_logins::{self, Answer, InvalidOtp, LoginRequest, Otp};
use crate::error::{Code, Result};
use crate::http::body::Body;
use crate::http::extract;
use crate::sessions;

#[derive(Template)]
#[template(path = "login.html")]
pub(super) struct LoginPage<'a> {
    pub(super) frame: Frame,
    pub(super) state: Login<'a>,
}

/// The states of a login.
#[derive(Debug)]
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
    pub(super) name: String,
    pub(super) email: &'a str,
    pub(super) is_owner: bool,
}

/// What the person can do.
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

/// The query of the page to which an answer leads.
const DONE: &str = "done";

/// `GET /login/{otp}`.
pub(in crate::http) async fn show(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let otp = match checked(&request, &app) {
        Ok(otp) => otp,
        Err(page) => return Ok(*page),
    };
    // Without the database, the one-time password is shown, which can be approved later.
    if let Ok(Ok(Some(answer))) = app.in_time(device_logins::answer(&app, &otp)).await {
        let state = match answer {
            Answer::Approved if request.query_string() == DONE => Login::Approved,
            Answer::Approved => Login::AlreadyApproved,
            Answer::Denied => Login::Voided,
        };
        return Ok(respond(StatusCode::OK, &LoginPage { frame: Frame::of(&request), state }));
    }
    if !keeps_session(&request) {
        return Ok(anonymous(&request, &app, &otp, Step::CommandLine).await);
    }
    match Visitor::of(&request).await? {
        Visitor::Anonymous { .. } => Ok(anonymous(&request, &app, &otp, Step::SignIn).await),
        visitor => match visitor.full(&request, request.path()) {
            Ok(holder) => open(&request, &app, &otp, &holder, false).await,
            Err(redirect) => Ok(*redirect),
        },
    }
}

/// The one-time password of the address, or the page that says what is wrong with it.
fn checked(request: &HttpRequest, app: &App) -> std::result::Result<Otp, Box<HttpResponse>> {
    let otp = request.match_info().get("otp").unwrap_or_default();
    device_logins::check(app, otp).map_err(|error| {
        let state = match error {
            InvalidOtp::Unknown => Login::Unknown,
            InvalidOtp::Expired => Login::Expired,
        };
        Box::new(respond(StatusCode::NOT_FOUND, &LoginPage { frame: Frame::of(request), state }))
    })
}

/// The page for a person who is not signed in: nothing about the program but its code.
async fn anonymous(request: &HttpRequest, app: &App, otp: &Otp, step: Step) -> HttpResponse {
    let until = Moment { at: otp.expires_at, now: app.clock.now() };
    let code = code(app, otp).await;
    let asked =
        Asked { code, machine: None, program: None, network: None, requested: None, until, path: request.path() };
    let state = Login::Open { request: asked, person: None, step };
    respond(StatusCode::OK, &LoginPage { frame: Frame::of(request), state })
}

async fn code(app: &App, otp: &Otp) -> String {
    let code = app.in_time(device_logins::code(app, otp)).await.and_then(|code| code).ok().flatten();
    code.map_or_else(|| otp.as_str().to_owned(), |code| code.to_string())
}

/// The page for a person who is signed in. `is_unticked`: the form was sent without the tick in its box.
async fn open(
    request: &HttpRequest,
    app: &App,
    otp: &Otp,
    holder: &SessionHolder,
    is_unticked: bool,
) -> Result<HttpResponse> {
    let (origin, now) = (extract::origin(request), app.clock.now());
    let login = device_logins::get(app, &holder.caller(origin, now), otp.as_str()).await?;
    let network = login.client.address.map(sessions::network);
    let step = match holder.is_fresh(now) {
        true => Step::Approve { is_elsewhere: is_elsewhere(&login, origin), is_unticked },
        false => Step::SignInAgain,
    };
    let name = full_name(&holder.user.name, holder.user.lastname.as_deref());
    let is_owner = holder.permission == PermissionLevel::Owner;
    let moment = |at| Moment { at, now };
    let asked = Asked {
        code: code(app, otp).await,
        machine: login.client.machine.as_deref(),
        program: login.client.user_agent.as_deref(),
        network,
        requested: Some(moment(login.requested_at)),
        until: moment(login.expires_at),
        path: request.path(),
    };
    let person = Some(Person { name, email: &holder.user.email, is_owner });
    let state = Login::Open { request: asked, person, step };
    let status = if is_unticked { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(respond(status, &LoginPage { frame: Frame::of(request), state }))
}

/// Whether the program is, or may be, on another network than the browser.
fn is_elsewhere(login: &LoginRequest, origin: Origin) -> bool {
    let network = |address: Option<IpAddr>| address.map(sessions::network);
    let program = network(login.client.address);
    program.is_none() || program != network(origin.address)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    answer: Choice,
    /// The box of a program on another network.
    elsewhere: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Choice {
    Approve,
    Deny,
}

/// `POST /login/{otp}`.
pub(in crate::http) async fn submit(app: web::Data<App>, mut body: Body) -> Result<HttpResponse> {
    let holder = match Visitor::of(&body.request).await?.full(&body.request, body.request.path()) {
        Ok(holder) => holder,
        Err(redirect) => return Ok(*redirect),
    };
    let form: Form = body.form().await?;
    let request = &body.request;
    let otp = match checked(request, &app) {
        Ok(otp) => otp,
        Err(page) => return Ok(*page),
    };
    let (origin, now) = (extract::origin(request), app.clock.now());
    let caller = holder.caller(origin, now);
    let answered = match form.answer {
        Choice::Deny => device_logins::deny(&app, &caller, otp.as_str()).await,
        Choice::Approve => {
            let login = device_logins::get(&app, &caller, otp.as_str()).await?;
            if holder.is_fresh(now) && form.elsewhere.is_none() && is_elsewhere(&login, origin) {
                return open(request, &app, &otp, &holder, true).await;
            }
            device_logins::approve(&app, &caller, otp.as_str(), None).await.map(drop)
        }
    };
    match answered {
        // Relative to the last part of the address.
        Ok(()) => Ok(see_other(&format!("?{DONE}"))),
        Err(error) if error.code() == Code::ReauthenticationNeeded => {
            Ok(redirect(request, &format!("{}&again=1", with_return("sign-in", request.path()))))
        }
        Err(error) if error.code() == Code::Conflict => {
            Ok(respond_error(error, &LoginPage { frame: Frame::of(request), state: Login::AlreadyApproved }))
        }
        Err(error) => Err(error),
    }
}
