//! `cargo bench`: what muster exists for, as ratios against what the machine can do at all.
//!
//! Each figure compares a real release server (its own process, its real PostgreSQL, durable) with a
//! bare baseline in the same run: medians of alternating A/B pairs, since machines are noisy. A bar
//! that is missed makes the run fail. `cargo bench -- bulk singles` measures only those parts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints, and may panic"
)]

#[path = "../tests/support/mod.rs"]
mod support;

mod baseline;
mod figures;

/// One figure.
struct Line {
    what: &'static str,
    measured: String,
    bar: String,
    /// `None`: to be compared with, no bar of its own.
    met: Option<bool>,
}

impl Line {
    fn at_most(what: &'static str, value: f64, bar: f64, unit: &str, measured: String) -> Self {
        Self { what, measured, bar: format!("<= {bar}{unit}"), met: Some(value <= bar) }
    }

    fn at_least(what: &'static str, value: f64, bar: f64, measured: String) -> Self {
        Self { what, measured, bar: format!(">= {bar}"), met: Some(value >= bar) }
    }

    fn beside(what: &'static str, measured: String) -> Self {
        Self { what, measured, bar: "-".to_owned(), met: None }
    }
}

type Part = (&'static str, fn() -> Vec<Line>);

const PARTS: [Part; 12] = [
    ("process", figures::process::lines),
    ("passwords", figures::passwords::lines),
    ("bulk", figures::bulk::lines),
    ("sizes", figures::sizes::lines),
    ("singles", figures::singles::lines),
    ("latency", figures::latency::lines),
    ("people", figures::people::lines),
    ("lookups", figures::people::lookups),
    ("memory", figures::process::memory),
    ("instances", figures::instances::lines),
    ("telemetry", figures::telemetry::lines),
    ("connections", figures::connections::lines),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it builds.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let named: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    support::DURABLE.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut missed = 0;
    println!("{:<68} {:>32} {:>12}", "", "measured", "bar");
    for (name, lines) in PARTS {
        if !named.is_empty() && !named.iter().any(|part| *part == name) {
            continue;
        }
        for Line { what, measured, bar, met } in lines() {
            let verdict = match met {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            missed += i32::from(met == Some(false));
            println!("{what:<68} {measured:>32} {bar:>12}  {verdict}");
        }
    }
    println!("{}", if missed == 0 { "all bars are met".to_owned() } else { format!("{missed} missed") });
    std::process::exit(i32::from(missed > 0));
}
