//! The pages of sign-ins through an identity provider that fail. None of them starts another attempt by itself.

#![cfg_attr(not(test), allow(dead_code, reason = "there are no identity providers yet"))]

use askama::Template;

use super::Frame;

#[derive(Template)]
#[template(path = "sso_error.html")]
pub(super) struct SsoErrorPage<'a> {
    pub(super) frame: Frame,
    pub(super) failure: SsoFailure,
    /// The title of the provider.
    pub(super) provider: &'a str,
    /// The path at which a sign-in through it begins, below the root of this server.
    pub(super) start: &'a str,
    pub(super) request_id: String,
}

/// The classes of failures.
#[derive(Clone, Debug)]
pub(super) enum SsoFailure {
    Denied,
    ProviderError,
    Unreachable,
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
    Suspended,
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
                | Self::WrongTenant
        )
    }
}

impl SsoErrorPage<'_> {
    const fn heading(&self) -> &'static str {
        match self.failure {
            SsoFailure::Denied => "Sign-in canceled",
            SsoFailure::ProviderError | SsoFailure::BadToken => "Sign-in did not work",
            SsoFailure::Unreachable => "The identity provider does not respond",
            SsoFailure::BadState | SsoFailure::ExpiredFlow => "This sign-in is over",
            SsoFailure::Clock { .. } => "The clocks differ",
            SsoFailure::NoAccount => "No account",
            SsoFailure::PasswordUser => "Sign in with your password",
            SsoFailure::NotProved => "Address not confirmed",
            SsoFailure::Suspended => "Account suspended",
            SsoFailure::WrongTenant => "Another organization’s account",
        }
    }
}
