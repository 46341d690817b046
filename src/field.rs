//! The fields of a user in lists, and their names in requests, users files and reports. The server and the command line
//! share this definition.

use std::fmt;

/// A field of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserField {
    Name,
    Email,
    Password,
    IsSsoUser,
    Lastname,
    Title,
    PasswordHash,
    MustChangePassword,
    PermissionLevel,
    Attributes,
    /// Active or suspended.
    Status,
    ExpiresAt,
    /// The e-mail address or ID of an existing user.
    User,
    /// The revision that an existing user must have.
    IfMatch,
}

impl UserField {
    /// The fields of a new user, in the order of findings and columns: Anyscale's fields, then muster's own.
    pub(crate) const NEW_USER: &'static [Self] = &[
        Self::Name,
        Self::Email,
        Self::Password,
        Self::IsSsoUser,
        Self::Lastname,
        Self::Title,
        Self::PasswordHash,
        Self::MustChangePassword,
        Self::PermissionLevel,
        Self::ExpiresAt,
        Self::Attributes,
    ];
    /// The fields that every new user must have.
    pub(crate) const NEW_USER_REQUIRED: &'static [Self] = &[Self::Name, Self::Email, Self::IsSsoUser];
    /// The fields of a change to a user.
    pub(crate) const EDIT: &'static [Self] = &[
        Self::Name,
        Self::Email,
        Self::IsSsoUser,
        Self::Lastname,
        Self::Title,
        Self::PermissionLevel,
        Self::ExpiresAt,
        Self::Attributes,
    ];
    /// The fields of a change that can be removed.
    pub(crate) const REMOVABLE: &'static [Self] = &[Self::Lastname, Self::Title, Self::ExpiresAt];
    /// The fields of a row that changes an existing user.
    pub(crate) const EDIT_ROW: &'static [Self] = &[
        Self::User,
        Self::Name,
        Self::Email,
        Self::IsSsoUser,
        Self::Lastname,
        Self::Title,
        Self::PermissionLevel,
        Self::ExpiresAt,
        Self::Attributes,
        Self::IfMatch,
    ];
    /// The fields of a row of the wished state.
    pub(crate) const APPLY_ROW: &'static [Self] = &[
        Self::User,
        Self::Name,
        Self::Email,
        Self::Password,
        Self::IsSsoUser,
        Self::Lastname,
        Self::Title,
        Self::PasswordHash,
        Self::MustChangePassword,
        Self::PermissionLevel,
        Self::ExpiresAt,
        Self::Attributes,
        Self::Status,
    ];
    /// The fields of a row that names an existing user.
    pub(crate) const TARGET_ROW: &'static [Self] = &[Self::User, Self::IfMatch];
    /// The field of a row that names a group member.
    pub(crate) const MEMBER_ROW: &'static [Self] = &[Self::User];

    /// The name in JSON, YAML and CSV headers.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Email => "email",
            Self::Password => "password",
            Self::IsSsoUser => "is_sso_user",
            Self::Lastname => "lastname",
            Self::Title => "title",
            Self::PasswordHash => "password_hash",
            Self::MustChangePassword => "must_change_password",
            Self::PermissionLevel => "permission_level",
            Self::Attributes => "attributes",
            Self::Status => "status",
            Self::ExpiresAt => "expires_at",
            Self::User => "user",
            Self::IfMatch => "if_match",
        }
    }

    /// The field of this name, if it is one of `fields`.
    pub(crate) fn find(fields: &[Self], name: &str) -> Option<Self> {
        fields.iter().copied().find(|field| field.as_str() == name)
    }

    /// The names of `fields`, separated by commas.
    pub(crate) fn names(fields: &[Self]) -> String {
        fields.iter().map(|field| field.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Whether the value must never be shown.
    pub(crate) const fn is_secret(self) -> bool {
        matches!(self, Self::Password | Self::PasswordHash)
    }

    /// Whether the value is true or false.
    pub(crate) const fn is_flag(self) -> bool {
        matches!(self, Self::IsSsoUser | Self::MustChangePassword)
    }
}

impl fmt::Display for UserField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<UserField> for String {
    fn from(field: UserField) -> Self {
        field.as_str().to_owned()
    }
}

/// Why the credentials of a row contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialConflict {
    PasswordAndHash,
    PasswordForSsoUser,
}

impl CredentialConflict {
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::PasswordAndHash => "password_and_hash",
            Self::PasswordForSsoUser => "password_for_sso_user",
        }
    }

    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::PasswordAndHash => "a user has either a password or a password_hash; remove one of them",
            Self::PasswordForSsoUser => "an SSO user can't have a password; remove it, or set is_sso_user to false",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::UserField;

    #[test]
    fn a_row_that_changes_a_user_names_them_and_has_every_field_of_a_change() {
        let (changes, names) = UserField::EDIT_ROW
            .iter()
            .partition::<Vec<&UserField>, _>(|field| !matches!(field, UserField::User | UserField::IfMatch));
        assert!(changes.into_iter().eq(UserField::EDIT));
        assert_eq!(names, [&UserField::User, &UserField::IfMatch]);
    }
}
