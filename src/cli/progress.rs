//! Progress of a batch: timestamped messages and, on a terminal, a progress bar.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use muster_client::Batch;

use super::output;

/// The start time of the command, and the progress bar being shown.
pub(super) struct Progress {
    start: Instant,
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), bar: ProgressBar::hidden() }
    }

    /// Prints a message with the elapsed time, in the format of Anyscale's client.
    pub(super) fn say(&self, message: &str) {
        let line = format!("(muster +{:.1}s) {message}", self.start.elapsed().as_secs_f32());
        self.bar.suspend(|| output::say(&line));
    }

    /// Shows a spinner with a message.
    pub(super) fn spin(&mut self, message: String) {
        self.show(ProgressBar::new_spinner().with_message(message), "{spinner} {msg}, {elapsed}");
    }

    /// Shows a progress bar; `template` has `{eta}` if this machine does the work.
    pub(super) fn count(&mut self, total: u64, template: &str) {
        self.show(ProgressBar::new(total), template);
    }

    pub(super) fn advance_to(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Shows the server's progress in hashing; the other steps of a batch are short.
    pub(super) fn follow(&self, batch: &Batch) {
        if batch.hash_count == 0 {
            return;
        }
        self.bar.set_position(batch.hashed);
        self.bar.set_message(match batch.estimated_seconds_left {
            Some(left) => format!("about {} left", output::seconds(left)),
            None => "almost done".to_owned(),
        });
    }

    /// Removes the progress bar or spinner.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Shows a progress bar; indicatif draws it on a terminal only.
    fn show(&mut self, bar: ProgressBar, template: &str) {
        self.clear();
        if output::is_dumb_terminal() {
            return;
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        self.bar = bar;
    }
}
