//! `cargo bench`: muster's main workloads, as ratios to a baseline on the same machine.
//!
//! Each benchmark compares a release server (its own process, with a durable PostgreSQL) with a bare baseline in the same run,
//! by the medians of alternating A/B pairs, because machines are noisy. A missed limit fails the run.
//! `cargo bench -- bulk singles` runs only those parts.

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
    reason = "benchmarks print and may panic"
)]

#[path = "../tests/support/mod.rs"]
mod support;

mod baseline;
mod figures;

/// One result.
struct Line {
    what: &'static str,
    measured: String,
    limit: String,
    /// Whether the limit is met; `None` for a reference value without a limit.
    met: Option<bool>,
}

impl Line {
    fn at_most(what: &'static str, value: f64, limit: f64, unit: &str, measured: String) -> Self {
        Self { what, measured, limit: format!("<= {limit}{unit}"), met: Some(value <= limit) }
    }

    fn at_least(what: &'static str, value: f64, limit: f64, measured: String) -> Self {
        Self { what, measured, limit: format!(">= {limit}"), met: Some(value >= limit) }
    }

    fn reference(what: &'static str, measured: String) -> Self {
        Self { what, measured, limit: "-".to_owned(), met: None }
    }
}

type Part = (&'static str, fn() -> Vec<Line>);

const PARTS: [Part; 15] = [
    ("process", figures::process::lines),
    ("passwords", figures::passwords::lines),
    ("bulk", figures::bulk::lines),
    ("sizes", figures::sizes::lines),
    ("singles", figures::singles::lines),
    ("latency", figures::latency::lines),
    ("sign-ins", figures::sign_ins::lines),
    ("people", figures::people::lines),
    ("console", figures::console::lines),
    ("lookups", figures::people::lookups),
    ("memory", figures::process::memory),
    ("instances", figures::instances::lines),
    ("telemetry", figures::telemetry::lines),
    ("connections", figures::connections::lines),
    ("attacks", figures::attacks::lines),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only checks that the benchmarks build.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let named: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    support::DURABLE.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut missed = 0;
    println!("{:<68} {:>32} {:>12}", "", "measured", "limit");
    for (name, lines) in PARTS {
        if !named.is_empty() && !named.iter().any(|part| *part == name) {
            continue;
        }
        for Line { what, measured, limit, met } in lines() {
            let verdict = match met {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            missed += i32::from(met == Some(false));
            println!("{what:<68} {measured:>32} {limit:>12}  {verdict}");
        }
    }
    println!("{}", if missed == 0 { "all limits met".to_owned() } else { format!("{missed} limits missed") });
    std::process::exit(i32::from(missed > 0));
}
