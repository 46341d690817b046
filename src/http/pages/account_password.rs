//! `/account/password`: changing one's own password.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::sign_in::wait;
use super::visitor::{self, Visitor, redirect, redirect_back, with_return};
use super::{Frame, error, reason, respond, respond_error};
use crate::app::App;
use crate::caller::{SessionHolder, Stage};
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::{extract, session};
use crate::keys;
use crate::secret::Secret;
use crate::sign_in::{self, NewPassword};
use crate::sign_in_policies;

#[derive(Template)]
#[template(path = "account_password.html")]
pub(super) struct PasswordPage<'a> {
    pub(super) frame: Frame,
    pub(super) email: &'a str,
    pub(super) min_length: usize,
    /// Whether the session opens only this page, because somebody else chose the password.
    pub(super) must_change: bool,
    pub(super) api_keys: usize,
    /// The box of the form.
    pub(super) revoke_api_keys: bool,
    /// The page to go to afterwards; may be empty.
    pub(super) return_to: &'a str,
    pub(super) problem: Option<Problem>,
}

/// Why the password was not changed.
#[derive(Clone, Debug)]
pub(super) enum Problem {
    WrongPassword,
    Rejected(String),
    Throttled {
        /// Such as `30 seconds`.
        wait: String,
    },
    Busy,
}

impl PasswordPage<'_> {
    const fn heading(&self) -> &'static str {
        if self.must_change { "Choose your own password" } else { "Change password" }
    }

    const fn is_wrong(&self) -> bool {
        matches!(self.problem, Some(Problem::WrongPassword))
    }

    const fn is_rejected(&self) -> bool {
        matches!(self.problem, Some(Problem::Rejected(_)))
    }
}

#[derive(Deserialize)]
struct Query {
    return_to: Option<String>,
}

/// `GET /account/password`.
pub(in crate::http) async fn show(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let query: Query = extract::query(&request)?;
    let Visitor::SignedIn(holder) = Visitor::of(&request).await? else {
        return Ok(redirect(&request, &with_return("sign-in", "/account/password")));
    };
    if holder.is_sso_user {
        let error = Error::new(Code::Conflict, "you sign in through your organization's identity provider");
        return Ok(error::titled(&request, "You have no password here", error));
    }
    if sign_in_policies::is_bound(&app, holder.organization.organization_id, holder.user.user_id).await? {
        let error = Error::new(Code::Conflict, "your organization requires single sign-on: passwords don't sign in");
        return Ok(error::titled(&request, "Your password is not in use", error));
    }
    let page = page(&request, &app, &holder).await?;
    let return_to = visitor::return_to(query.return_to.as_deref()).unwrap_or_default();
    Ok(respond(StatusCode::OK, &PasswordPage { return_to, ..page }))
}

async fn page<'a>(request: &HttpRequest, app: &App, holder: &'a SessionHolder) -> Result<PasswordPage<'a>> {
    let must_change = holder.stage == Stage::MustChange;
    let api_keys = match must_change {
        true => 0,
        false => keys::count_own(app, &holder.caller(extract::origin(request), app.clock.now())).await?,
    };
    Ok(PasswordPage {
        frame: Frame::of(request),
        email: &holder.user.email,
        min_length: app.config.passwords.min_length,
        must_change,
        api_keys,
        revoke_api_keys: false,
        return_to: "",
        problem: None,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    /// Absent for an initial password.
    current_password: Option<Secret>,
    new_password: Secret,
    #[serde(default)]
    revoke_api_keys: bool,
    return_to: Option<String>,
}

/// `POST /account/password`.
pub(in crate::http) async fn submit(app: web::Data<App>, mut body: Body) -> Result<HttpResponse> {
    let Visitor::SignedIn(holder) = Visitor::of(&body.request).await? else {
        return Ok(redirect(&body.request, &with_return("sign-in", "/account/password")));
    };
    let Form { current_password, new_password, revoke_api_keys, return_to } = body.form().await?;
    let request = &body.request;
    let return_to = visitor::return_to(return_to.as_deref());
    let device = session::device(request);
    let caller = holder.caller(extract::origin(request), app.clock.now());
    let change = NewPassword { current: current_password, new: new_password, revoke_api_keys, device };
    let error = match sign_in::change_password(&app, &caller, change).await {
        Ok(changed) => {
            let mut response = match return_to {
                Some(_) => redirect_back(request, return_to),
                None => redirect(request, "account?done=password"),
            };
            if let Some(session) = &changed.session {
                session::set(&mut response, session, changed.device.as_ref(), app.clock.now());
            }
            return Ok(response);
        }
        Err(error) => error,
    };
    let problem = match error.code() {
        Code::WrongPassword => Problem::WrongPassword,
        Code::PasswordRejected => Problem::Rejected(reason(&error.to_string())),
        Code::Throttled => Problem::Throttled { wait: wait(&error) },
        Code::Overloaded => Problem::Busy,
        _ => return Err(error),
    };
    let page = page(request, &app, &holder).await?;
    let return_to = return_to.unwrap_or_default();
    Ok(respond_error(error, &PasswordPage { problem: Some(problem), revoke_api_keys, return_to, ..page }))
}
