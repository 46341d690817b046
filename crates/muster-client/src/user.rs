//! A user to create, and a created user.
//!
//! Fields, optionality and key order are those of the vendor's Python models `AdminCreateUser` and `AdminCreatedUser`
//! (`anyscale` 0.26.112). muster's additions (`password_hash`, `must_change_password`, `permission_level`, `expires_at`,
//! `attributes`) follow them
//! and are omitted if unset.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::secret::expose_option;

/// A user to create.
///
/// `Debug` redacts the password. Deserialization rejects unknown keys, like the vendor's command line: a misspelled
/// `password` would otherwise create an account without one.
///
/// ```
/// use muster_client::AdminCreateUser;
///
/// let user = AdminCreateUser::new("Ada", "ada@example.org").lastname("Lovelace").sso();
/// assert_eq!(
///     serde_json::to_string(&user)?,
///     r#"{"name":"Ada","email":"ada@example.org","is_sso_user":true,"lastname":"Lovelace"}"#,
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminCreateUser {
    /// First name or full name.
    pub name: String,
    /// E-mail address to sign in with. Unique in the organization.
    pub email: String,
    /// Initial password. Without one, or with an empty one, the user can't sign in until a password is set.
    #[serde(default, serialize_with = "expose_option", skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretString>,
    /// Whether the user signs in through SSO, which excludes a password.
    pub is_sso_user: bool,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
    /// Job title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Hash of an existing password, instead of `password`: a PHC string (`$argon2id$…`, `$argon2i$…`, `$argon2d$…`,
    /// `$scrypt$…`, `$pbkdf2-sha256$…`, `$pbkdf2-sha512$…`) or a bcrypt hash (`$2a$…`, `$2b$…`, `$2y$…`).
    #[serde(default, serialize_with = "expose_option", skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<SecretString>,
    /// Whether the user must change the password at the first sign-in; only with `password_hash`, where `None` means
    /// no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub must_change_password: Option<bool>,
    /// Permission level; `None` means [`Collaborator`](PermissionLevel::Collaborator).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_level: Option<PermissionLevel>,
    /// When the account expires: the last day of access in UTC, such as `2027-12-31`, or a time of RFC 3339 with its zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Custom attributes: texts, numbers and booleans.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
}

/// Permission level in the organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PermissionLevel {
    /// Read-only access.
    Collaborator,
    /// Full access.
    Owner,
}

impl PermissionLevel {
    /// The value in JSON and in queries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Collaborator => "collaborator",
            Self::Owner => "owner",
        }
    }
}

impl AdminCreateUser {
    /// A user with password sign-in and no password yet.
    #[must_use]
    pub fn new(name: impl Into<String>, email: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            email: email.into(),
            password: None,
            is_sso_user: false,
            lastname: None,
            title: None,
            password_hash: None,
            must_change_password: None,
            permission_level: None,
            expires_at: None,
            attributes: Map::new(),
        }
    }

    /// Sets the initial password.
    #[must_use]
    pub fn password(self, password: impl Into<SecretString>) -> Self {
        Self { password: Some(password.into()), ..self }
    }

    /// Sets the sign-in method to SSO.
    #[must_use]
    pub fn sso(self) -> Self {
        Self { is_sso_user: true, ..self }
    }

    /// Sets the last name.
    #[must_use]
    pub fn lastname(self, lastname: impl Into<String>) -> Self {
        Self { lastname: Some(lastname.into()), ..self }
    }

    /// Sets the job title.
    #[must_use]
    pub fn title(self, title: impl Into<String>) -> Self {
        Self { title: Some(title.into()), ..self }
    }

    /// Sets the hash of an existing password; see [`password_hash`](Self#structfield.password_hash) for the formats.
    #[must_use]
    pub fn password_hash(self, hash: impl Into<SecretString>) -> Self {
        Self { password_hash: Some(hash.into()), ..self }
    }

    /// Sets whether the user must change the imported password at the first sign-in.
    #[must_use]
    pub fn must_change_password(self, must_change: bool) -> Self {
        Self { must_change_password: Some(must_change), ..self }
    }

    /// Sets the permission level.
    #[must_use]
    pub fn permission_level(self, level: PermissionLevel) -> Self {
        Self { permission_level: Some(level), ..self }
    }

    /// Sets when the account expires; see [`expires_at`](Self#structfield.expires_at) for the formats.
    #[must_use]
    pub fn expires_at(self, expires_at: impl Into<String>) -> Self {
        Self { expires_at: Some(expires_at.into()), ..self }
    }

    /// Sets a custom attribute: text, a number or a boolean.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.insert(key.into(), value.into());
        self
    }

    /// The fields as a JSON object without absent optional fields.
    ///
    /// Like the vendor's `to_dict`, it **contains the password in plain text**. Use `Debug` for logging.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        dict(self)
    }
}

impl PartialEq for AdminCreateUser {
    /// Compares all fields. The comparison of secrets is not constant-time.
    fn eq(&self, other: &Self) -> bool {
        let Self {
            name,
            email,
            password,
            is_sso_user,
            lastname,
            title,
            password_hash,
            must_change_password,
            permission_level,
            expires_at,
            attributes,
        } = other;
        let exposed = |secret: &Option<SecretString>, other: &Option<SecretString>| {
            secret.as_ref().map(ExposeSecret::expose_secret) == other.as_ref().map(ExposeSecret::expose_secret)
        };
        (&self.name, &self.email, self.is_sso_user, &self.lastname, &self.title, &self.expires_at)
            == (name, email, *is_sso_user, lastname, title, expires_at)
            && (self.must_change_password, self.permission_level, &self.attributes)
                == (*must_change_password, *permission_level, attributes)
            && exposed(&self.password, password)
            && exposed(&self.password_hash, password_hash)
    }
}

impl Eq for AdminCreateUser {}

/// A created user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AdminCreatedUser {
    /// ID of the user, `usr_…`.
    #[cfg_attr(feature = "schema", schema(example = "usr_01k9h6m3x0e8wbz1v5n7q2r4t6"))]
    pub user_id: String,
    /// First name or full name.
    pub name: String,
    /// E-mail address, as in the request.
    pub email: String,
    /// Creation time, the same for all users of a batch.
    pub created_at: DateTime<Utc>,
    /// Whether the user signs in through SSO.
    pub is_sso_user: bool,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
    /// Job title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// When the account expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

impl AdminCreatedUser {
    /// The fields as a JSON object without absent optional fields. The time is an RFC 3339 string in UTC.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        dict(self)
    }
}

fn dict(user: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(user) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn full() -> AdminCreateUser {
        AdminCreateUser::new("name1", "test1@anyscale.com").password("").lastname("lastname1").title("title1")
    }

    #[test]
    fn the_vendors_example_serializes_with_the_same_key_order() {
        assert_eq!(
            serde_json::to_string(&full()).unwrap(),
            r#"{"name":"name1","email":"test1@anyscale.com","password":"","is_sso_user":false,"lastname":"lastname1","title":"title1"}"#
        );
    }

    #[test]
    fn absent_optional_fields_are_omitted() {
        assert_eq!(
            serde_json::to_string(&AdminCreateUser::new("n", "e@x.org").sso()).unwrap(),
            r#"{"name":"n","email":"e@x.org","is_sso_user":true}"#
        );
    }

    #[test]
    fn a_user_round_trips_through_json() {
        let user = full().password("correct horse");
        let text = serde_json::to_string(&user).unwrap();
        assert_eq!(serde_json::from_str::<AdminCreateUser>(&text).unwrap(), user);
    }

    #[test]
    fn null_deserializes_as_absent() {
        let read: AdminCreateUser = serde_json::from_value(
            json!({"name": "n", "email": "e", "password": null, "is_sso_user": false, "title": null}),
        )
        .unwrap();
        assert_eq!(read, AdminCreateUser::new("n", "e"));
    }

    #[test]
    fn unknown_keys_and_a_missing_sso_flag_are_rejected() {
        let misspelled = json!({"name": "n", "email": "e", "passwrod": "p", "is_sso_user": false});
        let error = serde_json::from_value::<AdminCreateUser>(misspelled).unwrap_err().to_string();
        assert!(error.starts_with("unknown field `passwrod`"), "{error}");
        let error = serde_json::from_value::<AdminCreateUser>(json!({"name": "n", "email": "e"})).unwrap_err();
        assert_eq!(error.to_string(), "missing field `is_sso_user`");
    }

    #[test]
    fn users_with_different_passwords_are_not_equal() {
        assert_ne!(full().password("a"), full().password("b"));
        assert_ne!(full(), AdminCreateUser { password: None, ..full() });
    }

    #[test]
    fn to_dict_contains_the_password_and_no_absent_field() {
        assert_eq!(
            Value::from(AdminCreateUser::new("n", "e").password("hunter2").to_dict()),
            json!({"name": "n", "email": "e", "password": "hunter2", "is_sso_user": false})
        );
        assert_eq!(
            Value::from(full().to_dict()),
            json!({
                "name": "name1", "email": "test1@anyscale.com", "password": "", "is_sso_user": false,
                "lastname": "lastname1", "title": "title1",
            })
        );
    }

    #[test]
    fn debug_redacts_the_password_and_its_hash() {
        assert_eq!(
            format!("{:?}", AdminCreateUser::new("n", "e").password("hunter2").password_hash("$2b$hunter2")),
            r#"AdminCreateUser { name: "n", email: "e", password: Some(SecretBox<str>([REDACTED])), is_sso_user: false, lastname: None, title: None, password_hash: Some(SecretBox<str>([REDACTED])), must_change_password: None, permission_level: None, expires_at: None, attributes: {} }"#
        );
    }

    #[test]
    fn additional_fields_follow_the_vendors_fields() {
        let user = AdminCreateUser::new("n", "e")
            .password_hash("$2b$10$x")
            .must_change_password(true)
            .permission_level(PermissionLevel::Owner)
            .expires_at("2027-12-31")
            .attribute("floor", 3);
        let text = r#"{"name":"n","email":"e","is_sso_user":false,"password_hash":"$2b$10$x","must_change_password":true,"permission_level":"owner","expires_at":"2027-12-31","attributes":{"floor":3}}"#;
        assert_eq!(serde_json::to_string(&user).unwrap(), text);
        assert_eq!(serde_json::from_str::<AdminCreateUser>(text).unwrap(), user);
        assert_eq!(Value::from(user.to_dict()), serde_json::from_str::<Value>(text).unwrap());
        assert_ne!(user.clone().password_hash("$2b$10$y"), user);
    }

    #[test]
    fn a_created_user_ignores_unknown_fields_and_omits_absent_ones() {
        let created: AdminCreatedUser = serde_json::from_value(json!({
            "user_id": "usr_1", "email": "e", "created_at": "2026-11-23T10:00:00.123456+00:00",
            "name": "n", "is_sso_user": false, "lastname": null, "shoe_size": 44,
        }))
        .unwrap();
        let shown = json!({
            "user_id": "usr_1", "name": "n", "email": "e",
            "created_at": "2026-11-23T10:00:00.123456Z", "is_sso_user": false,
        });
        assert_eq!(Value::from(created.to_dict()), shown);
        assert_eq!(serde_json::to_value(&created).unwrap(), shown);
    }
}
