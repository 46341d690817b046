//! Who signs in: which account an identity of a provider is bound to, or may be bound to.
//!
//! # Decisions
//!
//! *A bound identity is recognized by its subject only.* The provider's address does not matter any more: addresses are
//! renamed and reused.
//!
//! *An identity is bound by address only to an account that has no other way in* and is marked as one of single sign-on: an
//! owner has said so. Anybody else proves both sides.
//!
//! *The address must be the same text*, apart from the case of ASCII letters, and not only have the same key: keys fold
//! what looks alike, and providers compare addresses in other ways.

use crate::id::{Id, User};
use crate::users::EmailAddress;

use super::denial::DenialClass;
use super::provider::EmailProof;

/// An account that may be meant.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts about a row")]
pub(crate) struct Account {
    pub(crate) user_id: Id<User>,
    pub(crate) email: String,
    pub(crate) is_sso_user: bool,
    pub(crate) is_service_account: bool,
    /// Neither suspended nor expired.
    pub(crate) is_active: bool,
    pub(crate) has_password: bool,
    /// Whether an identity of any provider is bound to it.
    pub(crate) has_identity: bool,
}

/// What the provider says about an address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claimed {
    /// The value of the claim for the address.
    pub(crate) address: Option<String>,
    /// Whether `email_verified` is `true`.
    pub(crate) is_verified: bool,
    /// Whether `xms_edov` is `true`: the domain's owner has confirmed it (Microsoft Entra ID).
    pub(crate) is_domain_verified: bool,
    /// Whether the person is a guest of the provider's tenant.
    pub(crate) is_guest: bool,
}

/// The rules of a provider for unknown identities.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    /// Domains as in keys.
    pub(crate) domains: &'a [String],
    pub(crate) proof: EmailProof,
    pub(crate) creates: bool,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The bound account signs in.
    SignIn(Id<User>),
    /// The identity is bound to the account, which then signs in.
    Bind(Id<User>),
    /// An account with the address is created and bound.
    Create(EmailAddress),
    /// The sign-in is refused.
    Deny(DenialClass),
}

/// Whether an identity that is bound may sign in.
pub(crate) fn bound(account: &Account) -> Match {
    if account.is_active && !account.is_service_account {
        Match::SignIn(account.user_id)
    } else {
        Match::Deny(DenialClass::Suspended)
    }
}

/// The address of an unknown identity, if the provider vouches for it. `Err`: it does not. Whether an account exists has no influence.
pub(crate) fn proved(claimed: &Claimed, rules: Rules<'_>) -> Result<EmailAddress, DenialClass> {
    let text = claimed.address.as_deref().ok_or(DenialClass::NotProved)?;
    let address = EmailAddress::parse(text).ok().filter(|address| address.as_str() == text);
    let address = address.ok_or(DenialClass::NotProved)?;
    let (_, domain) = address.key().rsplit_once('@').ok_or(DenialClass::NotProved)?;
    if !rules.domains.iter().any(|known| known == domain) {
        return Err(DenialClass::NoAccount);
    }
    let holds = match rules.proof {
        EmailProof::EmailVerified => claimed.is_verified,
        EmailProof::XmsEdov => claimed.is_domain_verified,
        EmailProof::Issuer => true,
    };
    if !holds || claimed.is_guest {
        return Err(DenialClass::NotProved);
    }
    Ok(address)
}

/// What happens to an unknown identity with a proved address. `found` is the account with the key of the address.
pub(crate) fn unknown(address: EmailAddress, found: Option<&Account>, rules: Rules<'_>) -> Match {
    match found {
        None if rules.creates => Match::Create(address),
        None => Match::Deny(DenialClass::NoAccount),
        Some(account) if !account.email.eq_ignore_ascii_case(address.as_str()) => Match::Deny(DenialClass::NotProved),
        Some(account) if account.is_service_account => Match::Deny(DenialClass::NoAccount),
        Some(account) if account.has_password || !account.is_sso_user => Match::Deny(DenialClass::PasswordUser),
        Some(account) if account.has_identity => Match::Deny(DenialClass::NoAccount),
        Some(account) if !account.is_active => Match::Deny(DenialClass::Suspended),
        Some(account) => Match::Bind(account.user_id),
    }
}
