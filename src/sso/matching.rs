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
    Deny(Unmatched),
}

/// Why no account matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unmatched {
    pub(crate) class: DenialClass,
    /// What does not hold, for the log.
    pub(crate) why: &'static str,
    /// The account that is meant, if there is one.
    pub(crate) user_id: Option<Id<User>>,
}

impl Unmatched {
    const fn nobody(class: DenialClass, why: &'static str) -> Self {
        Self { class, why, user_id: None }
    }
}

/// Whether an identity that is bound may sign in.
pub(crate) fn bound(account: &Account) -> Match {
    if account.is_active && !account.is_service_account {
        Match::SignIn(account.user_id)
    } else {
        let why = "the account is suspended, expired, or a service account";
        Match::Deny(Unmatched { class: DenialClass::Suspended, why, user_id: Some(account.user_id) })
    }
}

/// The address of an unknown identity, if the provider vouches for it. `Err`: it does not. Whether an account exists has no influence.
pub(crate) fn proved(claimed: &Claimed, rules: Rules<'_>) -> Result<EmailAddress, Unmatched> {
    let not_proved = |why| Unmatched::nobody(DenialClass::NotProved, why);
    let text = claimed.address.as_deref().ok_or(not_proved("the provider names no address"))?;
    let address = EmailAddress::parse(text).ok().filter(|address| address.as_str() == text);
    let address = address.ok_or(not_proved("the provider names no valid address"))?;
    let (_, domain) = address.key().rsplit_once('@').ok_or(not_proved("the provider names no valid address"))?;
    if !rules.domains.iter().any(|known| known == domain) {
        let why = "the domain of the address is not one of the provider's domains";
        return Err(Unmatched::nobody(DenialClass::NoAccount, why));
    }
    let holds = match rules.proof {
        EmailProof::EmailVerified => claimed.is_verified,
        EmailProof::XmsEdov => claimed.is_domain_verified,
        EmailProof::Issuer => true,
    };
    if claimed.is_guest {
        return Err(not_proved("the person is a guest of the provider's tenant"));
    }
    if !holds {
        return Err(not_proved("the provider does not vouch for the address"));
    }
    Ok(address)
}

/// What happens to an unknown identity with a proved address. `found` is the account with the key of the address.
pub(crate) fn unknown(address: EmailAddress, found: Option<&Account>, rules: Rules<'_>) -> Match {
    let Some(account) = found else {
        if rules.creates {
            return Match::Create(address);
        }
        return Match::Deny(Unmatched::nobody(DenialClass::NoAccount, "no account has the address"));
    };
    let (class, why) = match account {
        _ if !account.email.eq_ignore_ascii_case(address.as_str()) => {
            (DenialClass::NotProved, "the account's address is only alike")
        }
        _ if account.is_service_account => (DenialClass::NoAccount, "the address is that of a service account"),
        _ if account.has_password || !account.is_sso_user => {
            (DenialClass::PasswordUser, "the account is not one of single sign-on")
        }
        _ if account.has_identity => (DenialClass::NoAccount, "the account has another identity"),
        _ if !account.is_active => (DenialClass::Suspended, "the account is suspended or expired"),
        _ => return Match::Bind(account.user_id),
    };
    Match::Deny(Unmatched { class, why, user_id: Some(account.user_id) })
}
