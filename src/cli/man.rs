//! `muster man`: the manual, made of the command tree, so it is never out of date.
//!
//! # Decisions
//!
//! *One page with all commands on standard output*, for `muster man | man -l -`; a page for each, with `--dir`, for
//! packages: `man muster-user-list` is what people type there.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::{Cli, Exit, output};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Write a page for each command into this folder instead, which is made if there is none.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Exit> {
    if let Some(dir) = &args.dir {
        return std::fs::create_dir_all(dir)
            .and_then(|()| write(&root(), dir))
            .map_err(|error| Exit::Usage(format!("can't write to {}: {error}", dir.display())));
    }
    output::print(&in_ascii(&page().map_err(Exit::usage)?))
}

/// A page without the characters that `groff` takes only when it is told their encoding (groff_char(7)).
fn in_ascii(page: &[u8]) -> String {
    let mut text = String::with_capacity(page.len());
    for c in String::from_utf8_lossy(page).chars() {
        if c.is_ascii() { text.push(c) } else { text.push_str(&format!("\\[u{:04X}]", u32::from(c))) }
    }
    text
}

/// The command tree. Without `help`, which would repeat all commands of its group.
fn root() -> Command {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    root
}

fn man(command: &Command) -> Man {
    Man::new(command.clone()).source(concat!("muster ", env!("CARGO_PKG_VERSION"))).manual("muster")
}

/// A page for a command, and for each below it.
fn write(command: &Command, dir: &Path) -> io::Result<()> {
    let (man, mut page) = (man(command), Vec::new());
    man.render(&mut page)?;
    std::fs::write(dir.join(man.get_filename()), in_ascii(&page))?;
    command.get_subcommands().try_for_each(|below| write(below, dir))
}

/// All commands on one page.
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

/// A command under a heading, and those below it under smaller ones.
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

/// A section without its heading.
fn body(page: &mut Vec<u8>, render: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
    let mut section = Vec::new();
    render(&mut section)?;
    let lines = section.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.starts_with(b".SH ")).try_for_each(|line| page.write_all(line))
}
