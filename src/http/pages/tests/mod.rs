mod previews;

use super::*;

fn files(folder: &str) -> Vec<(String, String)> {
    let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap())).collect()
}

/// Requirement U-8.
#[test]
fn no_template_turns_escaping_off() {
    let templates = files("templates");
    assert!(templates.len() > 10);
    for (name, text) in templates {
        let words: String = text.split_whitespace().collect();
        for forbidden in ["|safe", "escape=", "{%filter", "<script", "<style", "style=\"", "javascript:", "onclick"] {
            assert!(!words.contains(forbidden), "{name}: {forbidden}");
        }
    }
}

/// Requirement U-16: a theme changes every color.
#[test]
fn only_the_first_rule_of_the_stylesheet_contains_colors() {
    let text = std::str::from_utf8(assets::STYLESHEET.content).unwrap();
    let (tokens, rest) = text.split_once("--sans:").unwrap();
    assert!(tokens.contains("--accent: light-dark(#"));
    for line in rest.lines() {
        for color in ["light-dark(", "rgb(", "hsl(", "oklch("] {
            assert!(!line.contains(color), "{line}");
        }
        let is_hex = |after: &str| after.chars().take_while(char::is_ascii_hexdigit).count() >= 3;
        assert!(!line.split('#').skip(1).any(is_hex), "{line}");
    }
    assert!(text.len() <= 30 * 1024, "{} bytes", text.len());
}

#[test]
fn the_name_of_an_asset_contains_its_digest() {
    for (asset, start, end) in [(&assets::STYLESHEET, "assets/app.", ".css"), (&assets::ICON, "assets/icon.", ".svg")] {
        let digest = asset.path.strip_prefix(start).and_then(|rest| rest.strip_suffix(end)).unwrap();
        assert!(digest.len() == 12 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
    }
}

#[test]
fn errors_below_the_addresses_of_pages_are_pages() {
    for path in
        ["/sign-in", "/sign-in/check", "/sign-in/x", "/account", "/account/x", "/password/", "/login/x", "/sso/a/b"]
    {
        assert!(is_page(path), "{path}");
    }
    for path in ["/", "/sign-inx", "/accounts", "/api/v2/userinfo/", "/password", "/docs/", "/assets/x"] {
        assert!(!is_page(path), "{path}");
    }
}

#[test]
fn a_time_has_its_day_unless_that_is_today() {
    let now: DateTime<Utc> = "2026-11-30T09:41:07Z".parse().unwrap();
    for (at, text) in [
        ("2026-11-30T07:05:00Z", "07:05 UTC"),
        ("2026-11-30T18:00:00Z", "18:00 UTC"),
        ("2026-11-03T18:00:00Z", "3 November, 18:00 UTC"),
        ("2025-12-31T23:59:59Z", "31 December 2025, 23:59 UTC"),
    ] {
        let moment = Moment { at: at.parse().unwrap(), now };
        assert_eq!((moment.to_string().as_str(), moment.iso().as_str()), (text, at));
    }
}

#[test]
fn a_message_becomes_a_sentence() {
    assert_eq!(
        sentence("the invitation has expired; ask for a new one"),
        "The invitation has expired; ask for a new one."
    );
    assert_eq!(sentence("`x` is unknown."), "`x` is unknown.");
    assert_eq!(sentence(""), ".");
}

#[test]
fn links_are_relative_to_the_page() {
    for (path, root) in
        [("/sign-in", ""), ("/password/aml_x", "../"), ("/account/sessions/ses_x/end", "../../../"), ("/", "")]
    {
        let request = actix_web::test::TestRequest::with_uri(path).to_http_request();
        assert_eq!(Frame::of(&request).root, root, "{path}");
    }
}
