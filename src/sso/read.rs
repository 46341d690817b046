//! Reading providers and identities.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::matching::Account;
use super::provider::{EmailProof, ProviderSettings, TokenAuth};
use super::providers::ProviderUses;
use crate::app::App;
use crate::change::Change;
use crate::error::Result;
use crate::id::{Id, Organization, SsoIdentity, SsoProvider, User};

/// A provider as it is stored.
#[derive(Clone, Debug)]
pub struct StoredProvider {
    pub(crate) organization_id: Id<Organization>,
    pub(crate) provider_id: Id<SsoProvider>,
    /// The short name of the organization.
    pub(crate) organization: String,
    pub(crate) name: String,
    pub(crate) settings: ProviderSettings,
    pub(crate) secret_sealed: Option<Vec<u8>>,
    pub(crate) secret2_sealed: Option<Vec<u8>>,
    pub(crate) created_at: DateTime<Utc>,
    /// Whether the organization has single sign-on turned off.
    pub(crate) is_off: bool,
}

/// The providers of an organization with this ID or short name, or of all, by name: all, or the one with a name or an ID.
pub(super) async fn providers(
    connection: &mut PgConnection,
    organization: Option<&str>,
    provider: Option<&str>,
) -> Result<Vec<StoredProvider>> {
    // PostgreSQL has no text with a NUL character.
    if [organization, provider].into_iter().flatten().any(|text| text.contains('\0')) {
        return Ok(Vec::new());
    }
    let organization_id = organization.and_then(|text| text.parse::<Id<Organization>>().ok());
    let provider_id = provider.and_then(|text| text.parse::<Id<SsoProvider>>().ok());
    let rows = sqlx::query!(
        r#"
        select
            p.organization_id as "organization_id: Id<Organization>", p.provider_id as "provider_id: Id<SsoProvider>",
            o.public_identifier, p.name, title, issuer, client_id, secret_sealed, secret2_sealed,
            token_auth as "token_auth: TokenAuth", scopes, domains, subject_claim, email_claim,
            email_proof as "email_proof: EmailProof", required_claims, creates, max_age, logout, p.created_at,
            disabled_at is null as "is_enabled!", coalesce(s.sso_mode = 'off', false) as "is_off!"
        from organizations o
        join sso_providers p on p.organization_id = o.organization_id
        left join sign_in_policies s on s.organization_id = o.organization_id
        where ($2::text is null or o.organization_id = $1 or o.public_identifier = $2)
            and ($3::text is null or p.name = $3 or p.provider_id = $4)
        order by p.name
        "#,
        organization_id as Option<Id<Organization>>,
        organization,
        provider,
        provider_id as Option<Id<SsoProvider>>,
    )
    .fetch_all(connection)
    .await?;
    let providers = rows.into_iter().map(|row| StoredProvider {
        organization_id: row.organization_id,
        provider_id: row.provider_id,
        organization: row.public_identifier,
        name: row.name,
        settings: ProviderSettings {
            title: row.title,
            issuer: row.issuer,
            client_id: row.client_id,
            token_auth: row.token_auth,
            scopes: row.scopes,
            domains: row.domains,
            subject_claim: row.subject_claim,
            email_claim: row.email_claim,
            email_proof: row.email_proof,
            required_claims: match row.required_claims {
                Value::Object(claims) => claims,
                _ => Map::new(),
            },
            creates: row.creates,
            max_age: row.max_age.and_then(|age| u32::try_from(age).ok()),
            logout: row.logout,
            enabled: row.is_enabled,
        },
        secret_sealed: row.secret_sealed,
        secret2_sealed: row.secret2_sealed,
        created_at: row.created_at,
        is_off: row.is_off,
    });
    Ok(providers.collect())
}

/// The IDs of the seal keys that stored secrets need.
pub(super) async fn seal_keys(connection: &mut PgConnection) -> Result<Vec<Vec<u8>>> {
    Ok(sqlx::query_scalar!(
        r#"
        select distinct substring(sealed from 1 for 8) as "id!"
        from sso_providers, unnest(array[secret_sealed, secret2_sealed]) as sealed
        where sealed is not null
        "#
    )
    .fetch_all(connection)
    .await?)
}

/// What an existing provider is used for.
pub(super) async fn uses(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    provider_id: Id<SsoProvider>,
    now: DateTime<Utc>,
) -> Result<ProviderUses> {
    let row = sqlx::query!(
        r#"
        select
            (select count(*) from sso_identities where organization_id = $1 and provider_id = $2) as "identities!",
            (
                select count(*) from sessions
                where organization_id = $1 and provider_id = $2 and ended_at is null
                    and expires_at > $3 and idle_expires_at > $3
            ) as "sessions!"
        "#,
        organization_id as Id<Organization>,
        provider_id as Id<SsoProvider>,
        now,
    )
    .fetch_one(connection)
    .await?;
    let count = |count: i64| usize::try_from(count).unwrap_or_default();
    Ok(ProviderUses { identities: count(row.identities), sessions: count(row.sessions) })
}

/// The number of identities of each provider that has some.
pub(super) async fn identity_counts(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
) -> Result<Vec<(Id<SsoProvider>, i64)>> {
    let rows = sqlx::query!(
        r#"
        select provider_id as "provider_id: Id<SsoProvider>", count(*) as "count!"
        from sso_identities
        where organization_id = $1
        group by provider_id
        "#,
        organization_id as Id<Organization>,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.provider_id, row.count)).collect())
}

/// The provider of an address such as `/sso/ORGANIZATION/PROVIDER/start`.
pub(super) async fn provider(app: &App, organization: &str, provider: &str) -> Result<Option<StoredProvider>> {
    let mut connection = app.reader(&app.db.reserved).await?;
    Ok(providers(&mut connection, Some(organization), Some(provider)).await?.pop())
}

/// An identity that is bound, with its account.
pub(super) struct Bound {
    pub(super) identity_id: Id<SsoIdentity>,
    pub(super) account: Account,
}

/// The identity with this subject, if it is bound.
pub(super) async fn identity(
    app: &App,
    provider: &StoredProvider,
    subject: &str,
    now: DateTime<Utc>,
) -> Result<Option<Bound>> {
    let row = sqlx::query!(
        r#"
        select
            i.identity_id as "identity_id: Id<SsoIdentity>", u.user_id as "user_id: Id<User>", u.email, u.is_sso_user,
            u.is_service_account, (u.status = 'active' and (u.expires_at is null or u.expires_at > $5)) as "is_active!"
        from sso_identities i
        join users u on u.organization_id = $1 and u.user_id = i.user_id
        where i.organization_id = $1 and i.provider_id = $2 and i.issuer = $3 and i.subject = $4
        "#,
        provider.organization_id as Id<Organization>,
        provider.provider_id as Id<SsoProvider>,
        provider.settings.issuer,
        subject,
        now,
    )
    .fetch_optional(&mut *app.reader(&app.db.reserved).await?)
    .await?;
    Ok(row.map(|row| Bound {
        identity_id: row.identity_id,
        account: Account {
            user_id: row.user_id,
            email: row.email,
            is_sso_user: row.is_sso_user,
            is_service_account: row.is_service_account,
            is_active: row.is_active,
            has_password: false,
            has_identity: true,
        },
    }))
}

/// The account with the key of an address.
pub(super) async fn account(
    app: &App,
    organization_id: Id<Organization>,
    email_key: &str,
    now: DateTime<Utc>,
) -> Result<Option<Account>> {
    let row = sqlx::query!(
        r#"
        select
            user_id as "user_id: Id<User>", email, is_sso_user, is_service_account,
            (status = 'active' and (expires_at is null or expires_at > $3)) as "is_active!",
            exists (select from passwords p where p.organization_id = $1 and p.user_id = u.user_id) as "has_password!",
            exists (select from sso_identities i where i.organization_id = $1 and i.user_id = u.user_id)
                as "has_identity!"
        from users u
        where organization_id = $1 and email_key = $2
        "#,
        organization_id as Id<Organization>,
        email_key,
        now,
    )
    .fetch_optional(&mut *app.reader(&app.db.reserved).await?)
    .await?;
    Ok(row.map(|row| Account {
        user_id: row.user_id,
        email: row.email,
        is_sso_user: row.is_sso_user,
        is_service_account: row.is_service_account,
        is_active: row.is_active,
        has_password: row.has_password,
        has_identity: row.has_identity,
    }))
}

/// An identity of a user.
#[derive(Debug, Serialize)]
pub struct Identity {
    /// The identity's ID.
    pub identity_id: Id<SsoIdentity>,
    /// The user.
    pub user_id: Id<User>,
    /// The name of the provider.
    pub provider: String,
    /// The issuer when the identity was bound.
    pub issuer: String,
    /// The value of the claim that identifies people.
    pub subject: String,
    /// When the identity was bound.
    pub bound_at: DateTime<Utc>,
    /// How it was bound.
    pub bound_how: String,
    /// The last sign-in.
    pub last_used_at: Option<DateTime<Utc>>,
    /// The address that the provider named last.
    pub email_seen: Option<String>,
}

/// The identities of a user, the latest first.
pub(super) async fn identities(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Id<User>,
) -> Result<Vec<Identity>> {
    let rows = sqlx::query_as!(
        Identity,
        r#"
        select
            identity_id as "identity_id: Id<SsoIdentity>", user_id as "user_id: Id<User>", p.name as provider,
            i.issuer, subject, bound_at, bound_how, last_used_at, email_seen
        from sso_identities i
        join sso_providers p on p.organization_id = $1 and p.provider_id = i.provider_id
        where i.organization_id = $1 and user_id = $2
        order by identity_id desc
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Whether a user has a password.
pub(super) async fn has_password(change: &mut Change, user_id: Id<User>) -> Result<bool> {
    let organization_id = change.organization_id();
    Ok(sqlx::query_scalar!(
        r#"select exists (select from passwords where organization_id = $1 and user_id = $2) as "has_password!""#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
    )
    .fetch_one(change.connection())
    .await?)
}

/// Locks an identity and tells whether it is still bound to the user, at an enabled provider.
pub(super) async fn is_still_bound(
    change: &mut Change,
    identity_id: Id<SsoIdentity>,
    user_id: Id<User>,
) -> Result<bool> {
    let organization_id = change.organization_id();
    let found = sqlx::query_scalar!(
        r#"
        select true as "found!"
        from sso_identities i
        join sso_providers p on p.organization_id = $1 and p.provider_id = i.provider_id
        where i.organization_id = $1 and i.identity_id = $2 and i.user_id = $3 and p.disabled_at is null
        for no key update of i
        "#,
        organization_id as Id<Organization>,
        identity_id as Id<SsoIdentity>,
        user_id as Id<User>,
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(found.is_some())
}

/// The provider of a session of single sign-on, and the address that it named last.
pub(super) async fn provider_of_session(
    app: &App,
    organization_id: Id<Organization>,
    session_id: Id<crate::id::Session>,
) -> Result<Option<(StoredProvider, Option<String>)>> {
    let mut connection = app.reader(&app.db.reserved).await?;
    let row = sqlx::query!(
        r#"
        select s.provider_id as "provider_id!: Id<SsoProvider>", i.email_seen as "email_seen?"
        from sessions s
        left join sso_identities i on i.organization_id = $1 and i.identity_id = s.identity_id
        where s.organization_id = $1 and s.session_id = $2 and s.provider_id is not null
        "#,
        organization_id as Id<Organization>,
        session_id as Id<crate::id::Session>,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let provider =
        providers(&mut connection, Some(&organization_id.to_string()), Some(&row.provider_id.to_string())).await?.pop();
    Ok(provider.map(|provider| (provider, row.email_seen)))
}
