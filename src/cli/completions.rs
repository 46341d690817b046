//! `muster completions SHELL`: shell completions, generated from the command tree.

use clap::CommandFactory;
use clap_complete::aot::{Shell as Generator, generate};

use super::{Cli, Exit, output};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Shell to generate completions for.
    #[arg(value_enum)]
    shell: Shell,
}

/// The shells whose completions are tested.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    /// `muster completions bash > /etc/bash_completion.d/muster`
    Bash,
    /// `muster completions zsh > /usr/local/share/zsh/site-functions/_muster`
    Zsh,
    /// `muster completions fish > ~/.config/fish/completions/muster.fish`
    Fish,
}

impl From<Shell> for Generator {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Bash => Self::Bash,
            Shell::Zsh => Self::Zsh,
            Shell::Fish => Self::Fish,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<(), Exit> {
    let mut script = Vec::new();
    generate(Generator::from(args.shell), &mut Cli::command(), "muster", &mut script);
    output::print(&String::from_utf8(script).map_err(Exit::usage)?)
}
