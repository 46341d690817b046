//! Why a sign-in through an identity provider fails.

use std::borrow::Cow;

use crate::id::{Id, User};
use crate::names::names;

names! {
    /// The class of a failure: the reason in the audit log, and the page that the person sees.
    pub enum DenialClass {
        /// The person declined at the provider.
        Denied = "sso_denied",
        /// The provider answered with an error.
        ProviderError = "sso_provider_error",
        /// The provider can't be reached, or its answer can't be used.
        Unreachable = "sso_unreachable",
        /// This server has no address to which the provider can send people back.
        NoPublicUrl = "sso_no_public_url",
        /// The answer does not belong to a sign-in that this browser began, or repeats one.
        BadState = "sso_bad_state",
        /// The sign-in began too long ago.
        ExpiredFlow = "sso_expired_flow",
        /// The provider's token is invalid.
        BadToken = "sso_bad_token",
        /// The provider's clock differs too much.
        Clock = "sso_clock",
        /// The person has no account.
        NoAccount = "sso_no_account",
        /// The account with this address signs in with a password.
        PasswordUser = "sso_password_user",
        /// The provider does not vouch for the address.
        NotProved = "sso_not_proved",
        /// The identity is bound to an account already, or the account that it should be linked to has one of this provider.
        AlreadyLinked = "sso_already_linked",
        /// The account is suspended, expired, or a service account.
        Suspended = "sso_suspended",
        /// The organization has single sign-on turned off.
        Off = "sso_off",
        /// The person belongs to another tenant of the provider.
        WrongTenant = "sso_wrong_tenant",
    }
}

/// A failed sign-in. The detail is for the log: people see the class only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {detail}")]
pub struct Denial {
    /// What the person and the audit log see.
    pub class: DenialClass,
    /// What exactly is wrong.
    pub detail: Cow<'static, str>,
    /// The account that is meant, if it is known.
    pub user_id: Option<Id<User>>,
    /// By how many seconds the provider's clock is ahead, for [`DenialClass::Clock`].
    pub clock_ahead: Option<i64>,
    /// The address that the provider reported, unverified: for the person, who may have come with another account than intended. Not for
    /// the log.
    pub email: Option<String>,
}

/// The longest address of a provider that is shown or kept, in bytes.
pub(super) const LONGEST_ADDRESS: usize = 254;

impl Denial {
    pub(crate) fn new(class: DenialClass, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { class, detail: detail.into(), user_id: None, clock_ahead: None, email: None }
    }

    pub(super) fn with_email(self, email: Option<&str>) -> Self {
        Self { email: email.filter(|email| email.len() <= LONGEST_ADDRESS).map(str::to_owned), ..self }
    }

    pub(super) fn bad_token(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(DenialClass::BadToken, detail)
    }

    pub(super) fn bad_state(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(DenialClass::BadState, detail)
    }

    pub(super) fn unreachable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(DenialClass::Unreachable, detail)
    }
}

/// The longest text of a provider that a message quotes, in characters.
const LONGEST_QUOTE: usize = 200;

/// Quotes a text of the provider for a message: shortened, and without characters that could forge a line of the log.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn s_72_a_quoted_text_has_one_short_line() {
        assert_eq!(quote("a\r\n\u{1b}[2Jb\u{202e}<"), r#""a\r\n\u{1b}[2Jb\u{202e}<""#);
        assert_eq!(quote(&"ü".repeat(300)).chars().count(), 203);
    }
}
