//! `/sso/{organization}/{provider}/…`: signing in through an identity provider, and the pages of sign-ins that fail. None of them
//! starts another attempt by itself.
//!
//! # Decisions
//!
//! *A response is taken only in the browser that began the sign-in*, which has its cookie. A provider, or a page that knows it, can
//! ask to begin one (Core 1.0, section 4); then the browser goes to the provider as from the sign-in page.

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use askama::Template;
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::json;

use super::visitor::Visitor;
use super::{Frame, error, respond, visitor};
use crate::app::App;
use crate::caller::{Action, Stage};
use crate::error::{Code, Error, Result};
use crate::http::body::Body;
use crate::http::log::Note;
use crate::http::{extract, session};
use crate::sso::{self, Arrived, Denial, DenialClass, Departure, Provider, Purpose, SsoError};

/// How many sign-ins can be in progress in one browser: the oldest one is given up for another one.
const TABS: usize = 5;

/// The longest page to return to, in bytes; a longer one is left out. It travels in the encrypted cookie, and nginx by default takes no
/// response with more than 4 KiB of headers.
const LONGEST_RETURN: usize = 1024;

/// The longest hint of an address, in bytes.
const LONGEST_HINT: usize = 254;

/// How a sign-in begins. The names are those of the sign-in page, and of OpenID Connect Core 1.0, section 4.
#[derive(Debug, Default, Deserialize)]
pub(in crate::http) struct Start {
    return_to: Option<String>,
    login_hint: Option<String>,
    /// The issuer, if a third party asks.
    iss: Option<String>,
    target_link_uri: Option<String>,
    /// Whether the person who is signed in has to authenticate again.
    again: Option<String>,
    /// Whether the provider asks for the account.
    another: Option<String>,
}

/// A logout token.
#[derive(Deserialize)]
pub(in crate::http) struct Logout {
    logout_token: String,
}

fn names(request: &HttpRequest) -> (&str, &str) {
    let part = |name| request.match_info().get(name).unwrap_or_default();
    (part("organization"), part("provider"))
}

async fn provider(app: &App, request: &HttpRequest) -> Result<Provider> {
    let (organization, provider) = names(request);
    app.in_time(Provider::find(app, organization, provider)).await?
}

/// Sends the browser to the provider.
pub(in crate::http) async fn start(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse> {
    let parameters = extract::form_encoded("query string", request.query_string())?;
    begin(&app, &request, &parameters).await
}

/// As [`start`], for a third party that sends a form.
pub(in crate::http) async fn start_by_form(app: web::Data<App>, mut body: Body) -> Result<HttpResponse> {
    let parameters: Start = body.form().await?;
    if parameters.iss.is_none() {
        return Err(Error::invalid("the form has no `iss`"));
    }
    begin(&app, &body.request, &parameters).await
}

async fn begin(app: &App, request: &HttpRequest, parameters: &Start) -> Result<HttpResponse> {
    if let Some(page) = visitor::needs_https(request) {
        return Ok(page);
    }
    let provider = provider(app, request).await?;
    if parameters.iss.as_ref().is_some_and(|issuer| !provider.is_issuer(issuer)) {
        return Err(Error::invalid("`iss` is not the issuer of this identity provider"));
    }
    let purpose = match (&parameters.again, session::holder(request).await) {
        (Some(_), Ok(Some(holder))) => Purpose::Again(holder.user.user_id),
        _ if parameters.another.is_some() => Purpose::SignInWithAnother,
        _ => Purpose::SignIn,
    };
    let base_url = sso::base_url(&app.config.server).unwrap_or_default();
    let target = parameters.target_link_uri.as_deref().and_then(|target| target.strip_prefix(base_url));
    let return_to = visitor::return_to(parameters.return_to.as_deref().or(target));
    let return_to = return_to.filter(|page| page.len() <= LONGEST_RETURN);
    let departure = Departure {
        return_to: return_to.unwrap_or_default().to_owned(),
        login_hint: parameters.login_hint.as_deref().filter(|hint| hint.len() <= LONGEST_HINT),
        purpose,
    };
    match provider.depart(app, &departure, &session::client(request)).await {
        Ok(departed) => Ok(with_cookie(request, visitor::see_other(&departed.location), departed.cookie)),
        Err(error) => failed(request, &provider, error, return_to),
    }
}

/// `POST /account/identities/{provider}/link`: sends the browser to the provider, to link the identity there to the account.
pub(in crate::http) async fn link(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse> {
    let holder = match Visitor::of(&request).await?.full(&request, "/account") {
        Ok(holder) => holder,
        Err(redirect) => return Ok(*redirect),
    };
    let caller = holder.caller(extract::origin(&request), app.clock.now());
    if let Err(error) = app.authorize(&caller, Action::SsoIdentityLink).await {
        return reauthenticate(&request, error);
    }
    let name = request.match_info().get("provider").unwrap_or_default();
    let provider = app.in_time(Provider::find(&app, &caller.organization_id.to_string(), name)).await??;
    let departure = Departure { purpose: Purpose::Link(holder.user.user_id), ..Departure::default() };
    match provider.depart(&app, &departure, &session::client(&request)).await {
        Ok(departed) => {
            let page =
                ContinuePage { frame: Frame::of(&request), provider: provider.title(), location: &departed.location };
            Ok(with_cookie(&request, respond(StatusCode::OK, &page), departed.cookie))
        }
        Err(SsoError::Denied(denial)) => failed(&request, &provider, SsoError::NotLinked(denial), None),
        Err(error) => failed(&request, &provider, error, None),
    }
}

/// Sends a person who authenticated too long ago to the sign-in page, and back to the account.
pub(super) fn reauthenticate(request: &HttpRequest, error: Error) -> Result<HttpResponse> {
    if error.code() != Code::ReauthenticationNeeded {
        return Err(error);
    }
    Ok(visitor::redirect(request, &format!("{}&again=1", visitor::with_return("sign-in", "/account"))))
}

/// Adds the cookie of a sign-in in progress, and removes the oldest ones.
fn with_cookie(request: &HttpRequest, mut response: HttpResponse, (name, value): (String, String)) -> HttpResponse {
    for name in surplus(request) {
        session::add(&mut response, &name, "", TimeDelta::zero());
    }
    session::add(&mut response, &name, &value, sso::COOKIE_LIFETIME);
    response
}

/// The browser comes back from the provider.
pub(in crate::http) async fn callback(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse> {
    if request.method() == Method::HEAD {
        return Err(Error::new(Code::MethodNotAllowed, "the response of an identity provider is taken by GET"));
    }
    let provider = provider(&app, &request).await?;
    let cookie = |name: &str| session::cookie(&request, name).ok().flatten();
    let holder = session::holder(&request).await.ok().flatten().filter(|holder| holder.stage == Stage::Full);
    let client = session::client(&request);
    let caller = holder.map(|holder| holder.caller(client.origin, app.clock.now()));
    let arrived = provider.arrive(&app, request.query_string(), cookie, &client, caller.as_ref()).await;
    let mut response = match arrived {
        Ok(Arrived::SignedIn { session, return_to }) => {
            session::end_previous(&app, &request).await;
            let page = visitor::return_to(Some(&return_to));
            let check =
                page.map_or_else(|| "sign-in/check".to_owned(), |page| visitor::with_return("sign-in/check", page));
            let mut response = visitor::redirect(&request, &check);
            session::set(&mut response, &session, None, app.clock.now());
            response
        }
        Ok(Arrived::Linked) => visitor::redirect(&request, "account?done=linked"),
        // The page was opened again, such as by going back.
        Err(SsoError::Denied(denial)) if denial.class == DenialClass::BadState && is_signed_in(&request).await => {
            visitor::redirect(&request, "account")
        }
        Err(SsoError::Server(error)) if error.code() == Code::ReauthenticationNeeded => {
            reauthenticate(&request, error)?
        }
        Err(error) => {
            let wanted = provider.return_to(&app, request.query_string(), cookie);
            let page = failed(&request, &provider, error, visitor::return_to(wanted.as_deref()));
            page.unwrap_or_else(|error| error::page(&request, error))
        }
    };
    if let Some(name) = sso::cookie_of_query(request.query_string()) {
        session::add(&mut response, &name, "", TimeDelta::zero());
    }
    Ok(response)
}

async fn is_signed_in(request: &HttpRequest) -> bool {
    matches!(session::holder(request).await, Ok(Some(_)))
}

/// The provider ends the sessions of a person (OpenID Connect Back-Channel Logout 1.0).
pub(in crate::http) async fn log_out(app: web::Data<App>, mut body: Body) -> HttpResponse {
    let ended = async {
        let Logout { logout_token } = body.form().await?;
        let provider = provider(&app, &body.request).await?;
        match provider.log_out(&app, &logout_token, extract::origin(&body.request)).await {
            Ok(_) => Ok(()),
            Err(SsoError::Server(error)) => Err(error),
            Err(SsoError::Denied(denial) | SsoError::NotLinked(denial)) => {
                Err(Error::unavailable("the identity provider's keys can't be read").with_source(denial))
            }
        }
    };
    let mut response = match ended.await {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(error) if error.code() == Code::InvalidRequest => {
            let detail = error.to_string();
            HttpResponse::BadRequest().json(json!({ "error": "invalid_request", "error_description": detail }))
        }
        Err(error) => HttpResponse::from_error(error),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The oldest cookies of sign-ins in progress, so that one more has its place.
fn surplus(request: &HttpRequest) -> Vec<String> {
    let mut pending = session::cookies(request, sso::COOKIE_PREFIX);
    pending.sort_by_key(|(_, value)| std::cmp::Reverse(sso::cookie_made_at(value)));
    pending.into_iter().skip(TABS - 1).map(|(name, _)| name).collect()
}

/// The page of a sign-in, or of a link, that failed. The other ways to sign in lead to `return_to`, too.
fn failed(
    request: &HttpRequest,
    provider: &Provider,
    error: SsoError,
    return_to: Option<&str>,
) -> Result<HttpResponse> {
    let (denial, is_link) = match error {
        SsoError::Denied(denial) => (denial, false),
        SsoError::NotLinked(denial) => (denial, true),
        SsoError::Server(error) => return Err(error),
    };
    let status = match denial.class {
        DenialClass::Unreachable | DenialClass::NoPublicUrl => StatusCode::SERVICE_UNAVAILABLE,
        DenialClass::BadState | DenialClass::ExpiredFlow => StatusCode::BAD_REQUEST,
        _ => StatusCode::FORBIDDEN,
    };
    let way = |path: &str| return_to.map_or_else(|| path.to_owned(), |page| visitor::with_return(path, page));
    let start = way(provider.start_path().trim_start_matches('/'));
    let page = SsoErrorPage {
        frame: Frame::of(request),
        failure: (&denial).into(),
        is_link,
        provider: provider.title(),
        email: denial.email.as_deref(),
        another: format!("{start}{}another=1", if start.contains('?') { '&' } else { '?' }),
        start,
        sign_in: way("sign-in"),
        request_id: request.extensions().get::<Note>().map(|note| note.request_id.to_string()).unwrap_or_default(),
    };
    Ok(respond(status, &page))
}

impl From<&Denial> for SsoFailure {
    fn from(denial: &Denial) -> Self {
        match denial.class {
            DenialClass::Denied => Self::Denied,
            DenialClass::ProviderError => Self::ProviderError,
            DenialClass::Unreachable => Self::Unreachable,
            DenialClass::NoPublicUrl => Self::NoPublicUrl,
            DenialClass::BadState => Self::BadState,
            DenialClass::ExpiredFlow => Self::ExpiredFlow,
            DenialClass::BadToken => Self::BadToken,
            DenialClass::Clock => Self::Clock { difference: difference(denial.clock_ahead.unwrap_or_default()) },
            DenialClass::NoAccount => Self::NoAccount,
            DenialClass::PasswordUser => Self::PasswordUser,
            DenialClass::NotProved => Self::NotProved,
            DenialClass::AlreadyLinked => Self::AlreadyLinked,
            DenialClass::Suspended => Self::Suspended,
            DenialClass::Off => Self::Off,
            DenialClass::WrongTenant => Self::WrongTenant,
        }
    }
}

/// A difference of clocks in words.
fn difference(seconds: i64) -> String {
    match seconds.unsigned_abs() {
        seconds if seconds < 120 => format!("{seconds} seconds"),
        seconds if seconds < 7_200 => format!("{} minutes", seconds / 60),
        seconds => format!("{} hours", seconds / 3_600),
    }
}

/// The way to a provider after a form was accepted. Not a redirect: browsers follow one to another site only if the policy of the page
/// with the form allows forms to that site.
#[derive(Template)]
#[template(path = "sso_continue.html")]
pub(super) struct ContinuePage<'a> {
    pub(super) frame: Frame,
    /// The title of the provider.
    pub(super) provider: &'a str,
    pub(super) location: &'a str,
}

#[derive(Template)]
#[template(path = "sso_error.html")]
pub(super) struct SsoErrorPage<'a> {
    pub(super) frame: Frame,
    pub(super) failure: SsoFailure,
    /// Whether an identity was to be linked to the account of the person, who is signed in.
    pub(super) is_link: bool,
    /// The title of the provider.
    pub(super) provider: &'a str,
    /// The address that it reported.
    pub(super) email: Option<&'a str>,
    /// The path at which a sign-in through it begins, below the root of this server.
    pub(super) start: String,
    /// That at which one with another account begins.
    pub(super) another: String,
    /// That of the sign-in page.
    pub(super) sign_in: String,
    pub(super) request_id: String,
}

/// The classes of failures.
#[derive(Clone, Debug)]
pub(super) enum SsoFailure {
    Denied,
    ProviderError,
    Unreachable,
    NoPublicUrl,
    BadState,
    ExpiredFlow,
    BadToken,
    Clock {
        /// Such as `4 minutes`.
        difference: String,
    },
    NoAccount,
    PasswordUser,
    NotProved,
    AlreadyLinked,
    Suspended,
    Off,
    WrongTenant,
}

impl SsoFailure {
    /// Whether the same way may work the next time.
    const fn may_retry(&self) -> bool {
        matches!(
            self,
            Self::Denied
                | Self::ProviderError
                | Self::Unreachable
                | Self::BadState
                | Self::ExpiredFlow
                | Self::BadToken
        )
    }

    /// Whether another account at the provider may work.
    const fn helps_another(&self) -> bool {
        matches!(self, Self::NoAccount | Self::PasswordUser | Self::NotProved | Self::Suspended | Self::WrongTenant)
    }
}

impl SsoErrorPage<'_> {
    const fn heading(&self) -> &'static str {
        match self.failure {
            _ if self.is_link && !matches!(self.failure, SsoFailure::Unreachable) => "Not linked",
            SsoFailure::Denied => "Sign-in canceled",
            SsoFailure::ProviderError | SsoFailure::BadToken => "Sign-in did not work",
            SsoFailure::Unreachable => "The identity provider does not respond",
            SsoFailure::NoPublicUrl => "Single sign-on is not set up",
            SsoFailure::BadState | SsoFailure::ExpiredFlow => "This sign-in is over",
            SsoFailure::Clock { .. } => "The clocks differ",
            SsoFailure::NoAccount => "No account",
            SsoFailure::PasswordUser => "Sign in with your password",
            SsoFailure::NotProved => "Address not confirmed",
            SsoFailure::AlreadyLinked => "Already linked",
            SsoFailure::Suspended => "Account suspended",
            SsoFailure::Off => "Single sign-on is off",
            SsoFailure::WrongTenant => "Another organization’s account",
        }
    }
}
