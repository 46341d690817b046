//! What the provider says about a person: the requests that follow a response, and the token.

use std::time::Duration;

use serde_json::{Map, Value};

use super::cache::Known;
use super::cookie::Pending;
use super::denial::{Denial, DenialClass};
use super::oidc::callback::Callback;
use super::oidc::id_token::{Expected, IdToken, IdTokenError};
use super::oidc::token_response::{TokenError, TokenRequest, Tokens};
use super::oidc::userinfo;
use super::provider::EmailProof;
use super::sign_in::{Provider, SsoError};
use crate::app::App;
use crate::error::{Code, Error};
use crate::metrics::SsoEndpoint;
use crate::secret::Secret;

/// How long the way back may take, with all requests to the provider.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the provider answered.
pub(super) struct Answer {
    pub(super) known: Known,
    pub(super) tokens: Tokens,
    pub(super) token: IdToken,
}

pub(super) async fn in_time<T>(asked: impl Future<Output = Result<T, SsoError>>) -> Result<T, SsoError> {
    let asked = tokio::time::timeout(TIMEOUT, asked).await;
    asked.unwrap_or_else(|_| Err(Denial::unreachable("no answer within 10 s").into()))
}

impl Provider {
    /// Asks the provider who the person is. Returns the state, too.
    pub(super) async fn ask(
        &self,
        app: &App,
        callback: Callback,
        pending: &Pending,
    ) -> Result<(String, Answer), SsoError> {
        let known = self.0.known(app).await?;
        callback.check_issuer(&known.metadata)?;
        let code = callback.outcome?;
        let tokens = self.exchange(app, &known, &code, pending).await?;
        let token = self.verify(app, &known, &tokens, pending).await?;
        Ok((callback.state, Answer { known, tokens, token }))
    }

    /// Exchanges the code for tokens. The second secret is tried if the first one is wrong.
    async fn exchange(&self, app: &App, known: &Known, code: &str, pending: &Pending) -> Result<Tokens, SsoError> {
        let settings = &self.0.settings;
        let secrets = self.0.secrets(&app.seal_keys).map_err(|error| {
            let message = "the client secret of the identity provider can't be read; see the server log";
            Error::new(Code::Unavailable, message).with_source(error)
        })?;
        let authentication = settings.authentication(&known.metadata, !secrets.is_empty());
        let redirect_uri = self.0.redirect_uri(app);
        let tries = if secrets.is_empty() { vec![None] } else { secrets.iter().map(Some).collect() };
        for secret in tries {
            let values = (code, pending.verifier.as_str(), redirect_uri.as_str());
            let request = TokenRequest::new(authentication, &settings.client_id, secret, values);
            let endpoint = &known.metadata.token_endpoint;
            let sent = app.sso.fetcher.post(endpoint, &request.body, request.authorization.as_ref());
            let response = app
                .in_runtime(sent)
                .await
                .map_err(|why| Denial::unreachable(format!("can't send a request to the token endpoint: {why}")))?;
            match Tokens::parse(response.status, &response.body) {
                Ok(tokens) => return Ok(tokens),
                Err(TokenError::InvalidClient) => {}
                Err(TokenError::Denied(denial)) => return Err(denial.into()),
            }
        }
        let why = "the provider does not accept muster's client ID and secret (invalid_client)";
        Err(Denial::new(DenialClass::ProviderError, why).into())
    }

    /// Verifies the ID token, with fresh keys if the known ones did not make its signature.
    async fn verify(&self, app: &App, known: &Known, tokens: &Tokens, pending: &Pending) -> Result<IdToken, SsoError> {
        let settings = &self.0.settings;
        let expected = Expected {
            issuer: &settings.issuer,
            client_id: &settings.client_id,
            extra_audiences: &app.config.sso.extra_audiences,
            algorithms: &known.metadata.algorithms,
            nonce: &pending.nonce,
            access_token: tokens.access_token.as_ref().map(Secret::expose),
            now: app.clock.now(),
            started_at: pending.started_at,
            max_age: pending.max_age,
            subject_claim: &settings.subject_claim,
            email_claim: &settings.email_claim,
            required_claims: &settings.required_claims,
        };
        match IdToken::verify(&tokens.id_token, &known.keys, &expected) {
            Ok(token) => Ok(token),
            Err(IdTokenError::Denied(denial)) => Err(denial.into()),
            Err(IdTokenError::UnknownKey(why)) => {
                let Some(fresh) = self.refresh(app, known).await? else { return Err(Denial::bad_token(why).into()) };
                match IdToken::verify(&tokens.id_token, &fresh.keys, &expected) {
                    Ok(token) => Ok(token),
                    Err(IdTokenError::Denied(denial)) => Err(denial.into()),
                    Err(IdTokenError::UnknownKey(why)) => Err(Denial::bad_token(why).into()),
                }
            }
        }
    }

    pub(super) async fn refresh(&self, app: &App, known: &Known) -> Result<Option<Known>, Denial> {
        let sso = &app.sso;
        let fresh = sso.cache.refresh(&sso.fetcher, self.0.provider_id, self.0.transport(app), known);
        app.in_runtime(fresh).await
    }

    /// The claims of an unknown person, with those of userinfo if the ID token does not have what is needed.
    pub(super) async fn claims(
        &self,
        app: &App,
        known: &Known,
        tokens: &Tokens,
        token: IdToken,
    ) -> Result<Map<String, Value>, SsoError> {
        let IdToken { sub, mut claims, .. } = token;
        let settings = &self.0.settings;
        let needed = match settings.email_proof {
            EmailProof::EmailVerified => Some("email_verified"),
            EmailProof::XmsEdov => Some("xms_edov"),
            EmailProof::Issuer => None,
        };
        let has_all = claims.contains_key(&settings.email_claim) && needed.is_none_or(|name| claims.contains_key(name));
        if let (false, Some(endpoint), Some(access_token)) =
            (has_all, &known.metadata.userinfo_endpoint, &tokens.access_token)
        {
            let response = app
                .in_runtime(app.sso.fetcher.get(SsoEndpoint::Userinfo, endpoint, Some(access_token)))
                .await
                .map_err(|why| Denial::unreachable(format!("can't read userinfo: {why}")))?;
            if response.status != 200 {
                return Err(
                    Denial::new(DenialClass::NotProved, format!("userinfo answered {}", response.status)).into()
                );
            }
            let more = userinfo::parse(&sub, &response.content_type, &response.body)?;
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(claims)
    }
}
