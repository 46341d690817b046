//! Signing in through a provider, and linking an identity to an account: the way there and the way back.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::cache::Known;
use super::cookie::{self, Pending, Place};
use super::denial::{Denial, DenialClass, LONGEST_ADDRESS, quote};
use super::matching::{self, Claimed, Match, Rules, Unmatched};
use super::oidc::callback::Callback;
use super::oidc::flow::{Flow, Request};
use super::oidc::id_token::{Expected, IdToken, IdTokenError, is_true};
use super::oidc::token_response::{TokenError, TokenRequest, Tokens};
use super::oidc::userinfo;
use super::provider::{EmailProof, base_url, post_logout_redirect_uri};
use super::read::{self, Bound, StoredProvider};
use super::write::{self, BoundHow};
use crate::app::App;
use crate::audit::{ActorRef, Attribution, AuditDenial, Target};
use crate::caller::{Action, Caller, PermissionLevel, Stage};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{Id, Session, SsoIdentity, User};
use crate::metrics::SsoEndpoint;
use crate::secret::Secret;
use crate::sessions::{self, Client, Method, NewSession, Proof, StartedSession};
use crate::sign_in::throttle;
use crate::sign_in_policies::{self, SsoMode};
use crate::users::write::AddressTaken;
use crate::users::{self, Account, Attributes, Credential, EmailAddress, Line, Name, NewUser};

/// How long the way back may take, with all requests to the provider.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The issuer of Google.
const GOOGLE: &str = "https://accounts.google.com";

/// A provider to which people can be sent.
#[derive(Debug)]
pub struct Provider(StoredProvider);

/// What a person asked for before they are sent to the provider.
#[derive(Debug, Default)]
pub struct Departure<'a> {
    /// The page to return to.
    pub return_to: String,
    /// The address that the person may have.
    pub login_hint: Option<&'a str>,
    /// What the identity is for.
    pub purpose: Purpose,
}

/// What a person who is sent to the provider wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To sign in.
    #[default]
    SignIn,
    /// To sign in with another account than the one with which the provider would answer.
    SignInWithAnother,
    /// To authenticate again, as the user who is signed in.
    Again(Id<User>),
    /// To link their identity to the account of the user who is signed in.
    Link(Id<User>),
}

/// The way to a provider.
#[derive(Debug)]
pub struct Departed {
    /// The address to which the browser is sent.
    pub location: String,
    /// The cookie that the way back needs: its name and its value.
    pub cookie: (String, String),
}

/// What a person who came back from the provider has got.
#[derive(Debug)]
pub enum Arrived {
    /// A session.
    SignedIn {
        /// The session.
        session: StartedSession,
        /// The page to return to.
        return_to: String,
    },
    /// An identity that is linked to the account of the user who is signed in.
    Linked,
}

/// A sign-in that failed: for the person, or because of this server.
#[derive(Debug)]
pub enum SsoError {
    /// The sign-in is refused.
    Denied(Denial),
    /// The identity is not linked.
    NotLinked(Denial),
    /// This server can't do it now.
    Server(Error),
}

impl From<Denial> for SsoError {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<Error> for SsoError {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl Provider {
    /// The enabled provider of an organization, by their names.
    ///
    /// # Errors
    /// `not_found`; those of the database.
    pub async fn find(app: &App, organization: &str, provider: &str) -> Result<Self> {
        let found = read::provider(app, organization, provider).await?;
        let found = found.filter(|found| found.settings.enabled && found.name == provider);
        found.map(Self).ok_or_else(|| Error::new(Code::NotFound, "no such identity provider"))
    }

    /// The name, part of the redirect URI.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What the button says.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.0.settings.title
    }

    /// Since when the provider has not responded to this instance, if it has not.
    #[must_use]
    pub fn away_since(&self, app: &App) -> Option<DateTime<Utc>> {
        let away = app.sso.cache.away_for(self.0.provider_id, &self.0.settings.issuer)?;
        Some(app.clock.now() - TimeDelta::from_std(away).ok()?)
    }

    /// The address at which a sign-in begins.
    #[must_use]
    pub fn start_path(&self) -> String {
        format!("/sso/{}/{}/start", self.0.organization, self.0.name)
    }

    /// Whether a third party, which asks to begin a sign-in, means this provider (Core 1.0, section 4).
    #[must_use]
    pub fn is_issuer(&self, issuer: &str) -> bool {
        self.0.settings.issuer == issuer
    }

    pub(super) const fn stored(&self) -> &StoredProvider {
        &self.0
    }

    fn place(&self) -> Place {
        Place { organization_id: self.0.organization_id, provider_id: self.0.provider_id }
    }

    fn check_policy(&self) -> Result<(), Denial> {
        match self.0.is_off {
            true => Err(Denial::new(DenialClass::Off, "the policy of the organization is `off`")),
            false => Ok(()),
        }
    }

    /// Begins a sign-in. Nothing is written.
    ///
    /// # Errors
    /// `sso_off`; `sso_no_public_url`; `sso_unreachable`.
    pub async fn depart(&self, app: &App, departure: &Departure<'_>, client: &Client) -> Result<Departed, SsoError> {
        let departed = self.begin(app, departure).await;
        if let Err(SsoError::Denied(denial)) = &departed {
            self.record(app, denial, client);
        }
        departed
    }

    async fn begin(&self, app: &App, departure: &Departure<'_>) -> Result<Departed, SsoError> {
        self.check_policy()?;
        if base_url(&app.config.server).is_none() {
            return Err(Denial::new(DenialClass::NoPublicUrl, "this server has no `server.public_url`").into());
        }
        let known = self.0.known(app).await?;
        let flow = Flow::generate();
        let settings = &self.0.settings;
        // Who links an identity shows who they are: the session at the provider may be one into which somebody else has tricked this
        // browser. Not by `max_age`, which not every provider honors.
        let (user_id, is_link, max_age) = match departure.purpose {
            Purpose::SignIn | Purpose::SignInWithAnother => (None, false, settings.max_age),
            Purpose::Again(user_id) => (Some(user_id), false, Some(0)),
            Purpose::Link(user_id) => (Some(user_id), true, settings.max_age),
        };
        // Google knows no `login`.
        let prompt = if settings.issuer == GOOGLE { "select_account" } else { "login" };
        let request = Request {
            client_id: &settings.client_id,
            redirect_uri: &self.0.redirect_uri(app),
            scopes: &settings.scopes,
            login_hint: departure.login_hint,
            max_age,
            prompt: (departure.purpose != Purpose::SignIn).then_some(prompt),
        };
        let pending = Pending {
            nonce: flow.nonce.clone(),
            verifier: flow.verifier.clone(),
            started_at: app.clock.now(),
            return_to: departure.return_to.clone(),
            max_age,
            user_id,
            is_link,
        };
        let value = cookie::seal(&app.fingerprints, self.place(), &flow, &pending)?;
        let location = flow.authorization_url(&known.metadata, &request).into();
        Ok(Departed { location, cookie: (cookie::name(&flow.state), value) })
    }

    /// Ends what [`Provider::depart`] began in the same browser: starts a session, or links the identity. `cookies` are those of the browser,
    /// `holder` is its session.
    ///
    /// # Errors
    /// The class of the refusal, which is audited; errors of this server.
    pub async fn arrive(
        &self,
        app: &App,
        query: &str,
        cookies: impl Fn(&str) -> Option<String>,
        client: &Client,
        holder: Option<&Caller>,
    ) -> Result<Arrived, SsoError> {
        let arrived = async {
            self.check_policy()?;
            let (callback, pending) = self.open(app, query, cookies)?;
            if pending.is_link {
                let is_same = |caller: &&Caller| {
                    caller.organization_id == self.0.organization_id && caller.user_id() == pending.user_id
                };
                let Some(caller) = holder.filter(is_same) else {
                    let denial =
                        Denial::bad_state("the user who began to link an identity is not signed in here any more");
                    self.record(app, &denial, client);
                    return Err(SsoError::NotLinked(denial));
                };
                let linked = self.link(app, callback, &pending, caller).await;
                return linked.map(|()| Arrived::Linked).map_err(|error| match error {
                    SsoError::Denied(denial) => SsoError::NotLinked(denial),
                    error => error,
                });
            }
            // Without the change, which commits whether its caller waits or not.
            let asked = in_time(async {
                let (state, answer) = self.ask(app, callback, &pending).await?;
                self.who(app, answer, (state, &pending)).await
            });
            let organization_id = self.0.organization_id;
            let taken = throttle::take_of_network(app, organization_id, client.origin.address).await?;
            let started = async {
                let (user_id, arrival) = asked.await?;
                failpoints::reach("sso::matched").await;
                self.start(app, user_id, arrival, client).await
            };
            let started = started.await;
            // A provider that is away is not the network's fault.
            let is_refused =
                matches!(&started, Err(SsoError::Denied(denial)) if denial.class != DenialClass::Unreachable);
            if !is_refused {
                throttle::give_back(app, organization_id, taken).await;
            }
            let session = started?;
            Ok(Arrived::SignedIn { session, return_to: pending.return_to })
        };
        let arrived = arrived.await;
        if let Err(SsoError::Denied(denial)) = &arrived {
            self.record(app, denial, client);
        }
        arrived
    }

    /// Links an identity to the account of the user who is signed in, and who began this.
    async fn link(&self, app: &App, callback: Callback, pending: &Pending, caller: &Caller) -> Result<(), SsoError> {
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

    /// Records a refusal in the audit log and in the log.
    fn record(&self, app: &App, denial: &Denial, client: &Client) {
        let (reason, provider) = (denial.class.as_str(), self.0.name.as_str());
        let detail = &*denial.detail;
        let request_id = client.origin.request_id.map(|id| id.to_string());
        // Concerns more than one person.
        if matches!(
            denial.class,
            DenialClass::Unreachable | DenialClass::ProviderError | DenialClass::Clock | DenialClass::NoPublicUrl
        ) {
            tracing::warn!(provider, reason, detail, request_id, "sign-in through an identity provider failed");
        } else {
            tracing::info!(provider, reason, detail, request_id, "sign-in through an identity provider refused");
        }
        app.metrics.sign_ins.count_refusal(reason);
        let organization_id = self.0.organization_id;
        let attribution =
            Attribution { organization_id, actor: ActorRef::ANONYMOUS, user_id: None, origin: client.origin };
        let refusal = AuditDenial::SignIn { user_id: denial.user_id, reason, provider: Some(self.0.name.clone()) };
        // The browser gets a page, not this error.
        drop(app.deny_sign_in(attribution, Action::SessionStart, refusal, Error::new(Code::SignInRefused, reason)));
    }

    /// Checks that the response belongs to what this browser began.
    fn open(
        &self,
        app: &App,
        query: &str,
        cookies: impl Fn(&str) -> Option<String>,
    ) -> Result<(Callback, Pending), Denial> {
        let callback = Callback::parse(query)?;
        let value = cookies(&cookie::name(&callback.state))
            .ok_or_else(|| Denial::bad_state("this browser has no cookie of this sign-in"))?;
        let pending = cookie::open(&app.fingerprints, self.place(), &callback.state, &value, app.clock.now())?;
        Ok((callback, pending))
    }

    /// Asks the provider who the person is. Returns the state, too.
    async fn ask(&self, app: &App, callback: Callback, pending: &Pending) -> Result<(String, Answer), SsoError> {
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

    /// Decides who signs in.
    async fn who(
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

    /// The claims of an unknown person, with those of userinfo if the ID token does not have what is needed.
    async fn claims(
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

    /// Starts the session. All that was judged is judged again under lock, and the state is used up.
    async fn start(
        &self,
        app: &App,
        user_id: Id<User>,
        arrival: Arrival,
        client: &Client,
    ) -> Result<StartedSession, SsoError> {
        let session = NewSession::new(app, self.0.organization_id, user_id, (Method::Sso, Stage::Full), client);
        let session = session.through(&self.0.name);
        let caller = session.caller();
        let (email, mut class) = (arrival.email.clone(), None);
        let denied = |class, detail| {
            let denial = Denial::new(class, detail).with_email(email.as_deref());
            Denial { user_id: Some(user_id), ..denial }
        };
        let started = app.change(&caller, Action::SessionStart, Target::User(user_id), async |change| {
            match self.write(app, change, &session, user_id, arrival).await? {
                Ok(started) => Ok(started),
                Err(denied) => {
                    class = Some(denied);
                    Err(Error::new(Code::SignInRefused, denied.as_str()))
                }
            }
        });
        match (started.await, class) {
            (Ok(started), _) => Ok(started),
            (Err(_), Some(class)) => Err(denied(class, "judged again when the session was written").into()),
            // The commit refuses a user who was suspended meanwhile.
            (Err(error), None) if error.code() == Code::Unauthenticated => {
                Err(denied(DenialClass::Suspended, "the account lost its access meanwhile").into())
            }
            (Err(error), None) => Err(error.into()),
        }
    }

    async fn write(
        &self,
        app: &App,
        change: &mut Change,
        session: &NewSession,
        user_id: Id<User>,
        arrival: Arrival,
    ) -> Result<std::result::Result<StartedSession, DenialClass>> {
        let Arrival { subject, idp_session, email, how, state } = arrival;
        if !write::use_once(change, "state", &state).await? {
            return Ok(Err(DenialClass::BadState));
        }
        let how = match how {
            How::Create(user) => {
                let account = [Account { user_id, identity_id: Id::new(change.now()), user: *user, password: None }];
                if let Err(AddressTaken) = users::write::create(change, None, false, &account).await? {
                    return Ok(Err(DenialClass::NoAccount));
                }
                Err(BoundHow::Created)
            }
            How::Bind => Err(BoundHow::Address),
            How::Bound(identity_id) => Ok(identity_id),
        };
        // The user and the membership are locked first, in the order of all locks.
        let Some(started) = sessions::start(app, change, session, Proof::Checked).await? else {
            let policy = sign_in_policies::current(change.connection(), self.0.organization_id).await?;
            let is_off = policy.sso_mode == SsoMode::Off;
            return Ok(Err(if is_off { DenialClass::Off } else { DenialClass::Suspended }));
        };
        let identity_id = match how {
            Ok(identity_id) if read::is_still_bound(change, identity_id, user_id).await? => Some(identity_id),
            Ok(_) => None,
            Err(how) => write::bind(change, &self.0, &subject, user_id, how).await?,
        };
        let Some(identity_id) = identity_id else { return Ok(Err(DenialClass::NoAccount)) };
        let session = (started.session_id, idp_session.as_deref());
        write::note_use(change, &self.0, identity_id, session, email.as_deref()).await?;
        Ok(Ok(started))
    }
}

/// The enabled providers of an organization with this ID or short name, or of all organizations, by name. With single sign-on turned
/// off, there are none.
///
/// # Errors
/// Those of the database.
pub async fn enabled(app: &App, organization: Option<&str>) -> Result<Vec<Provider>> {
    let mut connection = app.reader(&app.db.reserved).await?;
    let providers = read::providers(&mut connection, organization, None).await?;
    Ok(providers.into_iter().filter(|provider| provider.settings.enabled && !provider.is_off).map(Provider).collect())
}

/// What the provider answered.
struct Answer {
    known: Known,
    tokens: Tokens,
    token: IdToken,
}

async fn in_time<T>(asked: impl Future<Output = Result<T, SsoError>>) -> Result<T, SsoError> {
    let asked = tokio::time::timeout(TIMEOUT, asked).await;
    asked.unwrap_or_else(|_| Err(Denial::unreachable("no answer within 10 s").into()))
}

/// An authenticated person and what is about to be written.
struct Arrival {
    subject: String,
    idp_session: Option<String>,
    email: Option<String>,
    how: How,
    state: String,
}

enum How {
    Bound(Id<SsoIdentity>),
    Bind,
    Create(Box<NewUser>),
}

fn denied(Unmatched { class, why, user_id }: Unmatched, subject: &str) -> Denial {
    // The log has no addresses.
    let subject = if subject.contains('@') { "an address".to_owned() } else { quote(subject) };
    Denial { user_id, ..Denial::new(class, format!("{why}; the subject is {subject}")) }
}

fn address_of(claims: &Map<String, Value>, name: &str) -> Option<String> {
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
