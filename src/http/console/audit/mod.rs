//! The audit log: its list, an entry, and the parts of other pages that show entries.
//!
//! | file | what it has |
//! |---|---|
//! | `list.rs`, `form.rs` | `/console/audit`, and its filters |
//! | `export.rs` | the list as a file |
//! | `event.rs` | `/console/audit/{event_id}` |
//! | `history.rs` | what a person did and what happened to the person; what happened lately |
//! | `log.rs` | entries as lines, by day |
//! | `sentence.rs`, `done.rs`, `attempt.rs` | an entry in words |

mod attempt;
mod done;
pub(super) mod event;
pub(super) mod export;
mod form;
pub(super) mod history;
pub(super) mod list;
pub(super) mod log;
pub(super) mod sentence;
#[cfg(test)]
mod tests;
