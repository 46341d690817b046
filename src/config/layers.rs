//! Sources of settings that override each other.

use figment::providers::Serialized;
use figment::value::Value;
use figment::{Figment, Provider};

/// Settings of which only one can be set: a secret, the file that contains it, and their former names.
const ALTERNATIVES: [&[&str]; 5] = [
    &["database.url", "database.url_file"],
    &["secrets.server_key", "secrets.server_key_file", "secrets.fingerprint_key", "secrets.fingerprint_key_file"],
    &["secrets.seal_key", "secrets.seal_key_file"],
    &["mail.url", "mail.url_file"],
    &["traces.headers", "traces.headers_file"],
];

/// Overrides settings with those of `source`. A setting of `source` also overrides its alternatives: `database.url` in the
/// environment, for example, overrides `database.url_file` in the file. An empty setting overrides only itself, so
/// that a variable without a value, as Compose files pass them, does not hide the secret in the file.
pub(super) fn override_with(settings: Figment, source: impl Provider) -> Figment {
    let own = Figment::from(&source);
    let is_set = |name: &&&str| match own.find_value(name) {
        Ok(Value::String(_, text)) => !text.is_empty(),
        value => value.is_ok(),
    };
    let overridden = ALTERNATIVES.iter().filter(|names| names.iter().any(|name| is_set(&name)));
    let settings =
        overridden.copied().flatten().fold(settings, |all, name| all.merge(Serialized::default(name, String::new())));
    settings.merge(source)
}
