//! The fields of a user, as far as files know them.

/// What the rows of a file are.
#[derive(Debug)]
pub struct Contents {
    /// The key that the list stands under.
    pub(super) list: &'static str,
    /// The keys of a row; the columns of a CSV file.
    pub(super) fields: &'static [&'static str],
    /// Those that no CSV file can be without.
    pub(super) required: &'static [&'static str],
    /// The first row of a CSV file, for example.
    pub(super) example: &'static str,
}

impl Contents {
    /// Users who are created.
    pub const CREATED: &'static Self = &Self {
        list: "create_users",
        fields: &FIELDS,
        required: &REQUIRED,
        example: "name,email,password,is_sso_user,lastname,title",
    };

    /// Users who exist, and what is to be different about them.
    pub const CHANGED: &'static Self = &Self {
        list: "users",
        fields: &["user", "name", "email", "lastname", "title", "if_match"],
        required: &["user"],
        example: "user,name,email,lastname,title",
    };

    /// Users who exist.
    pub const NAMED: &'static Self =
        &Self { list: "users", fields: &["user", "if_match"], required: &["user"], example: "user" };

    /// Users who exist, and nothing else.
    pub const MEMBERS: &'static Self = &Self { list: "users", fields: &["user"], required: &["user"], example: "user" };

    /// The field of this name.
    pub(super) fn known(&self, name: &str) -> Option<&'static str> {
        self.fields.iter().copied().find(|field| *field == name)
    }

    /// Whether the value of a key can be shown. Everything else may be a password under a misspelt key.
    pub(super) fn is_public(&self, key: &str) -> bool {
        self.known(key).is_some_and(|key| !matches!(key, "password" | "password_hash"))
    }
}

/// All of them, in the order of the template; the columns of a CSV file.
pub(super) const FIELDS: [&str; 9] = [
    "name",
    "email",
    "password",
    "password_hash",
    "must_change_password",
    "is_sso_user",
    "permission_level",
    "lastname",
    "title",
];

/// Those that a user can't be without.
pub(super) const REQUIRED: [&str; 3] = ["name", "email", "is_sso_user"];

/// Whether a field is true or false.
pub(super) fn is_flag(name: &str) -> bool {
    matches!(name, "is_sso_user" | "must_change_password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_fields_that_the_server_knows() {
        let (mut here, mut there) = (FIELDS, crate::report::FIELDS);
        here.sort_unstable();
        there.sort_unstable();
        assert_eq!(here, there);
    }
}
