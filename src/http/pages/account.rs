//! `/account`: who one is, how one signs in, and where.

#![cfg_attr(not(test), expect(dead_code, reason = "the handlers follow"))]

use askama::Template;

use super::{Frame, Moment};

#[derive(Template)]
#[template(path = "account.html")]
pub(super) struct AccountPage<'a> {
    pub(super) frame: Frame,
    /// First and last name.
    pub(super) name: &'a str,
    pub(super) email: &'a str,
    pub(super) title: Option<&'a str>,
    pub(super) user_id: String,
    pub(super) organization_name: &'a str,
    pub(super) is_owner: bool,
    pub(super) is_sso_user: bool,
    pub(super) password_set: Option<Moment>,
    pub(super) api_keys: usize,
    pub(super) sessions: Vec<SessionRow<'a>>,
    pub(super) identities: Vec<IdentityRow<'a>>,
    pub(super) notice: Option<Notice>,
}

/// What has just been done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notice {
    PasswordChanged,
    SessionEnded,
}

#[derive(Debug)]
pub(super) struct SessionRow<'a> {
    pub(super) id: String,
    /// A short name, such as `Firefox on Windows`.
    pub(super) browser: &'a str,
    /// Such as `203.0.113.0/24`.
    pub(super) network: Option<String>,
    pub(super) since: Moment,
    pub(super) last_seen: Moment,
    /// How it began, such as `with password`.
    pub(super) method: &'a str,
    pub(super) is_this: bool,
}

#[derive(Debug)]
pub(super) struct IdentityRow<'a> {
    pub(super) provider: &'a str,
    pub(super) bound: Moment,
    pub(super) last_used: Option<Moment>,
    /// The address at the provider, if it is another one.
    pub(super) email_seen: Option<&'a str>,
}
