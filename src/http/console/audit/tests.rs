//! A sentence for each event and for each refused action.

use std::mem::discriminant;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::attempt::why;
use super::log::days;
use super::sentence::Sentence;
use crate::audit::{ActorKind, Entry, Event, Names, Outcome, Target};
use crate::caller::{Action, PermissionLevel, Scope, Scopes, Stage};
use crate::error::Code;
use crate::http::console::numbers::number;
use crate::id::{Id, Kind};
use crate::sso::DenialClass;

fn id<K: Kind>(n: u128) -> Id<K> {
    Id::from_uuid(Uuid::from_u128(n))
}

fn at() -> DateTime<Utc> {
    "2026-11-30T11:08:35Z".parse().unwrap()
}

/// The names of the objects 1 to 9, in this order of kinds.
fn names() -> Names {
    let ids = [
        (id::<crate::id::User>(1).to_string(), "Ada Lovelace"),
        (id::<crate::id::User>(2).to_string(), "Kaja Holm"),
        (id::<crate::id::Group>(3).to_string(), "Platform team"),
        (id::<crate::id::ApiKey>(4).to_string(), "nightly"),
        (id::<crate::id::Batch>(5).to_string(), "people-oslo.csv"),
        (id::<crate::id::Invitation>(6).to_string(), "kaja@example.com"),
        (id::<crate::id::SsoProvider>(7).to_string(), "Entra ID"),
    ];
    Names::new(ids.iter().map(|(id, name)| (id.as_str(), *name)))
}

fn entry(action: &str, target: Target, details: Value) -> Entry {
    let (target_kind, target_id) = target.kind_and_id().unzip();
    let prefix = |kind: &crate::audit::TargetKind| match kind.as_str() {
        "organization" => "org",
        "api_key" => "key",
        "batch" => "bat",
        "group" => "ug",
        "invitation" => "orginv",
        "password_link" => "lnk",
        "session" => "ses",
        "sso_provider" => "idp",
        _ => "usr",
    };
    Entry {
        event_id: id(100),
        occurred_at: at(),
        actor_kind: ActorKind::Session,
        actor_id: Some(id::<crate::id::Session>(50).to_string()),
        actor_name: None,
        actor_user_id: Some(id(1)),
        action: action.to_owned(),
        outcome: Outcome::Success,
        reason: None,
        target_id: target_kind
            .as_ref()
            .zip(target_id)
            .map(|(kind, id)| format!("{}_{}", prefix(kind), crate::id::encode(id))),
        target_kind: target_kind.map(|kind| kind.as_str().to_owned()),
        batch_id: None,
        file_name: None,
        request_id: None,
        source_address: None,
        client: None,
        details,
    }
}

fn of_event(event: &Event) -> Entry {
    let details = event.details().unwrap_or_else(|| json!({}));
    Entry { batch_id: event.batch_id(), ..entry(event.action().as_str(), event.target(), details) }
}

fn refused(action: Action, target: Target, reason: &str) -> Entry {
    let outcome = if reason == "forbidden" { Outcome::Denied } else { Outcome::Rejected };
    Entry { outcome, reason: Some(reason.to_owned()), ..entry(action.as_str(), target, json!({})) }
}

/// All events, with what is said about them after the actor.
#[expect(clippy::too_many_lines, reason = "a line for each event")]
fn events() -> Vec<(Event, &'static str)> {
    use PermissionLevel::{Collaborator, Owner};
    let (user_id, group_id, key_id, batch_id) = (id(2), id(3), id(4), id(5));
    let (invitation_id, provider_id, organization_id) = (id(6), id(7), id(8));
    vec![
        (Event::OrganizationCreated(organization_id), "created the organization"),
        (Event::OrganizationRenamed(organization_id), "renamed the organization"),
        (
            Event::KeyCreated {
                key_id,
                user_id: Some(user_id),
                permission_level: Owner,
                scopes: Scopes::only([Scope::UsersRead]),
                expires_at: at(),
                asked_for_seconds: None,
            },
            "created the API key nightly | owner · only users:read · until 2026-11-30 · for Kaja Holm",
        ),
        (Event::KeyRotated { key_id, previous_expires_at: at(), expires_at: None }, "rotated the API key nightly"),
        (Event::KeyRevoked(key_id), "revoked the API key nightly"),
        (Event::KeyExpirationSet { organization_id, max_days: Some(90) }, "limited API keys to 90 days"),
        (Event::KeysRotatedForUser { user_id, keys: 2 }, "revoked 2 API keys of Kaja Holm"),
        (
            Event::LoginApproved { user_id: Some(user_id), organization_id },
            "approved a login of the command line | for Kaja Holm",
        ),
        (Event::LoginDenied(user_id), "denied a login of the command line | for Kaja Holm"),
        (
            Event::UserCreated { user_id, batch_id: Some(batch_id), permission_level: Collaborator },
            "created Kaja Holm from people-oslo.csv",
        ),
        (
            Event::UserUpdated { user_id, fields: vec!["lastname".into(), "attributes.site".into()] },
            "changed Kaja Holm | last name, attribute site",
        ),
        (Event::UserSuspended(user_id), "suspended Kaja Holm"),
        (Event::UserExpired(user_id), "suspended Kaja Holm, whose account has expired"),
        (Event::UserReactivated(user_id), "reactivated Kaja Holm"),
        (Event::UserDeleted { user_id: id(9), batch_id: None }, "deleted the person usr_00000000000000000000000009"),
        (
            Event::UsersChanged { action: Action::UserBatchSuspend, organization_id, users: 1300 },
            "suspended 1,300 people",
        ),
        (Event::ServiceAccountCreated(user_id), "created the service account Kaja Holm"),
        (Event::CollaboratorUpdated { user_id, from: Collaborator, to: Owner }, "made Kaja Holm an owner"),
        (Event::CollaboratorRemoved(user_id), "removed Kaja Holm from the organization"),
        (
            Event::InvitationCreated {
                invitation_id,
                permission_level: Collaborator,
                expires_at: at(),
                replaces: None,
            },
            "invited kaja@example.com | collaborator · until 2026-11-30",
        ),
        (
            Event::InvitationsCreated { organization_id, invitations: 3, refused: 1 },
            "invited 3 people | 1 person could not be invited",
        ),
        (Event::InvitationInvalidated(invitation_id), "revoked the invitation of kaja@example.com"),
        (Event::InvitationAccepted { invitation_id, user_id }, "accepted an invitation"),
        (Event::GroupCreated(group_id), "created the group Platform team"),
        (Event::GroupUpdated(group_id), "renamed the group Platform team"),
        (Event::GroupDeleted(group_id), "deleted the group Platform team"),
        (
            Event::GroupMembersAdded { group_id, users: vec![id(1), id(2)] },
            "added 2 people to Platform team | Ada Lovelace, Kaja Holm",
        ),
        (
            Event::GroupMembersRemoved { group_id, users: vec![user_id] },
            "removed 1 person from Platform team | Kaja Holm",
        ),
        (
            Event::PolicySet { organization_id, owners: vec![group_id], collaborators: vec![] },
            "decided what groups grant | owners: Platform team",
        ),
        (
            Event::ScimMigrated { organization_id, users: 4 },
            "moved permissions to the groups of a directory | 4 people changed",
        ),
        (Event::BatchPlanned { organization_id, users: 5 }, "checked a list of 5 people"),
        (Event::BatchCancelled(batch_id), "cancelled people-oslo.csv"),
        (
            Event::BatchUndone { batch_id, users: 1296, kept: 4 },
            "undid people-oslo.csv: 1,296 people deleted | 4 people kept",
        ),
        (
            Event::SessionStarted { user_id: id(1), method: "sso", stage: Stage::Full, provider: Some("entra".into()) },
            "signed in through entra",
        ),
        (Event::SessionEnded { session_id: id(50), user_id, reason: "ended" }, "ended a session of Kaja Holm"),
        (Event::SessionsEnded { user_id, sessions: 2 }, "ended 2 sessions of Kaja Holm"),
        (
            Event::PasswordChanged { user_id: id(1), sessions: 1, keys: 2 },
            "changed their password | 1 session ended · 2 API keys revoked",
        ),
        (Event::PasswordRehashed(id(1)), "signed in, and the password was hashed with the current parameters"),
        (
            Event::PasswordLinkCreated { link_id: id(60), user_id, purpose: "set", expires_at: at() },
            "created a link to set a password for Kaja Holm",
        ),
        (
            Event::PasswordResetRequested { link_id: id(60), user_id, expires_at: at() },
            "sent a link to set a new password to Kaja Holm, as asked for",
        ),
        (Event::MailRetried { mail_id: id(61), user_id }, "sent a message again to Kaja Holm"),
        (Event::PasswordLinkUsed { link_id: id(60), user_id: id(1), sessions: 0 }, "set a password with a link"),
        (
            Event::SignInPolicySet {
                organization_id,
                before: ["optional", "optional"],
                after: ["required", "optional"],
                sessions: 7,
            },
            "made single sign-on required | 7 sessions ended",
        ),
        (Event::SsoProviderCreated(provider_id), "added the identity provider Entra ID"),
        (Event::SsoProviderUpdated { provider_id, sessions: 0 }, "changed the identity provider Entra ID"),
        (Event::SsoProviderResealed(provider_id), "encrypted the secrets of Entra ID with another key"),
        (
            Event::SsoProviderDeleted { provider_id, sessions: 2 },
            "removed the identity provider Entra ID | 2 sessions ended",
        ),
        (
            Event::SsoIdentityBound { identity_id: id(70), user_id, provider_id, how: "owner" },
            "linked an identity of Entra ID to Kaja Holm",
        ),
        (Event::SsoIdentityUnbound { identity_id: id(70), user_id }, "removed an identity of Kaja Holm"),
        (Event::SsoLoggedOut { provider_id, sessions: 1 }, "ended 1 session, as asked for by Entra ID"),
        (Event::BatchCreated { batch_id, users: 1300 }, "created 1,300 people from people-oslo.csv"),
    ]
}

/// Requirement U-82.
#[test]
fn every_event_has_a_sentence() {
    let events = events();
    for (event, expected) in &events {
        let Sentence { line, more, is_refused } = Sentence::of(&of_event(event), &names());
        let said = match more.plain() {
            more if more.is_empty() => line.plain(),
            more => format!("{} | {more}", line.plain()),
        };
        assert_eq!((said, is_refused), (format!("Ada Lovelace {expected}"), false), "{event:?}");
    }
    let mut kinds: Vec<_> = Vec::new();
    for (event, _) in &events {
        // Does not compile without a new event, which then belongs to the list above.
        let () = match event {
            Event::OrganizationCreated(_)
            | Event::OrganizationRenamed(_)
            | Event::KeyCreated { .. }
            | Event::KeyRotated { .. }
            | Event::KeyRevoked(_)
            | Event::KeyExpirationSet { .. }
            | Event::KeysRotatedForUser { .. }
            | Event::LoginApproved { .. }
            | Event::LoginDenied(_)
            | Event::UserCreated { .. }
            | Event::UserUpdated { .. }
            | Event::UserSuspended(_)
            | Event::UserExpired(_)
            | Event::UserReactivated(_)
            | Event::UserDeleted { .. }
            | Event::UsersChanged { .. }
            | Event::ServiceAccountCreated(_)
            | Event::CollaboratorUpdated { .. }
            | Event::CollaboratorRemoved(_)
            | Event::InvitationCreated { .. }
            | Event::InvitationsCreated { .. }
            | Event::InvitationInvalidated(_)
            | Event::InvitationAccepted { .. }
            | Event::GroupCreated(_)
            | Event::GroupUpdated(_)
            | Event::GroupDeleted(_)
            | Event::GroupMembersAdded { .. }
            | Event::GroupMembersRemoved { .. }
            | Event::PolicySet { .. }
            | Event::ScimMigrated { .. }
            | Event::BatchPlanned { .. }
            | Event::BatchCancelled(_)
            | Event::BatchUndone { .. }
            | Event::SessionStarted { .. }
            | Event::SessionEnded { .. }
            | Event::SessionsEnded { .. }
            | Event::PasswordChanged { .. }
            | Event::PasswordRehashed(_)
            | Event::PasswordLinkCreated { .. }
            | Event::PasswordResetRequested { .. }
            | Event::MailRetried { .. }
            | Event::PasswordLinkUsed { .. }
            | Event::SignInPolicySet { .. }
            | Event::SsoProviderCreated(_)
            | Event::SsoProviderUpdated { .. }
            | Event::SsoProviderResealed(_)
            | Event::SsoProviderDeleted { .. }
            | Event::SsoIdentityBound { .. }
            | Event::SsoIdentityUnbound { .. }
            | Event::SsoLoggedOut { .. }
            | Event::BatchCreated { .. } => (),
        };
        let kind = discriminant(event);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    assert_eq!(kinds.len(), 51);
}

#[test]
fn every_action_has_a_sentence_without_codes() {
    for action in Action::ALL {
        for entry in [
            entry(action.as_str(), Target::Nothing, json!({})),
            refused(*action, Target::Nothing, "forbidden"),
            refused(*action, Target::User(id(2)), "conflict"),
        ] {
            let Sentence { line, more, is_refused } = Sentence::of(&entry, &names());
            let (line, more) = (line.plain(), more.plain());
            assert!(!line.contains(['_', '.', '`']) && !more.contains(['_', '`']), "{action}: {line} | {more}");
            assert_eq!(is_refused, entry.outcome != Outcome::Success);
            let begins = match entry.reason.as_deref() {
                None => "Ada Lovelace ",
                Some("forbidden") => "Ada Lovelace may not ",
                Some(_) => "Ada Lovelace could not ",
            };
            assert!(line.starts_with(begins) && line.len() > begins.len() + 4, "{action}: {line}");
        }
    }
    let later = entry("user.teleport", Target::Nothing, json!({}));
    assert_eq!(
        Sentence::of(&later, &names()).line.plain(),
        "Ada Lovelace did something that this version of muster does not know"
    );
}

#[test]
fn every_reason_has_words() {
    let unknown = why("");
    for code in Code::ALL.iter().map(|code| code.as_str()).chain(DenialClass::ALL.iter().map(|class| class.as_str())) {
        // Not recorded: there is no action yet, or no such client.
        if !matches!(code, "batch_not_found") {
            assert_ne!(why(code), unknown, "{code}");
        }
        assert!(!why(code).contains('_'), "{code}");
    }
}

#[test]
fn refused_sentences_say_who_what_and_why() {
    let said = |entry: &Entry| {
        let Sentence { line, more, .. } = Sentence::of(entry, &names());
        format!("{} | {}", line.plain(), more.plain())
    };
    let sign_in = Entry {
        actor_kind: ActorKind::Anonymous,
        actor_user_id: None,
        outcome: Outcome::Denied,
        source_address: Some("203.0.113.7".to_owned()),
        ..refused(Action::SessionStart, Target::User(id(2)), "wrong_password")
    };
    assert_eq!(said(&sign_in), "Somebody unknown could not sign in as Kaja Holm | wrong password · from 203.0.113.7");
    let by_key = Entry {
        actor_kind: ActorKind::ApiKey,
        actor_name: Some("ci".to_owned()),
        ..refused(Action::PolicySet, Target::Nothing, "forbidden")
    };
    assert_eq!(said(&by_key), "Ada Lovelace may not decide what groups grant | no permission · with the API key ci");
    let by_command = Entry { client: Some("muster_client".to_owned()), ..by_key };
    assert!(said(&by_command).ends_with(" | no permission · on the command line, with the API key ci"));
    let list = Entry {
        details: json!({"rows": 1302, "findings": {"email_invalid": 4, "missing": 2}}),
        ..refused(Action::UserBatchCreate, Target::Nothing, "batch_rejected")
    };
    assert_eq!(
        said(&list),
        "Ada Lovelace could not create people from a list | the list has mistakes · 6 findings in 1,302 rows"
    );
    let repeated = Entry {
        actor_kind: ActorKind::Anonymous,
        actor_user_id: None,
        details: json!({"repeated": 12, "network": "203.0.113.0/24"}),
        ..refused(Action::KeyUse, Target::Nothing, "unknown_key")
    };
    assert_eq!(
        said(&repeated),
        "Somebody unknown could not use an API key, 12 times more | unknown API key · from 203.0.113.0/24"
    );
    let operator = Entry {
        actor_kind: ActorKind::Operator,
        actor_user_id: None,
        details: json!({"os_user": "root", "host": "db-1"}),
        ..entry("user.suspend", Target::User(id(2)), json!({}))
    };
    assert_eq!(said(&operator), "root on db-1 suspended Kaja Holm | on the command line, beside the server");
}

#[test]
fn deleted_people_are_named_by_their_id() {
    let entry = Entry { actor_user_id: Some(id(9)), ..entry("user.suspend", Target::User(id(9)), json!({})) };
    let sentence = Sentence::of(&entry, &names());
    let person = "deleted person usr_00000000000000000000000009";
    assert_eq!(sentence.line.plain(), format!("{person} suspended {person}"));
    let links: Vec<_> = sentence.line.0.iter().filter_map(|part| part.path()).collect();
    assert_eq!(links, ["people/usr_00000000000000000000000009"]);
}

#[test]
fn the_entries_of_one_change_are_one_line() {
    let single = |n| entry("user.suspend", Target::User(id(n)), json!({}));
    let list = entry("user.batch_suspend", Target::Organization(id(8)), json!({"users": 5}));
    let before = Entry { occurred_at: at() - chrono::TimeDelta::days(1), ..single(2) };
    let shown = |entries: &[Entry]| {
        let days = days(entries, &names(), at());
        let line = |day: &super::log::Day, row: &super::log::Row| {
            let said = format!("{} | {}", row.sentence.line.plain(), row.sentence.more.plain());
            (day.title.clone(), said, row.folded)
        };
        days.iter().flat_map(|day| day.rows.iter().map(move |row| line(day, row))).collect::<Vec<_>>()
    };
    let (today, yesterday) = ("Today, 30 November 2026".to_owned(), "Yesterday, 29 November 2026".to_owned());
    assert_eq!(
        shown(&[list, single(1), single(2), single(1), single(2), single(1), before]),
        [
            (
                today.clone(),
                "Ada Lovelace suspended 5 people | Ada Lovelace, Kaja Holm, Ada Lovelace and 2 more".to_owned(),
                5
            ),
            (yesterday, "Ada Lovelace suspended Kaja Holm | ".to_owned(), 0),
        ]
    );
    // Its own entry is on another page.
    assert_eq!(
        shown(&[single(2), single(1)]),
        [(today, "Ada Lovelace suspended Kaja Holm | and 1 more at once".to_owned(), 1)]
    );
}

#[test]
fn numbers_have_separators() {
    assert_eq!([0, 7, 999, 1000, 1_234_567].map(number), ["0", "7", "999", "1,000", "1,234,567"]);
}
