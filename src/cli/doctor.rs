//! `muster doctor`: checks the settings, the database and the machine.

use std::path::PathBuf;

use super::Exit;
use super::args::{ConfigArgs, settings_source};
use super::config::check_contents;
use super::local::Local;
use super::output::{self, Format};
use crate::clock::Clock;
use crate::config::Config;
use crate::doctor::{self, Finding, Report, State, Subject};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Certificate file to check, in PEM format, such as a replacement [default: the server's certificate].
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Private key file of the certificate, in PEM format.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Skip the password hashing benchmark, which uses all cores for a second or two.
    #[arg(long)]
    no_hashing: bool,
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) async fn run(args: Args) -> Result<(), Exit> {
    let report = match settings(&args.config) {
        Ok(config) => examine(&args, &config).await,
        Err(exit) => Report::unusable_settings(args.config.config.clone(), exit.message().unwrap_or_default()),
    };
    show(&report, args.output)?;
    let count = |state| report.findings.iter().filter(|finding| finding.state == state).count();
    match (count(State::Problem), count(State::Warning)) {
        (0, 0) => output::say("no problems found"),
        (0, warnings) => output::say(&output::count(warnings, "warning")),
        (problems, 0) => return Err(Exit::Rejected(Some(output::count(problems, "problem")))),
        (problems, warnings) => {
            let (problems, warnings) = (output::count(problems, "problem"), output::count(warnings, "warning"));
            return Err(Exit::rejected(format!("{problems} and {warnings}")));
        }
    }
    Ok(())
}

/// The server's settings, with every setting parsed.
fn settings(args: &ConfigArgs) -> Result<Config, Exit> {
    let config = args.load()?;
    config.database_options().map_err(Exit::usage)?;
    check_contents(&config)?;
    Ok(config)
}

async fn examine(args: &Args, config: &Config) -> Report {
    let local = Local::open(config.clone(), false, None).await;
    let mut config = config.clone();
    if let Ok(local) = &local {
        config.server.listening_url.clone_from(&local.app.config.server.listening_url);
    }
    let report = doctor::examine(&Subject {
        config: &config,
        settings_file: args.config.config.clone(),
        database: match &local {
            Ok(local) => Ok(&local.app.db),
            Err(exit) => Err(exit.message().unwrap_or_default().to_owned()),
        },
        embedded_data_dir: local
            .as_ref()
            .ok()
            .and_then(|local| local.cluster.as_deref())
            .map(|cluster| cluster.data_dir()),
        seal_keys: local.as_ref().ok().map(|local| local.app.seal_keys.as_ref()),
        has_ephemeral_key: local.as_ref().is_ok_and(|local| local.app.fingerprints.is_ephemeral()),
        certificate: args.certificate.clone().zip(args.key.clone()).or_else(|| config.server.certificate_files()),
        measures_hashing: !args.no_hashing,
        clock: &Clock::System,
    })
    .await;
    if let Ok(local) = local {
        local.close().await;
    }
    report
}

fn show(report: &Report, format: Format) -> Result<(), Exit> {
    match format {
        Format::Json => output::print_json(report),
        Format::Csv => {
            output::print_csv(&["STATE", "CHECK", "FOUND", "MEANING", "ADVICE"], report.findings.iter().map(row))
        }
        Format::Table | Format::Wide => {
            output::print(&format!("settings: {}", settings_source(report.settings_file.as_deref())))?;
            let lines: Vec<String> = report.findings.iter().map(describe).collect();
            output::print(&lines.join("\n"))?;
            let costs = report.hash_costs.iter().map(|cost| {
                let [memory, iterations, parallelism] =
                    [cost.memory_kib, cost.iterations, cost.parallelism].map(|n| n.to_string());
                vec![
                    memory,
                    iterations,
                    parallelism,
                    format!("{:.0}", cost.milliseconds),
                    format!("{:.0}", cost.per_second),
                ]
            });
            if report.hash_costs.is_empty() {
                return Ok(());
            }
            output::print("\nCost of argon2id on this machine, current settings first:")?;
            output::print_table(&["MEMORY KIB", "ITERATIONS", "PARALLELISM", "MS PER HASH", "HASHES PER SECOND"], costs)
        }
    }
}

fn row(finding: &Finding) -> Vec<String> {
    let Finding { check, state, found, meaning, advice } = finding;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![state.as_str().to_owned(), (*check).to_owned(), found.clone(), text(meaning), text(advice)]
}

/// A finding as text: one line, then its meaning and the advice.
fn describe(finding: &Finding) -> String {
    let Finding { check, state, found, meaning, advice } = finding;
    let mut text = format!("{:<8} {check:<25} {}", state.as_str(), output::clean(found));
    for (label, more) in [("means", meaning), ("fix", advice)] {
        if let Some(more) = more {
            text.push_str(&format!("\n{:<8} {:>25} {}", "", format!("{label}:"), output::clean(more)));
        }
    }
    text
}
