//! `muster user batch-create`: a file in, users or a report on the file out.
//!
//! The rows go to the server as they stand in the file, wrong types and unknown keys included, so
//! that one report covers everything; the file then tells where each finding is.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use muster_client::{AdminCreatedUser, Client, Error, Rejection};

use super::Exit;
use super::output::{self, Format};
use crate::batches::file::{FileError, Finding, UsersFile};

pub(super) async fn run(path: &Path, format: Option<Format>, client: &Client) -> Result<(), Exit> {
    let start = Instant::now();
    let file = UsersFile::read(path).map_err(|error| refuse_file(&error))?;
    say(start, "Creating users...");
    let bar = progress_bar(file.len());
    let rows: Vec<_> = file.rows().collect();
    let created = client.admin_batch_create_rows(&rows).await;
    bar.finish_and_clear();
    match created {
        Ok(users) => {
            say(start, &format!("{} {} created.", users.len(), if users.len() == 1 { "user" } else { "users" }));
            match format {
                None => Ok(()),
                Some(format) => output::print_list(format, &users, &HEADER, users.iter().map(row)),
            }
        }
        Err(Error::Rejected(rejection)) if !rejection.rows.is_empty() => Err(report(&file, &rejection)),
        Err(error) => Err(match Exit::from(error) {
            Exit::Refused(Some(sentence)) => Exit::Refused(Some(format!("{sentence}; nothing was created"))),
            other => other,
        }),
    }
}

/// As the vendor's client tells how far it is.
fn say(start: Instant, words: &str) {
    output::say(&format!("(muster +{:.1}s) {words}", start.elapsed().as_secs_f32()));
}

/// On a terminal; elsewhere it is not drawn.
fn progress_bar(users: usize) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(format!("{users} users"));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn refuse_file(error: &FileError) -> Exit {
    match error {
        FileError::Unreadable { source, .. } => Exit::Usage(format!("{error}: {source}")),
        FileError::TooLarge { .. } => Exit::Refused(Some(format!("{error}; nothing was created"))),
        FileError::Form(form) => {
            output::say(form.render(colour()).trim_end());
            output::say("\nnothing was created");
            Exit::Refused(None)
        }
    }
}

/// Whether standard error takes colours, and its reader wants them (no-color.org).
fn colour() -> bool {
    std::io::stderr().is_terminal() && crate::config::environment("NO_COLOR").is_none()
}

fn report(file: &UsersFile, rejection: &Rejection) -> Exit {
    let findings: Vec<Finding> = rejection
        .rows
        .iter()
        .map(|row| Finding {
            index: row.index,
            field: row.field.clone(),
            code: row.code.clone(),
            message: row.message.clone(),
            other_index: row.other_index,
        })
        .collect();
    output::say(file.render(&findings, colour()).trim_end());
    let rows = findings.iter().map(|finding| finding.index).collect::<std::collections::BTreeSet<_>>().len();
    output::say(&format!("\n{rows} of {} users can't be created; nothing was created", file.len()));
    Exit::Refused(None)
}

const HEADER: [&str; 5] = ["EMAIL", "NAME", "USER ID", "SSO", "CREATED"];

fn row(user: &AdminCreatedUser) -> Vec<String> {
    let name = match user.lastname.as_deref() {
        None | Some("") => user.name.clone(),
        Some(lastname) => format!("{} {lastname}", user.name),
    };
    vec![
        user.email.clone(),
        name,
        user.user_id.clone(),
        if user.is_sso_user { "yes" } else { "no" }.to_owned(),
        output::time(user.created_at),
    ]
}
