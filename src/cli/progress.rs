//! How far a batch is, on a terminal. Elsewhere nothing is drawn.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use muster_client::Batch;

use super::output;

/// Times from the start of a command, and the bar that is shown meanwhile.
pub(super) struct Progress {
    start: Instant,
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), bar: ProgressBar::hidden() }
    }

    /// As the vendor's client tells how far it is.
    pub(super) fn say(&self, words: &str) {
        let line = format!("(muster +{:.1}s) {words}", self.start.elapsed().as_secs_f32());
        self.bar.suspend(|| output::say(&line));
    }

    /// Shows that something goes on.
    pub(super) fn spin(&mut self, words: String) {
        self.show(ProgressBar::new_spinner().with_message(words), "{spinner} {msg}, {elapsed}");
    }

    /// Shows so many of something; `{eta}` is in the template if this machine does the work.
    pub(super) fn count(&mut self, total: u64, template: &str) {
        self.show(ProgressBar::new(total), template);
    }

    pub(super) fn advance_to(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Shows how far the server is with hashing; the rest takes no time worth a bar.
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

    /// Takes away what is shown.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// It is only drawn on a terminal; indicatif sees to that.
    fn show(&mut self, bar: ProgressBar, template: &str) {
        self.clear();
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        self.bar = bar;
    }
}
