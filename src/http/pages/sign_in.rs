//! `/sign-in`: address and password, or an identity provider.

#![cfg_attr(not(test), expect(dead_code, reason = "the handlers follow"))]

use askama::Template;

use super::{Frame, Moment};

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignIn<'a> {
    pub(super) frame: Frame,
    /// The name of the organization, if it is known.
    pub(super) organization_name: Option<&'a str>,
    /// Whether the server has several organizations.
    pub(super) asks_organization: bool,
    /// The organization's short name as it was entered.
    pub(super) organization: &'a str,
    pub(super) email: &'a str,
    /// The page to go to afterwards; may be empty.
    pub(super) return_to: &'a str,
    pub(super) notice: Option<Notice>,
    pub(super) problem: Option<Problem>,
    pub(super) providers: &'a [Provider<'a>],
}

/// Why the person sees the page, if not by going there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    SignedOut,
    SessionEnded,
    PasswordChanged,
    /// The session is not fresh enough for an action; the account is known.
    Confirm,
}

/// Why a sign-in failed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Problem {
    Refused,
    Throttled { until: Moment },
    Busy,
}

/// A button that leads to an identity provider.
#[derive(Debug)]
pub(super) struct Provider<'a> {
    pub(super) title: &'a str,
    /// The path below the root of this server.
    pub(super) start: String,
    pub(super) unreachable_since: Option<Moment>,
}

impl SignIn<'_> {
    fn is_again(&self) -> bool {
        self.notice == Some(Notice::Confirm)
    }

    fn is_refused(&self) -> bool {
        matches!(self.problem, Some(Problem::Refused))
    }

    fn heading(&self) -> &'static str {
        if self.is_again() { "Confirm that it’s you" } else { "Sign in" }
    }
}

/// The cookie did not come back after a sign-in.
#[derive(Template)]
#[template(path = "sign_in_check.html")]
pub(super) struct CookieMissing<'a> {
    pub(super) frame: Frame,
    /// The address of the request.
    pub(super) here: &'a str,
    /// `server.public_url`, if it is another one.
    pub(super) other_address: Option<&'a str>,
    pub(super) is_https: bool,
}

#[derive(Template)]
#[template(path = "https_needed.html")]
pub(super) struct HttpsNeeded<'a> {
    pub(super) frame: Frame,
    /// `server.public_url`, if it is one with HTTPS.
    pub(super) https_address: Option<&'a str>,
}
