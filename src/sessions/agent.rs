//! Short names of browsers, for lists of sessions.

/// The name of a browser and its system, from a `User-Agent`: `Firefox on Linux`. A name for people to recognize their own
/// browsers by; nothing depends on it.
#[must_use]
pub fn browser(agent: Option<&str>) -> String {
    let Some(agent) = agent.filter(|agent| !agent.trim().is_empty()) else { return "unknown client".to_owned() };
    // The first match wins: other browsers name Chrome and Safari, too.
    let browsers = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    let systems = [
        ("Windows", "Windows"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("CrOS", "ChromeOS"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let find =
        |names: &[(&str, &'static str)]| names.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name);
    match (find(&browsers), find(&systems)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        // A program names itself first: `curl/8.5.0`.
        (None, _) => agent.split([' ', '/']).next().unwrap_or_default().chars().take(40).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn browsers_and_programs_are_recognized() {
        let chrome =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 \
                     Mobile/15E148 Safari/604.1";
        for (agent, name) in [
            (Some(chrome), "Chrome on Linux"),
            (Some(&*format!("{chrome} Edg/131.0.0.0")), "Edge on Linux"),
            (Some(phone), "Safari on iPhone"),
            (
                Some("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0"),
                "Firefox on Windows",
            ),
            (Some("curl/8.5.0"), "curl"),
            (Some(" "), "unknown client"),
            (None, "unknown client"),
        ] {
            assert_eq!(browser(agent), name);
        }
    }
}
