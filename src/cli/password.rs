//! Secrets from standard input: typed unseen at a terminal, or read from a pipe. Never from the command line, which
//! other users of this machine can see.

use std::io::{BufRead, IsTerminal, Write};

use muster_client::SecretString;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::Exit;

/// The longest line that is read, in bytes: more than any password may have.
const LONGEST: u64 = 8192;

/// The next line of standard input, without its end; at a terminal it is asked for with `prompt`, and not shown.
pub(super) fn read(prompt: &str) -> Result<SecretString, Exit> {
    let stdin = std::io::stdin();
    let hidden = if stdin.is_terminal() { Some(Hidden::start(prompt)?) } else { None };
    let mut line = Zeroizing::new(String::new());
    let read = std::io::Read::take(stdin.lock(), LONGEST).read_line(&mut line);
    drop(hidden);
    match read {
        Ok(0) => Err(Exit::Usage(format!("standard input has no line for the {}", prompt.trim_end_matches(": ")))),
        Ok(_) => Ok(SecretString::from(line.strip_suffix('\n').map_or(line.as_str(), trim_return).to_owned())),
        Err(error) => Err(Exit::Usage(format!("standard input can't be read: {error}"))),
    }
}

fn trim_return(line: &str) -> &str {
    line.strip_suffix('\r').unwrap_or(line)
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn start(prompt: &str) -> Result<Self, Exit> {
        let _ = std::io::stderr().write_all(prompt.as_bytes());
        let before = tcgetattr(std::io::stdin()).map_err(Exit::usage)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        silent.local_flags.insert(LocalFlags::ECHONL);
        tcsetattr(std::io::stdin(), SetArg::TCSAFLUSH, &silent).map_err(Exit::usage)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Should it fail, `stty echo` helps.
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}
