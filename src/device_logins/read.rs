//! Reading login requests and approvals.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Client, Identified, LoginRequest, Otp, UserCode};
use crate::app::App;
use crate::audit::ActorKind;
use crate::caller::{PermissionLevel, Principal, Scopes, SecretDigest, Stage};
use crate::error::Result;
use crate::id::{Id, Organization, User};

/// The user and the permissions that a login's key gets.
#[derive(Debug)]
pub(super) struct Approval {
    pub(super) user_id: Option<Id<User>>,
    pub(super) permission_level: PermissionLevel,
    pub(super) scopes: Scopes,
}

/// A login with an approval.
pub(super) struct Login {
    pub(super) organization_id: Id<Organization>,
    pub(super) user_id: Option<Id<User>>,
    /// The approver, with the permissions at the time of approval.
    pub(super) approved_by: Principal,
    pub(super) is_fetched: bool,
    /// Whether a user has denied the login: a session approves on behalf of its user, and denies on behalf of nobody.
    pub(super) is_denied: bool,
    /// Whether the approving key with its secret, or the approving session, is still valid, and the user is active.
    pub(super) is_valid: bool,
}

/// Finds the approval of a one-time password in all organizations: the client does not know the approver's.
pub(super) async fn approved(app: &App, otp: &Otp) -> Result<Option<Login>> {
    let now: DateTime<Utc> = app.clock.now();
    let row = sqlx::query!(
        r#"
        select
            a.organization_id as "organization_id: Id<Organization>", a.user_id as "user_id: Id<User>",
            a.permission_level as "permission_level: PermissionLevel", a.scopes,
            a.approved_by_kind as "approved_by_kind: ActorKind", a.approved_by_id, a.fetched_at is not null as "is_fetched!",
            a.approved_by_secret_sha256 as secret_sha256,
            coalesce(
                k.revoked_at is null and k.expires_at > $2 and (
                    a.approved_by_secret_sha256 is null or a.approved_by_secret_sha256 = k.secret_sha256
                    or (a.approved_by_secret_sha256 = k.previous_secret_sha256 and k.previous_expires_at > $2)
                ),
                false
            ) as "is_key_valid!",
            coalesce(s.ended_at is null and s.expires_at > $2, false) as "is_session_valid!",
            coalesce(u.status <> 'suspended' and (u.expires_at is null or u.expires_at > $2), false) as "is_user_active!"
        from login_approvals a
        left join api_keys k on k.organization_id = a.organization_id and k.key_id = a.approved_by_id
        left join sessions s on s.organization_id = a.organization_id and s.session_id = a.approved_by_id
        left join users u on u.organization_id = a.organization_id and u.user_id = a.user_id
        where a.otp_sha256 = $1 and a.expires_at > $2
        "#,
        otp.sha256.as_slice(),
        now,
    )
    .fetch_optional(&mut *app.reader(&app.db.interactive).await?)
    .await?;
    Ok(row.map(|row| {
        let (approved_by, is_approver_valid) = match (row.approved_by_kind, row.approved_by_id, row.user_id) {
            (ActorKind::ApiKey, Some(id), user_id) => {
                let secret = row.secret_sha256.and_then(|sha256| Some(SecretDigest(sha256.try_into().ok()?)));
                let scopes = Scopes::from_database(row.scopes.as_deref());
                let id = Id::from_uuid(id);
                (Principal::ApiKey { id, user_id, permission: row.permission_level, scopes, secret }, row.is_key_valid)
            }
            (ActorKind::Session, Some(id), Some(user_id)) => {
                let session = Principal::Session {
                    id: Id::from_uuid(id),
                    user_id,
                    stage: Stage::Full,
                    permission: row.permission_level,
                    // It was fresh when it approved.
                    is_fresh: true,
                    secret: None,
                };
                (session, row.is_session_valid)
            }
            _ => (Principal::Operator, row.approved_by_kind == ActorKind::Operator),
        };
        Login {
            organization_id: row.organization_id,
            user_id: row.user_id,
            is_fetched: row.is_fetched,
            is_denied: row.approved_by_kind == ActorKind::Session && row.user_id.is_none(),
            is_valid: is_approver_valid && (row.user_id.is_none() || row.is_user_active),
            approved_by,
        }
    }))
}

/// Whether the user exists, is not suspended and has not expired.
pub(super) async fn is_active(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Id<User>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let is_active = sqlx::query_scalar!(
        r#"
        select exists (
            select from users
            where organization_id = $1 and user_id = $2 and status <> 'suspended'
                and (expires_at is null or expires_at > $3)
        ) as "is_active!"
        "#,
        organization_id as Id<Organization>,
        user_id as Id<User>,
        now,
    )
    .fetch_one(connection)
    .await?;
    Ok(is_active)
}

/// A login request as it is stored.
pub(super) struct Stored {
    otp_sha256: Vec<u8>,
    pub(super) user_code: String,
    requested_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    client_address: Option<String>,
    user_agent: Option<String>,
    machine: Option<String>,
}

impl Stored {
    /// `None` for a malformed row.
    pub(super) fn identified(self) -> Option<Identified> {
        let address = self.client_address.and_then(|address| address.parse::<IpAddr>().ok());
        let client = Client { address, user_agent: self.user_agent, machine: self.machine };
        let request = LoginRequest { requested_at: self.requested_at, expires_at: self.expires_at, client };
        Some(Identified { sha256: self.otp_sha256.try_into().ok()?, request })
    }
}

/// Selects login requests. They belong to no organization.
macro_rules! requests {
    ($condition:literal, $value:expr) => {
        sqlx::query_as!(
            Stored,
            r#"
            select
                otp_sha256, user_code, requested_at, expires_at, host(client_address) as client_address, user_agent,
                machine
            from login_requests where "#
                + $condition,
            $value,
        )
    };
}

pub(super) async fn by_code(connection: &mut PgConnection, code: &UserCode) -> Result<Option<Stored>> {
    Ok(requests!("user_code = $1", code.as_str()).fetch_optional(connection).await?)
}

pub(super) async fn by_otp(connection: &mut PgConnection, sha256: &[u8; 32]) -> Result<Option<Stored>> {
    Ok(requests!("otp_sha256 = $1", sha256.as_slice()).fetch_optional(connection).await?)
}

/// What the name of a login's key is made of.
pub(super) struct NameParts {
    pub(super) email: Option<String>,
    pub(super) machine: Option<String>,
    pub(super) address: Option<String>,
}

pub(super) async fn name_parts(
    connection: &mut PgConnection,
    organization_id: Id<Organization>,
    user_id: Option<Id<User>>,
    otp: &Otp,
) -> Result<NameParts> {
    let email = sqlx::query_scalar!(
        "select email from users where organization_id = $1 and user_id = $2",
        organization_id as Id<Organization>,
        user_id as Option<Id<User>>,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let request = by_otp(connection, &otp.sha256).await?;
    let (machine, address) = request.map(|request| (request.machine, request.client_address)).unwrap_or_default();
    Ok(NameParts { email, machine, address })
}
