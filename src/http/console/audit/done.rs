//! Sentences about actions that were done.

use super::sentence::{Context, Line, Part};
use crate::caller::Action;
use crate::http::console::numbers::{counted, people};

/// What was done, and what else is worth knowing.
#[expect(clippy::too_many_lines, reason = "one line for each action")]
pub(super) fn of(c: &Context<'_>, action: Action) -> (Line, Line) {
    let more = more(c, action);
    let on_target = |verb: &'static str| Line::new(verb).part(c.target("something"));
    let on_people = |verb: &'static str| Line::new(format!("{verb} {}", people(c.number("users"))));
    let line = match action {
        Action::OrganizationCreate => Line::new("created the organization"),
        Action::OrganizationRename => Line::new("renamed the organization"),
        Action::UserBatchCreate => on_people("created").text(" from ").part(c.target("a list")),
        Action::UserBatchDryRun => on_people("checked a list of"),
        Action::UserCreate => created(c),
        Action::UserUpdate => on_target("changed "),
        Action::UserSuspend if c.detail("reason") == Some("expired") => {
            on_target("suspended ").text(", whose account has expired")
        }
        Action::UserSuspend => on_target("suspended "),
        Action::UserReactivate => on_target("reactivated "),
        Action::UserDelete => gone(c, "deleted the person "),
        Action::UserBatchUpdate => on_people("changed"),
        Action::UserBatchApply => on_people("applied a list of"),
        Action::UserBatchSuspend => on_people("suspended"),
        Action::UserBatchReactivate => on_people("reactivated"),
        Action::UserBatchDelete => on_people("deleted"),
        Action::OwnerGrant => on_target("made ").text(" an owner"),
        Action::OwnerUpdate => on_target("changed the sign-in of "),
        Action::BatchCancel => on_target("cancelled "),
        Action::BatchUndo => on_target("undid ").text(format!(": {} deleted", people(c.number("users")))),
        Action::CollaboratorUpdate => on_target("made ").text(match c.detail("to") {
            Some("owner") => " an owner",
            _ => " a collaborator",
        }),
        Action::CollaboratorRemove => on_target("removed ").text(" from the organization"),
        Action::InvitationBatchCreate => Line::new(format!("invited {}", people(c.number("invitations")))),
        Action::InvitationCreate => on_target("invited "),
        Action::InvitationInvalidate => on_target("revoked the invitation of "),
        Action::InvitationAccept => Line::new("accepted an invitation"),
        Action::ServiceAccountCreate => on_target("created the service account "),
        Action::KeyCreate => on_target("created the API key "),
        Action::KeyRotate => on_target("rotated the API key "),
        Action::KeyRevoke | Action::KeyRevokeSelf => on_target("revoked the API key "),
        Action::KeyExpirationSet => Line::new(match c.number("max_days") {
            0 => "removed the limit of how long API keys last".to_owned(),
            days => format!("limited API keys to {}", counted(days, "day", "days")),
        }),
        Action::KeyRotateForUser => {
            Line::new(format!("revoked {} of ", counted(c.number("keys"), "API key", "API keys")))
                .part(c.target("a person"))
        }
        Action::LoginApprove => Line::new("approved a login of the command line"),
        Action::LoginDeny => Line::new("denied a login of the command line"),
        Action::GroupCreate => on_target("created the group "),
        Action::GroupUpdate => on_target("renamed the group "),
        Action::GroupDelete => gone(c, "deleted the group "),
        Action::GroupAddMembers => Line::new(format!("added {} to ", members(c))).part(c.target("a group")),
        Action::GroupRemoveMembers => Line::new(format!("removed {} from ", members(c))).part(c.target("a group")),
        Action::PolicySet => Line::new("decided what groups grant"),
        Action::ScimMigration => Line::new("moved permissions to the groups of a directory"),
        Action::SessionStart => Line::new("signed in").text(method(c)),
        Action::SessionEnd => ended(c),
        Action::PasswordChange => Line::new("changed their password"),
        Action::PasswordRehash => Line::new("signed in, and the password was hashed with the current parameters"),
        Action::PasswordLinkCreate => match c.detail("purpose") {
            Some("recover") => on_target("created a recovery link for "),
            _ => on_target("created a link to set a password for "),
        },
        Action::PasswordLinkUse => Line::new("set a password with a link"),
        Action::PasswordLinkRevoke => on_target("revoked a link of "),
        Action::PasswordResetRequest => on_target("sent a link to set a new password to ").text(", as asked for"),
        Action::MailRetry => on_target("sent a message again to "),
        Action::SignInPolicySet => Line::new(policy(c)),
        Action::SsoProviderCreate => on_target("added the identity provider "),
        Action::SsoProviderUpdate => on_target("changed the identity provider "),
        Action::SsoProviderDelete => gone(c, "removed the identity provider "),
        Action::SsoIdentityBind | Action::SsoIdentityLink => match c.detail("provider_id") {
            Some(id) => Line::new("linked an identity of ").part(c.object(id)).text(" to ").part(c.target("a person")),
            None => on_target("linked an identity to "),
        },
        Action::SsoIdentityUnbind => on_target("removed an identity of "),
        Action::SsoLogout => {
            Line::new(format!("ended {}, as asked for by ", sessions(c))).part(c.target("an identity provider"))
        }
        Action::SecretReseal => on_target("encrypted the secrets of ").text(" with another key"),
        // Reading, and what is recorded under another action: in the log only when it was refused.
        Action::OrganizationList
        | Action::UserGet
        | Action::BatchList
        | Action::BatchGet
        | Action::UserInfo
        | Action::CollaboratorList
        | Action::PermissionList
        | Action::InvitationList
        | Action::KeyList
        | Action::KeyOthers
        | Action::KeyExpirationGet
        | Action::KeyUse
        | Action::LoginGet
        | Action::GroupList
        | Action::PolicyGet
        | Action::ScimMigrationPreview
        | Action::SessionList
        | Action::SessionOthers
        | Action::PasswordLinkCreateForOwner
        | Action::MailList
        | Action::SignInPolicyGet
        | Action::SsoProviderList
        | Action::SsoProviderTest
        | Action::SsoIdentityList
        | Action::AuditList => Line::new("was allowed to ").then("", super::attempt::attempt(c, action)),
    };
    (line, more)
}

/// About a target that the action has deleted, and that has no name since.
fn gone(c: &Context<'_>, verb: &'static str) -> Line {
    let object = c.entry.target_id.as_deref().map(|id| match c.object(id) {
        Part::Object { path, .. } if c.names.of(id).is_none() => Part::Object { name: id.to_owned(), path },
        object => object,
    });
    Line::new(verb).part(object.unwrap_or_else(|| Part::Text("something".into())))
}

fn created(c: &Context<'_>) -> Line {
    let line = Line::new("created ").part(c.target("a person"));
    match (c.detail("permission_level"), &c.entry.batch_id) {
        (Some("owner"), _) => line.text(", an owner"),
        (_, Some(batch_id)) => line.text(" from ").part(c.object(&batch_id.to_string())),
        (_, None) => line,
    }
}

fn members(c: &Context<'_>) -> String {
    people(c.list("user_ids").len())
}

fn sessions(c: &Context<'_>) -> String {
    counted(c.number("ended_sessions"), "session", "sessions")
}

fn method(c: &Context<'_>) -> String {
    match (c.detail("provider"), c.detail("method")) {
        (Some(provider), _) => format!(" through {provider}"),
        (None, Some("sso")) => " through an identity provider".to_owned(),
        (None, Some("password")) => " with a password".to_owned(),
        (None, Some("passkey")) => " with a passkey".to_owned(),
        (None, Some("link")) => " with a link".to_owned(),
        (None, Some("recovery")) => " with a recovery link".to_owned(),
        (None, _) => String::new(),
    }
}

fn ended(c: &Context<'_>) -> Line {
    let of_user = || c.detail("user_id").map_or_else(|| Part::Text("a person".into()), |id| c.object(id));
    match (c.entry.target_kind.as_deref(), c.detail("reason")) {
        (Some("user"), _) => Line::new(format!("ended {} of ", counted(c.number("sessions"), "session", "sessions")))
            .part(c.target("a person")),
        (_, Some("signed_out")) => Line::new("signed out"),
        (_, Some("too_many")) => Line::new("signed in, which ended the oldest session of ").part(of_user()),
        _ => Line::new("ended a session of ").part(of_user()),
    }
}

fn policy(c: &Context<'_>) -> &'static str {
    match c.entry.details.get("to").and_then(|to| to.get("sso_mode")?.as_str()) {
        Some("required") => "made single sign-on required",
        Some("optional") => "made single sign-on optional",
        Some("off") => "turned single sign-on off",
        _ => "decided how people sign in",
    }
}

fn level(name: &str) -> &'static str {
    if name == "owner" { "owner" } else { "collaborator" }
}

/// A field of a user, as people call it.
fn field(name: &str) -> String {
    match name {
        "name" => "first name".to_owned(),
        "lastname" => "last name".to_owned(),
        "email" => "e-mail address".to_owned(),
        "is_sso_user" => "sign-in method".to_owned(),
        "permission_level" => "level".to_owned(),
        "expires_at" => "end of the account".to_owned(),
        "status" => "state".to_owned(),
        _ => match name.strip_prefix("attributes.") {
            Some(key) => format!("attribute {key}"),
            None => name.replace('_', " "),
        },
    }
}

/// What else is worth knowing.
fn more(c: &Context<'_>, action: Action) -> Line {
    let mut facts: Vec<Line> = Vec::new();
    let mut fact = |text: String| facts.push(Line::new(text));
    match action {
        Action::UserUpdate => fact(c.list("fields").into_iter().map(field).collect::<Vec<_>>().join(", ")),
        Action::BatchUndo if c.number("kept") > 0 => fact(format!("{} kept", people(c.number("kept")))),
        Action::InvitationBatchCreate if c.number("refused") > 0 => {
            fact(format!("{} could not be invited", people(c.number("refused"))));
        }
        Action::KeyCreate | Action::InvitationCreate => {
            if let Some(name) = c.detail("permission_level") {
                fact(level(name).to_owned());
            }
            if let Some(scopes) = Some(c.list("scopes")).filter(|scopes| !scopes.is_empty()) {
                fact(format!("only {}", scopes.join(", ")));
            }
            if let Some(until) = c.detail("expires_at").and_then(|until| until.get(..10)) {
                fact(format!("until {until}"));
            }
            if let Some(user_id) = c.detail("user_id") {
                facts.push(Line::new("for ").part(c.object(user_id)));
            }
        }
        Action::GroupAddMembers | Action::GroupRemoveMembers => facts.push(c.objects(&c.list("user_ids"))),
        Action::PolicySet => {
            for (field, level) in [("owner", "owners: "), ("collaborator", "collaborators: ")] {
                let groups = c.list(field);
                if !groups.is_empty() {
                    facts.push(Line::new(level).then("", c.objects(&groups)));
                }
            }
            if facts.is_empty() {
                facts.push(Line::new("no group grants anything"));
            }
        }
        Action::LoginApprove | Action::LoginDeny if c.entry.target_kind.as_deref() == Some("user") => {
            facts.push(Line::new("for ").part(c.target("a person")));
        }
        Action::SessionStart if c.detail("stage") == Some("must_change") => {
            fact("has to choose a password first".to_owned());
        }
        Action::ScimMigration => fact(format!("{} changed", people(c.number("users")))),
        _ => (),
    }
    if action != Action::SsoLogout && c.number("ended_sessions") > 0 {
        facts.push(Line::new(format!("{} ended", sessions(c))));
    }
    if c.number("revoked_keys") > 0 {
        facts.push(Line::new(format!("{} revoked", counted(c.number("revoked_keys"), "API key", "API keys"))));
    }
    facts.into_iter().fold(Line::default(), |line, fact| line.then(" · ", fact))
}
