//! Environment variables.

/// Variables that are not settings: of the command line, the compose file, the tests and debug builds.
const OTHER_VARIABLES: [&str; 13] = [
    "MUSTER_CONFIG",
    "MUSTER_DATA_DIR",
    "MUSTER_HOLD_AT",
    "MUSTER_HOST",
    "MUSTER_KILL_AT",
    "MUSTER_LISTEN",
    "MUSTER_MEMORY",
    "MUSTER_ORGANIZATION",
    "MUSTER_PUBLIC_URL",
    "MUSTER_TEST_KILLS",
    "MUSTER_TEST_LIMITS",
    "MUSTER_TOKEN",
    "MUSTER_VERSION",
];

/// The mistakes: a variable that looks like a setting and has no effect, such as `MUSTER_DATABASE_URL`. Variables that
/// Kubernetes sets in every pod for the services of its namespace, such as `MUSTER_PORT_8080_TCP`, are allowed.
pub(super) fn mistakes(names: impl Iterator<Item = String>) -> Vec<String> {
    let is_of_kubernetes = |name: &str| {
        ["_PORT_", "_SERVICE_PORT_"].iter().any(|part| name.contains(part))
            || ["_PORT", "_SERVICE_HOST"].iter().any(|end| name.ends_with(end))
    };
    let is_unknown = |name: &String| {
        name.starts_with("MUSTER_")
            && !name.contains("__")
            && !OTHER_VARIABLES.contains(&name.as_str())
            && !is_of_kubernetes(name)
    };
    let mut unknown: Vec<String> = names.filter(is_unknown).collect();
    unknown.sort();
    let mistake = |name| {
        format!(
            "unknown environment variable `{name}`; settings are MUSTER_SECTION__KEY with two underscores, such as \
             MUSTER_DATABASE__URL"
        )
    };
    unknown.into_iter().map(mistake).collect()
}

/// The value of a variable that is not a setting; `None` if it is unset, empty or not UTF-8.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::mistakes;

    #[test]
    fn variables_without_effect_are_rejected_and_those_of_kubernetes_are_not() {
        let check = |name: &str| mistakes([name.to_owned()].into_iter());
        for allowed in [
            "PATH",
            "MUSTER_HOST",
            "MUSTER_DATABASE__URL",
            "MUSTER_PORT",
            "MUSTER_PORT_8080_TCP_ADDR",
            "MUSTER_SERVICE_HOST",
            "MUSTER_METRICS_SERVICE_PORT_HTTP",
        ] {
            assert!(check(allowed).is_empty(), "{allowed}");
        }
        for unknown in ["MUSTER_NONSENSE", "MUSTER_DATABASE_URL", "MUSTER_"] {
            assert_eq!(
                check(unknown),
                [format!(
                    "unknown environment variable `{unknown}`; settings are MUSTER_SECTION__KEY with two underscores, \
                     such as MUSTER_DATABASE__URL"
                )]
            );
        }
    }
}
