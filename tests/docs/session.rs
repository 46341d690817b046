//! Follows a page like a reader: writes its files, runs its commands, and compares their output.
//!
//! Conventions of a page:
//!
//! - A block `LANGUAGE FILE` is the content of that file.
//! - A block `console` is a terminal: lines that start with `$ ` are commands (`> ` continues one), the others are the
//!   expected output. Other blocks are not run; `sh` is for commands that no test machine can run.
//! - `…` matches any text within a line; alone on a line, any number of lines.
//! - `amk_…` in a command stands for the latest word on the screen with that prefix.
//! - `muster serve` keeps running in its own terminal; `127.0.0.1:8080` stands for its address.
//! - A line `^C` stops the server that was started last.
//! - A command must succeed, unless the next one is `echo $?`.
//!
//! Times and column widths are not compared.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use muster::postgres::Programs;

use crate::markdown::{Part, parts};
use crate::support::gate::TIMEOUT;
use crate::support::server::muster;

/// The addresses of the server and its metrics on the pages.
const DOCUMENTED: &str = "127.0.0.1:8080";
const DOCUMENTED_METRICS: &str = "127.0.0.1:9464";

/// A shell in an empty directory.
pub struct Session {
    pub folder: tempfile::TempDir,
    /// Environment variables that the page assumes.
    environment: Vec<(String, String)>,
    /// Address of the latest server.
    address: String,
    /// All output so far.
    screen: String,
    status: i32,
    servers: Vec<Child>,
}

/// A command and its expected output.
#[derive(Debug)]
struct Step<'p> {
    command: String,
    expected: Vec<&'p str>,
}

impl Session {
    pub fn new(environment: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let folder = tempfile::Builder::new().prefix("muster-docs-").tempdir_in("/tmp").unwrap();
        // PostgreSQL's own account must reach an embedded database in it.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            folder,
            environment: environment.iter().map(own).collect(),
            address: DOCUMENTED.to_owned(),
            screen: String::new(),
            status: 0,
            servers: Vec::new(),
        }
    }

    /// Uses a server that runs already.
    pub fn with_server(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self
    }

    /// Writes a file.
    pub fn write_file(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    /// Follows a page and returns the number of its commands.
    pub fn follow(&mut self, name: &str, page: &str) -> usize {
        let mut steps = Vec::new();
        for part in parts(page) {
            let Part::Code(code) = part else { continue };
            match code.info.split_once(' ') {
                None if code.info == "console" => steps.extend(steps_of(name, &code.lines)),
                Some((_, file)) => {
                    // In order: a page may overwrite a file later.
                    self.run_steps(name, std::mem::take(&mut steps));
                    self.write_file(file, &code.text());
                }
                None => (),
            }
        }
        let typed = page.lines().filter(|line| line.starts_with("$ ")).count();
        self.run_steps(name, steps);
        // For authors of the page: `cargo test --test docs -- --nocapture`.
        println!("{name}\n{}", self.screen);
        typed
    }

    fn run_steps(&mut self, page: &str, steps: Vec<Step<'_>>) {
        for step in steps {
            let command = self.fill_in(page, &step.command);
            if command == "^C" {
                let status = stop(self.servers.pop().unwrap());
                assert!(status.is_some_and(|status| status.success()), "{page}: the server exited with {status:?}");
                continue;
            }
            let is_status_query = command == "echo $?";
            assert!(self.status == 0 || is_status_query, "{page}: exit status {}\n{}", self.status, self.screen);
            let printed = if command.starts_with("muster serve") { self.serve(&command) } else { self.run(&command) };
            self.screen.push_str(&format!("$ {command}\n{printed}"));
            let printed = printed.replace(&self.address, DOCUMENTED);
            let printed: Vec<&str> = printed.lines().collect();
            assert!(
                matches(&step.expected, &printed),
                "{page}: $ {}\nexpected:\n{}\nprinted:\n{}\n",
                step.command,
                step.expected.join("\n"),
                printed.join("\n")
            );
        }
        assert_eq!(self.status, 0, "{page}:\n{}", self.screen);
    }

    /// Replaces each `prefix_…` in a command with a word from the screen.
    fn fill_in(&self, page: &str, command: &str) -> String {
        let mut filled = String::new();
        let mut rest = command;
        while let Some((before, after)) = rest.split_once('…') {
            let start = before.rfind(|c: char| !is_of_word(c)).map_or(0, |at| at + 1);
            let prefix = &before[start..];
            assert!(prefix.ends_with('_'), "{page}: no prefix before `…` in: {command}");
            let mut words = self.screen.rsplit(|c: char| !is_of_word(c));
            let word = words.find(|word| word.starts_with(prefix) && *word != prefix);
            filled.push_str(&before[..start]);
            filled.push_str(word.unwrap_or_else(|| panic!("{page}: no {prefix}… on the screen for: {command}")));
            rest = after;
        }
        filled.push_str(rest);
        filled.replace(DOCUMENTED, &self.address)
    }

    fn shell(&self, script: &str) -> Command {
        let program = muster().get_program().to_owned();
        let path = std::env::var("PATH").unwrap();
        // The client programs of the same PostgreSQL version as the server.
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

    /// Runs a command and returns its output. Exported variables persist for later commands.
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

    /// Starts a server and returns its output up to the line with its address.
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
        let mut printed = String::new();
        for line in lines.by_ref() {
            let mut line = line.unwrap();
            if let Some((_, path)) = line.strip_prefix("metrics: http://").and_then(|rest| rest.split_once('/')) {
                line = format!("metrics: http://{DOCUMENTED_METRICS}/{path}");
            }
            printed.push_str(&format!("{line}\n"));
            if let Some(rest) = line.strip_prefix("listening on http://") {
                rest.split_whitespace().next().unwrap().clone_into(&mut self.address);
                std::thread::spawn(move || lines.for_each(drop));
                return printed;
            }
        }
        panic!("the server did not start: {printed}{}", std::fs::read_to_string(log_path).unwrap());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for server in self.servers.drain(..) {
            stop(server);
        }
    }
}

/// Sends SIGTERM to a server and returns its exit status, or `None` after a timeout.
fn stop(mut server: Child) -> Option<ExitStatus> {
    let _ = Command::new("kill").arg(server.id().to_string()).status();
    let start = Instant::now();
    while start.elapsed() < TIMEOUT {
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

/// The commands of a terminal block with their expected output.
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
            (_, _, None) => panic!("{page}: a terminal block must start with a command, not with: {line}"),
        }
    }
    steps
}

/// Whether the printed lines match the expected ones.
fn matches(expected: &[&str], printed: &[&str]) -> bool {
    match expected {
        [] => printed.is_empty(),
        ["…", rest @ ..] => (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..])),
        [line, rest @ ..] => {
            printed.split_first().is_some_and(|(first, others)| line_matches(line, first) && matches(rest, others))
        }
    }
}

/// Whether a printed line matches, where `…` matches any text.
fn line_matches(expected: &str, printed: &str) -> bool {
    let (expected, printed) = (normalize(expected), normalize(printed));
    let mut pieces = expected.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    let Some(last) = expected.contains('…').then(|| pieces.next_back().unwrap_or_default()) else {
        return rest.is_empty();
    };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Replaces all times by one, and all column gaps by one space.
fn normalize(line: &str) -> String {
    let words: Vec<_> = line.split_whitespace().map(without_time).collect();
    words.join(" ")
}

/// Replaces a time such as `+1.2s)` or `2026-11-26T05:00:00Z` by a placeholder.
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
fn output_is_compared_except_for_times_widths_and_ellipses() {
    for (expected, printed, same) in [
        ("(muster +0.0s) 2 users created.", "(muster +12.4s) 2 users created.", true),
        ("(muster +0.0s) 2 users created.", "(muster +0.0s) 3 users created.", false),
        ("ada@example.com  usr_01…  2026-01-01T00:00:00Z", "ada@example.com usr_0188f 2027-02-03T04:05:06Z", true),
        ("usr_01…  owner", "usr_01aa  collaborator", false),
        ("a…b…c", "a1b2c", true),
        ("a…b…c", "a1c2b", false),
        ("done", "done and more", false),
        ("until 2026-01-01T00:00:00Z; make", "until 2027-01-01T00:00:00.123Z; make", true),
    ] {
        assert_eq!(line_matches(expected, printed), same, "{expected} / {printed}");
    }
    assert!(matches(&["a", "…", "z"], &["a", "b", "c", "z"]) && matches(&["…"], &[]));
    assert!(!matches(&["a"], &["a", "b"]) && !matches(&["a", "…", "z"], &["a", "b"]) && !matches(&[], &["a"]));
}
