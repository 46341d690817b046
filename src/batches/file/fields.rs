//! The fields of a user, as far as files know them.

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

/// The field of this name.
pub(super) fn known(name: &str) -> Option<&'static str> {
    FIELDS.into_iter().find(|field| *field == name)
}

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
