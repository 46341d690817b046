//! Linking an identity to the account of the user who is signed in.

use super::answer::in_time;
use super::arrival::{address_of, denied};
use super::cookie::Pending;
use super::denial::DenialClass;
use super::matching::Unmatched;
use super::oidc::callback::Callback;
use super::sign_in::{Provider, SsoError};
use super::write::{self, BoundHow};
use crate::app::App;
use crate::audit::{AuditDenial, Target};
use crate::caller::{Action, Caller};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{Id, User};
use crate::users;

impl Provider {
    /// Links an identity to the account of the user who is signed in, and who began this.
    pub(super) async fn link(
        &self,
        app: &App,
        callback: Callback,
        pending: &Pending,
        caller: &Caller,
    ) -> Result<(), SsoError> {
        let user_id = caller.user_id().ok_or_else(|| Error::internal("a session without a user"))?;
        let linked = async {
            let (state, answer) = in_time(self.ask(app, callback, pending)).await?;
            failpoints::reach("sso::matched").await;
            let email = address_of(&answer.token.claims, &self.0.settings.email_claim);
            let mut class = None;
            let linked = app.change(caller, Action::SsoIdentityLink, Target::User(user_id), async |change| {
                class = match self.write_link(change, &answer.token.subject, user_id, email.as_deref(), &state).await? {
                    Ok(()) => return Ok(()),
                    Err(class) => Some(class),
                };
                Err(Error::new(Code::SignInRefused, "not linked"))
            });
            linked.await.map_err(|error| match class {
                Some(class) => {
                    let why = "the identity or the user is linked already";
                    SsoError::Denied(denied(Unmatched { class, why, user_id: Some(user_id) }, &answer.token.subject))
                }
                None => error.into(),
            })
        };
        let linked = linked.await;
        if let Err(SsoError::Denied(denial)) = &linked {
            let (reason, detail) = (denial.class.as_str(), &*denial.detail);
            tracing::info!(provider = self.0.name, reason, detail, "identity not linked");
            let rejected = AuditDenial::Rejected { target: Target::User(user_id), code: reason, findings: None };
            app.record_denial(caller, Action::SsoIdentityLink, &rejected).await;
        }
        linked
    }

    async fn write_link(
        &self,
        change: &mut Change,
        subject: &str,
        user_id: Id<User>,
        email: Option<&str>,
        state: &str,
    ) -> Result<std::result::Result<(), DenialClass>> {
        if !write::use_once(change, "state", state).await? {
            return Ok(Err(DenialClass::BadState));
        }
        users::lock::memberships(change, &[user_id]).await?;
        let Some(identity_id) = write::bind(change, &self.0, subject, user_id, BoundHow::Account).await? else {
            return Ok(Err(DenialClass::AlreadyLinked));
        };
        write::note_address(change, identity_id, email).await?;
        Ok(Ok(()))
    }
}
