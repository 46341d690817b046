//! Validates `log.level`.

use tracing_subscriber::EnvFilter;

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Whether the text is a level, or a filter with a default level. `EnvFilter` would treat a misspelled level as the name of
/// a module and silence all other modules.
pub(super) fn is_valid(filter: &str) -> bool {
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    let is_directive = |word: &str| {
        word.rsplit_once('=').is_some_and(|(target, level)| {
            !target.trim().is_empty() && (is_level(level) || level.eq_ignore_ascii_case("off"))
        })
    };
    let words = || filter.split(',').map(str::trim);
    words().all(|word| is_level(word) || is_directive(word))
        && words().any(is_level)
        && EnvFilter::try_new(filter).is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn a_filter_has_a_level_for_everything_that_it_does_not_name() {
        for valid in
            ["error", "INFO", "info,sqlx=warn", "muster=debug, warn", "warn,actix_server=off", "info,[a]=debug"]
        {
            assert!(is_valid(valid), "{valid}");
        }
        for silent in
            ["", "foo", "off", "info,foo", "sqlx=warn", "foo=bar,info", "info,", "=info,info", "inf", "info,off"]
        {
            assert!(!is_valid(silent), "{silent}");
        }
    }
}
