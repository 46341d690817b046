//! `muster man`: the manual, generated from the command tree.
//!
//! # Decisions
//!
//! *One page with all commands on standard output*, for `muster man | man -l -`. With `--dir`, one page per command,
//! for packages: users expect `man muster-user-list` to work.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::{Cli, Exit, output};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Write one page per command to this directory instead; created if missing.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Exit> {
    if let Some(dir) = &args.dir {
        return std::fs::create_dir_all(dir)
            .and_then(|()| write(&root(), dir))
            .map_err(|error| Exit::Usage(format!("can't write to {}: {error}", dir.display())));
    }
    output::print(&to_ascii(&page().map_err(Exit::usage)?))
}

/// Escapes non-ASCII characters: `groff` does not detect the encoding of its input (groff_char(7)).
fn to_ascii(page: &[u8]) -> String {
    let mut text = String::with_capacity(page.len());
    for c in String::from_utf8_lossy(page).chars() {
        if c.is_ascii() { text.push(c) } else { text.push_str(&format!("\\[u{:04X}]", u32::from(c))) }
    }
    text
}

/// The command tree without the `help` subcommands, which would repeat all commands of their group.
fn root() -> Command {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    root
}

fn man(command: &Command) -> Man {
    Man::new(command.clone()).source(concat!("muster ", env!("CARGO_PKG_VERSION"))).manual("muster")
}

/// Writes a page for a command and for each of its subcommands.
fn write(command: &Command, dir: &Path) -> io::Result<()> {
    let (man, mut page) = (man(command), Vec::new());
    man.render(&mut page)?;
    std::fs::write(dir.join(man.get_filename()), to_ascii(&page))?;
    command.get_subcommands().try_for_each(|below| write(below, dir))
}

/// One page with all commands.
fn page() -> io::Result<Vec<u8>> {
    let (root, mut page) = (root(), Vec::new());
    let man = man(&root);
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for command in root.get_subcommands() {
        add(&mut page, command, "SH")?;
    }
    writeln!(page, ".SH NOTES")?;
    body(&mut page, |part| man.render_extra_section(part))?;
    Ok(page)
}

/// Adds a command under `heading`, and its subcommands under subheadings.
fn add(page: &mut Vec<u8>, command: &Command, heading: &str) -> io::Result<()> {
    let man = man(command);
    writeln!(page, ".{heading} \"{}\"", command.get_bin_name().unwrap_or_else(|| command.get_name()))?;
    body(page, |part| man.render_description_section(part))?;
    let is_group = command.has_subcommands();
    if !is_group {
        writeln!(page, ".PP")?;
        body(page, |part| man.render_synopsis_section(part))?;
        body(page, |part| man.render_options_section(part))?;
    }
    command.get_subcommands().try_for_each(|below| add(page, below, "SS"))
}

/// Writes a section without its heading.
fn body(page: &mut Vec<u8>, render: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
    let mut section = Vec::new();
    render(&mut section)?;
    let lines = section.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.starts_with(b".SH ")).try_for_each(|line| page.write_all(line))
}
