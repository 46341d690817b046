mod previews;

use super::*;

/// The files of a folder and of those in it, by their names below it.
fn files(folder: &str) -> Vec<(String, String)> {
    let path = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap()) {
        let name = format!("{folder}/{}", entry.file_name().display());
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(self::files(&name)),
            false => files.push((name, std::fs::read_to_string(entry.path()).unwrap())),
        }
    }
    files
}

/// Requirement U-8.
#[test]
fn no_template_turns_escaping_off() {
    let templates = files("templates");
    assert!(templates.len() > 10);
    for (name, text) in templates {
        let mut words: String = text.split_whitespace().collect();
        if name == "templates/console/frame.html" {
            let script = r#"<scripttype="module"src="{{shell.frame.root}}{{shell.script()}}"></script>"#;
            assert!(words.contains(script));
            words = words.replace(script, "");
        }
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

/// Requirement U-13: nothing is written as HTML, and nothing is stored.
#[test]
fn the_script_is_short_and_builds_no_html() {
    let text = std::str::from_utf8(assets::SCRIPT.content).unwrap();
    for forbidden in
        ["innerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage", "sessionStorage", "import("]
    {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
    assert!(text.len() <= 8 * 1024, "{} bytes", text.len());
}

#[test]
fn the_name_of_an_asset_contains_its_digest() {
    for (asset, start, end) in [
        (&assets::STYLESHEET, "assets/app.", ".css"),
        (&assets::SCRIPT, "assets/app.", ".js"),
        (&assets::ICON, "assets/icon.", ".svg"),
    ] {
        let digest = asset.path.strip_prefix(start).and_then(|rest| rest.strip_suffix(end)).unwrap();
        assert!(digest.len() == 12 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
    }
}

#[test]
fn errors_below_the_addresses_of_pages_are_pages() {
    for path in [
        "/console",
        "/console/x",
        "/sign-in",
        "/sign-in/check",
        "/sign-in/x",
        "/account",
        "/account/x",
        "/password/",
        "/login/x",
        "/sso/a/b",
    ] {
        assert!(is_page(path), "{path}");
    }
    for path in ["/", "/consoles", "/sign-inx", "/accounts", "/api/v2/userinfo/", "/password", "/docs/", "/assets/x"] {
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
    for (at, short, dated) in [
        ("2026-11-30T07:05:00Z", "Today 07:05", "Today 07:05"),
        ("2025-12-31T23:59:59Z", "31 Dec 2025", "31 Dec 2025, 23:59"),
    ] {
        let moment = Moment { at: at.parse().unwrap(), now };
        assert_eq!((moment.short().to_string().as_str(), moment.dated().to_string().as_str()), (short, dated));
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
