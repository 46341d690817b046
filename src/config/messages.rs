//! Messages about settings that can't be read: which setting, where it is set and what is expected.

use figment::Figment;
use figment::error::Kind;
use figment::providers::Serialized;
use figment::value::{Dict, Value};

use super::{Config, ranges};

/// The messages about all settings that can't be read. `error` is the first of them, at which reading stops: each other
/// setting is read on its own, among the defaults.
pub(super) fn describe_all(error: figment::Error, defaults: &Figment, settings: &Figment) -> Vec<String> {
    let mut leaves = Vec::new();
    collect_leaves(settings.extract().unwrap_or_default(), "", &mut leaves);
    let mistake = |(path, value): (String, Value)| {
        let alone = defaults.clone().merge(Serialized::default(&path, value));
        let mut error = alone.extract::<Config>().err()?;
        error.metadata = settings.find_metadata(&path).cloned();
        Some(describe(error))
    };
    let mistakes: Vec<String> = leaves.into_iter().filter_map(mistake).collect();
    if mistakes.is_empty() { vec![describe(error)] } else { mistakes }
}

/// Collects the values of a tree of settings that are not sections, with their paths.
fn collect_leaves(settings: Dict, parent: &str, leaves: &mut Vec<(String, Value)>) {
    for (name, value) in settings {
        let path = if parent.is_empty() { name } else { format!("{parent}.{name}") };
        match value {
            Value::Dict(_, settings) => collect_leaves(settings, &path, leaves),
            value => leaves.push((path, value)),
        }
    }
}

/// The message for an error of the settings library. Never repeats a value: it may be part of a secret.
pub(super) fn describe(error: figment::Error) -> String {
    let place = error.metadata.as_ref().map_or_else(String::new, |metadata| {
        match metadata.source.as_ref().and_then(figment::Source::file_path) {
            Some(file) => format!(" in {}", file.display()),
            None if metadata.name.contains("environment") => " in the environment".to_owned(),
            None => String::new(),
        }
    });
    let path = error.path.join(".");
    match &error.kind {
        Kind::UnknownField(field, known) => {
            let name = match path.as_str() {
                "" => field.clone(),
                path if path == field || path.ends_with(&format!(".{field}")) => path.to_owned(),
                path => format!("{path}.{field}"),
            };
            let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("unknown setting `{name}`{place}; known settings: {}", known.join(", "))
        }
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            let expected = ranges::expected(&path).unwrap_or_else(|| plain(expected).to_owned());
            format!("setting `{path}`{place} must be {expected}")
        }
        Kind::UnknownVariant(found, known) => {
            format!("setting `{path}`{place} is `{found}`; it must be one of {}", known.join(", "))
        }
        other => {
            let path = if path.is_empty() { String::new() } else { format!(" (setting `{path}`)") };
            format!("the configuration{place}{path} can't be read: {}", without_source(&other.to_string()))
        }
    }
}

/// The message of the TOML parser on one line, without the source lines that it quotes.
fn without_source(message: &str) -> String {
    let is_quoted = |line: &str| line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
    let lines: Vec<&str> = message.lines().filter(|line| !is_quoted(line)).map(str::trim).collect();
    lines.join(": ")
}

/// The expected type, in words for people who don't write Rust.
fn plain(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "a string" => "text; put quotes around a number or a list, also in the environment: '\"1234\"'",
        "a sequence" => "a list such as [\"10.0.0.0/8\", \"::1\"], with brackets also in the environment",
        other if other.starts_with("struct ") => "a section with settings",
        other => other,
    }
}
