//! What a users file contains: new users, changes to users, or only the names of users.

use crate::field::UserField;
use crate::users::attributes;

/// The expected contents of a users file.
#[derive(Debug)]
pub struct Contents {
    /// The key of the list.
    pub(super) list: &'static str,
    /// The fields of a row, which are also the columns of a table.
    pub(super) fields: &'static [UserField],
    /// The columns that a table must have.
    pub(super) required: &'static [UserField],
    /// An example of a header.
    pub(super) example: &'static str,
    /// Whether a row may be one of muster's own lists and exports of users, of which only the user counts.
    pub(super) accepts_exports: bool,
}

/// The keys that name a user in muster's exports; of a row, the first one counts. Not `id`, which is that of the membership.
pub(super) const NAMING: [&str; 3] = ["user", "user_id", "email"];

/// The other keys and columns of `muster user list`, `user export` and `user batch-create`.
const EXPORTED: [&str; 19] = [
    "id",
    "name",
    "full_name",
    "lastname",
    "title",
    "is_sso_user",
    "sso",
    "is_service_account",
    "status",
    "permission",
    "permission_level",
    "base_role",
    "additional_roles",
    "created",
    "created_at",
    "expires",
    "expires_at",
    "last_signed_in_at",
    "attributes",
];

impl Contents {
    /// New users.
    pub const CREATED: &'static Self = &Self {
        list: "create_users",
        fields: UserField::NEW_USER,
        required: UserField::NEW_USER_REQUIRED,
        example: "name,email,password,is_sso_user,lastname,title",
        accepts_exports: false,
    };

    /// People to invite: the files of new users, of which only the addresses are required.
    pub const INVITED: &'static Self =
        &Self { required: &[UserField::Email], example: "email,name,lastname,title", ..*Self::CREATED };

    /// Existing users and their new values.
    pub const CHANGED: &'static Self = &Self {
        list: "users",
        fields: UserField::EDIT_ROW,
        required: &[UserField::User],
        example: "user,name,email,lastname,title,is_sso_user,permission_level",
        accepts_exports: false,
    };

    /// The wished state of users, new ones included.
    pub const APPLIED: &'static Self = &Self {
        list: "users",
        fields: UserField::APPLY_ROW,
        required: &[UserField::Email],
        example: "user,email,name,lastname,title,is_sso_user,permission_level,status",
        accepts_exports: false,
    };

    /// Existing users.
    pub const NAMED: &'static Self = &Self {
        list: "users",
        fields: UserField::TARGET_ROW,
        required: &[UserField::User],
        example: "user",
        accepts_exports: true,
    };

    /// Existing users, without revisions.
    pub const MEMBERS: &'static Self = &Self { fields: UserField::MEMBER_ROW, ..*Self::NAMED };

    pub(super) fn field(&self, name: &str) -> Option<UserField> {
        UserField::find(self.fields, name)
    }

    /// The key of a column such as `attributes.department`. Only the prefix is compared regardless of case.
    pub(super) fn attribute<'a>(&self, name: &'a str) -> Option<&'a str> {
        let (prefix, key) = name.split_at_checked(attributes::PREFIX.len())?;
        let is_one = prefix.eq_ignore_ascii_case(attributes::PREFIX) && attributes::is_key(key);
        (is_one && self.fields.contains(&UserField::Attributes)).then_some(key)
    }

    /// Whether the value of a key may be shown. An unknown key may be a misspelled `password`.
    pub(super) fn is_public(&self, key: &str) -> bool {
        (self.accepts_exports && NAMING.contains(&key)) || self.field(key).is_some_and(|field| !field.is_secret())
    }

    /// Whether a key or column is left out because another one names the user.
    pub(super) fn is_left_out(&self, key: &str) -> bool {
        let key = key.to_lowercase();
        self.accepts_exports
            && (NAMING.contains(&key.as_str())
                || EXPORTED.contains(&key.as_str())
                || key.starts_with(attributes::PREFIX))
    }

    /// Whether the value of a key is true or false.
    pub(super) fn is_flag(&self, key: &str) -> bool {
        self.field(key).is_some_and(UserField::is_flag)
    }
}
