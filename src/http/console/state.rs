//! What a person's account is like now: a shape and a word.

use chrono::{DateTime, Utc};

use crate::users::{Status, UserDetails};

/// The state of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Active,
    NeverSignedIn,
    /// Neither a password nor single sign-on.
    CannotSignIn,
    Suspended,
    Expired,
}

impl State {
    pub(super) fn of(user: &UserDetails, now: DateTime<Utc>) -> Self {
        match user.status {
            Status::Suspended => Self::Suspended,
            Status::Active if user.expires_at.is_some_and(|expires_at| expires_at <= now) => Self::Expired,
            Status::Active if user.is_service_account => Self::Active,
            Status::Active if !user.is_sso_user && user.must_change_password.is_none() => Self::CannotSignIn,
            Status::Active if user.last_signed_in_at.is_none() => Self::NeverSignedIn,
            Status::Active => Self::Active,
        }
    }

    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Active => "ok",
            Self::NeverSignedIn => "busy",
            Self::CannotSignIn => "warn",
            Self::Suspended | Self::Expired => "off",
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::NeverSignedIn => "Never signed in",
            Self::CannotSignIn => "Can’t sign in",
            Self::Suspended => "Suspended",
            Self::Expired => "Expired",
        }
    }
}
