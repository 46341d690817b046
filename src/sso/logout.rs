//! Back-channel logout, by which a provider ends the sessions of a person; and the address at which people sign out at the provider.

use serde_json::Map;

use super::oidc::InvalidToken;
use super::oidc::id_token::Expected;
use super::oidc::logout_token::LogoutToken;
use super::provider::{base_url, post_logout_redirect_uri};
use super::read;
use super::sign_in::{Provider, SsoError};
use super::write::{self, Ended};
use crate::app::App;
use crate::audit::{Event, Target};
use crate::caller::{Action, Caller, Origin};
use crate::error::{Code, Error, Result};
use crate::id::{Id, Session};
use crate::sign_in::throttle;

impl Provider {
    /// Ends the sessions that a logout token names. Returns their number.
    ///
    /// # Errors
    /// `invalid_request` for a token that is not valid, or was used before; `throttled`.
    pub async fn log_out(&self, app: &App, token: &str, origin: Origin) -> Result<usize, SsoError> {
        let provider = &self.0;
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

/// The title of the provider through which a session was started, and the address at which the provider's own session is ended, if it has
/// one. `None`: the session was not started through a provider.
///
/// # Errors
/// Those of the database.
pub async fn provider_of(
    app: &App,
    session_id: Id<Session>,
    caller: &Caller,
) -> Result<Option<(String, Option<String>)>> {
    let found = read::provider_of_session(app, caller.organization_id, session_id).await?;
    let Some((provider, hint)) = found else { return Ok(None) };
    let title = provider.settings.title.clone();
    if !provider.settings.logout || !provider.settings.enabled {
        return Ok(Some((title, None)));
    }
    // Signing out here does not depend on the provider.
    let endpoint = provider.known(app).await.ok().and_then(|known| known.metadata.end_session_endpoint.clone());
    let url = endpoint.map(|mut url| {
        let home = post_logout_redirect_uri(base_url(&app.config.server).unwrap_or_default());
        let mut query = url.query_pairs_mut();
        query.append_pair("client_id", &provider.settings.client_id).append_pair("post_logout_redirect_uri", &home);
        if let Some(hint) = &hint {
            query.append_pair("logout_hint", hint);
        }
        drop(query);
        url.into()
    });
    Ok(Some((title, url)))
}
