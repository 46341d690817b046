//! The way to a provider and back, to sign in or to link an identity, and the session that a sign-in starts.

use chrono::{DateTime, TimeDelta, Utc};

use super::answer::in_time;
use super::arrival::{Arrival, How};
use super::cookie::{self, Pending, Place};
use super::denial::{Denial, DenialClass};
use super::oidc::callback::Callback;
use super::oidc::flow::{Flow, Request};
use super::provider::base_url;
use super::read::{self, StoredProvider};
use super::write::{self, BoundHow};
use crate::app::App;
use crate::audit::{ActorRef, Attribution, AuditDenial, Target};
use crate::caller::{Action, Caller, Stage};
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::failpoints;
use crate::id::{Id, User};
use crate::sessions::{self, Client, Method, NewSession, Proof, StartedSession};
use crate::sign_in::throttle;
use crate::sign_in_policies::{self, SsoMode};
use crate::users::write::AddressTaken;
use crate::users::{self, Account};

/// The issuer of Google.
const GOOGLE: &str = "https://accounts.google.com";

/// A provider to which people can be sent.
#[derive(Debug)]
pub struct Provider(pub(super) StoredProvider);

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

    /// The page for which a person began the sign-in that a response belongs to, as the request named it.
    pub fn return_to(&self, app: &App, query: &str, cookies: impl Fn(&str) -> Option<String>) -> Option<String> {
        self.open(app, query, cookies).ok().map(|(_, pending)| pending.return_to).filter(|page| !page.is_empty())
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
