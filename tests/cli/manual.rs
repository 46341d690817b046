//! `muster completions` and `muster man`: they contain every command, and shells and `man` accept them.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::run;
use crate::support::file;
use crate::support::server::muster;

/// The subcommands of a command, from its help.
fn below(path: &[&str]) -> Vec<String> {
    let help = run(muster().args(path).arg("--help")).out;
    // The commands of `muster` itself are listed by task, those of a group under one heading.
    let start = if path.is_empty() { "\nServer:\n" } else { "\nCommands:\n" };
    let Some((_, commands)) = help.split_once(start) else { return Vec::new() };
    let lines = commands.lines().take_while(|line| *line != "Options:");
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

/// Every command as typed, without `muster`.
fn commands() -> Vec<String> {
    let mut all = Vec::new();
    let mut left: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(path) = left.pop() {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        left.extend(below(&words).into_iter().map(|command| [path.clone(), vec![command]].concat()));
        if !path.is_empty() {
            all.push(path.join(" "));
        }
    }
    assert!(all.len() > 20 && all.contains(&"user batch-create".to_owned()), "{all:?}");
    all
}

/// The completions that bash offers after these words.
fn completed(words: &[&str]) -> BTreeSet<String> {
    let script = file(run(muster().args(["completions", "bash"])).out.as_bytes(), ".bash");
    let checked = run(Command::new("bash").arg("-n").arg(script.path()));
    assert_eq!((checked.status, checked.err.as_str()), (Some(0), ""));
    let program = r#"source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _muster "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"; printf '%s\n' "${COMPREPLY[@]}""#;
    let ran = run(Command::new("bash").args(["-c", program]).arg(script.path()).args(words));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    ran.out.lines().map(str::to_owned).collect()
}

#[test]
fn muster_alone_lists_its_commands_by_task_and_hints_at_the_command_for_what_people_try() {
    let alone = run(&mut muster());
    assert_eq!((alone.status, alone.out.as_str()), (Some(2), ""));
    let headings: Vec<&str> = alone.err.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    assert_eq!(headings, ["Server:", "People:", "Access:", "Operations:", "Shell:", "Options:"], "{}", alone.err);
    assert!(alone.err.contains("\n  user             Create, list, update"), "{}", alone.err);
    assert_eq!(run(muster().arg("--help")).out, alone.err);
    for (words, hint) in [
        (&["import", "people.csv"][..], "hint: `muster user batch-create -f FILE` creates users; "),
        (&["user", "add", "ada@example.com"], "hint: `muster user batch-create -f FILE` creates users; "),
        (&["user", "set-password"], "hint: `muster user link` makes a link"),
        (&["user", "disable", "ada@example.com"], "hint: `muster user suspend` suspends users\n"),
    ] {
        let ran = run(muster().args(words));
        assert_eq!(ran.status, Some(2));
        assert!(ran.err.starts_with("error: unrecognized subcommand") && ran.err.contains(hint), "{}", ran.err);
    }
}

#[test]
fn bash_completes_commands_options_and_values() {
    let offered = completed(&["muster", ""]);
    assert!(below(&[]).iter().all(|command| offered.contains(command)), "{offered:?}");
    assert_eq!(completed(&["muster", "inv"]), BTreeSet::from(["invitation".to_owned()]));
    for group in below(&[]) {
        let offered = completed(&["muster", &group, ""]);
        assert!(below(&[&group]).iter().all(|command| offered.contains(command)), "{group}: {offered:?}");
    }
    assert_eq!(completed(&["muster", "key", "create", "--expires"]), BTreeSet::from(["--expires-in".to_owned()]));
    let values = completed(&["muster", "user", "list", "--output", ""]);
    assert_eq!(values, ["csv", "json", "table", "wide"].map(str::to_owned).into());
}

#[test]
fn every_command_is_in_the_completions_of_each_shell() {
    for (shell, first) in [("bash", "_muster() {"), ("zsh", "#compdef muster"), ("fish", "# Print an optspec")] {
        let ran = run(muster().args(["completions", shell]));
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
        assert!(ran.out.starts_with(first), "{shell}: {:?}", ran.out.lines().next());
        for command in commands() {
            assert!(ran.out.contains(command.split(' ').next_back().unwrap()), "{shell}: {command}");
        }
    }
    let ran = run(muster().args(["completions", "tcsh"]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("[possible values: bash, zsh, fish]"), "{}", ran.err);
}

/// The formatted page, if this machine has a program that formats it.
fn shown(page: &str) -> Option<String> {
    let mut groff = Command::new("groff");
    groff.args(["-man", "-Tutf8", "-P-c", "-ww", "-rLL=200n"]);
    let child = groff.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.ok()?;
    let (mut stdin, page) = (child.stdin.take().unwrap(), page.to_owned());
    let writing = std::thread::spawn(move || stdin.write_all(page.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "groff reports nothing");
    // groff writes bold letters by overstriking.
    let text = String::from_utf8(output.stdout).unwrap();
    let mut plain = String::new();
    for c in text.chars() {
        if c == '\u{8}' {
            plain.pop();
        } else {
            plain.push(c);
        }
    }
    Some(plain)
}

#[test]
fn every_command_has_a_heading_on_the_manual_page() {
    let ran = run(muster().arg("man"));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.lines().any(|line| line.starts_with(".TH muster 1")), "{:?}", ran.out.lines().next());
    for command in commands() {
        let heading = if command.contains(' ') { "SS" } else { "SH" };
        let heading = format!(".{heading} \"muster {command}\"");
        assert!(ran.out.lines().any(|line| line == heading), "{heading}");
    }
    assert!(ran.out.is_ascii());
    assert!(!ran.out.contains("muster-help") && !ran.out.contains("muster user help"));
    if let Some(text) = shown(&ran.out) {
        let has = |line: &str| text.lines().any(|shown| shown.trim_end() == line);
        assert!(has("NAME") && has("NOTES") && has("muster key") && has("   muster key create"), "{text}");
        assert!(text.contains("Exit status: 0 success, 1 rejected"), "{text}");
    }
}

#[test]
fn every_command_has_its_own_page_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("man1");
    let ran = run(muster().args(["man", "--dir"]).arg(&dir));
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(0), "", ""));
    let mut written: Vec<String> =
        std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut due: Vec<String> =
        commands().iter().map(|command| format!("muster-{}.1", command.replace(' ', "-"))).collect();
    due.push("muster.1".to_owned());
    written.sort();
    due.sort();
    assert_eq!(written, due);
    for page in &written {
        shown(&std::fs::read_to_string(dir.join(page)).unwrap());
    }
    let ran = run(muster().args(["man", "--dir", "/proc/no"]));
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("error: can't write to /proc/no: "), "{}", ran.err);
}
