//! `/account/password`: changing one's own password.

#![cfg_attr(not(test), expect(dead_code, reason = "the handlers follow"))]

use askama::Template;

use super::{Frame, Moment};

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
    pub(super) problem: Option<Problem>,
}

/// Why the password was not changed.
#[derive(Clone, Debug)]
pub(super) enum Problem {
    WrongPassword,
    Rejected(Vec<String>),
    Throttled { until: Moment },
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
