//! Who visits a page of the console, and what they send.

use std::sync::Arc;

use actix_web::error::InternalError;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use super::shell::{Place, Shell};
use crate::app::App;
use crate::caller::{Caller, SessionHolder};
use crate::error::Error;
use crate::http::body::Body;
use crate::http::pages::{self, Frame, Moment, Visitor};
use crate::http::{browser, extract};

/// A visit of a person who has signed in.
pub(super) struct Visit {
    pub(super) holder: Arc<SessionHolder>,
    pub(super) caller: Caller,
    pub(super) now: DateTime<Utc>,
    pub(super) shell: Shell,
}

/// The page of somebody whose session ended while a form was open: what was entered is kept, and can be sent again.
#[derive(Template)]
#[template(path = "console/session_over.html")]
pub(super) struct SessionOver {
    pub(super) frame: Frame,
    /// The names and values of the form, without secrets.
    pub(super) fields: Vec<(String, String)>,
}

/// Why a handler ends before its page: an error, or a response that sends the visitor elsewhere.
pub(super) enum Stop {
    Error(Error),
    Response(Box<HttpResponse>),
}

/// What a handler of the console returns.
pub(super) type Handled<T = HttpResponse> = std::result::Result<T, Stop>;

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<HttpResponse> for Stop {
    fn from(response: HttpResponse) -> Self {
        Self::Response(Box::new(response))
    }
}

impl From<Stop> for actix_web::Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Error(error) => error.into(),
            Stop::Response(response) => InternalError::from_response("sent elsewhere", *response).into(),
        }
    }
}

impl Visit {
    /// The visitor of a page. Others are sent to sign in first, and back to the page.
    ///
    /// # Errors
    /// `cross_site`; `rate_limited`; those of the database.
    pub(super) async fn of(request: &HttpRequest, app: &App, place: Place) -> Handled<Self> {
        let page = request.uri().path_and_query().map_or("/console", |page| page.as_str());
        // A form that is sent without a session, and that is too large or of another kind, can't be returned.
        let page = if request.method() == Method::POST { request.path() } else { page };
        let holder = Visitor::of(request).await?.full(request, page).map_err(Stop::Response)?;
        let now = app.clock.now();
        let shell = Shell::new(request, &holder, place);
        // For errors, which are shown inside the frame.
        let caller = holder.caller(extract::origin(request), now);
        request.extensions_mut().insert(shell.clone());
        request.extensions_mut().insert(caller);
        Ok(Self { holder, caller, now, shell })
    }

    /// The visitor who has sent a form, and the form. Somebody whose session has ended gets the form back.
    ///
    /// # Errors
    /// As [`Visit::of`]; `unsupported_media_type`; `invalid_request` for a malformed form.
    pub(super) async fn with_form<T: DeserializeOwned>(
        request: &HttpRequest,
        app: &App,
        place: Place,
        body: &mut Body,
    ) -> Handled<(Self, T)> {
        match Self::of(request, app, place).await {
            Ok(visit) => Ok((visit, body.form().await?)),
            Err(Stop::Response(_)) => {
                // Only a form of this server's own page: what another site sends is not offered to be sent again.
                browser::check_origin(request, true)?;
                let fields: Vec<(String, String)> = body.form().await?;
                Err(session_over(request, fields).into())
            }
            Err(stop) => Err(stop),
        }
    }

    /// A time, as it is shown now.
    pub(super) const fn moment(&self, at: DateTime<Utc>) -> Moment {
        Moment { at, now: self.now }
    }
}

fn session_over(request: &HttpRequest, fields: Vec<(String, String)>) -> HttpResponse {
    let fields = fields.into_iter().filter(|(name, _)| !name.contains("password")).collect();
    pages::respond(StatusCode::UNAUTHORIZED, &SessionOver { frame: Frame::of(request), fields })
}
