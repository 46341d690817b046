//! Edits of users: the fields of a request, and their validation. Pure.
//!
//! # Decisions
//!
//! *A user who is changed to SSO loses the password*, as SSO users never have one. Rejecting the change would need another
//! operation that removes passwords, and keeping the password would accept it again when the user is changed back. A user
//! who is changed to passwords has none until one is set.

use super::{AttributesPatch, EmailAddress, Expiry, Line, Name};
use crate::caller::PermissionLevel;
use crate::field::UserField;
use crate::report::{Finding, Findings};
use crate::rows::{Field, Row};

/// The new values of a user's fields, each of them valid. `None` keeps the current value.
#[derive(Debug, Default)]
pub(crate) struct Edit {
    pub(super) name: Option<Name>,
    pub(super) email: Option<EmailAddress>,
    /// `Some(None)` clears the field.
    pub(super) lastname: Option<Option<Line>>,
    /// `Some(None)` clears the field.
    pub(super) title: Option<Option<Line>>,
    pub(super) is_sso_user: Option<bool>,
    /// The member's own level.
    pub(super) permission_level: Option<PermissionLevel>,
    /// `Some(None)` clears the field.
    pub(super) expires_at: Option<Option<Expiry>>,
    pub(super) attributes: Option<AttributesPatch>,
}

impl Edit {
    /// The fields of this edit that can't be changed for a service account.
    pub(super) fn personal(&self) -> impl Iterator<Item = &'static str> {
        let Self { name, email, lastname, title: _, is_sso_user, permission_level: _, expires_at, attributes } = self;
        let given = [
            ("name", name.is_some()),
            ("email", email.is_some()),
            ("lastname", lastname.is_some()),
            ("is_sso_user", is_sso_user.is_some()),
            ("expires_at", expires_at.is_some()),
            ("attributes", attributes.is_some()),
        ];
        given.into_iter().filter_map(|(field, is_given)| is_given.then_some(field))
    }

    /// Whether the edit may leave the organization without a permanent owner.
    pub(super) fn may_remove_owner(&self) -> bool {
        self.permission_level == Some(PermissionLevel::Collaborator) || matches!(self.expires_at, Some(Some(_)))
    }

    /// Whether the edit may take an owner's way to sign in: the password, or the identities.
    pub(super) fn may_end_sign_in(&self) -> bool {
        self.is_sso_user.is_some()
    }

    /// Validates all fields. An invalid field becomes a finding and is left out of the edit.
    pub(crate) fn check(row: Row, index: usize, findings: &mut Findings) -> Self {
        // A new field of a row does not compile until it is decided whether it can be changed.
        let Row {
            user: _,
            if_match: _,
            name,
            email,
            lastname,
            title,
            password: _,
            password_hash: _,
            must_change_password: _,
            is_sso_user,
            permission_level,
            attributes,
            status: _,
            expires_at,
        } = row;
        let attributes = AttributesPatch::check(attributes, index, findings);
        let mut invalid = |field, code, message: &str| findings.push(Finding::field(index, field, code, message));
        let mut line = |field: UserField, sent: Field<String>| match sent {
            Field::Missing | Field::Wrong => None,
            Field::Null => Some(None),
            Field::Is(text) => {
                Some(Some(Line::parse(text).map_err(|why| invalid(field, why.code(), &why.message())).ok()?))
            }
        };
        let (lastname, title) = (line(UserField::Lastname, lastname), line(UserField::Title, title));
        if matches!(is_sso_user, Field::Null) {
            invalid(UserField::IsSsoUser, "wrong_type", "must be true or false, not null");
        }
        let expires_at = match expires_at {
            Field::Missing | Field::Wrong => None,
            Field::Null => Some(None),
            Field::Is(text) => match Expiry::parse(&text) {
                Ok(expiry) => Some(Some(expiry)),
                Err(why) => {
                    invalid(UserField::ExpiresAt, why.code(), &why.message());
                    None
                }
            },
        };
        let mut required = |field: UserField, sent: Field<String>| {
            if matches!(sent, Field::Null) {
                invalid(field, "wrong_type", "must be text, not null");
            }
            sent.into_option()
        };
        let (name, email) = (required(UserField::Name, name), required(UserField::Email, email));
        let permission_level = required(UserField::PermissionLevel, permission_level).and_then(|text| {
            let level = PermissionLevel::parse(&text);
            if level.is_none() {
                invalid(UserField::PermissionLevel, "permission_level_unknown", "must be `collaborator` or `owner`");
            }
            level
        });
        let name = name.and_then(|name| {
            Name::parse(name).map_err(|why| invalid(UserField::Name, why.code(), &why.message())).ok()
        });
        let email = email.and_then(|email| {
            EmailAddress::parse(&email).map_err(|why| invalid(UserField::Email, why.code(), &why.message())).ok()
        });
        let is_sso_user = is_sso_user.into_option();
        Self { name, email, lastname, title, is_sso_user, permission_level, expires_at, attributes }
    }
}
