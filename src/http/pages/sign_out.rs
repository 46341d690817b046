//! `/sign-out`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::visitor::{Visitor, redirect};
use super::{Frame, respond};
use crate::app::App;
use crate::error::Result;
use crate::http::{extract, session};
use crate::sso;

#[derive(Template)]
#[template(path = "sign_out.html")]
pub(super) struct SignOutPage<'a> {
    pub(super) frame: Frame,
    pub(super) state: SignOut<'a>,
}

#[derive(Debug)]
pub(super) enum SignOut<'a> {
    Ask { email: &'a str },
    Done { provider: Option<Provider<'a>> },
}

/// The provider through which the session began.
#[derive(Debug)]
pub(super) struct Provider<'a> {
    pub(super) title: &'a str,
    /// Where to end its own session, if it has such an address.
    pub(super) logout: Option<&'a str>,
}

impl SignOutPage<'_> {
    const fn heading(&self) -> &'static str {
        match self.state {
            SignOut::Ask { .. } => "Sign out?",
            SignOut::Done { .. } => "You are signed out",
        }
    }
}

/// `GET /sign-out`, which only asks, and says so when nobody is signed in.
pub(in crate::http) async fn show(request: HttpRequest) -> Result<HttpResponse> {
    let visitor = Visitor::of(&request).await?;
    let state = match &visitor {
        Visitor::SignedIn(holder) => SignOut::Ask { email: &holder.user.email },
        Visitor::Anonymous { .. } => SignOut::Done { provider: None },
    };
    Ok(respond(StatusCode::OK, &SignOutPage { frame: Frame::of(&request), state }))
}

/// `POST /sign-out`. Succeeds without a valid session, too.
pub(in crate::http) async fn submit(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let provider = match session::holder(&request).await {
        Ok(Some(holder)) => {
            let caller = holder.caller(extract::origin(&request), app.clock.now());
            sso::provider_of(&app, holder.session_id, &caller).await?
        }
        _ => None,
    };
    session::sign_out(&app, &request).await?;
    let mut response = match &provider {
        Some((title, logout)) => {
            let provider = Provider { title, logout: logout.as_deref() };
            let state = SignOut::Done { provider: Some(provider) };
            respond(StatusCode::OK, &SignOutPage { frame: Frame::of(&request), state })
        }
        None => redirect(&request, "sign-out"),
    };
    session::clear_with_drafts(&mut response);
    Ok(response)
}
