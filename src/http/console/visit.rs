//! Who visits a page of the console, and what they send.

use std::sync::Arc;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use super::shell::{Place, Shell};
use crate::app::App;
use crate::caller::{Caller, SessionHolder};
use crate::error::Result;
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

impl Visit {
    /// The visitor of a page, or the response that sends others to sign in first, and back to the page.
    ///
    /// # Errors
    /// `cross_site`; `rate_limited`; those of the database.
    pub(super) async fn of(
        request: &HttpRequest,
        app: &App,
        place: Place,
    ) -> Result<std::result::Result<Self, Box<HttpResponse>>> {
        let page = request.uri().path_and_query().map_or("/console", |page| page.as_str());
        // A form that is sent without a session, and that is too large or of another kind, can't be returned.
        let page = if request.method() == Method::POST { request.path() } else { page };
        let holder = match Visitor::of(request).await?.full(request, page) {
            Ok(holder) => holder,
            Err(response) => return Ok(Err(response)),
        };
        let now = app.clock.now();
        let shell = Shell::new(request, &holder, place);
        // For errors, which are shown inside the frame.
        let caller = holder.caller(extract::origin(request), now);
        request.extensions_mut().insert(shell.clone());
        request.extensions_mut().insert(caller);
        Ok(Ok(Self { holder, caller, now, shell }))
    }

    /// The visitor who has sent a form, and the form.
    ///
    /// # Errors
    /// As [`Visit::of`]; `unsupported_media_type`; `invalid_request` for a malformed form.
    pub(super) async fn with_form<T: DeserializeOwned>(
        request: &HttpRequest,
        app: &App,
        place: Place,
        body: &mut Body,
    ) -> Result<std::result::Result<(Self, T), Box<HttpResponse>>> {
        let visit = Self::of(request, app, place).await?;
        let visit = match visit {
            Ok(visit) => visit,
            // Only a form of this server's own page: what another site sends is not offered to be sent again.
            Err(_) => {
                browser::check_origin(request, true)?;
                let fields: Vec<(String, String)> = body.form().await?;
                return Ok(Err(Box::new(session_over(request, fields))));
            }
        };
        let form = body.form().await?;
        Ok(Ok((visit, form)))
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
