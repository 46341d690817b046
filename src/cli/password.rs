//! Secrets from standard input: typed on a terminal without echo, or read from a pipe. Never from the command line,
//! which other users of the machine can see.

use std::io::{BufRead, IsTerminal, Write};

use muster_client::SecretString;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::Exit;

/// Maximum length of a line in bytes; longer than any valid password.
const MAX_LINE: u64 = 8192;

/// Reads the next line of standard input, without its line ending. On a terminal, prints `prompt` and turns echo off.
pub(super) fn read(prompt: &str) -> Result<SecretString, Exit> {
    let stdin = std::io::stdin();
    let no_echo = if stdin.is_terminal() { Some(NoEcho::start(prompt)?) } else { None };
    let mut line = Zeroizing::new(String::new());
    let read = std::io::Read::take(stdin.lock(), MAX_LINE).read_line(&mut line);
    drop(no_echo);
    match read {
        Ok(0) => Err(Exit::Usage(format!("missing line on standard input: {}", prompt.trim_end_matches(": ")))),
        Ok(_) => Ok(SecretString::from(line.strip_suffix('\n').map_or(line.as_str(), trim_return).to_owned())),
        Err(error) => Err(Exit::Usage(format!("can't read standard input: {error}"))),
    }
}

fn trim_return(line: &str) -> &str {
    line.strip_suffix('\r').unwrap_or(line)
}

/// Turns the echo of the terminal off until it is dropped.
struct NoEcho(Termios);

impl NoEcho {
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

impl Drop for NoEcho {
    fn drop(&mut self) {
        // If this fails, `stty echo` restores the terminal.
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}
