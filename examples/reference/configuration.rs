//! The page of the settings, from `config/muster.toml`.

use std::fmt::Write;

use muster::config::MANUAL;

use crate::markdown::{head, text};

/// Settings with a common explanation.
#[derive(Default)]
struct Group<'m> {
    explanation: Vec<&'m str>,
    /// Names and defaults.
    settings: Vec<(&'m str, &'m str)>,
}

pub fn page() -> Result<String, std::fmt::Error> {
    let mut page = head("Configuration", "`config/muster.toml`");
    let mut section = "";
    let mut group = Group::default();
    for line in MANUAL.lines().chain([""]) {
        if let Some(words) = line.strip_prefix('#') {
            if !group.settings.is_empty() {
                write_group(&mut page, section, &std::mem::take(&mut group))?;
            }
            group.explanation.push(words.strip_prefix(' ').unwrap_or(words));
        } else if let Some((name, value)) = line.split_once(" = ") {
            group.settings.push((name, value));
        } else {
            write_group(&mut page, section, &std::mem::take(&mut group))?;
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = name;
                write!(page, "## {section}\n\n")?;
            }
        }
    }
    Ok(format!("{}\n", page.trim_end()))
}

fn write_group(page: &mut String, section: &str, group: &Group<'_>) -> std::fmt::Result {
    if !group.settings.is_empty() {
        let names: Vec<_> = group.settings.iter().map(|(name, _)| format!("`{section}.{name}`")).collect();
        write!(page, "### {}\n\n| default | in the environment |\n|---|---|\n", names.join(", "))?;
        for (name, value) in &group.settings {
            let variable = format!("MUSTER_{section}__{name}").to_uppercase();
            writeln!(page, "| `{name} = {value}` | `{variable}` |")?;
        }
        page.push('\n');
    }
    write_explanation(page, &group.explanation)
}

/// Writes paragraphs as text and indented lines verbatim.
fn write_explanation(page: &mut String, lines: &[&str]) -> std::fmt::Result {
    for line in lines {
        let is_code = line.starts_with("    ");
        writeln!(page, "{}", if is_code { (*line).to_owned() } else { text(line) })?;
    }
    if !lines.is_empty() {
        page.push('\n');
    }
    Ok(())
}
