//! Why a file can't be used.

use crate::http::pages;

/// The most places of a file that are listed.
const MOST_PLACES: usize = 20;

/// What is wrong with a file.
pub(super) struct Unusable {
    pub(super) message: String,
    /// Lines and messages.
    pub(super) places: Vec<(Option<usize>, String)>,
    pub(super) more: usize,
}

impl Unusable {
    /// `message` as a sentence, with the first places; `more` are not among them.
    pub(super) fn new(message: &str, mut places: Vec<(Option<usize>, String)>, more: usize) -> Self {
        let more = more + places.len().saturating_sub(MOST_PLACES);
        places.truncate(MOST_PLACES);
        Self { message: pages::sentence(message), places, more }
    }
}
