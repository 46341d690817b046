//! HTML pages for people: one stylesheet, no scripts, no external resources.
//!
//! | file | pages |
//! |---|---|
//! | `sign_in.rs` | `/sign-in` and what can go wrong with it |
//! | `password.rs` | `/password/…`: links with which people choose a password |
//! | `account.rs`, `account_password.rs` | `/account/…`: sessions, changing the password |
//! | `login.rs` | `/login/{otp}`: approving a login of a program |
//! | `sign_out.rs`, `sso.rs`, `error.rs` | signing out; failures of identity providers; all other errors |
//! | `invitation.rs`, `guide.rs` | accepting an invitation; pages to which the vendor's client refers |
//! | `visitor.rs` | who visits a page, and where to send them |
//! | `assets.rs` | the stylesheet and the icon |
//!
//! A page is a struct with an askama template in `templates/`. `cargo test previews` renders all of them in all states into
//! `target/pages/`, where a browser opens them without a server.
//!
//! # Decisions
//!
//! *Templates escape every value*; a test rejects the filter that turns this off.
//!
//! *A strict Content Security Policy*: styles and images of this server only, and forms to this server. Scripts, frames and
//! other origins are blocked. The pages of the console ([`super::console`]) may load their script.
//!
//! *Links are relative to the page*, as muster may run behind a path prefix.
//!
//! *Pages with a form send their origin, the others send no referrer.* With `no-referrer`, browsers send `Origin: null` with
//! the page's own form, which is rejected as a request of another site.

pub(super) mod account;
pub(super) mod account_password;
pub(super) mod assets;
pub(super) mod error;
pub(super) mod guide;
pub(super) mod invitation;
pub(super) mod login;
pub(super) mod password;
pub(super) mod sign_in;
pub(super) mod sign_out;
pub(super) mod sso;
#[cfg(test)]
mod tests;
mod visitor;

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, PERMISSIONS_POLICY, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use chrono::{DateTime, Datelike, Utc};

use crate::error::Error;

pub(super) use visitor::{Visitor, redirect, redirect_back, return_to, with_return};

/// What a browser may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// No scripts.
    Page,
    /// The script of the console, and nothing else.
    Console,
}

impl Policy {
    const fn content_security(self) -> &'static str {
        match self {
            Self::Page => {
                "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                 frame-ancestors 'none'"
            }
            Self::Console => {
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                 form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                 trusted-types 'none'"
            }
        }
    }

    const fn permissions(self) -> &'static str {
        match self {
            Self::Page => "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=()",
            Self::Console => "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self)",
        }
    }
}

/// Paths below which a person gets pages, also for errors.
const PREFIXES: [&str; 8] =
    ["/console", "/sign-in", "/sign-out", "/password/", "/account", "/login/", "/invitations/", "/sso/"];

/// Whether errors of a path are pages.
pub(super) fn is_page(path: &str) -> bool {
    PREFIXES.iter().any(|prefix| match path.strip_prefix(prefix) {
        Some(rest) => prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
        None => false,
    })
}

/// What every page has.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    /// The way from the page to the root of this server: empty, or `../` for each folder.
    pub(super) root: String,
}

impl Frame {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let folders = request.path().matches('/').count().saturating_sub(1);
        Self { root: "../".repeat(folders) }
    }

    pub(super) fn stylesheet(&self) -> &'static str {
        &assets::STYLESHEET.path
    }

    pub(super) fn icon(&self) -> &'static str {
        &assets::ICON.path
    }
}

/// A time as people read it: the day only if it is not today. Always in UTC, which the server knows; it does not know where
/// the person is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) at: DateTime<Utc>,
    pub(super) now: DateTime<Utc>,
}

impl Moment {
    /// For a list.
    pub(super) const fn short(self) -> Short {
        Short { moment: self, has_time: false }
    }

    /// With the time of the day, where the page says which zone it is in.
    pub(super) const fn dated(self) -> Short {
        Short { moment: self, has_time: true }
    }

    pub(super) fn iso(self) -> String {
        self.at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// A time on a page that names the zone once: the day, or the time of today.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    moment: Moment,
    /// Whether other days have their time, too.
    has_time: bool,
}

impl Short {
    pub(super) fn iso(self) -> String {
        self.moment.iso()
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment { at, now } = self.moment;
        match (at.date_naive() == now.date_naive(), self.has_time) {
            (true, _) => write!(f, "Today {}", at.format("%H:%M")),
            (false, false) => write!(f, "{}", at.format("%-d %b %Y")),
            (false, true) => write!(f, "{}", at.format("%-d %b %Y, %H:%M")),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (day, today) = (self.at.date_naive(), self.now.date_naive());
        match () {
            () if day == today => write!(f, "{}", self.at.format("%H:%M UTC")),
            () if day.year() == today.year() => write!(f, "{}", self.at.format("%-d %B, %H:%M UTC")),
            () => write!(f, "{}", self.at.format("%-d %B %Y, %H:%M UTC")),
        }
    }
}

pub(super) fn full_name(name: &str, lastname: Option<&str>) -> String {
    match lastname.filter(|lastname| !lastname.is_empty()) {
        Some(lastname) => format!("{name} {lastname}"),
        None => name.to_owned(),
    }
}

/// A message of an operation as a sentence of a page.
pub(super) fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if message.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// Why a new password was rejected: the part of the message after the colon. The message is also for administrators, who set passwords of
/// others.
fn reason(message: &str) -> String {
    let message = message.replace("the person's name", "your name");
    sentence(message.split_once(": ").map_or(message.as_str(), |(_, reason)| reason))
}

/// A page.
pub(super) fn respond(status: StatusCode, page: &impl Template) -> HttpResponse {
    fill(HttpResponse::new(status), page, Policy::Page)
}

/// As [`respond`], with the status and the headers of an error.
pub(super) fn respond_error(error: Error, page: &impl Template) -> HttpResponse {
    fill(HttpResponse::from_error(error), page, Policy::Page)
}

/// Gives a response its page.
pub(super) fn fill(mut response: HttpResponse, page: &impl Template, policy: Policy) -> HttpResponse {
    let text = text(page);
    set_headers(response.headers_mut(), &text, policy);
    response.set_body(BoxBody::new(text))
}

/// Writing to a string does not fail.
pub(super) fn text(page: &impl Template) -> String {
    page.render().unwrap_or_default()
}

/// Sets the headers of a page with this text: it is not cached or framed, and its address, which may contain a secret, is not
/// sent to other sites.
pub(super) fn set_headers(headers: &mut HeaderMap, text: &str, policy: Policy) {
    let referrer = if text.contains("<form") { "same-origin" } else { "no-referrer" };
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, referrer),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, policy.content_security()),
        (PERMISSIONS_POLICY, policy.permissions()),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
