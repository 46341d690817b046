//! Whom the answer of a provider is about, and what is to be written for a sign-in.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::answer::Answer;
use super::cookie::Pending;
use super::denial::{Denial, LONGEST_ADDRESS, quote};
use super::matching::{self, Claimed, Match, Rules, Unmatched};
use super::oidc::id_token::{IdToken, is_true};
use super::read::{self, Bound};
use super::sign_in::{Provider, SsoError};
use crate::app::App;
use crate::caller::PermissionLevel;
use crate::error::{Error, Result};
use crate::id::{Id, SsoIdentity, User};
use crate::sign_in::throttle;
use crate::users::{Attributes, Credential, EmailAddress, Line, Name, NewUser};

/// An authenticated person and what is about to be written.
pub(super) struct Arrival {
    pub(super) subject: String,
    pub(super) idp_session: Option<String>,
    pub(super) email: Option<String>,
    pub(super) how: How,
    pub(super) state: String,
}

pub(super) enum How {
    Bound(Id<SsoIdentity>),
    Bind,
    Create(Box<NewUser>),
}

impl Provider {
    /// Decides who signs in.
    pub(super) async fn who(
        &self,
        app: &App,
        Answer { known, tokens, token }: Answer,
        (state, pending): (String, &Pending),
    ) -> Result<(Id<User>, Arrival), SsoError> {
        let now = app.clock.now();
        let IdToken { subject, session: idp_session, .. } = &token;
        let (subject, idp_session) = (subject.clone(), idp_session.clone());
        let (matched, claims, bound) = match read::identity(app, &self.0, &subject, now).await? {
            Some(Bound { identity_id, account }) => (matching::bound(&account), token.claims, Some(identity_id)),
            None => {
                let claims = self.claims(app, &known, &tokens, token).await?;
                (self.unknown(app, &claims, now).await?, claims, None)
            }
        };
        let email = address_of(&claims, &self.0.settings.email_claim);
        let denied = |unmatched| denied(unmatched, &subject).with_email(email.as_deref());
        let (user_id, how) = match (matched, bound) {
            (Match::SignIn(user_id), Some(identity_id)) => (user_id, How::Bound(identity_id)),
            (Match::Bind(user_id), _) => (user_id, How::Bind),
            (Match::Create(address), _) => {
                throttle::limit_creations(app, self.0.organization_id, self.0.provider_id).await?;
                (Id::new(now), How::Create(Box::new(new_user(address, &claims)?)))
            }
            (Match::Deny(unmatched), _) => return Err(denied(unmatched).into()),
            (Match::SignIn(_), None) => return Err(Error::internal("an identity without a binding").into()),
        };
        let arrival = Arrival { subject, idp_session, email, how, state };
        if pending.user_id.is_some_and(|expected| expected != user_id) {
            return Err(Denial::bad_state("another person authenticated than the one who is signed in").into());
        }
        Ok((user_id, arrival))
    }

    async fn unknown(&self, app: &App, claims: &Map<String, Value>, now: DateTime<Utc>) -> Result<Match, SsoError> {
        let settings = &self.0.settings;
        let rules = Rules { domains: &settings.domains, proof: settings.email_proof, creates: settings.creates };
        let address = address_of(claims, &settings.email_claim);
        let claimed = Claimed {
            is_verified: is_true(claims, "email_verified"),
            is_domain_verified: is_true(claims, "xms_edov"),
            // Entra ID: `acct` is 1 for a guest, whose principal name has `#EXT#`.
            is_guest: claims.get("acct").is_some_and(|account| account == 1 || account == "1")
                || address.as_deref().is_some_and(|address| address.to_ascii_uppercase().contains("#EXT#")),
            address,
        };
        Ok(match matching::proved(&claimed, rules) {
            Err(class) => Match::Deny(class),
            Ok(address) => {
                let found = read::account(app, self.0.organization_id, address.key(), now).await?;
                matching::unknown(address, found.as_ref(), rules)
            }
        })
    }
}

pub(super) fn denied(Unmatched { class, why, user_id }: Unmatched, subject: &str) -> Denial {
    // The log has no addresses.
    let subject = if subject.contains('@') { "an address".to_owned() } else { quote(subject) };
    Denial { user_id, ..Denial::new(class, format!("{why}; the subject is {subject}")) }
}

pub(super) fn address_of(claims: &Map<String, Value>, name: &str) -> Option<String> {
    let text = claims.get(name).and_then(Value::as_str);
    text.filter(|text| text.len() <= LONGEST_ADDRESS && !text.contains('\0')).map(str::to_owned)
}

/// The account of an unknown person: a collaborator, with the names that the provider has.
fn new_user(email: EmailAddress, claims: &Map<String, Value>) -> Result<NewUser> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = |text: &str| Name::parse(text.to_owned()).ok();
    let lastname = text("family_name").and_then(|text| Line::parse(text.to_owned()).ok());
    let (name, lastname) = match (text("given_name").and_then(name), lastname) {
        (Some(name), lastname) => (Some(name), lastname),
        (None, _) => (text("name").and_then(name), None),
    };
    let local = email.as_str().rsplit_once('@').map_or(email.as_str(), |(local, _)| local);
    let name = match name {
        Some(name) => name,
        None => Name::parse(local.to_owned()).map_err(|why| Error::internal(why.message()))?,
    };
    Ok(NewUser {
        name,
        email,
        lastname,
        title: None,
        credential: Credential::Sso,
        permission_level: PermissionLevel::Collaborator,
        expires_at: None,
        attributes: Attributes::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sso::DenialClass;

    #[test]
    fn a_subject_that_is_an_address_is_not_in_the_log() {
        let unmatched = Unmatched { class: DenialClass::NoAccount, why: "no account has the address", user_id: None };
        assert_eq!(denied(unmatched, "00u1").detail, "no account has the address; the subject is \"00u1\"");
        assert_eq!(
            denied(unmatched, "ada@example.com").detail,
            "no account has the address; the subject is an address"
        );
    }
}
