//! Links lead somewhere: to a file that is there, to a heading that it has.

use std::path::{Component, Path, PathBuf};

use crate::markdown::{Part, anchors, pages, parts, read, root, without_code};

/// What a page links to, with the line.
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

/// `docs/a/../b.md` as `docs/b.md`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir {
            assert!(tidy.pop(), "{} is outside of the repository", path.display());
        } else {
            tidy.push(component);
        }
    }
    tidy
}

/// Whether git would take the file: what only lies around here is nowhere for others.
fn is_kept(path: &Path) -> bool {
    let known = std::process::Command::new("git").arg("-C").arg(root()).args(["check-ignore", "-q"]).arg(path).status();
    root().join(path).exists() && known.unwrap().code() != Some(0)
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
                file => tidy(&Path::new(&page).parent().unwrap().join(file)),
            };
            assert!(is_kept(&file), "{page}: there is no {} (in: {line})", file.display());
            if let Some(anchor) = anchor {
                let anchors = anchors(&read(file.to_str().unwrap()));
                assert!(
                    anchors.iter().any(|known| known == anchor),
                    "{page}: {target} names no heading of {anchors:?}"
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} links were found");
}

#[test]
fn every_page_of_the_documentation_is_linked_from_its_first_page() {
    let first = read("docs/README.md");
    let linked: Vec<_> = links(&first).into_iter().map(|(target, _)| format!("docs/{target}")).collect();
    for page in pages().iter().filter(|page| page.starts_with("docs/") && *page != "docs/README.md") {
        assert!(linked.contains(page), "docs/README.md does not link {page}");
    }
}

#[test]
fn whoever_is_woken_by_an_alert_finds_it_on_the_page_for_the_night() {
    let rules = read("deploy/observability/alerts.yml");
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    let page = read("docs/how-to/at-night.md");
    let (_, table) = page.split_once("\n## By alert\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    for alert in alerts {
        assert!(table.contains(&format!("`{alert}`")), "the page for the night lacks {alert}");
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
        assert!(anchors.iter().any(|known| known == anchor), "{name}: {runbook} names no heading of {anchors:?}");
    }
}

#[test]
fn a_heading_gets_the_anchor_that_a_forge_gives_it() {
    let page =
        "# Back up, restore\n## `server.listen`\n## 503: what now?\n```\n# no heading\n```\n## 503: what now?\n#no";
    assert_eq!(anchors(page), ["back-up-restore", "serverlisten", "503-what-now", "503-what-now-1"]);
}
