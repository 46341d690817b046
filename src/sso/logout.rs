//! Back-channel logout: a provider ends the sessions of a person.

use serde_json::Map;

use super::oidc::InvalidToken;
use super::oidc::id_token::Expected;
use super::oidc::logout_token::LogoutToken;
use super::sign_in::{Provider, SsoError};
use super::write::{self, Ended};
use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, Origin};
use crate::error::{Code, Error};
use crate::sign_in::throttle;

impl Provider {
    /// Ends the sessions that a logout token names. Returns their number.
    ///
    /// # Errors
    /// `invalid_request` for a token that is not valid, or was used before; `throttled`.
    pub async fn log_out(&self, app: &App, token: &str, origin: Origin) -> Result<usize, SsoError> {
        let provider = self.stored();
        if let Some(address) = origin.address {
            throttle::limit_logouts(app, provider.organization_id, address).await?;
        }
        let known = provider.known(app).await?;
        let expected = Expected {
            issuer: &provider.settings.issuer,
            client_id: &provider.settings.client_id,
            extra_audiences: &app.config.sso.extra_audiences,
            algorithms: &known.metadata.algorithms,
            nonce: "",
            access_token: None,
            now: app.clock.now(),
            started_at: app.clock.now(),
            max_age: None,
            subject_claim: &provider.settings.subject_claim,
            email_claim: "email",
            required_claims: &Map::new(),
        };
        let invalid = |why: String| {
            tracing::info!(provider = provider.name, detail = why, "logout token rejected");
            Error::invalid("the logout token is not valid")
        };
        let verified = match LogoutToken::verify(token, &known.keys, &expected) {
            Err(InvalidToken::UnknownKey(why)) => match self.refresh(app, &known).await? {
                Some(fresh) => LogoutToken::verify(token, &fresh.keys, &expected),
                None => Err(InvalidToken::UnknownKey(why)),
            },
            verified => verified,
        };
        let token = verified.map_err(|error| match error {
            InvalidToken::UnknownKey(why) | InvalidToken::Rejected(why) => invalid(why),
        })?;
        let caller = Caller { origin, ..Caller::system(provider.organization_id) };
        let provider_id = provider.provider_id;
        let ended = app.change(&caller, Action::SsoLogout, Target::SsoProvider(provider_id), async |change| {
            if !write::use_once(change, "jti", &format!("{provider_id} {}", token.id)).await? {
                return Err(Error::new(Code::InvalidRequest, "the logout token was used before"));
            }
            let which = match (&token.session, &token.subject) {
                (Some(session), _) => Ended::Session(session),
                (None, Some(subject)) => Ended::Subject(subject),
                (None, None) => return Err(Error::invalid("the logout token names nobody")),
            };
            let sessions = write::end_sessions(change, provider_id, &which, "idp_logout").await?;
            change.record(Event::SsoLoggedOut { provider_id, sessions });
            Ok(sessions)
        });
        Ok(ended.await?)
    }
}
