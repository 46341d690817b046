//! Writing providers, identities, and what was used once.

use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::provider::ProviderSettings;
use super::read::StoredProvider;
use crate::app::App;
use crate::audit::Event;
use crate::change::Change;
use crate::error::{Code, Error, Result};
use crate::id::{Id, Organization, SsoIdentity, SsoProvider, User};
use crate::{sessions, users};

/// The secrets of a provider, sealed.
#[derive(Debug, Default)]
pub(super) struct SealedSecrets {
    pub(super) first: Option<Vec<u8>>,
    pub(super) second: Option<Vec<u8>>,
}

fn max_age(settings: &ProviderSettings) -> Option<i32> {
    settings.max_age.and_then(|age| i32::try_from(age).ok())
}

/// Inserts a provider.
pub(super) async fn insert(
    change: &mut Change,
    provider_id: Id<SsoProvider>,
    name: &str,
    settings: &ProviderSettings,
    secrets: &SealedSecrets,
) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let inserted = sqlx::query!(
        r#"
        insert into sso_providers
            (organization_id, provider_id, name, title, issuer, client_id, secret_sealed, secret2_sealed, token_auth, scopes,
             domains, subject_claim, email_claim, email_proof, required_claims, creates, max_age, logout, created_at,
             updated_at, disabled_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $19,
            case when $20 then null else $19::timestamptz end)
        on conflict on constraint sso_providers_name_key do nothing
        "#,
        organization_id as Id<Organization>,
        provider_id as Id<SsoProvider>,
        name,
        settings.title,
        settings.issuer,
        settings.client_id,
        secrets.first,
        secrets.second,
        settings.token_auth.as_str(),
        settings.scopes,
        &settings.domains,
        settings.subject_claim,
        settings.email_claim,
        settings.email_proof.as_str(),
        Value::Object(settings.required_claims.clone()),
        settings.creates,
        max_age(settings),
        settings.logout,
        now,
        settings.enabled,
    )
    .execute(change.connection())
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(Error::new(Code::Conflict, format!("there is an identity provider `{name}` already")));
    }
    change.record(Event::SsoProviderCreated(provider_id));
    Ok(())
}

/// Changes a provider.
pub(super) async fn update(
    change: &mut Change,
    provider_id: Id<SsoProvider>,
    settings: &ProviderSettings,
    secrets: &SealedSecrets,
) -> Result<bool> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let updated = sqlx::query!(
        r#"
        update sso_providers
        set title = $3, issuer = $4, client_id = $5, secret_sealed = $6, secret2_sealed = $7, token_auth = $8, scopes = $9,
            domains = $10, subject_claim = $11, email_claim = $12, email_proof = $13, required_claims = $14, creates = $15,
            max_age = $16, logout = $17, updated_at = $18,
            disabled_at = case when $19 then null else coalesce(disabled_at, $18) end
        where organization_id = $1 and provider_id = $2
        "#,
        organization_id as Id<Organization>,
        provider_id as Id<SsoProvider>,
        settings.title,
        settings.issuer,
        settings.client_id,
        secrets.first,
        secrets.second,
        settings.token_auth.as_str(),
        settings.scopes,
        &settings.domains,
        settings.subject_claim,
        settings.email_claim,
        settings.email_proof.as_str(),
        Value::Object(settings.required_claims.clone()),
        settings.creates,
        max_age(settings),
        settings.logout,
        now,
        settings.enabled,
    )
    .execute(change.connection())
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Replaces the sealed secrets of a provider. `false`: they are not what was read any more.
pub(super) async fn reseal(change: &mut Change, provider: &StoredProvider, secrets: &SealedSecrets) -> Result<bool> {
    let (organization_id, provider_id) = (change.organization_id(), provider.provider_id);
    let updated = sqlx::query!(
        r#"
        update sso_providers set secret_sealed = $3, secret2_sealed = $4
        where organization_id = $1 and provider_id = $2 and secret_sealed is not distinct from $5
            and secret2_sealed is not distinct from $6
        "#,
        organization_id as Id<Organization>,
        provider_id as Id<SsoProvider>,
        secrets.first,
        secrets.second,
        provider.secret_sealed,
        provider.secret2_sealed,
    )
    .execute(change.connection())
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(false);
    }
    change.record(Event::SsoProviderResealed(provider_id));
    Ok(true)
}

/// Deletes a provider with its identities.
pub(super) async fn delete(change: &mut Change, provider_id: Id<SsoProvider>) -> Result<()> {
    let organization_id = change.organization_id();
    sqlx::query!(
        "delete from sso_providers where organization_id = $1 and provider_id = $2",
        organization_id as Id<Organization>,
        provider_id as Id<SsoProvider>,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// The sessions that an event at a provider ends.
#[derive(Debug)]
pub(super) enum Ended<'a> {
    /// All of the provider.
    Provider,
    /// Those of a session of the provider.
    Session(&'a str),
    /// Those of a person.
    Subject(&'a str),
}

/// Ends sessions that were started through a provider. Returns those that were not over, with their users.
pub(super) async fn end_sessions(
    change: &mut Change,
    provider_id: Id<SsoProvider>,
    ended: &Ended<'_>,
    reason: &str,
) -> Result<usize> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let (session, subject) = match ended {
        Ended::Provider => (None, None),
        Ended::Session(session) => (Some(*session), None),
        Ended::Subject(subject) => (None, Some(*subject)),
    };
    let ended = sqlx::query_scalar!(
        r#"
        with locked as (
            select session_id from sessions s
            where organization_id = $1 and provider_id = $2 and ended_at is null
                and ($3::text is null or idp_sid = $3)
                and ($4::text is null or exists (
                    select from sso_identities i
                    where i.organization_id = $1 and i.identity_id = s.identity_id and i.subject = $4
                ))
            order by session_id
            for no key update
        )
        update sessions s set ended_at = $5, end_reason = $6
        from locked
        where s.organization_id = $1 and s.session_id = locked.session_id
        returning s.expires_at > $5 and s.idle_expires_at > $5 as "was_alive!"
        "#,
        organization_id as Id<Organization>,
        provider_id as Id<SsoProvider>,
        session,
        subject,
        now,
        reason,
    )
    .fetch_all(change.connection())
    .await?;
    Ok(ended.into_iter().filter(|was_alive| *was_alive).count())
}

/// Marks something as used. `false`: it was used before.
pub(super) async fn use_once(change: &mut Change, kind: &str, value: &str) -> Result<bool> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let digest = digest(&SHA256, value.as_bytes());
    let used = sqlx::query!(
        r#"
        insert into used_once (organization_id, kind, digest, used_at) values ($1, $2, $3, $4)
        on conflict on constraint used_once_pkey do nothing
        "#,
        organization_id as Id<Organization>,
        kind,
        digest.as_ref(),
        now,
    )
    .execute(change.connection())
    .await?;
    Ok(used.rows_affected() == 1)
}

/// Deletes up to 1,000 rows of an organization that are older than anything they could stop, for the background work. Returns
/// their number.
pub(crate) async fn delete_old_uses(app: &App, organization_id: Id<Organization>) -> Result<u64> {
    let (mut transaction, now) = app.begin(&app.db.interactive).await?;
    let deleted = sqlx::query!(
        r#"
        delete from used_once
        where organization_id = $1 and (kind, digest) in (
            select kind, digest from used_once
            where organization_id = $1 and used_at < $2
            limit 1000
            for update skip locked
        )
        "#,
        organization_id as Id<Organization>,
        now - chrono::TimeDelta::hours(24),
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(deleted.rows_affected())
}

/// How an identity is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BoundHow {
    /// By the address.
    Address,
    /// With the account.
    Created,
    /// By the user, whose account it is linked to.
    Account,
    /// By an owner.
    Owner,
    /// By command.
    Operator,
}

impl BoundHow {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Created => "created",
            Self::Account => "account",
            Self::Owner => "owner",
            Self::Operator => "operator",
        }
    }
}

/// Binds an identity. `None`: it or the user is bound at the provider already, or the user is not of the kind that the way of binding is
/// for. A user links an identity to an account with a password; all others are bound to one of single sign-on, which has no other identity
/// unless an owner or the operator binds it.
pub(super) async fn bind(
    change: &mut Change,
    provider: &StoredProvider,
    subject: &str,
    user_id: Id<User>,
    how: BoundHow,
) -> Result<Option<Id<SsoIdentity>>> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let identity_id = Id::<SsoIdentity>::new(now);
    let bound = sqlx::query!(
        r#"
        insert into sso_identities
            (organization_id, identity_id, provider_id, issuer, subject, user_id, bound_at, bound_how)
        select $1, $2, p.provider_id, p.issuer, $5, u.user_id, $6, $7
        from sso_providers p, users u
        where p.organization_id = $1 and p.provider_id = $3 and p.issuer = $8 and p.disabled_at is null
            and u.organization_id = $1 and u.user_id = $4
            and u.is_sso_user = ($7 <> 'account') and not u.is_service_account
            and exists (select from passwords x where x.organization_id = $1 and x.user_id = $4) = ($7 = 'account')
            and ($7 in ('account', 'owner', 'operator')
                or not exists (select from sso_identities x where x.organization_id = $1 and x.user_id = $4))
        on conflict do nothing
        "#,
        organization_id as Id<Organization>,
        identity_id as Id<SsoIdentity>,
        provider.provider_id as Id<SsoProvider>,
        user_id as Id<User>,
        subject,
        now,
        how.as_str(),
        provider.settings.issuer,
    )
    .execute(change.connection())
    .await?;
    if bound.rows_affected() == 0 {
        return Ok(None);
    }
    let provider_id = provider.provider_id;
    change.record(Event::SsoIdentityBound { identity_id, user_id, provider_id, how: how.as_str() });
    Ok(Some(identity_id))
}

/// Records on an identity that it was used, and on its new session where it comes from.
pub(super) async fn note_use(
    change: &mut Change,
    provider: &StoredProvider,
    identity_id: Id<SsoIdentity>,
    (session_id, idp_session): (Id<crate::id::Session>, Option<&str>),
    email_seen: Option<&str>,
) -> Result<()> {
    let (organization_id, now) = (change.organization_id(), change.now());
    sqlx::query!(
        r#"
        update sso_identities set last_used_at = $3, email_seen = coalesce($4, email_seen)
        where organization_id = $1 and identity_id = $2
        "#,
        organization_id as Id<Organization>,
        identity_id as Id<SsoIdentity>,
        now,
        email_seen,
    )
    .execute(change.connection())
    .await?;
    sqlx::query!(
        r#"
        update sessions set provider_id = $3, identity_id = $4, idp_sid = $5
        where organization_id = $1 and session_id = $2
        "#,
        organization_id as Id<Organization>,
        session_id as Id<crate::id::Session>,
        provider.provider_id as Id<SsoProvider>,
        identity_id as Id<SsoIdentity>,
        idp_session,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Records on a new identity the address that the provider named.
pub(super) async fn note_address(
    change: &mut Change,
    identity_id: Id<SsoIdentity>,
    email_seen: Option<&str>,
) -> Result<()> {
    let organization_id = change.organization_id();
    sqlx::query!(
        r#"
        update sso_identities set email_seen = $3 where organization_id = $1 and identity_id = $2
        "#,
        organization_id as Id<Organization>,
        identity_id as Id<SsoIdentity>,
        email_seen,
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Unbinds an identity. The caller has locked the membership of its user.
pub(super) async fn unbind(change: &mut Change, identity_id: Id<SsoIdentity>) -> Result<Option<Id<User>>> {
    let organization_id = change.organization_id();
    let user_id = sqlx::query_scalar!(
        r#"
        delete from sso_identities where organization_id = $1 and identity_id = $2
        returning user_id as "user_id: Id<User>"
        "#,
        organization_id as Id<Organization>,
        identity_id as Id<SsoIdentity>,
    )
    .fetch_optional(change.connection())
    .await?;
    if let Some(user_id) = user_id {
        change.record(Event::SsoIdentityUnbound { identity_id, user_id });
    }
    Ok(user_id)
}

/// Makes a user one of single sign-on, or one with a password, and ends all ways in that the user had. `false`: the user is one
/// already.
pub(super) async fn set_sso(change: &mut Change, user_id: Id<User>, is_sso_user: bool) -> Result<bool> {
    let (organization_id, now) = (change.organization_id(), change.now());
    let updated = sqlx::query!(
        r#"
        update users set is_sso_user = $3, updated_at = $4, revision = revision + 1
        where organization_id = $1 and user_id = $2 and is_sso_user <> $3 and not is_service_account
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
        is_sso_user,
        now,
    )
    .execute(change.connection())
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(false);
    }
    let (to_sso, to_password) = if is_sso_user { (&[user_id][..], &[][..]) } else { (&[][..], &[user_id][..]) };
    users::write::delete_former_credentials(change, to_sso, to_password).await?;
    let reason = if is_sso_user { "set_sso" } else { "set_password_user" };
    sessions::end_access(change, &[user_id], None, reason).await?;
    change.record(Event::UserUpdated { user_id, fields: vec!["is_sso_user".into()] });
    Ok(true)
}
