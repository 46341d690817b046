//! `/sign-out`.

#![cfg_attr(not(test), expect(dead_code, reason = "the handlers follow"))]

use askama::Template;

use super::Frame;

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
