//! Every link leads to a file and a heading that exist, and every term to the page that explains it.

use std::path::{Component, Path, PathBuf};

use crate::markdown::{Part, anchors, pages, parts, read, root, without_code};

/// The link targets of a page, with their lines.
fn links(page: &str) -> Vec<(String, String)> {
    let mut links = Vec::new();
    for part in parts(page) {
        let Part::Line(line) = part else { continue };
        let text = without_code(line);
        for piece in text.split("](").skip(1) {
            let target = piece.split([')', ' ']).next().unwrap();
            links.push((target.to_owned(), line.to_owned()));
        }
    }
    links
}

/// Resolves `..`: `docs/a/../b.md` is `docs/b.md`.
fn normalize(path: &Path) -> PathBuf {
    let mut normalized = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir {
            assert!(normalized.pop(), "{} is outside of the repository", path.display());
        } else {
            normalized.push(component);
        }
    }
    normalized
}

/// Whether the file exists and git does not ignore it.
fn is_tracked(path: &Path) -> bool {
    let ignored =
        std::process::Command::new("git").arg("-C").arg(root()).args(["check-ignore", "-q"]).arg(path).status();
    root().join(path).exists() && ignored.unwrap().code() != Some(0)
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut checked = 0;
    for page in pages() {
        for (target, line) in links(&read(&page)) {
            if target.starts_with("https://") {
                continue;
            }
            assert!(!target.contains("://") && !target.starts_with('/'), "{page}: {target} in: {line}");
            let (file, anchor) = target.split_once('#').map_or((target.as_str(), None), |(file, at)| (file, Some(at)));
            let file = match file {
                "" => PathBuf::from(&page),
                file => normalize(&Path::new(&page).parent().unwrap().join(file)),
            };
            assert!(is_tracked(&file), "{page}: no such file: {} (in: {line})", file.display());
            if let Some(anchor) = anchor {
                let anchors = anchors(&read(file.to_str().unwrap()));
                assert!(
                    anchors.iter().any(|known| known == anchor),
                    "{page}: {target} is none of the headings {anchors:?}"
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "found only {checked} links");
}

#[test]
fn every_page_is_linked_from_the_start_page() {
    let start = read("docs/README.md");
    let linked: Vec<_> = links(&start).into_iter().map(|(target, _)| format!("docs/{target}")).collect();
    for page in pages().iter().filter(|page| page.starts_with("docs/") && *page != "docs/README.md") {
        assert!(linked.contains(page), "docs/README.md does not link {page}");
    }
}

#[test]
fn the_runbook_lists_every_alert() {
    let rules = read("deploy/observability/alerts.yml");
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    let page = read("docs/how-to/at-night.md");
    let (_, table) = page.split_once("\n## By alert\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    for alert in alerts {
        assert!(table.contains(&format!("`{alert}`")), "the runbook lacks {alert}");
    }
}

#[test]
fn every_alert_has_a_runbook_that_exists() {
    let rules = read("deploy/observability/alerts.yml");
    let alerts: Vec<_> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        let runbooks: Vec<_> = alert.lines().filter_map(|line| line.trim().strip_prefix("runbook: ")).collect();
        let [runbook] = runbooks[..] else { panic!("{name} has {} runbooks", runbooks.len()) };
        let (page, anchor) = runbook.split_once('#').unwrap_or_else(|| panic!("{name}: {runbook} has no anchor"));
        let anchors = anchors(&read(page));
        assert!(anchors.iter().any(|known| known == anchor), "{name}: {runbook} is none of the headings {anchors:?}");
    }
}

#[test]
fn a_search_for_a_term_finds_the_page_that_explains_it() {
    for (term, page) in [
        ("in progress", "docs/how-to/at-night.md"),
        ("malformed", "docs/explanation/limits.md"),
        ("slowloris", "docs/explanation/limits.md"),
        ("rate limit", "docs/explanation/limits.md"),
        ("timeout", "docs/explanation/limits.md"),
        ("backoff", "docs/explanation/limits.md"),
        ("graceful shutdown", "docs/explanation/limits.md"),
        ("heartbeat", "docs/explanation/safe-retries.md"),
        ("lease", "docs/explanation/safe-retries.md"),
        ("rolled back", "docs/explanation/all-or-none.md"),
        ("round trip", "docs/how-to/at-night.md"),
    ] {
        assert!(read(page).to_lowercase().contains(term), "{page} lacks `{term}`");
    }
}

#[test]
fn a_heading_gets_the_anchor_that_a_forge_gives_it() {
    let page =
        "# Back up, restore\n## `server.listen`\n## 503: what now?\n```\n# no heading\n```\n## 503: what now?\n#no";
    assert_eq!(anchors(page), ["back-up-restore", "serverlisten", "503-what-now", "503-what-now-1"]);
}
