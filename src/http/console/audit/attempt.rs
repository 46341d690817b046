//! Sentences about actions that were refused.

use super::sentence::{Context, Line};
use crate::caller::Action;
use crate::http::console::numbers::counted;

/// What could not be done, and why.
pub(super) fn of(c: &Context<'_>, action: Action) -> (Line, Line) {
    let reason = c.entry.reason.as_deref().unwrap_or_default();
    let line = Line::new(if reason == "forbidden" { "may not " } else { "could not " }).then("", attempt(c, action));
    let line = match c.number("repeated") {
        0 => line,
        times => line.text(format!(", {} more", counted(times, "time", "times"))),
    };
    let mut more = Line::new(why(reason));
    let findings = c.entry.details.get("findings").and_then(|findings| findings.as_object());
    let number_of_findings: u64 = findings.into_iter().flat_map(|all| all.values()).filter_map(|n| n.as_u64()).sum();
    if number_of_findings > 0 {
        let rows = counted(c.number("rows"), "row", "rows");
        more = more.text(format!(" · {} in {rows}", counted(number_of_findings, "finding", "findings")));
    }
    if let Some(provider) = c.detail("provider") {
        more = more.text(format!(" · through {provider}"));
    }
    if let Some(network) = c.entry.source_address.as_deref().or(c.detail("network")) {
        more = more.text(format!(" · from {network}"));
    }
    (line, more)
}

/// What the actor tried.
pub(super) fn attempt(c: &Context<'_>, action: Action) -> Line {
    let on = |verb: &'static str, or: &'static str| Line::new(verb).part(c.target(or));
    match action {
        Action::OrganizationCreate => Line::new("create an organization"),
        Action::OrganizationList => Line::new("list all organizations"),
        Action::OrganizationRename => Line::new("rename the organization"),
        Action::UserBatchCreate => on("create people from ", "a list"),
        Action::UserBatchDryRun => Line::new("check a list of people"),
        Action::UserCreate => Line::new("create people"),
        Action::UserGet => on("look at ", "people"),
        Action::UserUpdate => on("change ", "people"),
        Action::UserSuspend => on("suspend ", "people"),
        Action::UserReactivate => on("reactivate ", "people"),
        Action::UserDelete => on("delete ", "people"),
        Action::UserBatchUpdate => Line::new("change a list of people"),
        Action::UserBatchApply => Line::new("apply a list of people"),
        Action::UserBatchSuspend => Line::new("suspend a list of people"),
        Action::UserBatchReactivate => Line::new("reactivate a list of people"),
        Action::UserBatchDelete => Line::new("delete a list of people"),
        Action::OwnerGrant => on("make ", "people").text(" an owner"),
        Action::OwnerUpdate => on("change the sign-in of ", "an owner"),
        Action::BatchList => Line::new("list batches"),
        Action::BatchGet => on("look at ", "a batch"),
        Action::BatchCancel => on("cancel ", "a batch"),
        Action::BatchUndo => on("undo ", "a batch"),
        Action::UserInfo => Line::new("read their own account"),
        Action::CollaboratorList => Line::new("list people"),
        Action::CollaboratorUpdate => on("change the level of ", "a person"),
        Action::CollaboratorRemove => on("remove ", "a person").text(" from the organization"),
        Action::PermissionList => Line::new("list permissions"),
        Action::InvitationBatchCreate => Line::new("invite a list of people"),
        Action::InvitationCreate => on("invite ", "people"),
        Action::InvitationList => Line::new("list invitations"),
        Action::InvitationInvalidate => on("revoke the invitation of ", "a person"),
        Action::InvitationAccept => Line::new("accept an invitation"),
        Action::ServiceAccountCreate => Line::new("create a service account"),
        Action::KeyCreate => Line::new("create an API key"),
        Action::KeyList => Line::new("list API keys"),
        Action::KeyRotate => on("rotate ", "an API key"),
        Action::KeyRevoke => on("revoke ", "an API key"),
        Action::KeyRevokeSelf => Line::new("revoke its own API key"),
        Action::KeyOthers => Line::new("manage API keys of others"),
        Action::KeyExpirationGet => Line::new("read how long API keys may last"),
        Action::KeyExpirationSet => Line::new("limit how long API keys may last"),
        Action::KeyRotateForUser => on("revoke all API keys of ", "a person"),
        Action::KeyUse => Line::new("use an API key"),
        Action::LoginGet => Line::new("look at a login of the command line"),
        Action::LoginApprove => Line::new("approve a login of the command line"),
        Action::LoginDeny => Line::new("deny a login of the command line"),
        Action::GroupCreate => Line::new("create a group"),
        Action::GroupUpdate => on("rename ", "a group"),
        Action::GroupDelete => on("delete ", "a group"),
        Action::GroupAddMembers => on("add people to ", "a group"),
        Action::GroupRemoveMembers => on("remove people from ", "a group"),
        Action::GroupList => Line::new("list groups"),
        Action::PolicyGet => Line::new("read what groups grant"),
        Action::PolicySet => Line::new("decide what groups grant"),
        Action::ScimMigrationPreview => Line::new("check moving permissions to the groups of a directory"),
        Action::ScimMigration => Line::new("move permissions to the groups of a directory"),
        Action::SessionStart => match c.entry.target_id {
            Some(_) => on("sign in as ", "a person"),
            None => Line::new("sign in"),
        },
        Action::SessionEnd => Line::new("end a session"),
        Action::SessionList => Line::new("list sessions"),
        Action::SessionOthers => Line::new("manage sessions of others"),
        Action::PasswordChange => Line::new("change their password"),
        Action::PasswordRehash => Line::new("renew the hash of a password"),
        Action::PasswordLinkCreate => on("create a link to set a password for ", "people"),
        Action::PasswordLinkCreateForOwner => on("create a link to set a password for ", "an owner"),
        Action::PasswordLinkUse => match c.entry.target_id {
            Some(_) => on("use a link to set the password of ", "a person"),
            None => Line::new("use a link to set a password"),
        },
        Action::PasswordLinkRevoke => Line::new("revoke a link to set a password"),
        Action::PasswordResetRequest => match c.entry.target_id {
            Some(_) => on("get a link to set a new password for ", "a person"),
            None => Line::new("get a link to set a new password"),
        },
        Action::MailList => Line::new("list messages"),
        Action::MailRetry => on("send a message again to ", "a person"),
        Action::SignInPolicyGet => Line::new("read how people sign in"),
        Action::SignInPolicySet => Line::new("decide how people sign in"),
        Action::SsoProviderCreate => Line::new("add an identity provider"),
        Action::SsoProviderList => Line::new("list identity providers"),
        Action::SsoProviderUpdate => on("change the identity provider ", "of others"),
        Action::SsoProviderDelete => on("remove ", "an identity provider"),
        Action::SsoProviderTest => on("test ", "an identity provider"),
        Action::SsoIdentityBind => on("link an identity to ", "a person"),
        Action::SsoIdentityUnbind => on("remove an identity of ", "a person"),
        Action::SsoIdentityList => on("list the identities of ", "a person"),
        Action::SsoIdentityLink => Line::new("link an identity to their account"),
        Action::SsoLogout => Line::new("end sessions for an identity provider"),
        Action::SecretReseal => Line::new("encrypt secrets with another key"),
        Action::AuditList => Line::new("read the audit log"),
    }
}

/// Why an action was refused, in words. Newer versions can have written reasons that this one does not know.
pub(super) fn why(reason: &str) -> &'static str {
    match reason {
        "forbidden" => "no permission",
        "cross_site" => "a page of another site sent the request",
        "other" => "for several reasons",
        // Sign-ins, links and invitations.
        "unknown_account" => "no such account",
        "wrong_password" => "wrong password",
        "no_password" => "the account has no password",
        "sso_user" => "the account signs in through an identity provider",
        "sso_required" => "the organization requires single sign-on",
        "suspended" | "suspended_user" | "sso_suspended" => "the account is suspended",
        "expired" | "expired_user" => "the account has expired",
        "initial_password_expired" => "the initial password has expired",
        "service_account" => "service accounts don’t sign in",
        "throttled" => "too many attempts",
        "unknown_link" => "no such link",
        "used_link" => "the link has been used",
        "revoked_link" => "the link was revoked or replaced",
        "expired_link" => "the link has expired",
        "unknown_invitation" => "no such invitation",
        "used_invitation" => "the invitation has been accepted",
        "invalidated_invitation" => "the invitation was revoked or replaced",
        "expired_invitation" => "the invitation has expired",
        // API keys and sessions.
        "unknown_key" => "unknown API key",
        "deleted_user" => "the API key was deleted with its user",
        "rotated_key" => "the API key was rotated",
        "revoked_key" => "the API key is revoked",
        "expired_key" => "the API key has expired",
        "unknown_session" => "unknown session",
        "ended_session" => "the session has ended",
        "expired_session" => "the session has expired",
        // Identity providers.
        "sso_denied" => "declined at the identity provider",
        "sso_provider_error" => "the identity provider answered with an error",
        "sso_unreachable" => "the identity provider can’t be reached",
        "sso_no_public_url" => "this server has no public address",
        "sso_bad_state" => "the answer belongs to no sign-in of this browser",
        "sso_expired_flow" => "the sign-in began too long ago",
        "sso_bad_token" => "the identity provider’s token is invalid",
        "sso_clock" => "the identity provider’s clock differs too much",
        "sso_no_account" => "no account for this identity",
        "sso_password_user" => "the account signs in with a password",
        "sso_not_proved" => "the identity provider does not vouch for the address",
        "sso_already_linked" => "the identity is linked to another account",
        "sso_off" => "single sign-on is off",
        "sso_wrong_tenant" => "the person belongs to another tenant of the identity provider",
        // What operations reject.
        "invalid_json" | "invalid_request" => "the request is malformed",
        "empty_batch" => "the list is empty",
        "unauthenticated" | "sign_in_refused" => "not signed in",
        "reauthentication_needed" => "the sign-in was too long ago",
        "not_found" | "method_not_allowed" => "no such object",
        "request_timeout" => "the request took too long",
        "batch_conflict" => "accounts with these addresses exist",
        "plan_changed" => "the list differs from the reviewed one",
        "idempotency_key_in_use" => "the same request was in progress",
        "idempotency_key_reused" => "the idempotency key belongs to another request",
        "batch_in_use" => "people of the list have signed in or were changed",
        "interrupted" => "interrupted: the server stopped",
        "email_taken" => "another account has the address",
        "last_owner" => "the organization would have no owner who can sign in",
        "would_lock_out" => "nobody could sign in any more",
        "mail_not_configured" => "the server sends no mail",
        "seal_key_missing" => "the server has no key for secrets",
        "conflict" => "the state did not allow it",
        "precondition_failed" => "it had been changed meanwhile",
        "too_large" | "headers_too_large" => "too large",
        "unsupported_media_type" => "not a kind of file that muster reads",
        "batch_rejected" => "the list has mistakes",
        "policy_rejected" => "the bindings have mistakes",
        "password_rejected" => "the password is too weak",
        "rate_limited" => "too many requests",
        "internal" => "an internal error",
        "overloaded" | "unavailable" => "the server was busy",
        _ => "for a reason that this version of muster does not know",
    }
}
