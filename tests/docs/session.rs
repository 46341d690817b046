//! Somebody who follows a page: writes its files, types its commands, and compares what they see.
//!
//! In a page
//!
//! - a block `LANGUAGE FILE` is the file of that name;
//! - a block `console` is a terminal: lines that begin with `$ ` are typed (`> ` goes on), the others are what is
//!   seen then. Other blocks are not run: `sh` is for what needs machines that no test has;
//! - `…` stands for anything on its line, and alone on a line for any lines;
//! - a command may say `amk_…` where the reader has such a word on their screen: the latest that begins so;
//! - `muster serve` stays, in a terminal of its own; `127.0.0.1:8080` is where it listens;
//! - a line `^C` ends the latest server that was started so;
//! - a command succeeds, unless the next one is `echo $?`.
//!
//! Times and the width of columns are not compared.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use muster::postgres::Programs;

use crate::markdown::{Part, parts};
use crate::support::server::muster;

/// Where the pages say that a server listens, and where it has its metrics.
const USUAL: &str = "127.0.0.1:8080";
const USUAL_METRICS: &str = "127.0.0.1:9464";

/// A reader at a terminal, in an empty folder.
pub struct Session {
    pub folder: tempfile::TempDir,
    /// Settings of the shell: what the page says stands in its environment.
    environment: Vec<(String, String)>,
    /// Where the latest server listens.
    address: String,
    /// All that was printed.
    screen: String,
    status: i32,
    servers: Vec<Child>,
}

/// Something typed, and what is seen then.
#[derive(Debug)]
struct Step<'p> {
    command: String,
    expected: Vec<&'p str>,
}

impl Session {
    pub fn new(environment: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let folder = tempfile::Builder::new().prefix("muster-docs-").tempdir_in("/tmp").unwrap();
        // PostgreSQL's own account reaches a private database in it.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            folder,
            environment: environment.iter().map(own).collect(),
            address: USUAL.to_owned(),
            screen: String::new(),
            status: 0,
            servers: Vec::new(),
        }
    }

    /// A server that runs already is at this address.
    pub fn with_server(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self
    }

    /// A file that the reader has.
    pub fn has(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    /// Does what a page says. Gives the number of commands.
    pub fn follow(&mut self, name: &str, page: &str) -> usize {
        let mut steps = Vec::new();
        for part in parts(page) {
            let Part::Code(code) = part else { continue };
            match code.info.split_once(' ') {
                None if code.info == "console" => steps.extend(steps_of(name, &code.lines)),
                Some((_, file)) => {
                    // In its turn: a page may write a file anew.
                    self.take(name, std::mem::take(&mut steps));
                    self.has(file, &code.text());
                }
                None => (),
            }
        }
        let typed = page.lines().filter(|line| line.starts_with("$ ")).count();
        self.take(name, steps);
        // For whoever writes the page: `cargo test --test docs -- --nocapture`.
        println!("{name}\n{}", self.screen);
        typed
    }

    fn take(&mut self, page: &str, steps: Vec<Step<'_>>) {
        for step in steps {
            let command = self.filled(page, &step.command);
            if command == "^C" {
                let status = end(self.servers.pop().unwrap());
                assert!(status.is_some_and(|status| status.success()), "{page}: the server ended with {status:?}");
                continue;
            }
            let asks = command == "echo $?";
            assert!(self.status == 0 || asks, "{page}: exit status {}\n{}", self.status, self.screen);
            let seen = if command.starts_with("muster serve") { self.serve(&command) } else { self.run(&command) };
            self.screen.push_str(&format!("$ {command}\n{seen}"));
            let seen = seen.replace(&self.address, USUAL);
            let seen: Vec<&str> = seen.lines().collect();
            assert!(
                matches(&step.expected, &seen),
                "{page}: $ {}\nexpected:\n{}\nseen:\n{}\n",
                step.command,
                step.expected.join("\n"),
                seen.join("\n")
            );
        }
        assert_eq!(self.status, 0, "{page}:\n{}", self.screen);
    }

    /// A command with what the reader puts in.
    fn filled(&self, page: &str, command: &str) -> String {
        let mut filled = String::new();
        let mut rest = command;
        while let Some((before, after)) = rest.split_once('…') {
            let start = before.rfind(|c: char| !is_of_word(c)).map_or(0, |at| at + 1);
            let prefix = &before[start..];
            assert!(prefix.ends_with('_'), "{page}: nobody knows what to put into: {command}");
            let mut words = self.screen.rsplit(|c: char| !is_of_word(c));
            let word = words.find(|word| word.starts_with(prefix) && *word != prefix);
            filled.push_str(&before[..start]);
            filled.push_str(word.unwrap_or_else(|| panic!("{page}: no {prefix}… was seen before: {command}")));
            rest = after;
        }
        filled.push_str(rest);
        filled.replace(USUAL, &self.address)
    }

    fn shell(&self, script: &str) -> Command {
        let program = muster().get_program().to_owned();
        let path = std::env::var("PATH").unwrap();
        // Those of the server that answers: others may be of an older version.
        let psql = Programs::find(&path, None).unwrap().program("psql");
        let mut folders: Vec<&Path> = [Path::new(&program), &psql].map(|path| path.parent().unwrap()).into();
        let others: Vec<PathBuf> = std::env::split_paths(&path).collect();
        folders.extend(others.iter().map(PathBuf::as_path));
        let mut shell = Command::new("bash");
        for (name, _) in
            std::env::vars().filter(|(name, _)| ["MUSTER_", "ANYSCALE_", "PG"].iter().any(|of| name.starts_with(of)))
        {
            shell.env_remove(name);
        }
        shell
            .args(["--noprofile", "--norc", "-c", script])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env("PATH", std::env::join_paths(folders).unwrap())
            .env("HOME", self.folder.path())
            .env("NO_COLOR", "1")
            .env("no_proxy", "127.0.0.1")
            .env("XDG_CONFIG_HOME", self.folder.path().join(".config"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        shell
    }

    /// Runs a command; what it exports holds for the next ones. Gives all that it printed.
    fn run(&mut self, command: &str) -> String {
        let kept = self.folder.path().join(".kept");
        let script = format!(
            "exec 2>&1\n[ -e .kept ] && source .kept\n(exit {})\n{command}\nstatus=$?\nexport -p >.kept\nexit $status",
            self.status
        );
        let output = self.shell(&script).output().unwrap();
        assert!(kept.exists(), "{command}");
        self.status = output.status.code().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a server in a terminal of its own. Gives what it says until it listens.
    fn serve(&mut self, command: &str) -> String {
        let log_path = self.folder.path().join(format!(".log{}", self.servers.len()));
        let log = std::fs::File::create(&log_path).unwrap();
        let script = format!("[ -e .kept ] && source .kept\nexec {command}");
        let mut shell = self.shell(&script);
        let free = "127.0.0.1:0";
        shell.env("MUSTER_LISTEN", free).env("MUSTER_METRICS__LISTEN", free);
        shell.stdout(Stdio::piped()).stderr(log);
        let mut child = shell.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        self.servers.push(child);
        let mut seen = String::new();
        for line in lines.by_ref() {
            let mut line = line.unwrap();
            if let Some((_, path)) = line.strip_prefix("metrics: http://").and_then(|rest| rest.split_once('/')) {
                line = format!("metrics: http://{USUAL_METRICS}/{path}");
            }
            seen.push_str(&format!("{line}\n"));
            if let Some(rest) = line.strip_prefix("listening on http://") {
                rest.split_whitespace().next().unwrap().clone_into(&mut self.address);
                std::thread::spawn(move || lines.for_each(drop));
                return seen;
            }
        }
        panic!("it did not listen: {seen}{}", std::fs::read_to_string(log_path).unwrap());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for server in self.servers.drain(..) {
            end(server);
        }
    }
}

/// Tells a server to stop and waits for it. Gives how it ended, if it did.
fn end(mut server: Child) -> Option<ExitStatus> {
    let _ = Command::new("kill").arg(server.id().to_string()).status();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(40) {
        if let Ok(Some(status)) = server.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// The commands of a terminal.
fn steps_of<'p>(page: &str, lines: &[&'p str]) -> Vec<Step<'p>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
            _ if *line == "^C" => steps.push(Step { command: (*line).to_owned(), expected: Vec::new() }),
            (Some(typed), ..) => steps.push(Step { command: typed.to_owned(), expected: Vec::new() }),
            (_, Some(typed), Some(step)) if step.expected.is_empty() => {
                step.command.push('\n');
                step.command.push_str(typed);
            }
            (_, _, Some(step)) => step.expected.push(line),
            (_, _, None) => panic!("{page}: a terminal begins with a command, not with: {line}"),
        }
    }
    steps
}

/// Whether what is seen is what is expected.
fn matches(expected: &[&str], seen: &[&str]) -> bool {
    match expected {
        [] => seen.is_empty(),
        ["…", rest @ ..] => (0..=seen.len()).any(|skipped| matches(rest, &seen[skipped..])),
        [line, rest @ ..] => {
            seen.split_first().is_some_and(|(first, others)| line_matches(line, first) && matches(rest, others))
        }
    }
}

/// Whether a line is seen, where `…` is anything.
fn line_matches(expected: &str, seen: &str) -> bool {
    let (expected, seen) = (normal(expected), normal(seen));
    let mut pieces = expected.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = seen.strip_prefix(first) else { return false };
    let Some(last) = expected.contains('…').then(|| pieces.next_back().unwrap_or_default()) else {
        return rest.is_empty();
    };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// A line in which times are all the same, and columns have the same width.
fn normal(line: &str) -> String {
    let words: Vec<_> = line.split_whitespace().map(without_time).collect();
    words.join(" ")
}

/// A word that is a time, such as `+1.2s)` or `2026-11-26T05:00:00Z`, as a word that is the same for all of them.
fn without_time(word: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if let Some(elapsed) = word.strip_prefix('+').and_then(|rest| rest.strip_suffix("s)"))
        && is_number(elapsed)
    {
        return "+_s)".to_owned();
    }
    let shape: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    match shape.find("0000-00-00T00:00:00") {
        Some(at) => {
            let tail = word[at..].find('Z').map_or("", |end| &word[at + end + 1..]);
            format!("{}TIME{tail}", &word[..at])
        }
        None => word.to_owned(),
    }
}

#[test]
fn what_is_seen_is_compared_but_for_times_widths_and_what_is_left_out() {
    for (expected, seen, same) in [
        ("(muster +0.0s) 2 users created.", "(muster +12.4s) 2 users created.", true),
        ("(muster +0.0s) 2 users created.", "(muster +0.0s) 3 users created.", false),
        ("ada@example.com  usr_01…  2026-01-01T00:00:00Z", "ada@example.com usr_0188f 2027-02-03T04:05:06Z", true),
        ("usr_01…  owner", "usr_01aa  collaborator", false),
        ("a…b…c", "a1b2c", true),
        ("a…b…c", "a1c2b", false),
        ("done", "done and more", false),
        ("until 2026-01-01T00:00:00Z; make", "until 2027-01-01T00:00:00.123Z; make", true),
    ] {
        assert_eq!(line_matches(expected, seen), same, "{expected} / {seen}");
    }
    assert!(matches(&["a", "…", "z"], &["a", "b", "c", "z"]) && matches(&["…"], &[]));
    assert!(!matches(&["a"], &["a", "b"]) && !matches(&["a", "…", "z"], &["a", "b"]) && !matches(&[], &["a"]));
}
