//! A small Markdown reader for the tests.

use std::fs;
use std::path::{Path, PathBuf};

/// The root directory of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a page, by its path in the repository.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The paths of all pages in the repository.
pub fn pages() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !path.is_symlink() {
                if !name.starts_with('.') && !matches!(name, "target" | "node_modules") {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A line of text, or a fenced code block.
#[derive(Debug)]
pub enum Part<'p> {
    Line(&'p str),
    Code(Code<'p>),
}

/// A fenced code block.
#[derive(Debug)]
pub struct Code<'p> {
    /// The text after the opening fence: a language and optionally a file name.
    pub info: &'p str,
    pub lines: Vec<&'p str>,
}

impl Code<'_> {
    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }
}

/// Splits a page into its parts.
pub fn parts(page: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut open: Option<(&str, Code<'_>)> = None;
    for line in page.lines() {
        let bare = line.trim_start();
        let ticks = &bare[..bare.len() - bare.trim_start_matches('`').len()];
        match open.as_mut() {
            Some((fence, _)) if bare == *fence => parts.extend(open.take().map(|(_, code)| Part::Code(code))),
            Some((_, code)) => code.lines.push(line),
            None if ticks.len() >= 3 => {
                open = Some((ticks, Code { info: bare[ticks.len()..].trim(), lines: Vec::new() }))
            }
            None => parts.push(Part::Line(line)),
        }
    }
    assert!(open.is_none(), "unterminated code block: {open:?}");
    parts
}

/// A line without its inline code.
pub fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The anchors of a page's headings, as forges generate them: lower case, hyphens for spaces, no punctuation, and a
/// number for repeated headings.
pub fn anchors(page: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for part in parts(page) {
        let Part::Line(line) = part else { continue };
        let words = line.trim_start_matches('#');
        let level = line.len() - words.len();
        if !(1..=6).contains(&level) || !words.starts_with(' ') {
            continue;
        }
        let kept = words.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let name: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase();
        let mut anchor = name.clone();
        for number in 1.. {
            if !anchors.contains(&anchor) {
                break;
            }
            anchor = format!("{name}-{number}");
        }
        anchors.push(anchor);
    }
    anchors
}
