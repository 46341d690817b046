//! `/password/…`: choosing a password with a link, and asking for one.

#![cfg_attr(not(test), expect(dead_code, reason = "the handlers follow"))]

use askama::Template;

use super::{Frame, Moment};

#[derive(Template)]
#[template(path = "password_link.html")]
pub(super) struct Link<'a> {
    pub(super) frame: Frame,
    pub(super) organization_name: &'a str,
    pub(super) email: &'a str,
    pub(super) min_length: usize,
    /// Why the password was rejected.
    pub(super) reasons: &'a [String],
    pub(super) is_busy: bool,
    /// Whether the link is the local operator's, for a user without a password.
    pub(super) is_recovery: bool,
}

impl Link<'_> {
    const fn heading(&self) -> &'static str {
        if self.is_recovery { "Sign in with a recovery link" } else { "Choose a password" }
    }
}

#[derive(Template)]
#[template(path = "password_forgot.html")]
pub(super) struct ForgotPage<'a> {
    pub(super) frame: Frame,
    pub(super) state: Forgot<'a>,
}

/// The states of `/password/forgot`.
#[derive(Debug)]
pub(super) enum Forgot<'a> {
    Form { email: &'a str, asks_organization: bool, organization: &'a str, throttled_until: Option<Moment> },
    Sent,
    NoMail,
}

impl ForgotPage<'_> {
    const fn heading(&self) -> &'static str {
        match self.state {
            Forgot::Form { .. } => "Forgot your password?",
            Forgot::Sent => "Look into your mail",
            Forgot::NoMail => "Ask for a link",
        }
    }
}
